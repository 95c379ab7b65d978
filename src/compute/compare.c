#include "compute/compare.h"

#include <string.h>

#include "arrow/access.h"
#include "compute/words.h"

bool ra_type_is_ordered(const ra_field *field) {
    if (field->type == RA_TYPE_MAP || field->type == RA_TYPE_SPARSE_UNION ||
        field->type == RA_TYPE_DENSE_UNION)
        return false;
    for (int c = 0; c < field->n_children; c++)
        if (!ra_type_is_ordered(&field->children[c]))
            return false;
    return true;
}

// Follows dictionary indices and runs to the array and row that hold the value; false for a null on
// the way.
static bool resolve(const ra_array **array, int64_t *row) {
    for (;;) {
        const ra_array *a = *array;
        if (a->layout == RA_LAYOUT_NULL || !ra_array_is_valid(a, *row))
            return false;
        if (a->field->is_dictionary && !a->of_dictionary) {
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

static ra_value_class class_of_resolved(const ra_array *array, int64_t row) {
    ra_word word;
    switch (array->field->type) {
        case RA_TYPE_HALF_FLOAT:
            word = (ra_word){.kind = RA_WORD_F16, .stride = 2};
            break;
        case RA_TYPE_FLOAT:
            word = (ra_word){.kind = RA_WORD_F32, .stride = 4};
            break;
        case RA_TYPE_DOUBLE:
            word = (ra_word){.kind = RA_WORD_F64, .stride = 8};
            break;
        default:
            return RA_CLASS_VALUE;
    }
    return ra_word_is_nan(&word, array->buffers[0].data, row) ? RA_CLASS_NAN : RA_CLASS_VALUE;
}

ra_value_class ra_value_class_of(const ra_array *array, int64_t i) {
    return resolve(&array, &i) ? class_of_resolved(array, i) : RA_CLASS_NULL;
}

static int compare_words(const ra_array *a, int64_t i, const ra_array *b, int64_t j) {
    ra_word words[RA_MAX_WORDS];
    int n = ra_words_of_type(a->field, words);
    for (int w = 0; w < n; w++) {
        uint64_t x, y;
        ra_words_read(&words[w], a->buffers[0].data, i, 1, &x);
        ra_words_read(&words[w], b->buffers[0].data, j, 1, &y);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static int compare_bytes(const ra_array *a, int64_t i, const ra_array *b, int64_t j) {
    ra_span x = ra_array_bytes(a, i), y = ra_array_bytes(b, j);
    int64_t n = x.bytes < y.bytes ? x.bytes : y.bytes;
    int c = n > 0 ? memcmp(x.data, y.data, (size_t)n) : 0;
    return c ? (c > 0) - (c < 0) : (x.bytes > y.bytes) - (x.bytes < y.bytes);
}

static int compare_lists(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         ra_value_order order) {
    int64_t a_from, b_from;
    int64_t a_n = ra_array_list(a, i, &a_from), b_n = ra_array_list(b, j, &b_from);
    for (int64_t k = 0; k < a_n && k < b_n; k++) {
        int c = ra_value_compare(&a->children[0], a_from + k, &b->children[0], b_from + k, order);
        if (c)
            return c;
    }
    int c = (a_n > b_n) - (a_n < b_n);
    return order.descending ? -c : c;
}

static int compare_structs(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                           ra_value_order order) {
    for (int k = 0; k < a->n_children; k++) {
        int c = ra_value_compare(&a->children[k], i, &b->children[k], j, order);
        if (c)
            return c;
    }
    return 0;
}

static int compare_resolved(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                            ra_value_order order) {
    int c;
    switch (a->layout) {
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
        case RA_LAYOUT_FIXED_LIST:
            return compare_lists(a, i, b, j, order);
        case RA_LAYOUT_STRUCT:
            return compare_structs(a, i, b, j, order);
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_VIEW:
            c = compare_bytes(a, i, b, j);
            break;
        default:
            c = a->field->type == RA_TYPE_FIXED_SIZE_BINARY ? compare_bytes(a, i, b, j)
                                                            : compare_words(a, i, b, j);
            break;
    }
    return order.descending ? -c : c;
}

int ra_value_compare_values(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                            ra_value_order order) {
    bool is_value = resolve(&a, &i) && resolve(&b, &j);
    ra_assert(is_value);
    return compare_resolved(a, i, b, j, order);
}

int ra_value_compare(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                     ra_value_order order) {
    ra_value_class x = resolve(&a, &i) ? class_of_resolved(a, i) : RA_CLASS_NULL;
    ra_value_class y = resolve(&b, &j) ? class_of_resolved(b, j) : RA_CLASS_NULL;
    if (x != RA_CLASS_VALUE || y != RA_CLASS_VALUE)
        return ra_value_class_compare(x, y, order.nulls_first);
    return compare_resolved(a, i, b, j, order);
}
