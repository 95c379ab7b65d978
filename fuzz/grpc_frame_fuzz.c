// libFuzzer: the gRPC deframer, fed in pieces whose sizes the input chooses. What it gives out must
// not depend on how the stream was cut.
#include <stdlib.h>

#include "base/os.h"
#include "wire/grpc_frame.h"

enum { MAX_MESSAGE_BYTES = 4096, PART_BYTES = 512, SEED = 17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A fingerprint of all complete messages (and of the failure), with pieces of 1 … `step` bytes.
static uint64_t fingerprint(ra_str stream, size_t step) {
    ra_budget budget;
    ra_deframer d;
    ra_error err;
    uint64_t hash = SEED;
    int rc = 0;
    ra_budget_init(&budget, NULL, "fuzz", 64 * MAX_MESSAGE_BYTES);
    ra_deframer_init(&d, MAX_MESSAGE_BYTES, PART_BYTES, &budget);
    while (stream.len > 0 && rc == 0) {
        size_t n = step < stream.len ? step : stream.len;
        ra_str piece = {stream.data, n};
        stream = (ra_str){stream.data + n, stream.len - n};
        while (piece.len > 0 && rc == 0) {
            bool complete = false, last = false;
            rc = ra_deframer_feed(&d, &piece, &complete, &last, &err);
            if (rc != 0 || !complete)
                continue;
            int64_t charged;
            ra_bytes part = ra_deframer_take(&d, &charged);
            for (size_t i = 0; i < part.len; i++)
                hash = hash * 31 + part.data[i];
            hash = hash * 31 + (last ? 7 : 3) + part.len;
            ra_bytes_fini(&part);
            ra_budget_release(&budget, charged);
        }
    }
    hash = hash * 31 + (uint64_t)rc * 2 + ra_deframer_is_between_messages(&d);
    ra_deframer_fini(&d);
    ra_budget_fini(&budget);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ra_str stream = {(const char *)data, size};
    uint64_t whole = fingerprint(stream, size ? size : 1);
    if (fingerprint(stream, 1) != whole || fingerprint(stream, 7) != whole)
        __builtin_trap();
    return 0;
}
