// The order of values of one type, for every type that has one (table_methods.md §4).
#ifndef RA_COMPUTE_COMPARE_H
#define RA_COMPUTE_COMPARE_H

#include "arrow/array.h"

typedef struct {
    bool descending;  // of values; nulls and NaN keep their place
    bool nulls_first;
} ra_value_order;

// What decides first: nulls and NaN are not among the values.
typedef enum { RA_CLASS_VALUE, RA_CLASS_NAN, RA_CLASS_NULL } ra_value_class;

// Whether the type has an order: all but unions and maps, children included.
bool ra_type_is_ordered(const ra_field *field);

// The class of row `i`; a dictionary's index to a null value and a run of nulls are nulls.
ra_value_class ra_value_class_of(const ra_array *array, int64_t i);

// < 0, 0, > 0 as row `i` of `a` comes before, with, after row `j` of `b` (equal, ordered types).
int ra_value_compare(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                     ra_value_order order);
// The same of two rows known to be values.
int ra_value_compare_values(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                            ra_value_order order);

// < 0, 0, > 0 of two classes.
static inline int ra_value_class_compare(ra_value_class a, ra_value_class b, bool nulls_first) {
    return nulls_first ? (int)b - (int)a : (int)a - (int)b;
}

#endif
