// Giving a table read from a file the types that it had: what storage.h does, backwards.
#ifndef RA_SQL_WORKER_RESTORE_H
#define RA_SQL_WORKER_RESTORE_H

#include "arrow/array.h"

// The schema of rows of `from` that had the schema `wanted` once, of as many columns: its types
// where they can be made of what was read, else those of `from`; its names and metadata. One
// reference. OUT_OF_MEMORY.
RA_MUST int ra_restore_schema(const ra_schema *from, const ra_schema *wanted, ra_schema **out,
                              ra_error *err);
// The rows under that schema, in shared or new memory. INVALID_ARGUMENT naming the column for a
// value that its type does not hold; LIMIT when fewer rows might do; OUT_OF_MEMORY.
RA_MUST int ra_restore_batch(ra_batch *from, ra_schema *schema, ra_batch **out, ra_error *err);

#endif
