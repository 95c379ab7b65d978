// The methods of part 1 that make new rows or arrays. Names, results and errors as pyarrow.Table
// has them (table_methods.md); every Arrow type, nested ones and unions, views, run-end included.
//
// Each gives at least the schema it documents and any number of batches (none for no rows). All
// fail with OUT_OF_MEMORY over the budget, LIMIT when one row overflows 32-bit offsets, CANCELLED.
#ifndef RA_COMPUTE_METHODS_H
#define RA_COMPUTE_METHODS_H

#include "compute/table.h"

// The rows of `rows`, in that order, as one batch: what all methods below are built on. For
// dictionary fields the batches' dictionaries are unified by value when they differ.
RA_MUST int ra_gather(const ra_compute *compute, const ra_table *table, const ra_row *rows,
                      int64_t n_rows, ra_batch **out, ra_error *err);

// Rows by position; `indices` of any integer type (null gives a null row) or of type null (all
// null rows). INDEX_OUT_OF_BOUNDS "Index 10 out of bounds", also for negative ones; other index
// types NOT_IMPLEMENTED. A table without columns gives as many rows as there are indices.
RA_MUST int ra_take(const ra_compute *compute, const ra_table *table, const ra_column *indices,
                    ra_batch_sink *sink, ra_error *err);

// Rows where the mask (bool, or run-end encoded bool; length = rows) is true; null mask rows are
// dropped, or with `emit_null` give null rows. INVALID_ARGUMENT "Filter inputs must all be the same
// length"; NOT_IMPLEMENTED "Filter argument must be boolean type".
RA_MUST int ra_filter(const ra_compute *compute, const ra_table *table, const ra_column *mask,
                      bool emit_null, ra_batch_sink *sink, ra_error *err);

// Rows without a null in any column, by validity as table_methods.md §3 says.
RA_MUST int ra_drop_null(const ra_compute *compute, const ra_table *table, ra_batch_sink *sink,
                         ra_error *err);

typedef struct {
    int column;
    bool descending;
    bool nulls_first;
} ra_sort_key;

// Stable sort by n_keys >= 1 keys; order of nulls, NaN, -0.0, structs as table_methods.md §4.
// Unions and maps as keys NOT_IMPLEMENTED, naming column and type.
RA_MUST int ra_sort(const ra_compute *compute, const ra_table *table, const ra_sort_key *keys,
                    int n_keys, ra_batch_sink *sink, ra_error *err);

// Struct columns become their children, named "parent.child", null where the parent is null; one
// level. The schema on its own, and the rows.
RA_MUST int ra_flatten_schema(const ra_schema *schema, ra_schema **out, ra_error *err);
RA_MUST int ra_flatten(const ra_compute *compute, const ra_table *table, ra_schema *out_schema,
                       ra_batch_sink *sink, ra_error *err);

// The same rows with one dictionary a column (batches without dictionary columns pass unchanged).
RA_MUST int ra_unify_dictionaries(const ra_compute *compute, const ra_table *table,
                                  ra_batch_sink *sink, ra_error *err);

#endif
