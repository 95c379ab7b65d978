// A whole IPC stream in memory: encapsulated messages up to the end mark or the end of the bytes.
#include <inttypes.h>

#include "arrow/ipc_internal.h"
#include "base/checked.h"
#include "base/os.h"

typedef struct {
    ra_blob *blob;
    int64_t at;
    ra_span message;
    ra_span body;
} stream_reader;

static bool take_bytes(stream_reader *r, int64_t bytes, ra_span *out) {
    int64_t left = (int64_t)r->blob->bytes - r->at;
    if (bytes < 0 || bytes > left)
        return false;
    *out = (ra_span){r->blob->data + r->at, bytes};
    r->at += bytes;
    return true;
}

// Steps to the next message; `*at_end` when there is none.
static int next_message(stream_reader *r, bool *at_end, ra_error *err) {
    ra_span length;
    *at_end = r->at == (int64_t)r->blob->bytes;
    if (*at_end)
        return 0;
    bool ok = take_bytes(r, 4, &length);
    if (ok && ra_load_u32(length.data) == UINT32_MAX)  // streams before 0.15 have the length only
        ok = take_bytes(r, 4, &length);
    if (!ok)
        RA_FAIL(err, MALFORMED_ARROW, "an IPC stream ends in a message's prefix");
    *at_end = ra_load_i32(length.data) == 0;
    if (*at_end)
        return 0;
    ra_ipc_header header;
    if (!take_bytes(r, ra_load_i32(length.data), &r->message))
        RA_FAIL(err, MALFORMED_ARROW, "an IPC stream ends in a message's metadata");
    RA_TRY(ra_ipc_peek(r->message, &header, err));
    if (!take_bytes(r, header.body_bytes, &r->body))
        RA_FAIL(err, MALFORMED_ARROW, "an IPC stream ends in a message's body");
    return 0;
}

static int add_batch(ra_batch ***batches, int *n, ra_batch *batch, ra_error *err) {
    bool is_full = (*n & (*n - 1)) == 0;  // the capacity is the next power of 2
    if (is_full) {
        ra_batch **grown = *n < INT32_MAX / 2
                               ? ra_realloc(*batches, (*n ? 2 * (size_t)*n : 1) * sizeof *grown)
                               : NULL;
        if (!grown) {
            ra_batch_unref(batch);
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a list of %d batches", *n);
        }
        *batches = grown;
    }
    (*batches)[(*n)++] = batch;
    return 0;
}

int ra_ipc_read_stream(ra_blob *stream, ra_budget *budget, ra_schema **schema, ra_batch ***batches,
                       int *n, ra_error *err) {
    stream_reader r = {.blob = stream};
    ra_ipc_decoder *decoder;
    bool at_end;
    *schema = NULL;
    *batches = NULL;
    *n = 0;
    RA_TRY(next_message(&r, &at_end, err));
    if (at_end)
        RA_FAIL(err, MALFORMED_ARROW, "an IPC stream without a schema");
    RA_TRY(ra_ipc_decoder_new(r.message, budget, &decoder, err));
    *schema = ra_schema_ref(ra_ipc_decoder_schema(decoder));
    int rc = 0;
    for (;;) {
        ra_batch *batch;
        rc = next_message(&r, &at_end, err);
        if (rc || at_end)
            break;
        rc = ra_ipc_decode(decoder, r.message, r.body, stream, &batch, err);
        if (rc == 0 && batch)
            rc = add_batch(batches, n, batch, err);
        if (rc)
            break;
    }
    ra_ipc_decoder_free(decoder);
    return rc;
}
