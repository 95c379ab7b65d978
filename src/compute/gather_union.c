// Gathers unions and run-end encoded arrays, which have no validity of their own.
#include "compute/gather_internal.h"

// A null row is a null of the first child.
static int check_null_rows(const ra_gather_node *node, const ra_picks *picks, ra_error *err) {
    if (picks->has_null_rows && node->n_children == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "column '%.*s': a union without children has no null",
                RA_STR_ARG(node->field->name));
    return 0;
}

static void fill_type_ids(const ra_gather_node *node, const ra_row *rows, int64_t n, uint8_t *ids) {
    for (int64_t i = 0; i < n; i++)
        ids[i] = rows[i].batch == RA_ROW_NULL ? (uint8_t)node->field->type_ids[0]
                                              : node->buffers[0][rows[i].batch][rows[i].row];
}

static void number_children(const ra_field *field, uint8_t child_of[128]) {
    memset(child_of, 0, 128);
    for (int c = 0; c < field->n_type_ids; c++)
        child_of[field->type_ids[c] & 127] = (uint8_t)c;
}

// Gathers the dense children: those of each child's rows that were picked, in order.
static int gather_dense_children(ra_gather_target *target, const ra_gather_node *node,
                                 const ra_row *rows, int64_t n, const uint8_t *ids,
                                 uint8_t *offsets, ra_array *out, ra_error *err) {
    uint8_t child_of[128];
    int64_t starts[129] = {0}, at[128];
    number_children(node->field, child_of);
    for (int64_t i = 0; i < n; i++)
        starts[child_of[ids[i] & 127] + 1]++;
    for (int c = 0; c < 128; c++) {
        at[c] = starts[c];
        starts[c + 1] += starts[c];
    }
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(target->compute, n, sizeof(ra_row), &memory, err));
    ra_row *child_rows = memory.data;
    for (int64_t i = 0; i < n; i++) {
        int c = child_of[ids[i] & 127];
        ra_store_i32(offsets + 4 * i, (int32_t)(at[c] - starts[c]));
        ra_row row = {RA_ROW_NULL, 0};
        if (rows[i].batch != RA_ROW_NULL) {
            const uint8_t *from = node->buffers[1][rows[i].batch];
            row = (ra_row){rows[i].batch, ra_load_u32(from + 4 * (size_t)rows[i].row)};
        }
        child_rows[at[c]++] = row;
    }
    int rc = 0;
    for (int c = 0; c < node->n_children && rc == 0; c++) {
        ra_picks picks;
        ra_picks_init(&picks, child_rows + starts[c], starts[c + 1] - starts[c]);
        out->children[c].length = picks.n;
        rc = ra_gather_node_rows(target, &node->children[c], &picks, &out->children[c], err);
        ra_picks_fini(target->compute, &picks);
    }
    ra_scratch_free(target->compute, &memory);
    return rc;
}

int ra_gather_union(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                    ra_array *out, ra_error *err) {
    const ra_row *rows;
    uint8_t *ids, *offsets;
    RA_TRY(check_null_rows(node, picks, err));
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_gather_alloc(target, picks->n, &ids, err));
    fill_type_ids(node, rows, picks->n, ids);
    out->buffers[0] = (ra_span){ids, picks->n};
    if (node->layout == RA_LAYOUT_DENSE_UNION) {
        if (picks->n > INT32_MAX)
            return ra_gather_too_large(node, "rows", err);
        RA_TRY(ra_gather_alloc(target, 4 * picks->n, &offsets, err));
        out->buffers[1] = (ra_span){offsets, 4 * picks->n};
        return gather_dense_children(target, node, rows, picks->n, ids, offsets, out, err);
    }
    for (int c = 0; c < node->n_children; c++) {
        out->children[c].length = picks->n;
        RA_TRY(ra_gather_node_rows(target, &node->children[c], picks, &out->children[c], err));
    }
    return 0;
}

// A row of a run-end array seen last: rows that follow are mostly in its run or the next one.
typedef struct {
    uint32_t batch;
    int64_t run;
    int64_t first;  // rows [first, end) are in the run
    int64_t end;
} run_cursor;

static void seek_run(run_cursor *cursor, const ra_gather_node *node, ra_row row) {
    if (cursor->batch == row.batch && row.row >= cursor->first && row.row < cursor->end)
        return;
    const ra_array *source = node->sources[row.batch];
    int64_t run = cursor->run + 1;
    bool is_next = cursor->batch == row.batch && row.row >= cursor->end &&
                   run < source->children[0].length && ra_array_run_end(source, run) > row.row;
    if (!is_next)
        run = ra_array_find_run(source, row.row);
    *cursor = (run_cursor){.batch = row.batch,
                           .run = run,
                           .first = run > 0 ? ra_array_run_end(source, run - 1) : 0,
                           .end = ra_array_run_end(source, run)};
}

// Rows of the same run that follow each other become one run: writes each run's value row and end.
static int64_t join_runs(const ra_gather_node *node, const ra_row *rows, int64_t n, ra_row *values,
                         int64_t *ends) {
    int64_t n_runs = 0;
    run_cursor cursor = {.batch = RA_ROW_NULL};
    for (int64_t i = 0; i < n; i++) {
        ra_row value = {RA_ROW_NULL, 0};
        if (rows[i].batch != RA_ROW_NULL) {
            seek_run(&cursor, node, rows[i]);
            value = (ra_row){rows[i].batch, (uint32_t)cursor.run};
        }
        if (n_runs == 0 || values[n_runs - 1].batch != value.batch ||
            values[n_runs - 1].row != value.row)
            values[n_runs++] = value;
        ends[n_runs - 1] = i + 1;
    }
    return n_runs;
}

static int set_run_ends(ra_gather_target *target, const ra_gather_node *node, const int64_t *ends,
                        int64_t n_runs, ra_array *out, ra_error *err) {
    int32_t width = node->children[0].byte_width;
    int64_t highest = width == 2 ? INT16_MAX : width == 4 ? INT32_MAX : INT64_MAX;
    if (n_runs > 0 && ends[n_runs - 1] > highest)
        return ra_gather_too_large(node, "rows for its run ends", err);
    uint8_t *to;
    RA_TRY(ra_gather_alloc(target, n_runs * width, &to, err));
    for (int64_t r = 0; r < n_runs; r++)
        memcpy(to + r * width, &ends[r], (size_t)width);
    out->length = n_runs;
    out->buffers[0] = (ra_span){to, n_runs * width};
    return 0;
}

int ra_gather_run_end(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                      ra_array *out, ra_error *err) {
    const ra_row *rows;
    ra_scratch values, ends = {0};
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_scratch_alloc(target->compute, picks->n, sizeof(ra_row), &values, err));
    int rc = ra_scratch_alloc(target->compute, picks->n, sizeof(int64_t), &ends, err);
    if (rc == 0) {
        int64_t n_runs = join_runs(node, rows, picks->n, values.data, ends.data);
        ra_picks value_picks;
        ra_picks_init(&value_picks, values.data, n_runs);
        rc = set_run_ends(target, node, ends.data, n_runs, &out->children[0], err);
        out->children[1].length = n_runs;
        if (rc == 0)
            rc = ra_gather_node_rows(target, &node->children[1], &value_picks, &out->children[1],
                                     err);
        ra_picks_fini(target->compute, &value_picks);
    }
    ra_scratch_free(target->compute, &ends);
    ra_scratch_free(target->compute, &values);
    return rc;
}
