// What kernels read and write: a table's batches in, batches out through a sink.
#ifndef RA_COMPUTE_TABLE_H
#define RA_COMPUTE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arrow/array.h"
#include "base/budget.h"
#include "base/workers.h"

// A table: borrowed batches of one schema. Dictionaries may differ from batch to batch.
typedef struct {
    ra_schema *schema;
    ra_batch *const *batches;
    int n_batches;
    int64_t n_rows;
} ra_table;

// A chunked column on its own: an argument such as take's indices or filter's mask.
typedef struct {
    const ra_array *const *chunks;  // equal types
    int n_chunks;
    int64_t length;
} ra_column;

// A row of a table. `batch` RA_ROW_NULL: a row of nulls.
#define RA_ROW_NULL UINT32_MAX
typedef struct {
    uint32_t batch;
    uint32_t row;
} ra_row;

// Where results go, batch by batch in order; `add` borrows the batch and is called by one thread at
// a time, not always the caller's.
typedef struct {
    int (*add)(void *context, ra_batch *batch, ra_error *err);
    void *context;
} ra_batch_sink;

// What a run may use. `cancelled` is read once a morsel: CANCELLED.
typedef struct {
    ra_workers *workers;  // for ra_parallel_for; NULL runs on the caller alone
    ra_budget *budget;    // what the operation's own state is charged to; NULL does not count
    const atomic_bool *cancelled;
} ra_compute;

RA_MUST int ra_compute_check_cancelled(const ra_compute *compute, ra_error *err);

// Output batches aim at this many body bytes (the store re-slices what is over its limit).
enum { RA_COMPUTE_BATCH_BYTES = 2 * 1024 * 1024 };

#endif
