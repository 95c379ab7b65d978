#include "compute/gather.h"
#include "compute/sort_order.h"

typedef struct {
    const ra_compute *compute;
    const ra_gather_plan *plan;
    const ra_row_locator *locator;
    const ra_sort_order *order;
    int64_t morsel_rows;
} sorted_run;

static int gather_morsel(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    const sorted_run *sorted = context;
    int64_t first = morsel * sorted->morsel_rows, n = sorted->order->n - first;
    n = n < sorted->morsel_rows ? n : sorted->morsel_rows;
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(sorted->compute, n, sizeof(ra_row), &memory, err));
    ra_row *rows = memory.data;
    for (int64_t i = 0; i < n; i++)
        rows[i] = ra_row_locate(sorted->locator, ra_sort_order_row(sorted->order, first + i));
    ra_picks picks;
    ra_picks_init(&picks, rows, n);
    int rc = ra_gather_emit(sorted->plan, &picks, run, morsel, err);
    ra_picks_fini(sorted->compute, &picks);
    ra_scratch_free(sorted->compute, &memory);
    return rc;
}

static int sort_table(const ra_compute *compute, const ra_table *table, const ra_gather_plan *plan,
                      const ra_sort_key *keys, int n_keys, ra_batch_sink *sink, ra_error *err) {
    ra_sort_leaves leaves;
    ra_sort_order order = {0};
    int rc = ra_sort_leaves_init(compute, table, keys, n_keys, &leaves, err);
    if (rc == 0)
        rc = ra_sort_order_init(&leaves, &order, err);
    if (rc == 0) {
        sorted_run sorted = {.compute = compute,
                             .plan = plan,
                             .locator = &leaves.locator,
                             .order = &order,
                             .morsel_rows = ra_gather_batch_rows(plan)};
        int64_t n_morsels = (order.n + sorted.morsel_rows - 1) / sorted.morsel_rows;
        if (n_morsels > INT32_MAX)
            rc = ra_error_set(err, RA_REASON_LIMIT, "sorting more than %d batches", INT32_MAX);
        else
            rc = ra_morsels_run(compute, (int)n_morsels, gather_morsel, &sorted, sink, err);
    }
    ra_sort_order_fini(compute, &order);
    ra_sort_leaves_fini(&leaves);
    return rc;
}

int ra_sort(const ra_compute *compute, const ra_table *table, const ra_sort_key *keys, int n_keys,
            ra_batch_sink *sink, ra_error *err) {
    ra_gather_plan *plan;
    RA_TRY(ra_gather_plan_new(compute, table, NULL, &plan, err));
    ra_table common = *table;
    common.batches = ra_gather_batches(plan);
    int rc = sort_table(compute, &common, plan, keys, n_keys, sink, err);
    ra_gather_plan_free(plan);
    return rc;
}
