#include "arrow/join.h"

#include "arrow/access.h"
#include "base/os.h"

void ra_run_list_fini(ra_run_list *list) {
    ra_free(list->items);
    *list = (ra_run_list){0};
}

int ra_run_list_add(ra_run_list *list, const ra_array *array, int64_t from, int64_t n,
                    ra_error *err) {
    if (n == 0)
        return 0;
    if (!ra_add_i64(list->n_rows, n, &list->n_rows))
        RA_FAIL(err, LIMIT, "more than 2^63 rows");
    ra_run *last = list->n > 0 ? &list->items[list->n - 1] : NULL;
    if (last && last->array == array && last->from + last->n == from) {
        last->n += n;
        return 0;
    }
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 4;
        ra_run *items = ra_realloc(list->items, (size_t)capacity * sizeof *items);
        if (!items)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for %lld runs of rows", (long long)capacity);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = (ra_run){array, from, n};
    return 0;
}

int ra_join_overflow(const ra_array *array, const char *what, ra_error *err) {
    ra_str name = array->field->name;
    int rc = ra_error_set(err, RA_REASON_LIMIT, "column '%.*s': %s", RA_STR_ARG(name), what);
    ra_error_set_subject(err, "column", name.data, name.len);
    return rc;
}

static int alloc_buffer(ra_batch *batch, ra_array *out, int i, int64_t count, int32_t width,
                        uint8_t **data, ra_error *err) {
    int64_t bytes;
    if (!ra_mul_i64(count, width, &bytes))
        return ra_join_overflow(out, "too many rows", err);
    RA_TRY(ra_batch_alloc(batch, bytes, data, err));
    out->buffers[i] = (ra_span){*data, bytes};
    return 0;
}

static int join_validity(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_error *err) {
    bool any = false;
    for (int64_t r = 0; r < runs->n; r++)
        any |= runs->items[r].array->validity.data != NULL;
    if (!any)
        return 0;
    uint8_t *bits;
    RA_TRY(ra_batch_alloc(batch, ra_bit_bytes(out->length), &bits, err));
    int64_t at = 0;
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        if (run->array->validity.data)
            ra_copy_bits(bits, at, run->array->validity.data, run->from, run->n);
        else
            ra_fill_bits(bits, at, run->n, true);
        at += run->n;
    }
    out->null_count = out->length - ra_count_bits(bits, out->length);
    if (out->null_count > 0)
        out->validity = (ra_span){bits, ra_bit_bytes(out->length)};
    return 0;
}

static int join_bits(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_error *err) {
    uint8_t *bits;
    RA_TRY(alloc_buffer(batch, out, 0, ra_bit_bytes(out->length), 1, &bits, err));
    int64_t at = 0;
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        ra_copy_bits(bits, at, run->array->buffers[0].data, run->from, run->n);
        at += run->n;
    }
    return 0;
}

// Also type ids, as values of one byte.
static int join_fixed(ra_batch *batch, ra_array *out, int32_t width, const ra_run_list *runs,
                      ra_error *err) {
    uint8_t *at;
    RA_TRY(alloc_buffer(batch, out, 0, out->length, width, &at, err));
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        int64_t bytes = run->n * width;
        if (bytes > 0)
            memcpy(at, run->array->buffers[0].data + run->from * width, (size_t)bytes);
        at += bytes;
    }
    return 0;
}

// Writes the offsets of strings or lists, which count from 0; returns in *total what they reach.
static int join_offsets(ra_batch *batch, ra_array *out, const ra_run_list *runs, int64_t *total,
                        ra_error *err) {
    int32_t width = ra_layout_offset_width(out->layout);
    uint8_t *offsets;
    RA_TRY(alloc_buffer(batch, out, 0, out->length + 1, width, &offsets, err));
    int64_t base = 0, row = 0;
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        int64_t first = ra_array_offset(run->array, run->from);
        int64_t shift = base - first;
        if (!ra_add_i64(base, ra_array_offset(run->array, run->from + run->n) - first, &base) ||
            (width == 4 && base > INT32_MAX))
            return ra_join_overflow(out, "more than 2147483647 elements or bytes in one batch",
                                    err);
        const uint8_t *in = run->array->buffers[0].data + (run->from + 1) * width;
        for (int64_t i = 0; width == 4 && i < run->n; i++)
            ra_store_i32(offsets + (row + i + 1) * 4, (int32_t)(ra_load_i32(in + i * 4) + shift));
        for (int64_t i = 0; width == 8 && i < run->n; i++)
            ra_store_i64(offsets + (row + i + 1) * 8, ra_load_i64(in + i * 8) + shift);
        row += run->n;
    }
    *total = base;
    return 0;
}

static int join_strings(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_error *err) {
    int64_t total;
    uint8_t *at;
    RA_TRY(join_offsets(batch, out, runs, &total, err));
    RA_TRY(alloc_buffer(batch, out, 1, total, 1, &at, err));
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        int64_t from = ra_array_offset(run->array, run->from);
        int64_t bytes = ra_array_offset(run->array, run->from + run->n) - from;
        if (bytes > 0)
            memcpy(at, run->array->buffers[1].data + from, (size_t)bytes);
        at += bytes;
    }
    return 0;
}

static int join_lists(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_run_list *child,
                      ra_error *err) {
    int64_t total;
    RA_TRY(join_offsets(batch, out, runs, &total, err));
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        int64_t from = ra_array_offset(run->array, run->from);
        int64_t to = ra_array_offset(run->array, run->from + run->n);
        RA_TRY(ra_run_list_add(child, &run->array->children[0], from, to - from, err));
    }
    return 0;
}

static int join_list_views(ra_batch *batch, ra_array *out, const ra_run_list *runs,
                           ra_run_list *child, ra_error *err) {
    int32_t width = ra_layout_offset_width(out->layout);
    uint8_t *offsets, *sizes;
    RA_TRY(alloc_buffer(batch, out, 0, out->length, width, &offsets, err));
    RA_TRY(alloc_buffer(batch, out, 1, out->length, width, &sizes, err));
    for (int64_t r = 0; r < runs->n; r++) {
        RA_TRY(ra_list_view_runs(&runs->items[r], offsets, sizes, child, err));
        offsets += runs->items[r].n * width;
        sizes += runs->items[r].n * width;
    }
    return 0;
}

// The same rows, or `factor` rows for each, of all children.
static int join_parallel(const ra_array *out, const ra_run_list *runs, int64_t factor,
                         ra_run_list *children, ra_error *err) {
    for (int c = 0; c < out->n_children; c++)
        for (int64_t r = 0; r < runs->n; r++) {
            const ra_run *run = &runs->items[r];
            RA_TRY(ra_run_list_add(&children[c], &run->array->children[c], run->from * factor,
                                   run->n * factor, err));
        }
    return 0;
}

static int join_dense_union(ra_batch *batch, ra_array *out, const ra_run_list *runs,
                            ra_run_list *children, ra_error *err) {
    uint8_t *offsets;
    RA_TRY(join_fixed(batch, out, 1, runs, err));
    RA_TRY(alloc_buffer(batch, out, 1, out->length, 4, &offsets, err));
    for (int64_t r = 0; r < runs->n; r++) {
        RA_TRY(ra_dense_union_runs(&runs->items[r], offsets, children, err));
        offsets += runs->items[r].n * 4;
    }
    return 0;
}

// The run ends are written here; only the values are left for the caller to join.
static int join_run_ends(ra_batch *batch, ra_array *out, const ra_run_list *runs,
                         ra_run_list *values, ra_error *err) {
    ra_array *ends = &out->children[0];
    uint8_t *at;
    int64_t row = 0;
    for (int64_t r = 0; r < runs->n; r++)
        ends->length += ra_run_end_count(&runs->items[r]);
    RA_TRY(alloc_buffer(batch, ends, 0, ends->length, ends->byte_width, &at, err));
    for (int64_t r = 0; r < runs->n; r++) {
        const ra_run *run = &runs->items[r];
        RA_TRY(ra_run_end_runs(run, row, at, values, err));
        at += ra_run_end_count(run) * ends->byte_width;
        row += run->n;
    }
    return 0;
}

static int join_own_buffers(ra_batch *batch, ra_array *out, const ra_run_list *runs,
                            ra_run_list *children, ra_error *err) {
    switch (out->layout) {
        case RA_LAYOUT_BIT:
            return join_bits(batch, out, runs, err);
        case RA_LAYOUT_FIXED:
            return join_fixed(batch, out, out->byte_width, runs, err);
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
            return join_strings(batch, out, runs, err);
        case RA_LAYOUT_VIEW:
            return ra_join_views(batch, out, runs, err);
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
            return join_lists(batch, out, runs, &children[0], err);
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            return join_list_views(batch, out, runs, &children[0], err);
        case RA_LAYOUT_FIXED_LIST:
            return join_parallel(out, runs, out->field->list_size, children, err);
        case RA_LAYOUT_STRUCT:
            return join_parallel(out, runs, 1, children, err);
        case RA_LAYOUT_SPARSE_UNION:
            RA_TRY(join_fixed(batch, out, 1, runs, err));
            return join_parallel(out, runs, 1, children, err);
        case RA_LAYOUT_DENSE_UNION:
            return join_dense_union(batch, out, runs, children, err);
        case RA_LAYOUT_RUN_END:
            return join_run_ends(batch, out, runs, &children[1], err);
        default:
            return 0;
    }
}

int ra_array_join(ra_batch *batch, ra_array *out, const ra_array *like, const ra_run_list *runs,
                  ra_error *err) {
    out->length = runs->n_rows;
    out->null_count = out->layout == RA_LAYOUT_NULL ? out->length : 0;
    out->dictionary = like->dictionary;
    RA_TRY(join_validity(batch, out, runs, err));
    ra_run_list *children = ra_calloc((size_t)out->n_children, sizeof *children);
    if (!children)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for runs of rows");
    int rc;
    RA_GOTO(join_own_buffers(batch, out, runs, children, err), done);
    for (int c = out->layout == RA_LAYOUT_RUN_END ? 1 : 0; c < out->n_children; c++)
        RA_GOTO(ra_array_join(batch, &out->children[c], &like->children[c], &children[c], err),
                done);
done:
    for (int c = 0; c < out->n_children; c++)
        ra_run_list_fini(&children[c]);
    ra_free(children);
    return rc;
}
