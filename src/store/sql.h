// The catalog's SQLite connection and its statements. One thread at a time.
#ifndef RA_STORE_SQL_H
#define RA_STORE_SQL_H

#include <sqlite3.h>

#include "store/internal.h"

typedef enum {
#define RA_SQL(name, text) RA_SQL_##name,
#include "store/sql.def"
#undef RA_SQL
    RA_N_SQL
} ra_sql_id;

typedef struct ra_sql ra_sql;

// A value to bind.
typedef struct {
    enum { RA_SQL_NULL_VALUE, RA_SQL_INT_VALUE, RA_SQL_BYTES_VALUE } kind;
    int64_t number;
    ra_str bytes;
} ra_sql_value;

static inline ra_sql_value ra_sql_int(int64_t number) {
    return (ra_sql_value){RA_SQL_INT_VALUE, number, {0}};
}
static inline ra_sql_value ra_sql_bytes(const void *data, size_t bytes) {
    return (ra_sql_value){RA_SQL_BYTES_VALUE, 0, {data, bytes}};
}
static inline ra_sql_value ra_sql_str(ra_str text) {
    return (ra_sql_value){RA_SQL_BYTES_VALUE, 0, text};
}
static inline ra_sql_value ra_sql_null(void) {
    return (ra_sql_value){0};
}

// How a transaction reaches the disk.
typedef enum {
    RA_SQL_RELAXED,  // with the next durable one, or when the log is merged
    RA_SQL_DURABLE   // before commit returns
} ra_sql_sync;

// Opens or makes the database `path` (absolute); statements can be used once ra_sql_prepare was
// called. DATA_LOSS when it is no database or damaged, DISK_FULL, IO_ERROR, OUT_OF_MEMORY.
RA_MUST int ra_sql_open(ra_store *store, const char *path, ra_sql **out, ra_error *err);
RA_MUST int ra_sql_prepare(ra_sql *sql, ra_error *err);
void ra_sql_close(ra_sql *sql);  // NULL is allowed

// The connection, for sql_copy.h.
sqlite3 *ra_sql_connection(ra_sql *sql);

// Runs text without results.
RA_MUST int ra_sql_script(ra_sql *sql, const char *text, ra_error *err);
// The first column of the only row of a query, -1 when it has none.
RA_MUST int ra_sql_query_int(ra_sql *sql, const char *text, int64_t *out, ra_error *err);

// Runs a prepared statement without results. DISK_FULL, OUT_OF_MEMORY, UNAVAILABLE (failed fsync),
// DATA_LOSS, IO_ERROR.
RA_MUST int ra_sql_run(ra_sql *sql, ra_sql_id id, const ra_sql_value *values, int n, ra_error *err);
#define RA_SQL_RUN(sql, err, id, ...)                                   \
    ra_sql_run((sql), RA_SQL_##id, (const ra_sql_value[]){__VA_ARGS__}, \
               (int)(sizeof((const ra_sql_value[]){__VA_ARGS__}) / sizeof(ra_sql_value)), (err))

// Walks the rows of a prepared query without parameters: after ra_sql_first, *more tells whether
// there is a row, whose columns the functions below give; the walk ends by itself or by ra_sql_end.
RA_MUST int ra_sql_first(ra_sql *sql, ra_sql_id id, bool *more, ra_error *err);
RA_MUST int ra_sql_next(ra_sql *sql, ra_sql_id id, bool *more, ra_error *err);
void ra_sql_end(ra_sql *sql, ra_sql_id id);
int64_t ra_sql_column_int(ra_sql *sql, ra_sql_id id, int column);
// Borrowed until the next step. OUT_OF_MEMORY.
RA_MUST int ra_sql_column_bytes(ra_sql *sql, ra_sql_id id, int column, ra_str *out, ra_error *err);
bool ra_sql_column_is_null(ra_sql *sql, ra_sql_id id, int column);

// Transactions; `begin` outside of one. A failed commit has been rolled back.
RA_MUST int ra_sql_begin(ra_sql *sql, ra_sql_sync sync, ra_error *err);
RA_MUST int ra_sql_commit(ra_sql *sql, ra_error *err);
void ra_sql_rollback(ra_sql *sql);              // nothing happens outside of a transaction
bool ra_sql_in_transaction(const ra_sql *sql);  // false after SQLite gave it up

#endif
