// Which rows a kernel reads: single rows or runs of rows of a table's batches, and where in its
// batches a row of the whole table lies.
#ifndef RA_COMPUTE_ROWS_H
#define RA_COMPUTE_ROWS_H

#include "compute/scratch.h"
#include "compute/table.h"

// `n` consecutive rows of one batch (or of a list's items); `batch` RA_ROW_NULL: n rows of nulls.
typedef struct {
    int64_t row;
    int64_t n;
    uint32_t batch;
} ra_row_run;

// The rows that a gather reads, in order, in one of two forms: kernels that copy ranges take the
// runs, the others call ra_picks_rows.
typedef struct {
    int64_t n;
    bool has_null_rows;      // some row is RA_ROW_NULL
    const ra_row *rows;      // NULL: made from `runs` when first asked for
    const ra_row_run *runs;  // NULL: there are only `rows`
    int64_t n_runs;
    ra_scratch owned_rows;
    ra_scratch owned_runs;
} ra_picks;

// Single rows, borrowed; finds out whether there are null rows.
void ra_picks_init(ra_picks *picks, const ra_row *rows, int64_t n);
void ra_picks_fini(const ra_compute *compute, ra_picks *picks);

// Room for `capacity` runs, to be added with ra_picks_add_run.
RA_MUST int ra_picks_init_runs(const ra_compute *compute, ra_picks *picks, int64_t capacity,
                               ra_error *err);
// Adds a run, or lengthens the last one when `run` continues it; n == 0 adds nothing. LIMIT when
// the rows no longer fit into 63 bits.
RA_MUST int ra_picks_add_run(ra_picks *picks, ra_row_run run, ra_error *err);

// The rows one by one (`n` of them), kept until fini. OUT_OF_MEMORY; LIMIT for rows over 2³² - 1,
// which only lists of more items than that have.
RA_MUST int ra_picks_rows(const ra_compute *compute, ra_picks *picks, const ra_row **rows,
                          ra_error *err);

// Finds the batch of a row of the whole table.
typedef struct {
    int64_t n_rows;
    int shift;
    const int64_t *starts;  // n_batches + 1: first row of each batch
    const uint32_t *guess;  // of row >> shift: the batch of the first such row
    ra_scratch memory;
    ra_scratch guess_memory;
} ra_row_locator;

RA_MUST int ra_row_locator_init(const ra_compute *compute, const ra_table *table,
                                ra_row_locator *out, ra_error *err);
// The same for one array of `n_rows`, all of them in batch 0.
RA_MUST int ra_row_locator_init_single(const ra_compute *compute, int64_t n_rows,
                                       ra_row_locator *out, ra_error *err);
void ra_row_locator_fini(const ra_compute *compute, ra_row_locator *locator);

// The row's batch and place in it; 0 <= row < n_rows.
static inline ra_row ra_row_locate(const ra_row_locator *locator, int64_t row) {
    uint32_t batch = locator->guess[row >> locator->shift];
    while (row >= locator->starts[batch + 1])
        batch++;
    return (ra_row){batch, (uint32_t)(row - locator->starts[batch])};
}

#endif
