#include "arrow/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "arrow/access.h"
#include "arrow/check_internal.h"

// "item.f0" under the column; empty for the column itself.
static void print_path(const ra_check_state *state, char *out, size_t bytes) {
    out[0] = 0;
    size_t used = 0;
    for (int i = 1; i < state->depth && used < bytes; i++) {
        ra_str name = state->path[i]->name;
        int n = snprintf(out + used, bytes - used, "%s%.*s", i > 1 ? "." : "", RA_STR_ARG(name));
        used += n > 0 ? (size_t)n : 0;
    }
}

int ra_check_refuse(ra_check_state *state, const char *fmt, ...) {
    char path[200], fault[240];
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault, sizeof fault, fmt, args);
    va_end(args);
    print_path(state, path, sizeof path);
    ra_str column = state->path[0]->name;
    int rc;
    if (state->depth > 1)
        rc = ra_error_set(state->err, RA_REASON_MALFORMED_ARROW, "column '%.*s', field '%s': %s",
                          RA_STR_ARG(column), path, fault);
    else
        rc = ra_error_set(state->err, RA_REASON_MALFORMED_ARROW, "column '%.*s': %s",
                          RA_STR_ARG(column), fault);
    ra_error_set_subject(state->err, "column", column.data, column.len);
    return rc;
}

int ra_check_buffer(ra_check_state *state, const ra_array *array, int i, int64_t count,
                    int32_t width) {
    int64_t need;
    if (!ra_mul_i64(count, width, &need))
        return ra_check_refuse(state, "%" PRId64 " rows are too many", count);
    int64_t bytes = array->buffers[i].bytes;
    if (bytes < need || (need > 0 && !array->buffers[i].data))
        return ra_check_refuse(state,
                               "buffer %d has %" PRId64 " bytes but %" PRId64
                               " are needed for "
                               "%" PRId64 " rows",
                               i + 1, bytes, need, array->length);
    return 0;
}

static int check_bitmap(ra_check_state *state, const ra_array *array, ra_span bits,
                        const char *what) {
    if (bits.bytes < ra_bit_bytes(array->length) || (array->length > 0 && !bits.data))
        return ra_check_refuse(state, "the %s has %" PRId64 " bytes for %" PRId64 " rows", what,
                               bits.bytes, array->length);
    return 0;
}

// Sets null_count from the bits; without nulls the validity goes.
static void count_nulls(ra_array *array) {
    array->null_count = array->layout == RA_LAYOUT_NULL ? array->length : 0;
    if (!ra_layout_has_validity(array->layout) || array->validity.bytes == 0)
        array->validity = (ra_span){NULL, 0};
    if (array->validity.data)
        array->null_count = array->length - ra_count_bits(array->validity.data, array->length);
    if (array->null_count == 0)
        array->validity = (ra_span){NULL, 0};
}

// Drops rows from `length` on, and what only they needed of the children. The array was checked.
static void cut_array(ra_array *array, int64_t length) {
    if (array->length == length)
        return;
    array->length = length;
    count_nulls(array);
    switch (array->layout) {
        case RA_LAYOUT_FIXED_LIST:
            cut_array(&array->children[0], length * array->field->list_size);
            break;
        case RA_LAYOUT_STRUCT:
        case RA_LAYOUT_SPARSE_UNION:
            for (int i = 0; i < array->n_children; i++)
                cut_array(&array->children[i], length);
            break;
        case RA_LAYOUT_RUN_END: {
            int64_t runs = length > 0 ? ra_array_find_run(array, length - 1) + 1 : 0;
            cut_array(&array->children[0], runs);
            cut_array(&array->children[1], runs);
            break;
        }
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
            if (length == 0)
                array->buffers[0] = (ra_span){ra_zero_bytes, ra_layout_offset_width(array->layout)};
            break;
        default:
            break;
    }
}

static int check_array(ra_check_state *state, ra_array *array);

static int check_child(ra_check_state *state, ra_array *array, int i) {
    ra_assert(state->depth <= RA_MAX_NESTING);
    state->path[state->depth++] = array->children[i].field;
    RA_TRY(check_array(state, &array->children[i]));
    state->depth--;
    return 0;
}

// Checks the children and cuts them to `length` rows, which each must have.
static int check_equal_children(ra_check_state *state, ra_array *array, int64_t length) {
    bool of_map = state->depth > 1 && state->path[state->depth - 2]->type == RA_TYPE_MAP;
    for (int i = 0; i < array->n_children; i++) {
        ra_array *child = &array->children[i];
        RA_TRY(check_child(state, array, i));
        if (child->length < length)
            return ra_check_refuse(state,
                                   "child %d has %" PRId64 " rows but %" PRId64 " are needed", i,
                                   child->length, length);
        if (of_map && i == 0 && child->null_count > 0)
            return ra_check_refuse(state, "a map's keys must not be null");
        cut_array(child, length);
    }
    return 0;
}

static int check_list(ra_check_state *state, ra_array *array) {
    ra_array *child = &array->children[0];
    RA_TRY(ra_check_offsets(state, array, child->length));
    RA_TRY(check_child(state, array, 0));
    if (array->field->type == RA_TYPE_MAP && child->null_count > 0)
        return ra_check_refuse(state, "a map's entries must not be null");
    return 0;
}

static int check_list_view(ra_check_state *state, ra_array *array) {
    int32_t width = ra_layout_offset_width(array->layout);
    RA_TRY(ra_check_buffer(state, array, 0, array->length, width));
    RA_TRY(ra_check_buffer(state, array, 1, array->length, width));
    int64_t limit = array->children[0].length;
    for (int64_t i = 0; i < array->length; i++) {
        // Also under nulls, as pyarrow has it.
        int64_t from, n = ra_array_list(array, i, &from);
        if (from < 0 || from > limit || n < 0 || n > limit - from)
            return ra_check_refuse(state,
                                   "the list in row %" PRId64 " (offset %" PRId64 ", size %" PRId64
                                   ") is outside of its %" PRId64 " values",
                                   i, from, n, limit);
    }
    return check_child(state, array, 0);
}

static int check_fixed_list(ra_check_state *state, ra_array *array) {
    int64_t need;
    if (!ra_mul_i64(array->length, array->field->list_size, &need))
        return ra_check_refuse(state, "%" PRId64 " rows are too many", array->length);
    return check_equal_children(state, array, need);
}

static int check_union(ra_check_state *state, ra_array *array) {
    RA_TRY(ra_check_union(state, array));
    if (array->layout == RA_LAYOUT_SPARSE_UNION)
        return check_equal_children(state, array, array->length);
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(check_child(state, array, i));
    return 0;
}

static int check_run_end(ra_check_state *state, ra_array *array) {
    ra_array *ends = &array->children[0], *values = &array->children[1];
    RA_TRY(check_child(state, array, 0));
    RA_TRY(check_child(state, array, 1));
    if (ends->null_count > 0)
        return ra_check_refuse(state, "run ends must not be null");
    if (values->length < ends->length)
        return ra_check_refuse(state, "%" PRId64 " runs have only %" PRId64 " values", ends->length,
                               values->length);
    RA_TRY(ra_check_run_ends(state, array));
    int64_t runs = array->length > 0 ? ra_array_find_run(array, array->length - 1) + 1 : 0;
    cut_array(ends, runs);
    cut_array(values, runs);
    return 0;
}

static int check_array(ra_check_state *state, ra_array *array) {
    if (array->length < 0)
        return ra_check_refuse(state, "the length is negative");
    if (array->validity.bytes != 0 && ra_layout_has_validity(array->layout))
        RA_TRY(check_bitmap(state, array, array->validity, "validity bitmap"));
    count_nulls(array);
    if (array->field->is_dictionary && !array->of_dictionary)
        return ra_check_indices(state, array);
    switch (array->layout) {
        case RA_LAYOUT_BIT:
            return check_bitmap(state, array, array->buffers[0], "bitmap of values");
        case RA_LAYOUT_FIXED:
            return ra_check_fixed(state, array);
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
            return ra_check_strings(state, array);
        case RA_LAYOUT_VIEW:
            return ra_check_views(state, array);
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
            return check_list(state, array);
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            return check_list_view(state, array);
        case RA_LAYOUT_FIXED_LIST:
            return check_fixed_list(state, array);
        case RA_LAYOUT_STRUCT:
            return check_equal_children(state, array, array->length);
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION:
            return check_union(state, array);
        case RA_LAYOUT_RUN_END:
            return check_run_end(state, array);
        default:
            return 0;
    }
}

int ra_check_array(ra_array *array, ra_error *err) {
    ra_check_state state = {.path = {array->field}, .depth = 1, .err = err};
    RA_TRY(check_array(&state, array));
    return ra_check_size(&state, array);
}

int ra_check_batch(ra_batch *batch, ra_error *err) {
    for (int i = 0; i < batch->n_columns; i++) {
        ra_array *column = &batch->columns[i];
        ra_check_state state = {.path = {column->field}, .depth = 1, .err = err};
        if (column->length != batch->n_rows)
            return ra_check_refuse(&state, "%" PRId64 " rows in a batch of %" PRId64 " rows",
                                   column->length, batch->n_rows);
        RA_TRY(ra_check_array(column, err));
    }
    return 0;
}
