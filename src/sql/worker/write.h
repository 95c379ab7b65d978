// Writes the table that comes as a stream to the file.
#ifndef RA_SQL_WORKER_WRITE_H
#define RA_SQL_WORKER_WRITE_H

#include "sql/worker/database.h"

// Makes the stream a table of DuckDB's, before its settings are locked. INTERNAL.
RA_MUST int ra_write_prepare(ra_database *db, ra_error *err);
// Reads the stream and writes the file. What the stream and DuckDB fail with.
RA_MUST int ra_write_run(bool parquet, int64_t *n_rows, ra_error *err);

#endif
