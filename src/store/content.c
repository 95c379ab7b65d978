#include "store/content.h"

#include <inttypes.h>
#include <string.h>

#include "arrow/ipc.h"
#include "base/checked.h"
#include "base/os.h"
#include "store/content_parts.h"
#include "store/dictionaries.h"
#include "store/internal.h"
#include "store/xxh3.h"

static void free_content(ra_content *content) {
    ra_schema_unref(content->schema);
    ra_blob_unref(content->schema_message);
    ra_blob_unref(content->framed_schema);
    ra_free(content->parts);
    ra_free(content->batch_starts);
    ra_free(content);
}

ra_content *ra_content_ref(ra_content *content) {
    int before = atomic_fetch_add_explicit(&content->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return content;
}

void ra_content_unref(ra_content *content) {
    if (!content)
        return;
    int before = atomic_fetch_sub_explicit(&content->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before > 1)
        return;
    for (int i = 0; i < content->n_parts; i++) {
        ra_segment_drop_hold(content->parts[i].segment);
        ra_free(content->parts[i].columns);
    }
    free_content(content);
}

static int take_blob(int rc, ra_bytes *bytes, ra_blob **out, ra_error *err) {
    if (rc == 0) {
        size_t n = bytes->len;
        rc = ra_blob_take(ra_bytes_take(bytes), n, out, err);
    }
    ra_bytes_fini(bytes);
    return rc;
}

static int encode_schema(ra_content *content, ra_error *err) {
    ra_bytes bytes;
    ra_bytes_init(&bytes, 2 * RA_MAX_SCHEMA_BYTES);
    RA_TRY(take_blob(ra_ipc_encode_schema(content->schema, &bytes, err), &bytes,
                     &content->schema_message, err));
    ra_bytes_init(&bytes, 2 * RA_MAX_SCHEMA_BYTES);
    return take_blob(ra_ipc_encode_framed_schema(content->schema, &bytes, err), &bytes,
                     &content->framed_schema, err);
}

static int fail_part(const ra_part *part, ra_error *err) {
    RA_FAIL(err, DATA_LOSS, "the catalog's record of a part of segment %016" PRIx64 " is damaged",
            part->segment->id);
}

static int check_part(const ra_schema *schema, const ra_part *part, ra_error *err) {
    const ra_segment *segment = part->segment;
    int n_columns = part->n_columns < 0 ? segment->schema->n_fields : part->n_columns;
    if (part->first_batch < 0 || part->n_batches < 0 ||
        part->n_batches > segment->n_batches - part->first_batch || n_columns != schema->n_fields)
        return fail_part(part, err);
    for (int i = 0; i < n_columns; i++) {
        int column = part->n_columns < 0 ? i : part->columns[i];
        if (column < 0 || column >= segment->schema->n_fields ||
            !ra_type_equal(&schema->fields[i], &segment->schema->fields[column]))
            return fail_part(part, err);
    }
    return 0;
}

static int64_t stored_bytes(const ra_segment *segment, int first_batch, int n_batches) {
    const ra_segment_entry *entries = &segment->entries[segment->n_dictionaries + first_batch];
    int64_t bytes = 0;
    for (int i = 0; i < n_batches; i++)
        bytes += entries[i].body_bytes;
    return bytes;
}

// Bodies of a part as they are sent. With some columns only: their share of the segment's bytes.
static int64_t part_bytes(const ra_part *part) {
    const ra_segment *segment = part->segment;
    int64_t bytes = stored_bytes(segment, part->first_batch, part->n_batches);
    if (part->n_columns < 0)
        return bytes;
    int64_t columns = 0, all = 0;
    for (int i = 0; i < part->n_columns; i++)
        columns += segment->column_bytes[part->columns[i]];
    if (part->n_batches == segment->n_batches)
        return columns;
    for (int i = 0; i < segment->schema->n_fields; i++)
        all += segment->column_bytes[i];
    return all > 0 ? (int64_t)((double)columns * ((double)bytes / (double)all)) : 0;
}

static int64_t field_dictionary_bytes(const ra_field *field, const int64_t *by_id) {
    int64_t bytes = field->is_dictionary ? by_id[field->dictionary_id] : 0;
    for (int i = 0; i < field->n_children; i++)
        bytes += field_dictionary_bytes(&field->children[i], by_id);
    return bytes;
}

static int add_dictionary_bytes(ra_content *content, const ra_part *part, ra_error *err) {
    const ra_segment *segment = part->segment;
    int64_t *by_id = ra_calloc((size_t)segment->n_dictionaries, sizeof *by_id);
    if (!by_id)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table");
    for (int i = 0; i < segment->n_dictionaries; i++)
        by_id[segment->entries[i].dictionary_id] = segment->entries[i].body_bytes;
    for (int i = 0; i < content->schema->n_fields; i++) {
        int column = part->n_columns < 0 ? i : part->columns[i];
        content->n_bytes += field_dictionary_bytes(&segment->schema->fields[column], by_id);
    }
    ra_free(by_id);
    return 0;
}

static int add_part(ra_content *content, int i, uint64_t *dictionary_key, ra_error *err) {
    ra_part *part = &content->parts[i];
    RA_TRY(check_part(content->schema, part, err));
    const int64_t *starts = part->segment->row_starts + part->first_batch;
    part->n_rows = starts[part->n_batches] - starts[0];
    if (!ra_add_i64(content->n_rows, part->n_rows, &content->n_rows))
        RA_FAIL(err, LIMIT, "more than 2^63 rows");
    content->n_batches += part->n_batches;
    content->batch_starts[i + 1] = content->n_batches;
    content->n_bytes += part_bytes(part);
    uint64_t key = ra_part_dictionary_key(content, part);
    if (key != 0 && key != *dictionary_key)
        RA_TRY(add_dictionary_bytes(content, part, err));
    *dictionary_key = key;
    return 0;
}

// Parts are hashed batch by batch, so that it does not matter where one ends.
static void hash_part(XXH3_state_t *hash, const ra_part *part, uint64_t columns) {
    const ra_segment *segment = part->segment;
    for (int i = part->first_batch; i < part->first_batch + part->n_batches; i++) {
        const ra_segment_entry *entry = &segment->entries[segment->n_dictionaries + i];
        const ra_blob *app_metadata = segment->app_metadata ? segment->app_metadata[i] : NULL;
        uint64_t record[3] = {entry->checksum, columns, app_metadata ? app_metadata->bytes : 0};
        XXH3_128bits_update(hash, record, sizeof record);
        if (app_metadata)
            XXH3_128bits_update(hash, app_metadata->data, app_metadata->bytes);
    }
}

static void hash_content(ra_content *content) {
    XXH3_state_t hash;
    XXH3_128bits_reset(&hash);
    XXH3_128bits_update(&hash, content->framed_schema->data, content->framed_schema->bytes);
    uint64_t in_force = 0;
    for (int i = 0; i < content->n_parts; i++) {
        const ra_part *part = &content->parts[i];
        uint64_t key = ra_part_dictionary_key(content, part);
        if (key != in_force)
            XXH3_128bits_update(&hash, &key, sizeof key);
        in_force = key;
        uint64_t columns = 0;
        if (part->n_columns >= 0)
            columns = XXH3_64bits(part->columns, (size_t)part->n_columns * sizeof(int)) | 1;
        hash_part(&hash, part, columns);
    }
    XXH128_hash_t digest = XXH3_128bits_digest(&hash);
    content->hash[0] = digest.low64;
    content->hash[1] = digest.high64;
}

static int fill(ra_content *content, ra_error *err) {
    content->batch_starts = ra_calloc((size_t)content->n_parts + 1, sizeof *content->batch_starts);
    if (!content->batch_starts)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table of %d parts", content->n_parts);
    RA_TRY(encode_schema(content, err));
    uint64_t dictionary_key = 0;
    for (int i = 0; i < content->n_parts; i++)
        RA_TRY(add_part(content, i, &dictionary_key, err));
    hash_content(content);
    return 0;
}

int ra_content_new(ra_store *store, ra_schema *schema, ra_part *parts, int n_parts, bool combined,
                   ra_content **out, ra_error *err) {
    *out = NULL;
    ra_part_list list = {parts, n_parts, n_parts};
    ra_content *content = ra_calloc(1, sizeof *content);
    if (!content) {
        ra_part_list_fini(&list);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table");
    }
    atomic_init(&content->refs, 1);
    content->store = store;
    content->schema = ra_schema_ref(schema);
    content->combined = combined;
    content->parts = parts;
    content->n_parts = n_parts;
    int rc = fill(content, err);
    if (rc != 0) {
        content->parts = NULL;
        ra_part_list_fini(&list);
        free_content(content);
        return rc;
    }
    for (int i = 0; i < n_parts; i++)
        ra_segment_hold(parts[i].segment);
    *out = content;
    return 0;
}

int ra_content_batch(ra_content *content, int64_t i, ra_batch **out, ra_error *err) {
    int p = ra_content_find_part(content, i);
    const ra_part *part = &content->parts[p];
    int batch = part->first_batch + (int)(i - content->batch_starts[p]);
    if (part->n_columns < 0)
        return ra_segment_read_batch(part->segment, batch, content->schema, out, err);
    ra_batch *whole;
    RA_TRY(ra_segment_read_batch(part->segment, batch, part->segment->schema, &whole, err));
    int rc =
        ra_batch_rebind(whole, content->schema, part->columns, part->n_columns, NULL, out, err);
    ra_batch_unref(whole);
    return rc;
}

int ra_content_app_metadata(ra_content *content, int64_t i, ra_blob **out, ra_error *err) {
    int p = ra_content_find_part(content, i);
    const ra_part *part = &content->parts[p];
    int batch = part->first_batch + (int)(i - content->batch_starts[p]);
    ra_blob **blobs = part->segment->app_metadata;
    if (!blobs || !blobs[batch])
        return ra_blob_new(0, out, err);
    *out = ra_blob_ref(blobs[batch]);
    return 0;
}
