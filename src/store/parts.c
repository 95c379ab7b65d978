#include "base/checked.h"
#include "base/os.h"
#include "store/rows.h"

enum { HEAD_BYTES = 20, MAX_BYTES = 512 * 1024 * 1024 };

static int encode_part(const ra_part *part, ra_bytes *out, ra_error *err) {
    uint8_t head[HEAD_BYTES];
    ra_store_u64(head, part->segment->id);
    ra_store_i32(head + 8, part->first_batch);
    ra_store_i32(head + 12, part->n_batches);
    ra_store_i32(head + 16, part->n_columns);
    RA_TRY(ra_bytes_append(out, head, sizeof head, err));
    for (int i = 0; i < part->n_columns; i++) {
        int32_t column = part->columns[i];
        RA_TRY(ra_bytes_append(out, &column, sizeof column, err));
    }
    return 0;
}

int ra_parts_encode(const ra_content *content, ra_bytes *out, ra_error *err) {
    ra_bytes_init(out, MAX_BYTES);
    for (int i = 0; i < content->n_parts; i++) {
        int rc = encode_part(&content->parts[i], out, err);
        if (rc != 0) {
            ra_bytes_fini(out);
            return rc;
        }
    }
    return 0;
}

void ra_parts_free(ra_part *parts, int n_parts) {
    for (int i = 0; i < n_parts; i++) {
        ra_segment_unref(parts[i].segment);
        ra_free(parts[i].columns);
    }
    ra_free(parts);
}

// Reads the part at `*at`, which moves behind it.
static int decode_part(ra_str bytes, size_t *at, ra_segment_finder find, void *context,
                       ra_part *out, ra_error *err) {
    if (bytes.len - *at < HEAD_BYTES)
        RA_FAIL(err, DATA_LOSS, "the catalog is damaged: a version's parts are cut short");
    const char *head = bytes.data + *at;
    *at += HEAD_BYTES;
    ra_segment *segment = find(context, ra_load_u64(head));
    int n = ra_load_i32(head + 16);
    *out = (ra_part){
        .first_batch = ra_load_i32(head + 8), .n_batches = ra_load_i32(head + 12), .n_columns = n};
    if (!segment || n < -1 || (n > 0 && (size_t)n > (bytes.len - *at) / sizeof(int32_t)))
        RA_FAIL(err, DATA_LOSS, "the catalog is damaged: a part of a version makes no sense");
    if (n > 0) {
        out->columns = ra_malloc((size_t)n * sizeof *out->columns);
        if (!out->columns)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a version of %d columns", n);
        for (int i = 0; i < n; i++)
            out->columns[i] = ra_load_i32(bytes.data + *at + (size_t)i * sizeof(int32_t));
        *at += (size_t)n * sizeof(int32_t);
    }
    out->segment = ra_segment_ref(segment);
    return 0;
}

int ra_parts_decode(ra_str bytes, ra_segment_finder find, void *context, ra_part **parts,
                    int *n_parts, ra_error *err) {
    *n_parts = 0;
    *parts = ra_calloc(bytes.len / HEAD_BYTES + 1, sizeof **parts);
    if (!*parts)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the parts of a version");
    for (size_t at = 0; at < bytes.len;) {
        int rc = decode_part(bytes, &at, find, context, &(*parts)[*n_parts], err);
        if (rc != 0) {
            ra_parts_free(*parts, *n_parts);
            *parts = NULL;
            return rc;
        }
        ++*n_parts;
    }
    return 0;
}
