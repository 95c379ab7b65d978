// Hashing and comparing single rows of any type by value, and a set of such rows.
//
// Values are what a row means, not how it is stored: a dictionary's row is the value it stands for,
// a run-end row its run's value, a union's row its type id and the active child's value, views and
// list views their contents. Null equals null. Floats are equal when their bits are or both are
// NaN, so 0.0 and -0.0 differ, as pyarrow's group keys and dictionaries have it.
#ifndef RA_ARROW_VALUE_HASH_H
#define RA_ARROW_VALUE_HASH_H

#include "arrow/array.h"

// The seed of all hashes: random, one for the process, so that nobody can choose colliding values.
// Any thread.
uint64_t ra_hash_seed(void);

// Equal values of equal types have equal hashes; looks at no more than a few hundred parts of a
// nested value.
uint64_t ra_array_hash_row(const ra_array *array, int64_t row, uint64_t seed);

// Whether two rows, of arrays of equal type, have equal values.
bool ra_array_rows_equal(const ra_array *a, int64_t a_row, const ra_array *b, int64_t b_row);

// Distinct values, numbered in the order in which they first came. The arrays must live as long as
// the set. Not for several threads at once.
typedef struct {
    const ra_array *array;
    int64_t row;
    uint64_t hash;
} ra_value;
typedef struct {
    ra_value *values;
    int64_t n;
    int64_t capacity;
    uint32_t *slots;  // number of a value + 1; 0 is free
    int64_t n_slots;  // a power of two
    uint64_t seed;
} ra_value_set;

void ra_value_set_init(ra_value_set *set);
void ra_value_set_fini(ra_value_set *set);
// The number of a row's value, which is added if it is new. OUT_OF_MEMORY; LIMIT over 2^31 values.
RA_MUST int ra_value_set_add(ra_value_set *set, const ra_array *array, int64_t row, int64_t *number,
                             ra_error *err);

#endif
