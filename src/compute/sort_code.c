#include "compute/sort_code.h"

#include <string.h>

#include "arrow/access.h"

enum {
    MIN_PART_BITS = 8,   // of a word, to be worth it
    MIN_PART_BYTES = 4,  // of bytes
    MAX_PART_BYTES = 14  // what the length field can tell apart
};

static void add_field(ra_sort_code *code, ra_code_field field) {
    ra_assert(code->n_fields < RA_MAX_CODE_FIELDS);
    code->fields[code->n_fields++] = field;
    code->bits += field.bits;
}

// Adds the leaf's words from place->word on; false when they do not all fit.
static bool add_words(ra_sort_code *code, const ra_sort_leaf *leaf, ra_sort_place *place,
                      int max_bits) {
    for (; place->word < leaf->n_words; place->word++) {
        int bits = leaf->word_bits[place->word], left = max_bits - code->bits;
        if (bits == 0)
            continue;
        ra_code_field field = {
            .kind = RA_CODE_WORD, .leaf = leaf, .word = place->word, .bits = bits};
        if (bits > left) {
            if (left < MIN_PART_BITS)
                return false;
            field.bits = left;
            field.dropped_bits = bits - left;
            add_field(code, field);
            return false;
        }
        add_field(code, field);
    }
    return true;
}

// Adds a prefix of the leaf's bytes; false when values may go on behind it.
static bool add_bytes(ra_sort_code *code, const ra_sort_leaf *leaf, ra_sort_place *place,
                      int max_bits) {
    int64_t from = place->bytes > leaf->common_bytes ? place->bytes : leaf->common_bytes;
    int64_t most = leaf->max_bytes - from;
    if (most <= 0)
        return true;
    bool has_length = leaf->min_bytes < leaf->max_bytes;
    int left = max_bits - code->bits - (has_length ? RA_CODE_LENGTH_BITS : 0);
    int n_bytes = left / 8 < MAX_PART_BYTES ? left / 8 : MAX_PART_BYTES;
    if (n_bytes < MIN_PART_BYTES && n_bytes < most)
        return false;
    bool is_all = most <= n_bytes;
    if (is_all)
        n_bytes = (int)most;
    has_length |= !is_all;
    if (!is_all && 8 * n_bytes + RA_CODE_LENGTH_BITS > max_bits - code->bits)
        n_bytes--;
    add_field(code, (ra_code_field){.kind = RA_CODE_BYTES,
                                    .leaf = leaf,
                                    .bits = 8 * n_bytes + (has_length ? RA_CODE_LENGTH_BITS : 0),
                                    .from_bytes = from,
                                    .n_bytes = n_bytes,
                                    .has_length = has_length});
    code->ends_in_bytes = !is_all;
    return is_all;
}

void ra_sort_code_init(const ra_sort_leaves *leaves, ra_sort_place place, int max_bits,
                       ra_sort_code *out) {
    *out = (ra_sort_code){0};
    for (; place.leaf < leaves->n; place = (ra_sort_place){.leaf = place.leaf + 1}) {
        const ra_sort_leaf *leaf = &leaves->leaves[place.leaf];
        bool is_start = place.word == 0 && place.bytes == 0;
        out->next = place;
        if (place.leaf >= RA_MAX_ENCODED_LEAVES || leaf->class_bits > max_bits - out->bits)
            return;
        if (leaf->class_bits > 0 && is_start)
            add_field(out, (ra_code_field){
                               .kind = RA_CODE_CLASS, .leaf = leaf, .bits = leaf->class_bits});
        bool is_done = leaf->kind == RA_LEAF_OTHER   ? false
                       : leaf->kind == RA_LEAF_BYTES ? add_bytes(out, leaf, &place, max_bits)
                                                     : add_words(out, leaf, &place, max_bits);
        out->next = place;
        if (!is_done)
            return;
    }
    out->is_exact = true;
}

// How the class decides, first of all: `bits` 1 when there are only nulls or only NaN beside
// values.
static uint64_t class_code(const ra_sort_leaf *leaf, uint8_t class) {
    uint64_t rank = class;
    if (leaf->class_bits == 1 && class == RA_CLASS_NULL)
        rank = 1;
    return leaf->order.nulls_first ? (UINT64_C(1) << leaf->class_bits) - 1 - rank : rank;
}

// Up to 8 bytes, the first one highest, zeros behind the last.
static inline uint64_t load_bytes(const uint8_t *p, int64_t n) {
    if (n >= 8)
        return __builtin_bswap64(ra_load_u64(p));
    if (n >= 4) {
        uint64_t head = __builtin_bswap32(ra_load_u32(p));
        uint64_t tail = __builtin_bswap32(ra_load_u32(p + n - 4));
        return head << 32 | (tail << (8 * (8 - n)) & UINT32_MAX);
    }
    uint64_t v = 0;
    for (int64_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (56 - 8 * i);
    return v;
}

static inline ra_u128 bytes_code(const ra_code_field *field, ra_span value) {
    int64_t n = value.bytes - field->from_bytes, n_bytes = field->n_bytes;
    const uint8_t *p = value.data + field->from_bytes;
    n = n > 0 ? n : 0;
    ra_u128 v = 0;
    if (n > 0)
        v = (ra_u128)load_bytes(p, n) << 64;
    if (n > 8)
        v |= load_bytes(p + 8, n - 8);
    if (n_bytes == 0)
        v = 0;
    else
        v >>= 8 * (16 - n_bytes);
    if (!field->has_length)
        return v;
    uint64_t length = (uint64_t)(n <= n_bytes ? n : n_bytes + 1);
    return v << RA_CODE_LENGTH_BITS | length;
}

static ra_u128 low_bits(int n) {
    return n >= 128 ? ~(ra_u128)0 : ((ra_u128)1 << n) - 1;
}

// The words of a field for a block of rows, classes other than value as zero.
static void word_codes(const ra_code_field *field, uint32_t batch, int64_t from, int64_t n,
                       const uint8_t *classes, uint64_t *out) {
    const ra_sort_leaf *leaf = field->leaf;
    ra_sort_leaf_words(leaf, field->word, batch, from, n, out);
    uint64_t min = leaf->min[field->word], max = leaf->max[field->word];
    int dropped = field->dropped_bits;
    if (leaf->order.descending && leaf->kind != RA_LEAF_RANKS)
        for (int64_t i = 0; i < n; i++)
            out[i] = (max - out[i]) >> dropped;
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (out[i] - min) >> dropped;
    if (classes)
        for (int64_t i = 0; i < n; i++)
            out[i] = classes[i] == RA_CLASS_VALUE ? out[i] : 0;
}

// The classes of the field's leaf, kept over its fields; NULL when all are values.
typedef struct {
    const ra_sort_leaf *leaf;
    uint8_t classes[RA_SORT_BLOCK_ROWS];
} class_cache;

static const uint8_t *classes_of(class_cache *cache, const ra_code_field *field, uint32_t batch,
                                 int64_t from, int64_t n) {
    if (field->leaf->class_bits == 0)
        return NULL;
    if (cache->leaf != field->leaf)
        ra_sort_leaf_classes(field->leaf, batch, from, n, cache->classes);
    cache->leaf = field->leaf;
    return cache->classes;
}

static void append_bytes(const ra_code_field *field, uint32_t batch, int64_t from, int64_t n,
                         const uint8_t *classes, ra_u128 *out) {
    const ra_array *source = field->leaf->sources[batch];
    ra_u128 flip = field->leaf->order.descending ? low_bits(field->bits) : 0;
    for (int64_t i = 0; i < n; i++) {
        bool is_value = !classes || classes[i] == RA_CLASS_VALUE;
        ra_u128 v = is_value ? bytes_code(field, ra_array_bytes(source, from + i)) : 0;
        out[i] = out[i] << field->bits | (v ^ flip);
    }
}

void ra_sort_code_rows(const ra_sort_code *code, uint32_t batch, int64_t from, int64_t n,
                       ra_u128 *out) {
    class_cache cache;
    cache.leaf = NULL;
    uint64_t words[RA_SORT_BLOCK_ROWS];
    memset(out, 0, (size_t)n * sizeof *out);
    for (int f = 0; f < code->n_fields; f++) {
        const ra_code_field *field = &code->fields[f];
        const uint8_t *classes = classes_of(&cache, field, batch, from, n);
        if (field->kind == RA_CODE_BYTES) {
            append_bytes(field, batch, from, n, classes, out);
            continue;
        }
        if (field->kind == RA_CODE_WORD)
            word_codes(field, batch, from, n, classes, words);
        for (int64_t i = 0; i < n; i++)
            out[i] = out[i] << field->bits |
                     (field->kind == RA_CODE_WORD ? words[i] : class_code(field->leaf, classes[i]));
    }
}

static void bytes_codes_64(const ra_code_field *field, uint32_t batch, int64_t from, int64_t n,
                           const uint8_t *classes, uint64_t *out) {
    ra_u128 wide[RA_SORT_BLOCK_ROWS];
    memset(wide, 0, (size_t)n * sizeof wide[0]);
    append_bytes(field, batch, from, n, classes, wide);
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint64_t)wide[i];
}

void ra_sort_code_rows_64(const ra_sort_code *code, uint32_t batch, int64_t from, int64_t n,
                          uint64_t *out) {
    class_cache cache;
    cache.leaf = NULL;
    uint64_t words[RA_SORT_BLOCK_ROWS];
    memset(out, 0, (size_t)n * sizeof *out);
    for (int f = 0; f < code->n_fields; f++) {
        const ra_code_field *field = &code->fields[f];
        const uint8_t *classes = classes_of(&cache, field, batch, from, n);
        if (field->kind == RA_CODE_WORD)
            word_codes(field, batch, from, n, classes, words);
        if (field->kind == RA_CODE_BYTES)
            bytes_codes_64(field, batch, from, n, classes, words);
        for (int64_t i = 0; i < n; i++)
            out[i] =
                out[i] << field->bits |
                (field->kind == RA_CODE_CLASS ? class_code(field->leaf, classes[i]) : words[i]);
    }
}

bool ra_sort_code_tie(const ra_sort_code *code, ra_u128 value, int n_leaves, ra_sort_place *next) {
    *next = code->next;
    if (code->ends_in_bytes) {
        const ra_code_field *field = &code->fields[code->n_fields - 1];
        ra_u128 v = value ^ (field->leaf->order.descending ? low_bits(field->bits) : 0);
        int length = (int)(v & low_bits(RA_CODE_LENGTH_BITS));
        *next = length > field->n_bytes
                    ? (ra_sort_place){.leaf = code->next.leaf,
                                      .bytes = field->from_bytes + field->n_bytes}
                    : (ra_sort_place){.leaf = code->next.leaf + 1};
    }
    return next->leaf < n_leaves;
}
