#include "compute/sort_radix.h"

#include <string.h>

enum {
    FEW_ELEMENTS = 32,
    CACHED_ELEMENTS = 16 * 1024,
    DIGIT_BITS = 8,
    SPARE_BITS = 6  // beyond log2(n), so that few elements stay equal
};

#define ELEMENT uint64_t
#define SUFFIX 64
#include "compute/sort_radix.inc.h"
#undef ELEMENT
#undef SUFFIX

#define ELEMENT ra_u128
#define SUFFIX 128
#include "compute/sort_radix.inc.h"
#undef ELEMENT
#undef SUFFIX

void ra_radix_sort_64(uint64_t *elements, uint64_t *scratch, int64_t n, int low) {
    sort_range_64(elements, scratch, n, low, false);
}

void ra_radix_sort_128(ra_u128 *elements, ra_u128 *scratch, int64_t n, int low) {
    sort_range_128(elements, scratch, n, low, false);
}
