// Maps that DuckDB does not take.
#ifndef RA_SQL_WORKER_MAP_KEYS_H
#define RA_SQL_WORKER_MAP_KEYS_H

#include "arrow/array.h"

// Refuses a batch with a map, also within other types, in which a key comes twice: INVALID_ARGUMENT
// naming the column. OUT_OF_MEMORY.
RA_MUST int ra_map_keys_check(const ra_batch *batch, ra_error *err);

#endif
