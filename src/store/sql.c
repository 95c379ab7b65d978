#include "store/sql.h"

#include <string.h>

#include "base/os.h"
#include "store/sqlite_vfs.h"

struct ra_sql {
    ra_store *store;
    sqlite3_vfs *vfs;
    sqlite3 *db;
    bool is_durable;  // how the connection is set at the moment
    sqlite3_stmt *statements[RA_N_SQL];
};

static const char *const texts[RA_N_SQL] = {
#define RA_SQL(name, text) [RA_SQL_##name] = text,
#include "store/sql.def"
#undef RA_SQL
};

// Our error for what SQLite reports.
static int fail_sql(ra_sql *sql, int code, ra_error *err) {
    const char *words = sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(code);
    int extended = sql->db ? sqlite3_extended_errcode(sql->db) : code;
    if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC)
        RA_FAIL(err, UNAVAILABLE, "the store is read-only after a failed fsync of the catalog");
    switch (code & 0xff) {
        case SQLITE_FULL:
            RA_FAIL(err, DISK_FULL, "no room in the data directory for the catalog");
        case SQLITE_NOMEM:
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for the catalog");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            RA_FAIL(err, DATA_LOSS, "the catalog is damaged: %s", words);
        case SQLITE_IOERR:
            if (extended == SQLITE_IOERR_NOMEM)
                RA_FAIL(err, OUT_OF_MEMORY, "no memory for the catalog");
            if (extended == SQLITE_IOERR_DATA)
                RA_FAIL(err, DATA_LOSS, "the catalog is damaged: a page is not as it was written");
            RA_FAIL(err, IO_ERROR, "catalog: %s (%d)", words, extended);
        case SQLITE_CANTOPEN:
            RA_FAIL(err, IO_ERROR, "catalog: %s", words);
        default:
            RA_FAIL(err, INTERNAL, "catalog: %s (%d)", words, extended);
    }
}

int ra_sql_script(ra_sql *sql, const char *text, ra_error *err) {
    int code = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : fail_sql(sql, code, err);
}

static int set_sync(ra_sql *sql, ra_sql_sync sync, ra_error *err) {
    if (!sql->store->options.durable || sql->is_durable == (sync == RA_SQL_DURABLE))
        return 0;
    RA_TRY(ra_sql_script(
        sql, sync == RA_SQL_DURABLE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
        err));
    sql->is_durable = sync == RA_SQL_DURABLE;
    return 0;
}

// Statements [from, to) of the table.
static int prepare(ra_sql *sql, int from, int to, ra_error *err) {
    for (int i = from; i < to; i++) {
        int code = sqlite3_prepare_v3(sql->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &sql->statements[i], NULL);
        if (code != SQLITE_OK)
            return fail_sql(sql, code, err);
    }
    return 0;
}

// SQLite keeps the mode it had, without an error, when it cannot change it.
static int set_log_mode(ra_sql *sql, ra_error *err) {
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(sql->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int rc = 0;
    if (code != SQLITE_ROW)
        rc = fail_sql(sql, code, err);
    else if (sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
        rc = ra_error_set(err, RA_REASON_IO_ERROR, "the catalog cannot be opened for logging");
    sqlite3_finalize(statement);
    return rc;
}

// With the lock mode exclusive before the first access SQLite keeps the log's index in memory.
static int set_up(ra_sql *sql, ra_error *err) {
    int reserved_bytes = RA_PAGE_CHECKSUM_BYTES;
    int code = sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved_bytes);
    if (code != SQLITE_OK)
        return fail_sql(sql, code, err);
    RA_TRY(ra_sql_script(sql,
                         "PRAGMA locking_mode=EXCLUSIVE;"
                         "PRAGMA temp_store=MEMORY;",
                         err));
    RA_TRY(set_log_mode(sql, err));
    // The log file of an unusually large change is cut again.
    RA_TRY(ra_sql_script(sql, "PRAGMA journal_size_limit=16777216", err));
    sql->is_durable = sql->store->options.durable;
    RA_TRY(ra_sql_script(
        sql, sql->is_durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", err));
    return prepare(sql, RA_SQL_BEGIN, RA_SQL_ROLLBACK + 1, err);
}

int ra_sql_open(ra_store *store, const char *path, ra_sql **out, ra_error *err) {
    *out = NULL;
    ra_sqlite_init();
    ra_sql *sql = ra_calloc(1, sizeof *sql);
    if (!sql)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the catalog");
    sql->store = store;
    int rc = ra_sqlite_vfs_new(store, &sql->vfs, err);
    if (rc == 0) {
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        int code = sqlite3_open_v2(path, &sql->db, flags, sql->vfs->zName);
        rc = code == SQLITE_OK ? set_up(sql, err) : fail_sql(sql, code, err);
    }
    if (rc != 0) {
        ra_sql_close(sql);
        return rc;
    }
    *out = sql;
    return 0;
}

sqlite3 *ra_sql_connection(ra_sql *sql) {
    return sql->db;
}

int ra_sql_prepare(ra_sql *sql, ra_error *err) {
    return prepare(sql, RA_SQL_ROLLBACK + 1, RA_N_SQL, err);
}

void ra_sql_close(ra_sql *sql) {
    if (!sql)
        return;
    for (int i = 0; i < RA_N_SQL; i++)
        sqlite3_finalize(sql->statements[i]);
    int code = sqlite3_close(sql->db);
    ra_assert(code == SQLITE_OK);
    ra_sqlite_vfs_free(sql->vfs);
    ra_free(sql);
}

int ra_sql_query_int(ra_sql *sql, const char *text, int64_t *out, ra_error *err) {
    *out = -1;
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(sql->db, text, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            *out = sqlite3_column_int64(statement, 0);
    }
    int rc = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : fail_sql(sql, code, err);
    sqlite3_finalize(statement);
    return rc;
}

static int bind(sqlite3_stmt *statement, int at, const ra_sql_value *value) {
    if (value->kind == RA_SQL_INT_VALUE)
        return sqlite3_bind_int64(statement, at, value->number);
    if (value->kind == RA_SQL_NULL_VALUE)
        return sqlite3_bind_null(statement, at);
    if (value->bytes.len == 0)
        return sqlite3_bind_zeroblob(statement, at, 0);
    return sqlite3_bind_blob64(statement, at, value->bytes.data, value->bytes.len, SQLITE_STATIC);
}

int ra_sql_run(ra_sql *sql, ra_sql_id id, const ra_sql_value *values, int n, ra_error *err) {
    sqlite3_stmt *statement = sql->statements[id];
    int code = SQLITE_OK;
    for (int i = 0; i < n && code == SQLITE_OK; i++)
        code = bind(statement, i + 1, &values[i]);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int rc = code == SQLITE_DONE ? 0 : fail_sql(sql, code, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

int ra_sql_first(ra_sql *sql, ra_sql_id id, bool *more, ra_error *err) {
    sqlite3_reset(sql->statements[id]);
    return ra_sql_next(sql, id, more, err);
}

int ra_sql_next(ra_sql *sql, ra_sql_id id, bool *more, ra_error *err) {
    int code = sqlite3_step(sql->statements[id]);
    *more = code == SQLITE_ROW;
    if (*more)
        return 0;
    int rc = code == SQLITE_DONE ? 0 : fail_sql(sql, code, err);
    ra_sql_end(sql, id);
    return rc;
}

void ra_sql_end(ra_sql *sql, ra_sql_id id) {
    sqlite3_reset(sql->statements[id]);
}

int64_t ra_sql_column_int(ra_sql *sql, ra_sql_id id, int column) {
    return sqlite3_column_int64(sql->statements[id], column);
}

int ra_sql_column_bytes(ra_sql *sql, ra_sql_id id, int column, ra_str *out, ra_error *err) {
    *out = RA_STR("");
    const char *data = sqlite3_column_blob(sql->statements[id], column);
    if (!data && sqlite3_errcode(sql->db) == SQLITE_NOMEM)
        return fail_sql(sql, SQLITE_NOMEM, err);
    if (data)
        *out = (ra_str){data, (size_t)sqlite3_column_bytes(sql->statements[id], column)};
    return 0;
}

bool ra_sql_column_is_null(ra_sql *sql, ra_sql_id id, int column) {
    return sqlite3_column_type(sql->statements[id], column) == SQLITE_NULL;
}

int ra_sql_begin(ra_sql *sql, ra_sql_sync sync, ra_error *err) {
    // A rollback can have failed for want of memory.
    ra_sql_rollback(sql);
    RA_TRY(set_sync(sql, sync, err));
    return ra_sql_run(sql, RA_SQL_BEGIN, NULL, 0, err);
}

int ra_sql_commit(ra_sql *sql, ra_error *err) {
    int rc = ra_sql_run(sql, RA_SQL_COMMIT, NULL, 0, err);
    if (rc != 0)
        ra_sql_rollback(sql);
    return rc;
}

void ra_sql_rollback(ra_sql *sql) {
    ra_error ignored;
    if (ra_sql_in_transaction(sql))
        (void)!ra_sql_run(sql, RA_SQL_ROLLBACK, NULL, 0, &ignored);
}

bool ra_sql_in_transaction(const ra_sql *sql) {
    return sqlite3_get_autocommit(sql->db) == 0;
}
