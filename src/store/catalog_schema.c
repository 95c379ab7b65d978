#include "store/catalog_schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/catalog.h"

// `flight.id` is NULL while a dataset is hidden by `clear`. A number without a row is a tombstone.
// `version.parts` is one value (ra_parts_encode) since appends make versions of thousands of parts.
// Sizes and hashes are there for other tools, expiry and rebuilding.
static const char schema[] =
    "CREATE TABLE meta ("
    " format INTEGER NOT NULL,"
    " clean_stop INTEGER NOT NULL,"
    " next_id INTEGER NOT NULL,"
    " reserved_id INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL);"
    "CREATE TABLE flight ("
    " row INTEGER PRIMARY KEY,"
    " id INTEGER UNIQUE,"
    " uid BLOB NOT NULL,"
    " kind INTEGER NOT NULL,"
    " kept INTEGER NOT NULL,"
    " created_ns INTEGER NOT NULL,"
    " created_by BLOB NOT NULL,"
    " last_used_ns INTEGER NOT NULL,"
    " lineage BLOB NOT NULL,"
    " legacy_command BLOB NOT NULL,"
    " command_key BLOB,"
    " time_to_live_ns INTEGER);"
    "CREATE TABLE name ("
    " name BLOB PRIMARY KEY,"
    " flight INTEGER NOT NULL,"
    " position INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX name_of_flight ON name (flight);"
    "CREATE TABLE version ("
    " flight INTEGER NOT NULL,"
    " number INTEGER NOT NULL,"
    " created_ns INTEGER NOT NULL,"
    " combined INTEGER NOT NULL,"
    " n_rows INTEGER NOT NULL,"
    " n_bytes INTEGER NOT NULL,"
    " content_hash BLOB NOT NULL,"
    " engine_version INTEGER NOT NULL,"
    " rebuildable INTEGER NOT NULL DEFAULT 0,"
    " evicted_ns INTEGER,"
    " schema BLOB NOT NULL,"
    " parts BLOB NOT NULL,"
    " PRIMARY KEY (flight, number));"
    "CREATE TABLE segment ("
    " id INTEGER PRIMARY KEY,"
    " file_bytes INTEGER NOT NULL,"
    " synced INTEGER NOT NULL,"
    " schema BLOB NOT NULL,"
    " entries BLOB NOT NULL);"
    "CREATE TABLE app_metadata ("
    " segment INTEGER NOT NULL,"
    " batch INTEGER NOT NULL,"
    " bytes BLOB NOT NULL,"
    " PRIMARY KEY (segment, batch));";
// Catalogs of earlier servers lack it.
static const char file_schema[] =
    "CREATE TABLE file ("
    " name BLOB PRIMARY KEY,"
    " bytes INTEGER NOT NULL,"
    " time_ns INTEGER NOT NULL,"
    " hash BLOB NOT NULL,"
    " uid BLOB) WITHOUT ROWID;";

static int make_tables(ra_sql *sql, ra_error *err) {
    RA_TRY(ra_sql_begin(sql, RA_SQL_DURABLE, err));
    char row[80];
    snprintf(row, sizeof row, "INSERT INTO meta VALUES (%d, 1, 0, 0, 0)", RA_CATALOG_FORMAT);
    int rc = ra_sql_script(sql, schema, err);
    if (rc == 0)
        rc = ra_sql_script(sql, file_schema, err);
    if (rc == 0)
        rc = ra_sql_script(sql, row, err);
    if (rc == 0)
        return ra_sql_commit(sql, err);
    ra_sql_rollback(sql);
    return rc;
}

static int make_file_table(ra_sql *sql, ra_error *err) {
    int64_t n_tables;
    RA_TRY(ra_sql_query_int(
        sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'file'", &n_tables,
        err));
    if (n_tables > 0)
        return 0;
    RA_TRY(ra_sql_begin(sql, RA_SQL_DURABLE, err));
    int rc = ra_sql_script(sql, file_schema, err);
    if (rc == 0)
        return ra_sql_commit(sql, err);
    ra_sql_rollback(sql);
    return rc;
}

int ra_catalog_check_schema(ra_sql *sql, const char *data_dir, ra_error *err) {
    int64_t n_tables, format;
    RA_TRY(ra_sql_query_int(
        sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'", &n_tables,
        err));
    if (n_tables == 0)
        return make_tables(sql, err);
    RA_TRY(ra_sql_query_int(sql, "SELECT format FROM meta", &format, err));
    if (format > RA_CATALOG_FORMAT)
        RA_FAIL(err, UNAVAILABLE,
                "data directory %s has format %" PRId64 "; this server reads formats up to %d",
                data_dir, format, RA_CATALOG_FORMAT);
    if (format != RA_CATALOG_FORMAT)
        RA_FAIL(err, DATA_LOSS, "data directory %s has the unknown format %" PRId64, data_dir,
                format);
    return make_file_table(sql, err);
}
