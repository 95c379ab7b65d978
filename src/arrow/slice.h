// Cutting and joining batches, for all types.
#ifndef RA_ARROW_SLICE_H
#define RA_ARROW_SLICE_H

#include "arrow/array.h"

// Rows [offset, offset + n_rows) as a batch of its own. Buffers are shared where they can be and
// otherwise copied (offsets rebased, bits shifted); children and view data are cut to what the rows
// need, so that the encoded slice is about its share of the whole. Input of any alignment; checked,
// and the rows within the batch. The slice keeps the whole batch's memory alive. OUT_OF_MEMORY.
RA_MUST int ra_batch_slice(const ra_batch *batch, int64_t offset, int64_t n_rows, ra_batch **out,
                           ra_error *err);

// One batch with the rows of all, in order (n >= 1, equal schemas). Dictionaries that differ are
// unified by value. One batch is returned as it is. Fails with LIMIT, naming the column, when
// 32-bit offsets, run ends or dictionary indices overflow; OUT_OF_MEMORY.
RA_MUST int ra_batch_concat(ra_batch *const *batches, int n, ra_batch **out, ra_error *err);

// Unifies dictionaries: for each dictionary field of the schema (nested ones included) all batches
// get the same dictionary, values in order of first appearance; batches whose dictionary is already
// the common one are shared. `out` gets n references, or NULLs on failure: LIMIT, naming the
// column, when there are more values than the index type can count; OUT_OF_MEMORY.
RA_MUST int ra_batches_unify_dictionaries(ra_batch *const *batches, int n, ra_batch **out,
                                          ra_error *err);

#endif
