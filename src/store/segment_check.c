#include "store/segment_check.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/os.h"
#include "store/internal.h"
#include "store/segment_frame.h"

static int fail_at(const ra_segment *segment, const char *what, ra_error *err) {
    RA_FAIL(err, DATA_LOSS, "segment %016" PRIx64 ".arrow: %s", segment->id, what);
}

static int compare(const ra_segment *segment, int64_t offset, const void *expected, size_t bytes,
                   const char *what, ra_error *err) {
    ra_bytes there;
    ra_bytes_init(&there, INT32_MAX);
    int rc = ra_bytes_append_zeros(&there, bytes, err);
    if (rc == 0)
        rc = ra_os_pread(segment->fd, there.data, bytes, offset, err);
    if (rc == 0 && memcmp(there.data, expected, bytes) != 0)
        rc = fail_at(segment, what, err);
    ra_bytes_fini(&there);
    return rc;
}

static int check_head(const ra_segment *segment, ra_error *err) {
    ra_bytes head;
    ra_bytes_init(&head, INT32_MAX);
    int rc = ra_segment_encode_head(segment->schema, &head, err);
    if (rc == 0)
        rc = compare(segment, 0, head.data, head.len, "its head is damaged", err);
    ra_bytes_fini(&head);
    return rc;
}

static int check_tail(const ra_segment *segment, ra_error *err) {
    ra_bytes tail;
    ra_bytes_init(&tail, INT32_MAX);
    int n = segment->n_dictionaries;
    int rc = ra_segment_encode_tail(segment->schema, segment->entries, n, segment->entries + n,
                                    segment->n_batches, &tail, err);
    if (rc == 0)
        rc = (int64_t)tail.len <= segment->file_bytes
                 ? compare(segment, segment->file_bytes - (int64_t)tail.len, tail.data, tail.len,
                           "its footer is damaged", err)
                 : fail_at(segment, "it has no room for its footer", err);
    ra_bytes_fini(&tail);
    return rc;
}

static int check_message(ra_segment *segment, int i, ra_error *err) {
    const ra_segment_entry *entry = &segment->entries[i];
    int64_t at = entry->message_offset - RA_SEGMENT_PREFIX_BYTES;
    uint8_t prefix[RA_SEGMENT_PREFIX_BYTES];
    ra_segment_print_prefix(at, entry->message_bytes, prefix);
    RA_TRY(compare(segment, at, prefix, sizeof prefix, "a message's prefix is damaged", err));
    return ra_segment_verify(segment, i, err);
}

static int check_batches(ra_segment *segment, ra_error *err) {
    for (int i = 0; i < segment->n_batches; i++) {
        ra_batch *batch;
        int rc = ra_segment_read_batch(segment, i, segment->schema, &batch, err);
        if (rc != 0 && err->reason == RA_REASON_MALFORMED_ARROW)
            rc = fail_at(segment, "a batch cannot be decoded", err);
        RA_TRY(rc);
        ra_batch_unref(batch);
    }
    return 0;
}

// With the segment in use.
static int check_open(ra_segment *segment, ra_error *err) {
    struct stat about;
    if (fstat(segment->fd, &about) != 0 || about.st_size != segment->file_bytes)
        return fail_at(segment, "it has not the size that it was written with", err);
    RA_TRY(check_head(segment, err));
    for (int i = 0; i < segment->n_dictionaries + segment->n_batches; i++)
        RA_TRY(check_message(segment, i, err));
    RA_TRY(check_tail(segment, err));
    return check_batches(segment, err);
}

int ra_segment_check(ra_segment *segment, ra_error *err) {
    RA_TRY(ra_segment_use(segment, err));
    int rc = check_open(segment, err);
    ra_segment_unref(segment);
    return rc;
}
