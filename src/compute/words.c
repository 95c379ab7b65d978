#include "compute/words.h"

#include <string.h>

#include "base/checked.h"

static const uint64_t top_bit = UINT64_C(1) << 63;

static int one_word(ra_word *word, ra_word_kind kind, int32_t bytes) {
    *word = (ra_word){.kind = kind, .stride = bytes};
    return 1;
}

// A signed little-endian number of `n` words.
static int wide_integer(ra_word words[RA_MAX_WORDS], int n) {
    for (int w = 0; w < n; w++)
        words[w] = (ra_word){
            .kind = w == 0 ? RA_WORD_I64 : RA_WORD_U64, .stride = 8 * n, .offset = 8 * (n - 1 - w)};
    return n;
}

static int binary_words(ra_word words[RA_MAX_WORDS], int32_t bytes) {
    int n = 0;
    if (bytes == 0 || bytes > RA_MAX_WORD_BYTES)
        return 0;
    for (int32_t at = 0; at < bytes; at += 8)
        words[n++] = (ra_word){.kind = RA_WORD_BYTES,
                               .stride = bytes,
                               .offset = at,
                               .n_bytes = bytes - at < 8 ? bytes - at : 8};
    return n;
}

int ra_words_of_type(const ra_field *field, ra_word words[RA_MAX_WORDS]) {
    switch (field->type) {
        case RA_TYPE_BOOL:
            return one_word(words, RA_WORD_BIT, 0);
        case RA_TYPE_INT8:
            return one_word(words, RA_WORD_I8, 1);
        case RA_TYPE_INT16:
            return one_word(words, RA_WORD_I16, 2);
        case RA_TYPE_INT32:
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DATE32:
        case RA_TYPE_TIME32:
        case RA_TYPE_INTERVAL_MONTHS:
            return one_word(words, RA_WORD_I32, 4);
        case RA_TYPE_INT64:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DATE64:
        case RA_TYPE_TIME64:
        case RA_TYPE_TIMESTAMP:
        case RA_TYPE_DURATION:
            return one_word(words, RA_WORD_I64, 8);
        case RA_TYPE_UINT8:
            return one_word(words, RA_WORD_U8, 1);
        case RA_TYPE_UINT16:
            return one_word(words, RA_WORD_U16, 2);
        case RA_TYPE_UINT32:
            return one_word(words, RA_WORD_U32, 4);
        case RA_TYPE_UINT64:
            return one_word(words, RA_WORD_U64, 8);
        case RA_TYPE_HALF_FLOAT:
            return one_word(words, RA_WORD_F16, 2);
        case RA_TYPE_FLOAT:
            return one_word(words, RA_WORD_F32, 4);
        case RA_TYPE_DOUBLE:
            return one_word(words, RA_WORD_F64, 8);
        case RA_TYPE_DECIMAL128:
            return wide_integer(words, 2);
        case RA_TYPE_DECIMAL256:
            return wide_integer(words, 4);
        case RA_TYPE_INTERVAL_DAY_TIME:
            words[0] = (ra_word){.kind = RA_WORD_I32, .stride = 8};
            words[1] = (ra_word){.kind = RA_WORD_I32, .stride = 8, .offset = 4};
            return 2;
        case RA_TYPE_INTERVAL_MONTH_DAY_NANO:
            words[0] = (ra_word){.kind = RA_WORD_I32, .stride = 16};
            words[1] = (ra_word){.kind = RA_WORD_I32, .stride = 16, .offset = 4};
            words[2] = (ra_word){.kind = RA_WORD_I64, .stride = 16, .offset = 8};
            return 3;
        case RA_TYPE_FIXED_SIZE_BINARY:
            return binary_words(words, field->byte_width);
        default:
            return 0;
    }
}

static inline uint64_t signed_word(int64_t v) {
    return (uint64_t)v ^ top_bit;
}

// The bits of a float of `n_bits`, negative ones reversed below the positive ones.
static inline uint64_t float_word(uint64_t bits, int n_bits) {
    uint64_t sign = UINT64_C(1) << (n_bits - 1), all = sign | (sign - 1);
    if (bits == sign)
        bits = 0;
    return bits & sign ? ~bits & all : bits | sign;
}

static inline uint64_t bytes_word(const uint8_t *p, int32_t n) {
    uint64_t v = 0;
    for (int32_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

#define READ_ROWS(expression)                              \
    do {                                                   \
        for (int64_t i = 0; i < n; i++, p += word->stride) \
            out[i] = (expression);                         \
    } while (0)

void ra_words_read(const ra_word *word, const uint8_t *values, int64_t from, int64_t n,
                   uint64_t *out) {
    const uint8_t *p = values + from * word->stride + word->offset;
    switch (word->kind) {
        case RA_WORD_BIT:
            for (int64_t i = 0; i < n; i++)
                out[i] = ra_bit_get(values, from + i);
            break;
        case RA_WORD_I8:
            READ_ROWS(signed_word((int8_t)*p));
            break;
        case RA_WORD_I16:
            READ_ROWS(signed_word(ra_load_i16(p)));
            break;
        case RA_WORD_I32:
            READ_ROWS(signed_word(ra_load_i32(p)));
            break;
        case RA_WORD_I64:
            READ_ROWS(signed_word(ra_load_i64(p)));
            break;
        case RA_WORD_U8:
            READ_ROWS(*p);
            break;
        case RA_WORD_U16:
            READ_ROWS(ra_load_u16(p));
            break;
        case RA_WORD_U32:
            READ_ROWS(ra_load_u32(p));
            break;
        case RA_WORD_U64:
            READ_ROWS(ra_load_u64(p));
            break;
        case RA_WORD_F16:
            READ_ROWS(float_word(ra_load_u16(p), 16));
            break;
        case RA_WORD_F32:
            READ_ROWS(float_word(ra_load_u32(p), 32));
            break;
        case RA_WORD_F64:
            READ_ROWS(float_word(ra_load_u64(p), 64));
            break;
        case RA_WORD_BYTES:
            READ_ROWS(bytes_word(p, word->n_bytes));
            break;
    }
}

void ra_words_find_nan(const ra_word *word, const uint8_t *values, int64_t from, int64_t n,
                       bool *out) {
    const uint8_t *p = values + from * word->stride + word->offset;
    switch (word->kind) {
        case RA_WORD_F16:
            READ_ROWS((ra_load_u16(p) & 0x7FFF) > 0x7C00);
            break;
        case RA_WORD_F32:
            READ_ROWS((ra_load_u32(p) & 0x7FFFFFFF) > 0x7F800000);
            break;
        case RA_WORD_F64:
            READ_ROWS((ra_load_u64(p) & ~top_bit) > UINT64_C(0x7FF0000000000000));
            break;
        default:
            memset(out, 0, (size_t)n * sizeof *out);
            break;
    }
}
