// The sorted order of rows.
#ifndef RA_COMPUTE_SORT_ORDER_H
#define RA_COMPUTE_SORT_ORDER_H

#include "compute/sort_radix.h"

// Row numbers in sorted order, in the low bits of elements of 8 or 16 bytes.
typedef struct {
    int64_t n;
    int index_bits;
    bool is_wide;
    ra_scratch memory;
} ra_sort_order;

// Sorts the rows of the leaves, which get their facts here; stable. To be freed with fini in any
// case. LIMIT over 2³² - 1 rows, OUT_OF_MEMORY, CANCELLED.
RA_MUST int ra_sort_order_init(ra_sort_leaves *leaves, ra_sort_order *out, ra_error *err);
void ra_sort_order_fini(const ra_compute *compute, ra_sort_order *order);

// The row that comes at place `i`.
static inline int64_t ra_sort_order_row(const ra_sort_order *order, int64_t i) {
    uint64_t low = order->is_wide ? (uint64_t)((const ra_u128 *)order->memory.data)[i]
                                  : ((const uint64_t *)order->memory.data)[i];
    return (int64_t)(low & ((UINT64_C(1) << order->index_bits) - 1));
}

// Sorts elements whose codes are equal so far by what the code did not hold: every run of equal
// codes is encoded from there on, or compared when it is short. `scratch` has room for n elements.
RA_MUST int ra_sort_refine(const ra_sort_leaves *leaves, const ra_sort_code *code, int index_bits,
                           ra_u128 *elements, ra_u128 *scratch, int64_t n, ra_error *err);

#endif
