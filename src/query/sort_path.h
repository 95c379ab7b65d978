// Sorting by columns and by children of struct columns.
#ifndef RA_QUERY_SORT_PATH_H
#define RA_QUERY_SORT_PATH_H

#include "query/plan.h"

// As ra_sort; a child is null where one of its parents is. Errors as ra_sort.
RA_MUST int ra_sort_by_paths(const ra_compute *compute, const ra_table *table,
                             const ra_sort_path *keys, int n_keys, ra_batch_sink *sink,
                             ra_error *err);

#endif
