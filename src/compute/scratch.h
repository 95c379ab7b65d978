// Memory of a running operation, charged to its budget while it is held.
#ifndef RA_COMPUTE_SCRATCH_H
#define RA_COMPUTE_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "compute/table.h"

// All zero is empty and may be freed.
typedef struct {
    void *data;
    int64_t bytes;
} ra_scratch;

// `count` items of `item_bytes`, not cleared, aligned to 64 bytes. OUT_OF_MEMORY, then `out` is
// empty. Any thread.
RA_MUST int ra_scratch_alloc(const ra_compute *compute, int64_t count, size_t item_bytes,
                             ra_scratch *out, ra_error *err);
// The same, cleared.
RA_MUST int ra_scratch_calloc(const ra_compute *compute, int64_t count, size_t item_bytes,
                              ra_scratch *out, ra_error *err);
void ra_scratch_free(const ra_compute *compute, ra_scratch *scratch);

// Charges and releases bytes that are held elsewhere; nothing without a budget.
RA_MUST int ra_compute_charge(const ra_compute *compute, int64_t bytes, ra_error *err);
void ra_compute_release(const ra_compute *compute, int64_t bytes);

#endif
