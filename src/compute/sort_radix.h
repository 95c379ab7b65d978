// Radix sort of elements in memory.
#ifndef RA_COMPUTE_SORT_RADIX_H
#define RA_COMPUTE_SORT_RADIX_H

#include "compute/sort_code.h"

// Sorts n < 2³² elements by their bits from `low` on. Elements that are equal there must come with
// the bits below in ascending order, and keep it. `scratch` has room for as many.
void ra_radix_sort_64(uint64_t *elements, uint64_t *scratch, int64_t n, int low);
void ra_radix_sort_128(ra_u128 *elements, ra_u128 *scratch, int64_t n, int low);

#endif
