// take of a few rows: only the batches that hold one are loaded, so that its cost does not grow
// with the table.
#ifndef RA_QUERY_TAKE_FEW_H
#define RA_QUERY_TAKE_FEW_H

#include "query/loaded.h"

// Whether the indices are few for this content, of type int64 and within bounds.
bool ra_take_is_few(const ra_content *content, const ra_column *indices);

// The rows at those indices as a new content. Fails as ra_run_take.
RA_MUST int ra_run_take_few(ra_run *run, ra_content *content, const ra_column *indices,
                            ra_content **out, ra_error *err);

#endif
