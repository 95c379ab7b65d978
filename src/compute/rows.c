#include "compute/rows.h"

#include "base/checked.h"

void ra_picks_init(ra_picks *picks, const ra_row *rows, int64_t n) {
    uint32_t highest = 0;
    for (int64_t i = 0; i < n; i++)
        highest = rows[i].batch > highest ? rows[i].batch : highest;
    *picks = (ra_picks){.n = n, .rows = rows, .has_null_rows = highest == RA_ROW_NULL};
}

void ra_picks_fini(const ra_compute *compute, ra_picks *picks) {
    ra_scratch_free(compute, &picks->owned_rows);
    ra_scratch_free(compute, &picks->owned_runs);
}

int ra_picks_init_runs(const ra_compute *compute, ra_picks *picks, int64_t capacity,
                       ra_error *err) {
    *picks = (ra_picks){0};
    RA_TRY(ra_scratch_alloc(compute, capacity, sizeof(ra_row_run), &picks->owned_runs, err));
    picks->runs = picks->owned_runs.data;
    return 0;
}

int ra_picks_add_run(ra_picks *picks, ra_row_run run, ra_error *err) {
    if (run.n == 0)
        return 0;
    if (!ra_add_i64(picks->n, run.n, &picks->n))
        RA_FAIL(err, LIMIT, "a list of one batch would have more than 2^63 items");
    ra_row_run *runs = picks->owned_runs.data;
    ra_row_run *last = picks->n_runs > 0 ? &runs[picks->n_runs - 1] : NULL;
    bool is_null = run.batch == RA_ROW_NULL;
    picks->has_null_rows |= is_null;
    if (last && last->batch == run.batch && (is_null || last->row + last->n == run.row))
        last->n += run.n;
    else
        runs[picks->n_runs++] = run;
    return 0;
}

int ra_picks_rows(const ra_compute *compute, ra_picks *picks, const ra_row **rows, ra_error *err) {
    if (!picks->rows) {
        for (int64_t r = 0; r < picks->n_runs; r++) {
            const ra_row_run *run = &picks->runs[r];
            if (run->batch != RA_ROW_NULL && run->row + run->n > UINT32_MAX)
                RA_FAIL(err, LIMIT, "a list with more than %u items", UINT32_MAX);
        }
        RA_TRY(ra_scratch_alloc(compute, picks->n, sizeof(ra_row), &picks->owned_rows, err));
        ra_row *to = picks->owned_rows.data;
        for (int64_t r = 0; r < picks->n_runs; r++) {
            ra_row_run run = picks->runs[r];
            for (int64_t i = 0; i < run.n; i++)
                *to++ = (ra_row){run.batch, (uint32_t)(run.row + i)};
        }
        picks->rows = picks->owned_rows.data;
    }
    *rows = picks->rows;
    return 0;
}

static int alloc_locator(const ra_compute *compute, int64_t n_rows, int n_batches,
                         ra_row_locator *out, ra_error *err) {
    *out = (ra_row_locator){.n_rows = n_rows};
    while ((n_rows >> out->shift) > 1024 + 4 * (int64_t)n_batches)
        out->shift++;
    RA_TRY(ra_scratch_alloc(compute, (int64_t)n_batches + 1, sizeof(int64_t), &out->memory, err));
    int rc = ra_scratch_calloc(compute, (n_rows >> out->shift) + 1, sizeof(uint32_t),
                               &out->guess_memory, err);
    if (rc != 0)
        ra_scratch_free(compute, &out->memory);
    out->starts = out->memory.data;
    out->guess = out->guess_memory.data;
    return rc;
}

int ra_row_locator_init(const ra_compute *compute, const ra_table *table, ra_row_locator *out,
                        ra_error *err) {
    int n = table->n_batches;
    RA_TRY(alloc_locator(compute, table->n_rows, n, out, err));
    int64_t *starts = out->memory.data;
    uint32_t *guess = out->guess_memory.data;
    starts[0] = 0;
    for (int b = 0; b < n; b++)
        starts[b + 1] = starts[b] + table->batches[b]->n_rows;
    ra_assert(starts[n] == table->n_rows);
    uint32_t batch = 0;
    for (int64_t g = 0; g <= table->n_rows >> out->shift; g++) {
        while (batch + 1 < (uint32_t)n && (g << out->shift) >= starts[batch + 1])
            batch++;
        guess[g] = batch;
    }
    return 0;
}

int ra_row_locator_init_single(const ra_compute *compute, int64_t n_rows, ra_row_locator *out,
                               ra_error *err) {
    RA_TRY(alloc_locator(compute, n_rows, 1, out, err));
    int64_t *starts = out->memory.data;
    starts[0] = 0;
    starts[1] = n_rows;
    return 0;
}

void ra_row_locator_fini(const ra_compute *compute, ra_row_locator *locator) {
    ra_scratch_free(compute, &locator->memory);
    ra_scratch_free(compute, &locator->guess_memory);
}
