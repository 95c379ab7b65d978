#include "arrow/access.h"
#include "arrow/join.h"
#include "base/os.h"

typedef struct {
    int64_t from;
    int64_t to;
    double used;  // elements shown, counted as often as lists show them: may exceed 2^63
} list_extent;

static bool get_list(const ra_array *a, int64_t i, int64_t *from, int64_t *n) {
    if (!ra_array_is_valid(a, i))
        return false;
    *n = ra_array_list(a, i, from);
    return *n > 0;
}

static list_extent measure_lists(const ra_run *run) {
    list_extent extent = {INT64_MAX, 0, 0};
    for (int64_t i = run->from; i < run->from + run->n; i++) {
        int64_t from, n;
        if (!get_list(run->array, i, &from, &n))
            continue;
        extent.from = from < extent.from ? from : extent.from;
        extent.to = from + n > extent.to ? from + n : extent.to;
        extent.used += (double)n;
    }
    return extent;
}

int ra_list_view_runs(const ra_run *run, uint8_t *offsets, uint8_t *sizes, ra_run_list *child,
                      ra_error *err) {
    const ra_array *a = run->array, *values = &a->children[0];
    int32_t width = ra_layout_offset_width(a->layout);
    list_extent extent = measure_lists(run);
    bool whole = extent.used * 2 >= (double)(extent.to - extent.from);
    int64_t base = child->n_rows;
    if (whole && extent.used > 0)
        RA_TRY(ra_run_list_add(child, values, extent.from, extent.to - extent.from, err));
    for (int64_t i = 0; i < run->n; i++) {
        int64_t from, n, at = 0;
        bool shows = get_list(a, run->from + i, &from, &n);
        if (shows && whole)
            at = base + (from - extent.from);
        if (shows && !whole) {
            at = child->n_rows;
            RA_TRY(ra_run_list_add(child, values, from, n, err));
        }
        ra_store_int(offsets, width, i, at);
        ra_store_int(sizes, width, i, shows ? n : 0);
    }
    if (width == 4 && child->n_rows > INT32_MAX)
        return ra_join_overflow(a, "more than 2147483647 list elements in one batch", err);
    return 0;
}

// The rows of a child that are being collected: [from, to), `used` of them needed.
typedef struct {
    int64_t from;
    int64_t to;
    int64_t used;
} open_run;

static int close_run(const ra_array *child, open_run *open, ra_run_list *list, ra_error *err) {
    RA_TRY(ra_run_list_add(list, child, open->from, open->to - open->from, err));
    *open = (open_run){0};
    return 0;
}

// Makes row `at` of the child part of the open run. A gap is taken along while at least half of
// the run is needed, so that most slices of a union are slices of its children.
static int extend_run(const ra_array *child, int64_t at, open_run *open, ra_run_list *list,
                      ra_error *err) {
    bool inside = at >= open->from && at < open->to;
    bool near = at >= open->to && at - open->from < 2 * (open->used + 1);
    if (open->used > 0 && !inside && !near)
        RA_TRY(close_run(child, open, list, err));
    if (open->used == 0)
        open->from = at;
    if (open->used == 0 || !inside) {
        open->to = at + 1;
        open->used++;
    }
    return 0;
}

int ra_dense_union_runs(const ra_run *run, uint8_t *offsets, ra_run_list *children, ra_error *err) {
    const ra_array *a = run->array;
    open_run open[128] = {0};
    for (int64_t i = 0; i < run->n; i++) {
        int64_t row;
        int c = ra_array_union_row(a, run->from + i, &row);
        RA_TRY(extend_run(&a->children[c], row, &open[c], &children[c], err));
        int64_t at = children[c].n_rows + row - open[c].from;
        if (at > INT32_MAX)
            return ra_join_overflow(a, "more than 2147483647 rows of a union's child", err);
        ra_store_i32(offsets + i * 4, (int32_t)at);
    }
    for (int c = 0; c < a->n_children; c++)
        RA_TRY(close_run(&a->children[c], &open[c], &children[c], err));
    return 0;
}

int64_t ra_run_end_count(const ra_run *run) {
    if (run->n == 0)
        return 0;
    return ra_array_find_run(run->array, run->from + run->n - 1) -
           ra_array_find_run(run->array, run->from) + 1;
}

int ra_run_end_runs(const ra_run *run, int64_t first_row, uint8_t *ends, ra_run_list *values,
                    ra_error *err) {
    const ra_array *a = run->array;
    int32_t width = a->children[0].byte_width;
    int64_t limit = width == 8 ? INT64_MAX : (INT64_C(1) << (width * 8 - 1)) - 1;
    if (first_row + run->n > limit)
        return ra_join_overflow(a, "more rows in one batch than its run ends can count", err);
    int64_t first = ra_array_find_run(a, run->from), n = ra_run_end_count(run);
    for (int64_t i = 0; i < n; i++) {
        int64_t end = ra_array_run_end(a, first + i) - run->from;
        ra_store_int(ends, width, i, first_row + (end < run->n ? end : run->n));
    }
    return ra_run_list_add(values, &a->children[1], first, n, err);
}
