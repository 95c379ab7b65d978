// The full check of a batch from outside, before anyone else sees it (reliability.md).
#ifndef RA_ARROW_CHECK_H
#define RA_ARROW_CHECK_H

#include "arrow/array.h"

// Checks one array, recursively, whose spans are known to lie in memory: buffer sizes against
// length, offsets, views, type ids, run ends, dictionary indices, UTF-8, decimal precision, child
// lengths; recomputes null_count and clears `validity` when there are no nulls. Refuses what
// pyarrow's validate(full=True) refuses; what lies under a null is not looked at. Buffers may have
// any alignment. Of a dictionary field's rows only the indices are checked, which needs
// `dictionary` set; the dictionary's own array (`of_dictionary`) is checked when it arrives.
// Children that are longer than their parent needs (legal, as pyarrow has it) are cut to the exact
// length, a run-end array to the runs that its rows reach; its last run end may still be beyond
// them. Offsets of 0 rows point to a zero afterwards. MALFORMED_ARROW with the column's name as
// subject; LIMIT when list views or nested dictionaries show the stored values so often, over 1024
// times and 2^28 in all, that walking the rows by value would not end; OUT_OF_MEMORY.
RA_MUST int ra_check_array(ra_array *array, ra_error *err);

// Checks all columns of a batch and that each has n_rows rows.
RA_MUST int ra_check_batch(ra_batch *batch, ra_error *err);

#endif
