#include "sql/worker/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/worker/protocol.h"

// Errors may come as JSON: what it says.
static int word(ra_reason reason, const char *words, ra_error *err) {
    static const char key[] = "\"exception_message\":\"";
    const char *from = strstr(words, key);
    const char *end = from ? strchr(from + sizeof key - 1, '"') : NULL;
    if (!end) {
        end = strstr(words, "\nPossible solution");
        end = end ? end : strstr(words, "\nPossible Solution");
        int bytes = end ? (int)(end - words) : (int)strlen(words);
        return ra_error_set(err, reason, "DuckDB: %.*s", bytes, words);
    }
    from += sizeof key - 1;
    return ra_error_set(err, reason, "DuckDB: %.*s", (int)(end - from), from);
}

int ra_database_fail(const char *words, ra_error *err) {
    if (!words)
        return word(RA_REASON_IO_ERROR, "unknown error", err);
    if (strstr(words, "No space left"))
        return ra_error_set(err, RA_REASON_DISK_FULL, "no room for the file: %s", words);
    if (strstr(words, "Out of Memory") || strstr(words, "bad_alloc"))
        return word(RA_REASON_OUT_OF_MEMORY, words, err);
    bool is_io = strncmp(words, "IO Error", 8) == 0;
    return word(is_io ? RA_REASON_IO_ERROR : RA_REASON_INVALID_ARGUMENT, words, err);
}

int ra_database_check(ra_database *db, duckdb_error_data data, ra_error *err) {
    int rc = 0;
    if (data && db->duck.duckdb_error_data_has_error(data))
        rc = word(RA_REASON_NOT_IMPLEMENTED, db->duck.duckdb_error_data_message(data), err);
    if (data)
        db->duck.duckdb_destroy_error_data(&data);
    return rc;
}

int ra_database_run(ra_database *db, const char *statement, ra_error *err) {
    duckdb_result result;
    int rc = 0;
    if (db->duck.duckdb_query(db->connection, statement, &result) != DuckDBSuccess)
        rc = ra_database_fail(db->duck.duckdb_result_error(&result), err);
    db->duck.duckdb_destroy_result(&result);
    return rc;
}

int ra_database_open(ra_database *out, int64_t memory_bytes, ra_error *err) {
    duckdb_config config;
    char *words = NULL, limit[32];
    snprintf(limit, sizeof limit, "%" PRId64 "B", memory_bytes);
    out->memory_bytes = memory_bytes;
    RA_TRY(ra_duck_load(&out->duck, err));
    const ra_duck *duck = &out->duck;
    if (duck->duckdb_create_config(&config) != DuckDBSuccess)
        RA_FAIL(err, OUT_OF_MEMORY, "DuckDB makes no configuration");
    const char *const settings[][2] = {{"threads", "1"},
                                       {"memory_limit", limit},
                                       {"autoinstall_known_extensions", "false"},
                                       {"autoload_known_extensions", "false"}};
    bool ok = true;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        ok &= duck->duckdb_set_config(config, settings[i][0], settings[i][1]) == DuckDBSuccess;
    ok = ok && duck->duckdb_open_ext(NULL, &out->database, config, &words) == DuckDBSuccess &&
         duck->duckdb_connect(out->database, &out->connection) == DuckDBSuccess;
    duck->duckdb_destroy_config(&config);
    if (!ok)
        RA_FAIL(err, UNAVAILABLE, "DuckDB does not start: %s", words ? words : "");
    RA_TRY(ra_database_run(out, "SET allowed_paths = ['" RA_SQL_FILE_PATH "']", err));
    RA_TRY(ra_database_run(out, "SET temp_directory = ''", err));
    RA_TRY(ra_database_run(out, "SET arrow_lossless_conversion = true", err));
    RA_TRY(ra_database_run(out, "SET TimeZone = 'UTC'", err));
    return ra_database_run(out, "SET enable_external_access = false", err);
}

int ra_database_lock(ra_database *db, ra_error *err) {
    return ra_database_run(db, "SET lock_configuration = true", err);
}
