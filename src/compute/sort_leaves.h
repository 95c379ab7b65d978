// Sort keys taken apart into leaves: structs are their children, run-end columns are decoded,
// dictionary indices stand for the ranks of their values.
#ifndef RA_COMPUTE_SORT_LEAVES_H
#define RA_COMPUTE_SORT_LEAVES_H

#include "compute/compare.h"
#include "compute/methods.h"
#include "compute/rows.h"
#include "compute/words.h"

typedef enum {
    RA_LEAF_WORDS,  // 0 (validity only) to RA_MAX_WORDS words
    RA_LEAF_RANKS,  // one word: the rank of the dictionary's value
    RA_LEAF_BYTES,  // strings, views, long binaries
    RA_LEAF_OTHER   // only compared: lists, and leaves beyond RA_MAX_ENCODED_LEAVES
} ra_leaf_kind;

enum {
    RA_MAX_ENCODED_LEAVES = 8,
    RA_SORT_BLOCK_ROWS = 512  // rows encoded at a time
};

// Ranks that are none.
#define RA_RANK_NULL UINT32_MAX
#define RA_RANK_NAN (UINT32_MAX - 1)

typedef struct {
    ra_leaf_kind kind;
    ra_value_order order;
    const ra_array **sources;  // by batch
    const uint8_t **validity;  // by batch: of the leaf and the structs around it; NULL: no nulls
    const uint32_t *ranks;     // RA_LEAF_RANKS: by index, in the leaf's order
    ra_word words[RA_MAX_WORDS];
    int n_words;
    // Found by a pass over the rows; of the values only.
    bool has_nulls;
    bool has_nans;
    int class_bits;  // 0 to 2: how many bits tell value, NaN and null apart
    uint64_t min[RA_MAX_WORDS];
    uint64_t max[RA_MAX_WORDS];
    int word_bits[RA_MAX_WORDS];  // of max - min
    int64_t common_bytes;         // RA_LEAF_BYTES: prefix that all values have
    int64_t min_bytes;
    int64_t max_bytes;
} ra_sort_leaf;

typedef struct {
    const ra_compute *compute;
    int n_batches;
    int n;
    int capacity;
    ra_sort_leaf *leaves;
    ra_arena arena;
    ra_batch *holder;  // owns decoded arrays
    int64_t charged_bytes;
    ra_row_locator locator;
} ra_sort_leaves;

// The leaves of a table's keys. The table's dictionaries must be common to all batches, and the
// table must outlive the leaves. NOT_IMPLEMENTED for keys without an order, OUT_OF_MEMORY. To be
// freed with fini in any case.
RA_MUST int ra_sort_leaves_init(const ra_compute *compute, const ra_table *table,
                                const ra_sort_key *keys, int n_keys, ra_sort_leaves *out,
                                ra_error *err);
// The same of one array, a dictionary's values.
RA_MUST int ra_sort_leaves_init_array(const ra_compute *compute, ra_schema *schema,
                                      const ra_array *array, ra_value_order order,
                                      ra_sort_leaves *out, ra_error *err);
void ra_sort_leaves_fini(ra_sort_leaves *leaves);

// The ranks of an array's values in the given order: equal values have equal ranks, from 0 on
// without gaps; null and NaN have RA_RANK_NULL and RA_RANK_NAN.
RA_MUST int ra_sort_rank_values(const ra_compute *compute, ra_schema *schema, const ra_array *array,
                                ra_value_order order, uint32_t *ranks, ra_error *err);

// Classes of rows [from, from + n) of a batch, n <= RA_SORT_BLOCK_ROWS.
void ra_sort_leaf_classes(const ra_sort_leaf *leaf, uint32_t batch, int64_t from, int64_t n,
                          uint8_t *out);
// Words of the rows; those of rows that are no values are anything.
void ra_sort_leaf_words(const ra_sort_leaf *leaf, int word, uint32_t batch, int64_t from, int64_t n,
                        uint64_t *out);

// < 0, 0, > 0 by the leaves from `first` on.
int ra_sort_compare(const ra_sort_leaves *leaves, int first, ra_row a, ra_row b);

#endif
