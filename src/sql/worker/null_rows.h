// Rows of nulls, to be joined with others.
#ifndef RA_SQL_WORKER_NULL_ROWS_H
#define RA_SQL_WORKER_NULL_ROWS_H

#include "arrow/array.h"

// `length` null rows of the type of `like`, which holds unions at most within lists, in memory of
// the batch. OUT_OF_MEMORY.
RA_MUST int ra_array_make_null(ra_batch *batch, const ra_array *like, ra_array *out, int64_t length,
                               ra_error *err);

#endif
