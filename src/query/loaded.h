// A content's batches as kernels take them.
#ifndef RA_QUERY_LOADED_H
#define RA_QUERY_LOADED_H

#include "query/run.h"

typedef struct {
    ra_batch **batches;  // references
    int n_batches;
    int64_t n_rows;
    int64_t charged_bytes;  // for the arrays, which are in the heap; their buffers are mapped
    ra_budget *budget;
} ra_loaded;

// Loads all batches of a content. DATA_LOSS naming the run's Flight, OUT_OF_MEMORY, CANCELLED.
// Failed or not, fini it.
RA_MUST int ra_loaded_init(ra_loaded *loaded, ra_run *run, ra_content *content, ra_error *err);
void ra_loaded_fini(ra_loaded *loaded);
// One batch of a content; the same errors.
RA_MUST int ra_loaded_batch(ra_run *run, ra_content *content, int64_t i, ra_batch **out,
                            ra_error *err);
ra_table ra_loaded_table(const ra_loaded *loaded, ra_schema *schema);

// An array argument, loaded: `chunks` of its column, in order.
typedef struct {
    ra_loaded loaded;
    const ra_array **chunks;
    ra_column column;
} ra_loaded_column;
RA_MUST int ra_loaded_column_init(ra_loaded_column *loaded, ra_run *run,
                                  const ra_array_argument *argument, ra_error *err);
void ra_loaded_column_fini(ra_loaded_column *loaded);

#endif
