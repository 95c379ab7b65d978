// Gathers lists and structs: rows become ranges of the children's rows, children are gathered.
#include "compute/gather_internal.h"

static int gather_child(ra_gather_target *target, const ra_gather_node *node, int child,
                        ra_picks *picks, ra_array *out, ra_error *err) {
    out->children[child].length = picks->n;
    return ra_gather_node_rows(target, &node->children[child], picks, &out->children[child], err);
}

// The rows' items as runs, and the offsets of the output.
static int pick_items(const ra_gather_node *node, const ra_row *rows, int64_t n, bool is_wide,
                      uint8_t *offsets, ra_picks *items, ra_error *err) {
    ra_gather_set_offset(offsets, 0, is_wide, 0);
    for (int64_t i = 0; i < n; i++) {
        ra_row row = rows[i];
        if (ra_gather_is_valid(node->validity, row)) {
            const uint8_t *from = node->buffers[0][row.batch];
            int64_t first = ra_gather_offset(from, row.row, is_wide);
            int64_t end = ra_gather_offset(from, (int64_t)row.row + 1, is_wide);
            RA_TRY(ra_picks_add_run(items, (ra_row_run){first, end - first, row.batch}, err));
        }
        if (!is_wide && items->n > INT32_MAX)
            return ra_gather_too_large(node, "items of lists", err);
        ra_gather_set_offset(offsets, i + 1, is_wide, items->n);
    }
    return 0;
}

int ra_gather_list(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                   ra_array *out, ra_error *err) {
    bool is_wide = node->layout == RA_LAYOUT_LIST64;
    int64_t offset_bytes = (picks->n + 1) * (is_wide ? 8 : 4);
    const ra_row *rows;
    uint8_t *offsets;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_gather_alloc(target, offset_bytes, &offsets, err));
    out->buffers[0] = (ra_span){offsets, offset_bytes};
    ra_picks items;
    RA_TRY(ra_picks_init_runs(target->compute, &items, picks->n, err));
    int rc = pick_items(node, rows, picks->n, is_wide, offsets, &items, err);
    if (rc == 0)
        rc = gather_child(target, node, 0, &items, out, err);
    ra_picks_fini(target->compute, &items);
    return rc;
}

// Of one batch: which of its items the rows' list views reach.
typedef struct {
    int64_t first;
    int64_t end;  // 0: none
    int64_t at;   // where `first` comes to lie in the output
} item_range;

// List views may share items, so many rows can stand for few items: then the range that they reach
// is copied once instead of every view's own items.
static bool find_ranges(const ra_gather_node *node, const ra_row *rows, int64_t n, bool is_wide,
                        item_range *ranges, int n_batches) {
    int64_t own_items = 0, range_items = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!ra_gather_is_valid(node->validity, rows[i]))
            continue;
        item_range *range = &ranges[rows[i].batch];
        int64_t first = ra_gather_offset(node->buffers[0][rows[i].batch], rows[i].row, is_wide);
        int64_t size = ra_gather_offset(node->buffers[1][rows[i].batch], rows[i].row, is_wide);
        if (size == 0)
            continue;
        if (range->end == 0 || first < range->first)
            range->first = first;
        if (first + size > range->end)
            range->end = first + size;
        if (!ra_add_i64(own_items, size, &own_items))
            own_items = INT64_MAX;
    }
    for (int b = 0; b < n_batches; b++)
        if (!ra_add_i64(range_items, ranges[b].end - ranges[b].first, &range_items))
            range_items = INT64_MAX;
    return range_items < own_items;
}

static int pick_ranges(item_range *ranges, int n_batches, ra_picks *items, ra_error *err) {
    for (int b = 0; b < n_batches; b++) {
        ranges[b].at = items->n;
        ra_row_run run = {ranges[b].first, ranges[b].end - ranges[b].first, (uint32_t)b};
        RA_TRY(ra_picks_add_run(items, run, err));
    }
    return 0;
}

// Offsets and sizes of the output. `ranges` says where items come to lie; NULL: one after the
// other, and the items are picked here.
static int place_views(const ra_gather_node *node, const ra_row *rows, int64_t n, bool is_wide,
                       const item_range *ranges, ra_picks *items, uint8_t *offsets, uint8_t *sizes,
                       ra_error *err) {
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0, size = 0;
        ra_row row = rows[i];
        if (ra_gather_is_valid(node->validity, row)) {
            int64_t first = ra_gather_offset(node->buffers[0][row.batch], row.row, is_wide);
            size = ra_gather_offset(node->buffers[1][row.batch], row.row, is_wide);
            if (ranges && size > 0)
                at = ranges[row.batch].at + first - ranges[row.batch].first;
            if (!ranges) {
                at = items->n;
                RA_TRY(ra_picks_add_run(items, (ra_row_run){first, size, row.batch}, err));
            }
        }
        if (!is_wide && items->n > INT32_MAX)
            return ra_gather_too_large(node, "items of lists", err);
        ra_gather_set_offset(offsets, i, is_wide, at);
        ra_gather_set_offset(sizes, i, is_wide, size);
    }
    return 0;
}

int ra_gather_list_view(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                        ra_array *out, ra_error *err) {
    bool is_wide = node->layout == RA_LAYOUT_LIST_VIEW64;
    int n_batches = target->n_sources;
    int64_t bytes = picks->n * (is_wide ? 8 : 4);
    const ra_row *rows;
    uint8_t *offsets, *sizes;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_gather_alloc(target, bytes, &offsets, err));
    RA_TRY(ra_gather_alloc(target, bytes, &sizes, err));
    out->buffers[0] = (ra_span){offsets, bytes};
    out->buffers[1] = (ra_span){sizes, bytes};
    ra_scratch memory;
    RA_TRY(ra_scratch_calloc(target->compute, n_batches, sizeof(item_range), &memory, err));
    item_range *ranges = memory.data;
    bool is_shared = find_ranges(node, rows, picks->n, is_wide, ranges, n_batches);
    ra_picks items = {0};
    int rc = ra_picks_init_runs(target->compute, &items, is_shared ? n_batches : picks->n, err);
    if (rc == 0 && is_shared)
        rc = pick_ranges(ranges, n_batches, &items, err);
    if (rc == 0)
        rc = place_views(node, rows, picks->n, is_wide, is_shared ? ranges : NULL, &items, offsets,
                         sizes, err);
    if (rc == 0)
        rc = gather_child(target, node, 0, &items, out, err);
    ra_picks_fini(target->compute, &items);
    ra_scratch_free(target->compute, &memory);
    return rc;
}

static int pick_fixed_items(const ra_gather_node *node, const ra_row *rows, int64_t n,
                            ra_picks *items, ra_error *err) {
    int64_t size = node->field->list_size;
    for (int64_t i = 0; i < n; i++) {
        ra_row_run run = {0, size, RA_ROW_NULL};
        if (ra_gather_is_valid(node->validity, rows[i]))
            run = (ra_row_run){rows[i].row * size, size, rows[i].batch};
        RA_TRY(ra_picks_add_run(items, run, err));
    }
    return 0;
}

int ra_gather_fixed_list(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                         ra_array *out, ra_error *err) {
    const ra_row *rows;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    ra_picks items;
    RA_TRY(ra_picks_init_runs(target->compute, &items, picks->n, err));
    int rc = pick_fixed_items(node, rows, picks->n, &items, err);
    if (rc == 0)
        rc = gather_child(target, node, 0, &items, out, err);
    ra_picks_fini(target->compute, &items);
    return rc;
}

// The rows with null rows in place of those that are null.
static int blank_nulls(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                       ra_scratch *memory, ra_error *err) {
    const ra_row *rows;
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_scratch_alloc(target->compute, picks->n, sizeof(ra_row), memory, err));
    ra_row *blanked = memory->data;
    for (int64_t i = 0; i < picks->n; i++)
        blanked[i] =
            ra_gather_is_valid(node->validity, rows[i]) ? rows[i] : (ra_row){RA_ROW_NULL, 0};
    return 0;
}

int ra_gather_struct(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                     ra_array *out, ra_error *err) {
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    ra_scratch memory = {0};
    ra_picks blanked = {0}, *child_picks = picks;
    int rc = 0;
    if (out->null_count > 0 && node->has_nulls && node->n_children > 0) {
        rc = blank_nulls(target, node, picks, &memory, err);
        if (rc == 0)
            ra_picks_init(&blanked, memory.data, picks->n);
        child_picks = &blanked;
    }
    for (int c = 0; c < node->n_children && rc == 0; c++)
        rc = gather_child(target, node, c, child_picks, out, err);
    ra_picks_fini(target->compute, &blanked);
    ra_scratch_free(target->compute, &memory);
    return rc;
}
