// How values of each type are given to DuckDB: most as they are, some as a type that it keeps.
//
// Dictionaries and run ends become their values, fixed-size lists lists, half floats floats,
// smaller decimals decimal128, date64 date32, times of day microseconds, durations int64, seconds
// and milliseconds with a zone microseconds. What loses by it (the server has asked whether it
// may): long decimals, and those whose scale is negative or over their precision, become doubles;
// times with nanoseconds that DuckDB does not keep become microseconds.
#ifndef RA_SQL_WORKER_STORAGE_H
#define RA_SQL_WORKER_STORAGE_H

#include "arrow/array.h"

// The schema that DuckDB sees. One reference. OUT_OF_MEMORY.
RA_MUST int ra_storage_schema(const ra_schema *schema, ra_schema **out, ra_error *err);
// The checked rows under that schema, in shared or new memory. INVALID_ARGUMENT naming the column
// for a time that is out of range in microseconds; LIMIT, OUT_OF_MEMORY.
RA_MUST int ra_storage_batch(ra_batch *from, ra_schema *schema, ra_batch **out, ra_error *err);

#endif
