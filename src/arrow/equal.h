// Comparing ranges of rows by value: behind ra_array_equal and ra_array_rows_equal.
#ifndef RA_ARROW_EQUAL_H
#define RA_ARROW_EQUAL_H

#include "arrow/array.h"

typedef enum {
    RA_FLOATS_AS_KEYS,    // equal bits or both NaN
    RA_FLOATS_NAN_EQUAL,  // equal numbers (0.0 = -0.0) or both NaN
    RA_FLOATS_AS_NUMBERS  // equal numbers; NaN equals nothing
} ra_float_equality;

// Whether rows [a_from, a_from + n) and [b_from, b_from + n) of two arrays of equal type are equal,
// row by row, by value; nulls equal nulls.
bool ra_array_ranges_equal(const ra_array *a, int64_t a_from, const ra_array *b, int64_t b_from,
                           int64_t n, ra_float_equality floats);

// Follows dictionaries and runs from a row to the array and row that hold its value; false when it
// is null on the way or there (a row of type null always).
bool ra_array_resolve(const ra_array **array, int64_t *row);

#endif
