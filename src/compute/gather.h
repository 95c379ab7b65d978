// The core of all methods that make new rows: rows of a table's batches, by position, as a batch.
//
// A plan is made once for a table and used for every output batch; outputs share nothing with the
// table but dictionaries.
#ifndef RA_COMPUTE_GATHER_H
#define RA_COMPUTE_GATHER_H

#include "compute/morsel.h"
#include "compute/rows.h"

typedef struct ra_gather_plan ra_gather_plan;

// Prepares a table, whose batches must outlive the plan; rows are only asked of the batches with
// used[b] (NULL: of all). Dictionaries that differ between those are unified here. `compute` is
// borrowed as long. OUT_OF_MEMORY; whatever ra_batches_unify_dictionaries fails with.
RA_MUST int ra_gather_plan_new(const ra_compute *compute, const ra_table *table, const bool *used,
                               ra_gather_plan **out, ra_error *err);
void ra_gather_plan_free(ra_gather_plan *plan);  // NULL is allowed

// Rows of average size that make a batch of about RA_COMPUTE_BATCH_BYTES; at least 1.
int64_t ra_gather_batch_rows(const ra_gather_plan *plan);

// The table's batches, the used ones with common dictionaries; borrowed.
ra_batch *const *ra_gather_batches(const ra_gather_plan *plan);

// One batch of the rows, whatever its size. OUT_OF_MEMORY, LIMIT when 32-bit offsets or run ends
// overflow. Any thread, also for several batches at once.
RA_MUST int ra_gather_run(const ra_gather_plan *plan, ra_picks *picks, ra_batch **out,
                          ra_error *err);

// Emits the rows as batches that are not much larger than RA_COMPUTE_BATCH_BYTES each.
RA_MUST int ra_gather_emit(const ra_gather_plan *plan, ra_picks *picks, ra_morsel_run *run,
                           int morsel, ra_error *err);

// Rows of one array (all picks of batch 0), into `out`, which belongs to `into` and was set up for
// the type of `source` with the picks' length. Dictionaries stay those of `source`, which `into`
// must own.
RA_MUST int ra_gather_array(const ra_compute *compute, const ra_array *source, ra_picks *picks,
                            ra_batch *into, ra_array *out, ra_error *err);

#endif
