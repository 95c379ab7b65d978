#include "arrow/equal.h"

#include <math.h>

#include "arrow/access.h"

static bool is_indices(const ra_array *a) {
    return a->field->is_dictionary && !a->of_dictionary;
}

bool ra_array_resolve(const ra_array **array, int64_t *row) {
    for (;;) {
        const ra_array *a = *array;
        if (a->layout == RA_LAYOUT_NULL || !ra_array_is_valid(a, *row))
            return false;
        if (is_indices(a)) {
            *row = ra_array_index(a, *row);
            *array = a->dictionary;
        } else if (a->layout == RA_LAYOUT_RUN_END) {
            *row = ra_array_find_run(a, *row);
            *array = &a->children[1];
        } else {
            return true;
        }
    }
}

static bool is_float(const ra_array *a) {
    ra_type_id type = a->field->type;
    return a->layout == RA_LAYOUT_FIXED && !is_indices(a) &&
           (type == RA_TYPE_HALF_FLOAT || type == RA_TYPE_FLOAT || type == RA_TYPE_DOUBLE);
}

// Exact in a double, but for the payload of a NaN.
static double half_to_double(uint16_t half) {
    int exponent = (half >> 10) & 31, mantissa = half & 1023;
    double magnitude = exponent == 31  ? (mantissa ? (double)NAN : (double)INFINITY)
                       : exponent == 0 ? ldexp(mantissa, -24)
                                       : ldexp(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static double load_float(const ra_array *a, int64_t i) {
    const uint8_t *at = a->buffers[0].data + i * a->byte_width;
    float f;
    double d;
    switch (a->byte_width) {
        case 2:
            return half_to_double(ra_load_u16(at));
        case 4:
            memcpy(&f, at, sizeof f);
            return (double)f;
        default:
            memcpy(&d, at, sizeof d);
            return d;
    }
}

static bool floats_equal(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         ra_float_equality floats) {
    double x = load_float(a, i), y = load_float(b, j);
    if (isnan(x) || isnan(y))
        return floats != RA_FLOATS_AS_NUMBERS && isnan(x) && isnan(y);
    return x == y && (floats != RA_FLOATS_AS_KEYS || signbit(x) == signbit(y));
}

static bool spans_equal(ra_span a, ra_span b) {
    return a.bytes == b.bytes &&
           (a.bytes == 0 || a.data == b.data || memcmp(a.data, b.data, (size_t)a.bytes) == 0);
}

// Two rows that are not null and whose dictionaries and runs are resolved.
static bool values_equal(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         ra_float_equality floats) {
    if (a == b && i == j && floats != RA_FLOATS_AS_NUMBERS)
        return true;
    switch (a->layout) {
        case RA_LAYOUT_BIT:
            return ra_bit_get(a->buffers[0].data, i) == ra_bit_get(b->buffers[0].data, j);
        case RA_LAYOUT_FIXED:
            if (is_float(a))
                return floats_equal(a, i, b, j, floats);
            return spans_equal(ra_array_bytes(a, i), ra_array_bytes(b, j));
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_VIEW:
            return spans_equal(ra_array_bytes(a, i), ra_array_bytes(b, j));
        case RA_LAYOUT_STRUCT:
            for (int c = 0; c < a->n_children; c++)
                if (!ra_array_ranges_equal(&a->children[c], i, &b->children[c], j, 1, floats))
                    return false;
            return true;
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION: {
            int64_t a_row, b_row;
            int c = ra_array_union_row(a, i, &a_row);
            if (c != ra_array_union_row(b, j, &b_row))
                return false;
            return ra_array_ranges_equal(&a->children[c], a_row, &b->children[c], b_row, 1, floats);
        }
        default: {
            int64_t a_from, b_from, n = ra_array_list(a, i, &a_from);
            return n == ra_array_list(b, j, &b_from) &&
                   ra_array_ranges_equal(&a->children[0], a_from, &b->children[0], b_from, n,
                                         floats);
        }
    }
}

static bool rows_equal(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                       ra_float_equality floats) {
    bool a_valid = ra_array_resolve(&a, &i), b_valid = ra_array_resolve(&b, &j);
    if (!a_valid || !b_valid)
        return a_valid == b_valid;
    return values_equal(a, i, b, j, floats);
}

// Run by run: one comparison for each piece of two runs that overlap.
static bool runs_equal(const ra_array *a, int64_t a_from, const ra_array *b, int64_t b_from,
                       int64_t n, ra_float_equality floats) {
    int64_t a_run = ra_array_find_run(a, a_from), b_run = ra_array_find_run(b, b_from);
    for (int64_t at = 0; at < n;) {
        if (!rows_equal(&a->children[1], a_run, &b->children[1], b_run, floats))
            return false;
        int64_t a_end = ra_array_run_end(a, a_run) - a_from;
        int64_t b_end = ra_array_run_end(b, b_run) - b_from;
        at = a_end < b_end ? a_end : b_end;
        a_run += at == a_end;
        b_run += at == b_end;
    }
    return true;
}

bool ra_array_ranges_equal(const ra_array *a, int64_t a_from, const ra_array *b, int64_t b_from,
                           int64_t n, ra_float_equality floats) {
    if (n == 0 || a->layout == RA_LAYOUT_NULL)
        return true;
    if (a == b && a_from == b_from && floats != RA_FLOATS_AS_NUMBERS)
        return true;
    bool no_nulls = !a->validity.data && !b->validity.data;
    if (a->layout == RA_LAYOUT_RUN_END)
        return runs_equal(a, a_from, b, b_from, n, floats);
    if (a->layout == RA_LAYOUT_STRUCT && no_nulls) {
        for (int c = 0; c < a->n_children; c++)
            if (!ra_array_ranges_equal(&a->children[c], a_from, &b->children[c], b_from, n, floats))
                return false;
        return true;
    }
    if (a->layout == RA_LAYOUT_FIXED && no_nulls && !is_float(a) &&
        a->dictionary == b->dictionary && !(is_indices(a) && floats == RA_FLOATS_AS_NUMBERS)) {
        int64_t width = a->byte_width;
        if (width == 0 || memcmp(a->buffers[0].data + a_from * width,
                                 b->buffers[0].data + b_from * width, (size_t)(n * width)) == 0)
            return true;
        // Other indices may stand for the same values.
        if (!is_indices(a))
            return false;
    }
    for (int64_t k = 0; k < n; k++)
        if (!rows_equal(a, a_from + k, b, b_from + k, floats))
            return false;
    return true;
}

bool ra_array_equal(const ra_array *a, const ra_array *b, bool nan_equal) {
    return a->length == b->length &&
           ra_array_ranges_equal(a, 0, b, 0, a->length,
                                 nan_equal ? RA_FLOATS_NAN_EQUAL : RA_FLOATS_AS_NUMBERS);
}
