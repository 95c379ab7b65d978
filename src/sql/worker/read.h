// Reads the file and sends its table as a stream.
#ifndef RA_SQL_WORKER_READ_H
#define RA_SQL_WORKER_READ_H

#include "sql/worker/database.h"

// What DuckDB fails with; NOT_IMPLEMENTED for a column whose type or values cannot be given
// exactly; IO_ERROR when nobody takes the stream.
RA_MUST int ra_read_run(ra_database *db, bool parquet, int64_t *n_rows, ra_error *err);

#endif
