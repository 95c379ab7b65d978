// DuckDB with nothing but one file to touch.
#ifndef RA_SQL_WORKER_DATABASE_H
#define RA_SQL_WORKER_DATABASE_H

#include "sql/worker/duck.h"

typedef struct {
    ra_duck duck;
    duckdb_database database;
    duckdb_connection connection;
    int64_t memory_bytes;  // that it may use
} ra_database;

// Loads and starts DuckDB with so much memory; it may open RA_SQL_FILE_PATH only. UNAVAILABLE,
// OUT_OF_MEMORY. What it holds goes with the process.
RA_MUST int ra_database_open(ra_database *out, int64_t memory_bytes, ra_error *err);
// From now on no setting can be changed.
RA_MUST int ra_database_lock(ra_database *db, ra_error *err);

// Runs a statement; its result is dropped. DISK_FULL, OUT_OF_MEMORY, IO_ERROR, INVALID_ARGUMENT in
// DuckDB's words.
RA_MUST int ra_database_run(ra_database *db, const char *statement, ra_error *err);
// The error of a failed statement, in `words` (or NULL). Returns its code.
int ra_database_fail(const char *words, ra_error *err);
// Takes what a function gave, which may be NULL: NOT_IMPLEMENTED in its words.
RA_MUST int ra_database_check(ra_database *db, duckdb_error_data data, ra_error *err);

#endif
