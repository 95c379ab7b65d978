// libFuzzer: an IPC stream ([length][schema][length][message][body]…) is refused or gives batches
// that are sound and can be written and read again. Seeds: the golden and regression files.
#include "arrow/check.h"
#include "arrow/ipc.h"
#include "base/os.h"

enum { BUDGET_BYTES = 64 * 1024 * 1024 };

static void check_batch(ra_batch *batch) {
    ra_error err;
    ra_ipc_encoded encoded;
    ra_assert(ra_check_batch(batch, &err) == 0);
    ra_ipc_encoded_init(&encoded);
    ra_assert(ra_ipc_encode_batch(batch, &encoded, &err) == 0);
    ra_assert(encoded.body_bytes == ra_batch_body_bytes(batch));
    ra_ipc_encoded_fini(&encoded);
}

static void check_schema(ra_schema *schema) {
    ra_error err;
    ra_schema *again;
    ra_bytes message;
    ra_bytes_init(&message, 4 * (size_t)RA_MAX_SCHEMA_BYTES);
    ra_assert(ra_ipc_encode_schema(schema, &message, &err) == 0);
    ra_span span = {message.data, (int64_t)message.len};
    ra_assert(ra_ipc_decode_schema(span, &again, &err) == 0);
    ra_assert(ra_schema_equal(schema, again, true));
    ra_schema_unref(again);
    ra_bytes_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    ra_error err;
    ra_blob *blob;
    ra_schema *schema;
    ra_batch **batches;
    ra_budget budget;
    int n;
    if (ra_blob_new(bytes, &blob, &err) != 0)
        return 0;
    memcpy(blob->data, data, bytes);
    ra_budget_init(&budget, NULL, "fuzz", BUDGET_BYTES);
    int rc = ra_ipc_read_stream(blob, &budget, &schema, &batches, &n, &err);
    ra_assert(rc == 0 || (rc == (int)err.code && err.message[0] != 0));
    if (schema)
        check_schema(schema);
    for (int i = 0; i < n; i++) {
        check_batch(batches[i]);
        ra_batch_unref(batches[i]);
    }
    ra_free(batches);
    ra_schema_unref(schema);
    ra_blob_unref(blob);
    ra_budget_fini(&budget);
    return 0;
}
