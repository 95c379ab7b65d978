#include "compute/gather.h"

#include "compute/gather_internal.h"
#include "compute/methods.h"

enum { MAX_BATCH_BYTES = 2 * RA_COMPUTE_BATCH_BYTES };

static const ra_gather_fn gather_by_layout[RA_N_LAYOUTS] = {
    [RA_LAYOUT_NULL] = ra_gather_null,
    [RA_LAYOUT_BIT] = ra_gather_bit,
    [RA_LAYOUT_FIXED] = ra_gather_fixed,
    [RA_LAYOUT_VAR32] = ra_gather_var,
    [RA_LAYOUT_VAR64] = ra_gather_var,
    [RA_LAYOUT_VIEW] = ra_gather_view,
    [RA_LAYOUT_LIST32] = ra_gather_list,
    [RA_LAYOUT_LIST64] = ra_gather_list,
    [RA_LAYOUT_LIST_VIEW32] = ra_gather_list_view,
    [RA_LAYOUT_LIST_VIEW64] = ra_gather_list_view,
    [RA_LAYOUT_FIXED_LIST] = ra_gather_fixed_list,
    [RA_LAYOUT_STRUCT] = ra_gather_struct,
    [RA_LAYOUT_SPARSE_UNION] = ra_gather_union,
    [RA_LAYOUT_DENSE_UNION] = ra_gather_union,
    [RA_LAYOUT_RUN_END] = ra_gather_run_end,
};

int ra_gather_node_rows(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                        ra_array *out, ra_error *err) {
    if (picks->n == 0 && node->n_children == 0) {
        out->dictionary = node->dictionary;
        return 0;
    }
    // No product with the bytes of a row overflows below; lists of nulls can have more items.
    if (picks->n > INT64_MAX / 64 && node->layout != RA_LAYOUT_NULL)
        return ra_gather_too_large(node, "rows", err);
    return gather_by_layout[node->layout](target, node, picks, out, err);
}

int ra_gather_too_large(const ra_gather_node *node, const char *what, ra_error *err) {
    RA_FAIL(err, LIMIT, "column '%.*s': too many %s for one batch", RA_STR_ARG(node->field->name),
            what);
}

int ra_gather_alloc(ra_gather_target *target, int64_t bytes, uint8_t **out, ra_error *err) {
    if (bytes > target->max_bytes - target->bytes)
        RA_FAIL(err, LIMIT, "a batch is over %lld bytes", (long long)target->max_bytes);
    ra_blob *blob;
    RA_TRY(ra_compute_charge(target->compute, bytes, err));
    target->bytes += bytes;
    RA_TRY(ra_buffer_pool_get(target->pool, bytes, &blob, err));
    int rc = ra_batch_own(target->batch, blob, err);
    *out = blob->data;
    ra_blob_unref(blob);
    return rc;
}

static int fill_batch(const ra_gather_plan *plan, ra_gather_target *target, ra_picks *picks,
                      ra_error *err) {
    for (int d = 0; d < plan->n_dictionaries; d++)
        RA_TRY(ra_batch_own_dictionary(target->batch, plan->dictionaries[d], err));
    for (int c = 0; c < plan->n_columns; c++)
        RA_TRY(
            ra_gather_node_rows(target, &plan->columns[c], picks, &target->batch->columns[c], err));
    return 0;
}

// A batch of at most `max_bytes`. `*charged_bytes` are to be released by the caller in any case.
static int gather_batch(const ra_gather_plan *plan, ra_picks *picks, int64_t max_bytes,
                        int64_t *charged_bytes, ra_batch **out, ra_error *err) {
    ra_gather_target target = {.compute = plan->compute,
                               .pool = plan->pool,
                               .n_sources = plan->n_batches,
                               .max_bytes = max_bytes};
    *charged_bytes = 0;
    *out = NULL;
    RA_TRY(ra_batch_new(plan->schema, picks->n, &target.batch, err));
    int rc = fill_batch(plan, &target, picks, err);
    *charged_bytes = target.bytes;
    if (rc == 0)
        *out = target.batch;
    else
        ra_batch_unref(target.batch);
    return rc;
}

int ra_gather_run(const ra_gather_plan *plan, ra_picks *picks, ra_batch **out, ra_error *err) {
    int64_t charged_bytes;
    int rc = gather_batch(plan, picks, INT64_MAX, &charged_bytes, out, err);
    ra_compute_release(plan->compute, charged_bytes);
    return rc;
}

static int emit_rows(const ra_gather_plan *plan, const ra_row *rows, int64_t n, ra_morsel_run *run,
                     int morsel, ra_error *err);

int ra_gather_emit(const ra_gather_plan *plan, ra_picks *picks, ra_morsel_run *run, int morsel,
                   ra_error *err) {
    ra_batch *batch;
    int64_t charged_bytes;
    if (picks->n == 0)
        return 0;
    ra_error_init(err);
    int rc = gather_batch(plan, picks, picks->n > 1 ? MAX_BATCH_BYTES : INT64_MAX, &charged_bytes,
                          &batch, err);
    if (rc == 0) {
        rc = ra_morsel_emit(run, morsel, batch, err);
        ra_compute_release(plan->compute, charged_bytes);
        return rc;
    }
    ra_compute_release(plan->compute, charged_bytes);
    if (err->reason != RA_REASON_LIMIT || picks->n == 1)
        return rc;
    const ra_row *rows;
    RA_TRY(ra_picks_rows(plan->compute, picks, &rows, err));
    int64_t half = picks->n / 2;
    RA_TRY(emit_rows(plan, rows, half, run, morsel, err));
    return emit_rows(plan, rows + half, picks->n - half, run, morsel, err);
}

// Halves in turn: at most 32 deep.
static int emit_rows(const ra_gather_plan *plan, const ra_row *rows, int64_t n, ra_morsel_run *run,
                     int morsel, ra_error *err) {
    ra_picks picks;
    ra_picks_init(&picks, rows, n);
    int rc = ra_gather_emit(plan, &picks, run, morsel, err);
    ra_picks_fini(plan->compute, &picks);
    return rc;
}

int ra_gather(const ra_compute *compute, const ra_table *table, const ra_row *rows, int64_t n_rows,
              ra_batch **out, ra_error *err) {
    ra_gather_plan *plan;
    ra_scratch memory;
    *out = NULL;
    RA_TRY(ra_scratch_calloc(compute, table->n_batches, sizeof(bool), &memory, err));
    bool *used = memory.data;
    for (int64_t i = 0; i < n_rows; i++)
        if (rows[i].batch != RA_ROW_NULL)
            used[rows[i].batch] = true;
    int rc = ra_gather_plan_new(compute, table, used, &plan, err);
    if (rc == 0) {
        ra_picks picks;
        ra_picks_init(&picks, rows, n_rows);
        rc = ra_gather_run(plan, &picks, out, err);
        ra_picks_fini(compute, &picks);
        ra_gather_plan_free(plan);
    }
    ra_scratch_free(compute, &memory);
    return rc;
}
