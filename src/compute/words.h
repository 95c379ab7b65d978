// Values of fixed width as unsigned 64-bit words in the order of the values: most are one word,
// decimals, intervals and short binaries up to four, the first one deciding first.
#ifndef RA_COMPUTE_WORDS_H
#define RA_COMPUTE_WORDS_H

#include "arrow/array.h"

typedef enum {
    RA_WORD_BIT,
    RA_WORD_I8,
    RA_WORD_I16,
    RA_WORD_I32,
    RA_WORD_I64,
    RA_WORD_U8,
    RA_WORD_U16,
    RA_WORD_U32,
    RA_WORD_U64,
    RA_WORD_F16,
    RA_WORD_F32,
    RA_WORD_F64,
    RA_WORD_BYTES  // up to 8, the first one deciding first
} ra_word_kind;

typedef struct {
    ra_word_kind kind;
    int32_t stride;   // bytes from row to row
    int32_t offset;   // of the word in the row
    int32_t n_bytes;  // RA_WORD_BYTES
} ra_word;

enum { RA_MAX_WORDS = 4, RA_MAX_WORD_BYTES = 8 * RA_MAX_WORDS };

// The words of the type's values (of the dictionary's values for dictionary fields); 0 for types
// that are not made of words: strings, views, binaries over RA_MAX_WORD_BYTES, nested types.
int ra_words_of_type(const ra_field *field, ra_word words[RA_MAX_WORDS]);

// Reads the word of rows [from, from + n). -0.0 reads as 0.0; NaN as anything.
void ra_words_read(const ra_word *word, const uint8_t *values, int64_t from, int64_t n,
                   uint64_t *out);
static inline bool ra_word_is_float(ra_word_kind kind) {
    return kind >= RA_WORD_F16 && kind <= RA_WORD_F64;
}
// Whether the floats of the rows are NaN; false for words that are no floats.
void ra_words_find_nan(const ra_word *word, const uint8_t *values, int64_t from, int64_t n,
                       bool *out);
static inline bool ra_word_is_nan(const ra_word *word, const uint8_t *values, int64_t i) {
    bool is_nan;
    ra_words_find_nan(word, values, i, 1, &is_nan);
    return is_nan;
}

#endif
