#include <inttypes.h>

#include "arrow/access.h"
#include "arrow/check_internal.h"

// Integers at any alignment, as types, so that the loops below compile to vector code.
typedef uint8_t __attribute__((may_alias)) any_u8;
typedef uint16_t __attribute__((aligned(1), may_alias)) any_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) any_u64;

// The largest of n values read as unsigned. Blocks of constant length: gcc makes vector code of
// them at -O2.
#define DEFINE_MAX(name, type, word)                            \
    static uint64_t name(const uint8_t *values, int64_t n) {    \
        const type *v = (const type *)values;                   \
        word max[64] = {0}, all = 0;                            \
        int64_t i = 0;                                          \
        for (; i + 64 <= n; i += 64)                            \
            for (int j = 0; j < 64; j++)                        \
                max[j] = v[i + j] > max[j] ? v[i + j] : max[j]; \
        for (; i < n; i++)                                      \
            all = v[i] > all ? v[i] : all;                      \
        for (int j = 0; j < 64; j++)                            \
            all = max[j] > all ? max[j] : all;                  \
        return all;                                             \
    }
DEFINE_MAX(max_u8, any_u8, uint8_t)
DEFINE_MAX(max_u16, any_u16, uint16_t)
DEFINE_MAX(max_u32, any_u32, uint32_t)
DEFINE_MAX(max_u64, any_u64, uint64_t)

static uint64_t max_unsigned(const uint8_t *values, int32_t width, int64_t n) {
    switch (width) {
        case 1:
            return max_u8(values, n);
        case 2:
            return max_u16(values, n);
        case 4:
            return max_u32(values, n);
        default:
            return max_u64(values, n);
    }
}

// The first valid row whose value, a signed or unsigned integer, is not in [0, limit); -1 if none.
static int64_t first_outside(const ra_array *array, bool is_signed, int64_t limit) {
    const uint8_t *values = array->buffers[0].data;
    int32_t width = array->byte_width;
    // A negative number is a large one when read as unsigned, if that is over the limit.
    uint64_t sign_limit = is_signed ? UINT64_C(1) << (width * 8 - 1) : UINT64_MAX;
    uint64_t fast_limit = (uint64_t)limit < sign_limit ? (uint64_t)limit : sign_limit;
    if (array->length == 0 || max_unsigned(values, width, array->length) < fast_limit)
        return -1;
    for (int64_t i = 0; i < array->length; i++) {
        int64_t v = is_signed ? ra_load_int(values, width, i) : ra_load_uint(values, width, i);
        if ((v < 0 || v >= limit) && ra_array_is_valid(array, i))
            return i;
    }
    return -1;
}

int ra_check_indices(ra_check_state *state, const ra_array *array) {
    RA_TRY(ra_check_buffer(state, array, 0, array->length, array->byte_width));
    if (!array->dictionary)
        return ra_check_refuse(state, "there is no dictionary for it");
    int64_t limit = array->dictionary->length;
    int64_t row = first_outside(array, !ra_type_is_unsigned(array->field->index_type), limit);
    if (row < 0)
        return 0;
    return ra_check_refuse(state,
                           "index %" PRId64 " in row %" PRId64
                           " is outside of its dictionary of %" PRId64 " values",
                           ra_array_index(array, row), row, limit);
}

static int64_t units_a_day(ra_time_unit unit) {
    static const int64_t units[] = {86400, 86400000, 86400000000, 86400000000000};
    return units[unit];
}

static int check_times(ra_check_state *state, const ra_array *array) {
    int64_t row = first_outside(array, true, units_a_day(array->field->unit));
    if (row < 0)
        return 0;
    return ra_check_refuse(state, "the time %" PRId64 " in row %" PRId64 " is not within a day",
                           ra_load_int(array->buffers[0].data, array->byte_width, row), row);
}

static int check_dates(ra_check_state *state, const ra_array *array) {
    int64_t a_day = units_a_day(RA_UNIT_MILLI);
    for (int64_t i = 0; i < array->length; i++) {
        int64_t v = ra_load_i64(array->buffers[0].data + i * 8);
        if (v % a_day != 0 && ra_array_is_valid(array, i))
            return ra_check_refuse(
                state, "%" PRId64 " ms in row %" PRId64 " is not a whole number of days", v, i);
    }
    return 0;
}

// An unsigned number of up to 256 bits, lowest word first.
typedef struct {
    uint64_t word[4];
} magnitude;

static magnitude power_of_ten(int32_t exponent) {
    magnitude m = {{1, 0, 0, 0}};
    for (int32_t e = 0; e < exponent; e++) {
        unsigned __int128 carry = 0;
        for (int k = 0; k < 4; k++) {
            carry += (unsigned __int128)m.word[k] * 10;
            m.word[k] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    return m;
}

// |value| of a little-endian two's complement number of `width` bytes (4 to 32).
static magnitude magnitude_of(const uint8_t *value, int32_t width) {
    magnitude m;
    bool negative = value[width - 1] & 0x80;
    memset(&m, negative ? 0xFF : 0, sizeof m);
    memcpy(&m, value, (size_t)width);
    uint64_t carry = negative;
    for (int k = 0; negative && k < 4; k++) {
        m.word[k] = ~m.word[k] + carry;
        carry = carry && m.word[k] == 0;
    }
    return m;
}

static bool is_below(const magnitude *a, const magnitude *b) {
    for (int k = 3; k >= 0; k--)
        if (a->word[k] != b->word[k])
            return a->word[k] < b->word[k];
    return false;
}

// Whether all values of 4 or 8 bytes, also those under nulls, are in (-limit, limit).
static bool all_small_decimals_fit(const ra_array *array, int64_t limit) {
    const uint8_t *values = array->buffers[0].data;
    bool fits = true;
    for (int64_t i = 0; i < array->length; i++) {
        int64_t v = ra_load_int(values, array->byte_width, i);
        fits &= (v < limit) & (v > -limit);
    }
    return fits;
}

// The same of 16 bytes.
static bool all_wide_decimals_fit(const ra_array *array, const magnitude *limit) {
    __int128 bound = (__int128)(((unsigned __int128)limit->word[1] << 64) | limit->word[0]);
    bool fits = true;
    for (int64_t i = 0; i < array->length; i++) {
        __int128 v;
        memcpy(&v, array->buffers[0].data + i * 16, sizeof v);
        fits &= (v < bound) & (v > -bound);
    }
    return fits;
}

static int check_decimals(ra_check_state *state, const ra_array *array) {
    magnitude limit = power_of_ten(array->field->precision);
    int32_t width = array->byte_width;
    if (width <= 8 && all_small_decimals_fit(array, (int64_t)limit.word[0]))
        return 0;
    if (width == 16 && all_wide_decimals_fit(array, &limit))
        return 0;
    for (int64_t i = 0; i < array->length; i++) {
        magnitude m = magnitude_of(array->buffers[0].data + i * width, width);
        if (!is_below(&m, &limit) && ra_array_is_valid(array, i))
            return ra_check_refuse(state, "the decimal in row %" PRId64 " has more than %d digits",
                                   i, array->field->precision);
    }
    return 0;
}

int ra_check_fixed(ra_check_state *state, const ra_array *array) {
    RA_TRY(ra_check_buffer(state, array, 0, array->length, array->byte_width));
    switch (array->field->type) {
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            return check_decimals(state, array);
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
            return check_times(state, array);
        case RA_TYPE_DATE64:
            return check_dates(state, array);
        default:
            return 0;
    }
}

int ra_check_union(ra_check_state *state, const ra_array *array) {
    bool dense = array->layout == RA_LAYOUT_DENSE_UNION;
    RA_TRY(ra_check_buffer(state, array, 0, array->length, 1));
    if (dense)
        RA_TRY(ra_check_buffer(state, array, 1, array->length, 4));
    int child_of[256];
    int32_t last[128] = {0};
    memset(child_of, -1, sizeof child_of);
    for (int c = 0; c < array->field->n_type_ids; c++)
        child_of[array->field->type_ids[c]] = c;
    for (int64_t i = 0; i < array->length; i++) {
        int c = child_of[array->buffers[0].data[i]];
        if (c < 0)
            return ra_check_refuse(state, "type id %d in row %" PRId64 " is none of the union's",
                                   (int8_t)array->buffers[0].data[i], i);
        if (!dense)
            continue;
        int32_t offset = ra_load_i32(array->buffers[1].data + i * 4);
        if (offset < 0 || offset >= array->children[c].length)
            return ra_check_refuse(state,
                                   "offset %" PRId32 " in row %" PRId64
                                   " is outside of child %d of %" PRId64 " rows",
                                   offset, i, c, array->children[c].length);
        if (offset < last[c])
            return ra_check_refuse(
                state, "offset %" PRId32 " in row %" PRId64 " is below an earlier one", offset, i);
        last[c] = offset;
    }
    return 0;
}

int ra_check_run_ends(ra_check_state *state, const ra_array *array) {
    int64_t runs = array->children[0].length, last = 0;
    for (int64_t i = 0; i < runs; i++) {
        int64_t end = ra_array_run_end(array, i);
        if (end <= last)
            return ra_check_refuse(
                state, "run end %" PRId64 " of run %" PRId64 " is not above the one before", end,
                i);
        last = end;
    }
    if (last < array->length)
        return ra_check_refuse(state, "the runs end at %" PRId64 " before row %" PRId64, last,
                               array->length);
    return 0;
}
