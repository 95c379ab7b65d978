// The dictionaries of a batch, by the ids of its schema.
//
// A schema numbers its dictionary fields 0, 1, 2 … in pre-order; schemas of equal types number them
// alike. A dictionary's values may hold dictionary fields themselves: the inner ones are sent
// first.
#ifndef RA_STORE_DICTIONARIES_H
#define RA_STORE_DICTIONARIES_H

#include "arrow/array.h"

// Fills `by_id` (schema->n_dictionaries) with the batches that hold the dictionaries of `batch`,
// borrowed from it; NULL where the batch has none. INTERNAL when the batch does not own one that it
// uses.
RA_MUST int ra_dictionaries_collect(const ra_batch *batch, const ra_batch **by_id, ra_error *err);

// Fills `ids` (schema->n_dictionaries) with all ids, inner dictionaries before those that use them.
void ra_dictionaries_order(const ra_schema *schema, int *ids);

// A batch of `schema` that shares the buffers of columns `columns[0 … n)` of `from` (NULL: all, in
// order); types must be equal. `dictionaries`, if not NULL, are by id of `from`'s schema, all
// there: rows refer to them instead of `from`'s own, whose values they must begin with.
RA_MUST int ra_batch_rebind(const ra_batch *from, ra_schema *schema, const int *columns, int n,
                            ra_batch *const *dictionaries, ra_batch **out, ra_error *err);

#endif
