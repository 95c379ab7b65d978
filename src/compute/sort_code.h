// Rows' keys as one number of up to 128 bits whose order is that of the keys, as far as the bits
// reach: class of each leaf, then its words less their minimum, or a prefix of its bytes.
#ifndef RA_COMPUTE_SORT_CODE_H
#define RA_COMPUTE_SORT_CODE_H

#include "compute/sort_stats.h"

typedef unsigned __int128 ra_u128;

// Where in the keys a code begins: at a word of a leaf, or behind so many of its bytes.
typedef struct {
    int leaf;
    int word;
    int64_t bytes;
} ra_sort_place;

typedef struct {
    enum { RA_CODE_CLASS, RA_CODE_WORD, RA_CODE_BYTES } kind;
    const ra_sort_leaf *leaf;
    int word;
    int bits;
    int dropped_bits;  // of a word that fits in part: its low bits
    int64_t from_bytes;
    int n_bytes;
    bool has_length;  // the field ends in RA_CODE_LENGTH_BITS: bytes of the value up to n_bytes + 1
} ra_code_field;

enum { RA_CODE_LENGTH_BITS = 4, RA_MAX_CODE_FIELDS = RA_MAX_ENCODED_LEAVES * (RA_MAX_WORDS + 1) };

typedef struct {
    ra_code_field fields[RA_MAX_CODE_FIELDS];
    int n_fields;
    int bits;
    bool is_exact;       // equal codes, equal keys
    bool ends_in_bytes;  // the last field is a prefix: equal codes go on with ra_sort_code_tie
    ra_sort_place next;  // where equal codes go on otherwise
} ra_sort_code;

// The code from `place` on, of at most `max_bits` (>= 96).
void ra_sort_code_init(const ra_sort_leaves *leaves, ra_sort_place place, int max_bits,
                       ra_sort_code *out);

// The codes of rows [from, from + n) of a batch, n <= RA_SORT_BLOCK_ROWS.
void ra_sort_code_rows(const ra_sort_code *code, uint32_t batch, int64_t from, int64_t n,
                       ra_u128 *out);
// The same for codes of less than 64 bits.
void ra_sort_code_rows_64(const ra_sort_code *code, uint32_t batch, int64_t from, int64_t n,
                          uint64_t *out);

// Whether rows with this code, which is not exact, may still differ; then where to go on.
bool ra_sort_code_tie(const ra_sort_code *code, ra_u128 value, int n_leaves, ra_sort_place *next);

#endif
