#include "compute/scratch.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"

int ra_compute_charge(const ra_compute *compute, int64_t bytes, ra_error *err) {
    return compute->budget ? ra_budget_charge(compute->budget, bytes, err) : 0;
}

void ra_compute_release(const ra_compute *compute, int64_t bytes) {
    if (compute->budget)
        ra_budget_release(compute->budget, bytes);
}

int ra_scratch_alloc(const ra_compute *compute, int64_t count, size_t item_bytes, ra_scratch *out,
                     ra_error *err) {
    *out = (ra_scratch){0};
    int64_t bytes;
    if (!ra_mul_i64(count, (int64_t)item_bytes, &bytes) || bytes > INT64_MAX / 2)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %" PRId64 " items of %zu bytes", count,
                item_bytes);
    bytes = ra_round_up(bytes + (bytes == 0), 64);
    RA_TRY(ra_compute_charge(compute, bytes, err));
    out->data = ra_aligned_alloc(64, (size_t)bytes);
    if (!out->data) {
        ra_compute_release(compute, bytes);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %" PRId64 " bytes", bytes);
    }
    out->bytes = bytes;
    return 0;
}

int ra_scratch_calloc(const ra_compute *compute, int64_t count, size_t item_bytes, ra_scratch *out,
                      ra_error *err) {
    RA_TRY(ra_scratch_alloc(compute, count, item_bytes, out, err));
    memset(out->data, 0, (size_t)out->bytes);
    return 0;
}

void ra_scratch_free(const ra_compute *compute, ra_scratch *scratch) {
    if (!scratch->data)
        return;
    ra_free(scratch->data);
    ra_compute_release(compute, scratch->bytes);
    *scratch = (ra_scratch){0};
}
