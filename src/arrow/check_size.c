// List views and dictionaries may show one value any number of times, and nested ones multiply: 30
// levels of two lists that show both lists below are a few hundred bytes and 2^30 values. Whoever
// walks rows by value would not come back, so what a column shows is held against what it stores.
//
// Counts are doubles, as they may be larger than 2^64, and may be a little too high.
#include "arrow/access.h"
#include "arrow/check_internal.h"
#include "base/os.h"

enum { MAX_MULTIPLE = 1024 };
static const double always_allowed = 256.0 * 1024 * 1024;

// What the rows of an array show: themselves and all that is below them.
typedef struct node {
    const ra_array *array;
    struct node *below;  // children, or the dictionary
    int n_below;
    double each;     // values of every row, when that is the same for all; else 0
    double *before;  // values of all rows (of a run-end array: runs) before one; NULL when the
                     // offsets tell, or when nobody asks
} node;

static bool has_repeats(const ra_field *field) {
    bool nested_dictionary = field->is_dictionary && field->n_children > 0;
    if (nested_dictionary || field->type == RA_TYPE_LIST_VIEW ||
        field->type == RA_TYPE_LARGE_LIST_VIEW)
        return true;
    for (int c = 0; c < field->n_children; c++)
        if (has_repeats(&field->children[c]))
            return true;
    return false;
}

static double values_before(const node *n, int64_t i);

static double values_of(const node *n, int64_t from, int64_t to) {
    return values_before(n, to) - values_before(n, from);
}

// Values of one row of an array that needs `before`, or of one run.
static double values_of_row(const node *n, int64_t i) {
    const ra_array *a = n->array;
    int64_t from = i, count = 1;
    if (a->layout == RA_LAYOUT_RUN_END)
        return 1 + values_of(&n->below[1], i, i + 1);
    if (!ra_array_is_valid(a, i))
        return 1;
    if (a->dictionary) {
        from = ra_array_index(a, i);
        return 1 + values_of(&n->below[0], from, from + 1);
    }
    if (a->layout == RA_LAYOUT_DENSE_UNION) {
        int c = ra_array_union_row(a, i, &from);
        return 1 + values_of(&n->below[c], from, from + 1);
    }
    count = ra_array_list(a, i, &from);
    return 1 + values_of(&n->below[0], from, from + count);
}

static double values_before(const node *n, int64_t i) {
    const ra_array *a = n->array;
    double sum = (double)i;
    if (n->each > 0)
        return n->each * sum;
    switch (a->layout) {
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
            return sum + values_of(&n->below[0], ra_array_offset(a, 0), ra_array_offset(a, i));
        case RA_LAYOUT_FIXED_LIST:
            return sum + values_before(&n->below[0], i * a->field->list_size);
        case RA_LAYOUT_STRUCT:
        case RA_LAYOUT_SPARSE_UNION:
            for (int c = 0; c < n->n_below; c++)
                sum += values_before(&n->below[c], i);
            return sum;
        case RA_LAYOUT_RUN_END: {
            int64_t run = ra_array_find_run(a, i);
            int64_t start = run > 0 ? ra_array_run_end(a, run - 1) : 0;
            double rest = i > start ? (double)(i - start) * values_of_row(n, run) : 0;
            return n->before[run] + rest;
        }
        default:
            return n->before[i];
    }
}

// The values of every row when they are known without looking at the rows; else 0.
static double find_each(const node *n) {
    const ra_array *a = n->array;
    double sum = 1, most = 0;
    for (int c = 0; c < n->n_below; c++) {
        double each = n->below[c].each;
        if (each == 0)
            return 0;
        sum += each;
        most = each > most ? each : most;
    }
    switch (a->layout) {
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            return 0;
        case RA_LAYOUT_FIXED_LIST:
            return 1 + a->field->list_size * most;
        case RA_LAYOUT_DENSE_UNION:
            return 1 + most;
        default:
            return sum;
    }
}

static bool needs_before(const node *n) {
    ra_layout layout = n->array->layout;
    return n->each == 0 && (n->array->dictionary || layout == RA_LAYOUT_LIST_VIEW32 ||
                            layout == RA_LAYOUT_LIST_VIEW64 || layout == RA_LAYOUT_DENSE_UNION ||
                            layout == RA_LAYOUT_RUN_END);
}

static int64_t n_counted(const ra_array *a) {
    return a->layout == RA_LAYOUT_RUN_END ? a->children[0].length : a->length;
}

static int count_before(node *n, ra_error *err) {
    const ra_array *a = n->array;
    int64_t count = n_counted(a), last = 0;
    double *before = ra_malloc(((size_t)count + 1) * sizeof *before);
    if (!before)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to measure nested values");
    before[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        double rows = 1;
        if (a->layout == RA_LAYOUT_RUN_END) {
            rows = (double)(ra_array_run_end(a, i) - last);
            last = ra_array_run_end(a, i);
        }
        before[i + 1] = before[i] + rows * values_of_row(n, i);
    }
    n->before = before;
    return 0;
}

// Values that take memory; rows that take none, such as those of a struct, are not counted.
static double stored_by(const ra_array *a) {
    bool free =
        a->layout == RA_LAYOUT_NULL || a->layout == RA_LAYOUT_RUN_END ||
        (a->layout == RA_LAYOUT_FIXED && a->byte_width == 0) ||
        ((a->layout == RA_LAYOUT_STRUCT || a->layout == RA_LAYOUT_FIXED_LIST) && !a->validity.data);
    return free ? 0 : (double)a->length;
}

static int measure(node *n, const ra_array *a, double *stored, ra_error *err) {
    n->array = a;
    *stored += stored_by(a);
    n->n_below = a->dictionary ? 1 : a->n_children;
    n->below = ra_calloc((size_t)n->n_below, sizeof *n->below);
    if (!n->below)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to measure nested values");
    for (int c = 0; c < n->n_below; c++) {
        const ra_array *below = a->dictionary ? a->dictionary : &a->children[c];
        RA_TRY(measure(&n->below[c], below, stored, err));
    }
    n->each = find_each(n);
    return needs_before(n) ? count_before(n, err) : 0;
}

static void forget(node *n) {
    for (int c = 0; n->below && c < n->n_below; c++)
        forget(&n->below[c]);
    ra_free(n->below);
    ra_free(n->before);
}

int ra_check_size(ra_check_state *state, const ra_array *column) {
    if (!has_repeats(column->field))
        return 0;
    node top = {0};
    double stored = 0;
    int rc = measure(&top, column, &stored, state->err);
    double shown = rc == 0 ? values_before(&top, column->length) : 0;
    forget(&top);
    RA_TRY(rc);
    if (shown <= always_allowed || shown <= MAX_MULTIPLE * stored)
        return 0;
    ra_str name = column->field->name;
    rc = ra_error_set(state->err, RA_REASON_LIMIT,
                      "column '%.*s': its lists and dictionaries show %.3g values, more than %d "
                      "times the %.3g they have",
                      RA_STR_ARG(name), shown, MAX_MULTIPLE, stored);
    ra_error_set_subject(state->err, "column", name.data, name.len);
    return rc;
}
