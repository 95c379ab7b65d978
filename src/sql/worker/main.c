// remote-arrow-sql: writes one table, which comes as a stream, to one file, by DuckDB.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arrow/slice.h"
#include "base/base64.h"
#include "sql/worker/c_data.h"
#include "sql/worker/duck.h"
#include "sql/worker/protocol.h"
#include "sql/worker/sandbox.h"
#include "sql/worker/storage.h"
#include "sql/worker/stream.h"

enum { CHUNK_ROWS = 2048, STATEMENT_CEILING = 64 * 1024 * 1024 };

typedef struct {
    ra_duck duck;
    ra_ipc_reader stream;
    duckdb_database database;
    duckdb_connection connection;
    ra_schema *plain;  // what DuckDB sees
    struct ArrowSchema schema;
    duckdb_arrow_converted_schema types;
    ra_batch *batch;  // rows from `at` on are to come
    int64_t at;
    duckdb_data_chunk chunk;  // what DuckDB has now
    int64_t n_rows;
    ra_error failed;  // of the stream, while DuckDB reads it
} worker;

// The process's one table: DuckDB's callbacks have no other way to it before the library is known.
static worker the_worker;

// Errors come as JSON: what it says.
static int word_duck(const char *json, ra_error *err) {
    static const char key[] = "\"exception_message\":\"";
    const char *from = strstr(json, key);
    from = from ? from + sizeof key - 1 : json;
    const char *end = strchr(from, '"');
    int bytes = end && from != json ? (int)(end - from) : (int)strlen(from);
    return ra_error_set(err, RA_REASON_NOT_IMPLEMENTED, "DuckDB: %.*s", bytes, from);
}

static int fail_duck(worker *w, duckdb_error_data data, ra_error *err) {
    int rc = 0;
    if (data && w->duck.duckdb_error_data_has_error(data))
        rc = word_duck(w->duck.duckdb_error_data_message(data), err);
    if (data)
        w->duck.duckdb_destroy_error_data(&data);
    return rc;
}

static int make_chunk(worker *w, ra_batch *rows, ra_error *err) {
    struct ArrowArray array;
    if (w->chunk)
        w->duck.duckdb_destroy_data_chunk(&w->chunk);
    ra_batch *plain;
    RA_TRY(ra_storage_batch(rows, w->plain, &plain, err));
    int rc = ra_c_array(plain, &array, err);
    ra_batch_unref(plain);
    RA_TRY(rc);
    rc = fail_duck(
        w, w->duck.duckdb_data_chunk_from_arrow(w->connection, &array, w->types, &w->chunk), err);
    if (array.release)
        array.release(&array);
    return rc;
}

// The next chunk; none at the end.
static int next_chunk(worker *w, bool *end, ra_error *err) {
    while (!w->batch || w->at == w->batch->n_rows) {
        ra_batch_unref(w->batch);
        w->batch = NULL;
        w->at = 0;
        RA_TRY(ra_ipc_reader_next(&w->stream, &w->batch, err));
        *end = !w->batch;
        if (*end)
            return 0;
    }
    int64_t left = w->batch->n_rows - w->at, n = left < CHUNK_ROWS ? left : CHUNK_ROWS;
    ra_batch *rows;
    RA_TRY(ra_batch_slice(w->batch, w->at, n, &rows, err));
    int rc = make_chunk(w, rows, err);
    ra_batch_unref(rows);
    w->at += n;
    w->n_rows += n;
    return rc;
}

// A chunk without rows tells DuckDB's types of the columns.
static int bind_columns(worker *w, duckdb_bind_info info, ra_error *err) {
    ra_batch *none;
    RA_TRY(ra_batch_new(ra_ipc_decoder_schema(w->stream.decoder), 0, &none, err));
    int rc = make_chunk(w, none, err);
    ra_batch_unref(none);
    RA_TRY(rc);
    for (idx_t i = 0; i < w->duck.duckdb_data_chunk_get_column_count(w->chunk); i++) {
        duckdb_vector vector = w->duck.duckdb_data_chunk_get_vector(w->chunk, i);
        duckdb_logical_type type = w->duck.duckdb_vector_get_column_type(vector);
        w->duck.duckdb_bind_add_result_column(info, w->schema.children[i]->name, type);
        w->duck.duckdb_destroy_logical_type(&type);
    }
    return 0;
}

static void on_bind(duckdb_bind_info info) {
    worker *w = &the_worker;
    if (bind_columns(w, info, &w->failed) != 0)
        w->duck.duckdb_bind_set_error(info, w->failed.message);
}

static void on_init(duckdb_init_info info) {
    the_worker.duck.duckdb_init_set_max_threads(info, 1);
}

static void on_rows(duckdb_function_info info, duckdb_data_chunk output) {
    worker *w = &the_worker;
    bool end = false;
    if (next_chunk(w, &end, &w->failed) != 0)
        w->duck.duckdb_function_set_error(info, w->failed.message);
    if (end || w->failed.code != RA_OK) {
        w->duck.duckdb_data_chunk_set_size(output, 0);
        return;
    }
    for (idx_t i = 0; i < w->duck.duckdb_data_chunk_get_column_count(w->chunk); i++)
        w->duck.duckdb_vector_reference_vector(w->duck.duckdb_data_chunk_get_vector(output, i),
                                               w->duck.duckdb_data_chunk_get_vector(w->chunk, i));
    w->duck.duckdb_data_chunk_set_size(output, w->duck.duckdb_data_chunk_get_size(w->chunk));
}

static int run(worker *w, const char *statement, ra_error *err) {
    duckdb_result result;
    int rc = 0;
    if (w->duck.duckdb_query(w->connection, statement, &result) != DuckDBSuccess) {
        const char *words = w->duck.duckdb_result_error(&result);
        if (w->failed.code != RA_OK)
            *err = w->failed;
        else if (words && strstr(words, "No space left"))
            ra_error_set(err, RA_REASON_DISK_FULL, "no room for the file: %s", words);
        else
            ra_error_set(err, RA_REASON_IO_ERROR, "DuckDB: %s", words ? words : "unknown error");
        rc = (int)err->code;
    }
    w->duck.duckdb_destroy_result(&result);
    return rc;
}

static int open_database(worker *w, int64_t memory_bytes, ra_error *err) {
    duckdb_config config;
    char *words = NULL, limit[32];
    snprintf(limit, sizeof limit, "%" PRId64 "B", memory_bytes);
    if (w->duck.duckdb_create_config(&config) != DuckDBSuccess)
        RA_FAIL(err, OUT_OF_MEMORY, "DuckDB makes no configuration");
    bool ok =
        w->duck.duckdb_set_config(config, "threads", "1") == DuckDBSuccess &&
        w->duck.duckdb_set_config(config, "memory_limit", limit) == DuckDBSuccess &&
        w->duck.duckdb_set_config(config, "autoinstall_known_extensions", "false") ==
            DuckDBSuccess &&
        w->duck.duckdb_set_config(config, "autoload_known_extensions", "false") == DuckDBSuccess &&
        w->duck.duckdb_open_ext(NULL, &w->database, config, &words) == DuckDBSuccess &&
        w->duck.duckdb_connect(w->database, &w->connection) == DuckDBSuccess;
    w->duck.duckdb_destroy_config(&config);
    if (!ok)
        RA_FAIL(err, UNAVAILABLE, "DuckDB does not start: %s", words ? words : "");
    RA_TRY(run(w, "SET allowed_paths = ['" RA_SQL_FILE_PATH "']", err));
    RA_TRY(run(w, "SET temp_directory = ''", err));
    RA_TRY(run(w, "SET enable_external_access = false", err));
    return 0;
}

static int register_input(worker *w, ra_error *err) {
    duckdb_table_function function = w->duck.duckdb_create_table_function();
    w->duck.duckdb_table_function_set_name(function, "input");
    w->duck.duckdb_table_function_set_bind(function, on_bind);
    w->duck.duckdb_table_function_set_init(function, on_init);
    w->duck.duckdb_table_function_set_function(function, on_rows);
    if (w->duck.duckdb_register_table_function(w->connection, function) != DuckDBSuccess)
        RA_FAIL(err, INTERNAL, "DuckDB refuses the table function");
    w->duck.duckdb_destroy_table_function(&function);
    return run(w, "SET lock_configuration = true", err);
}

static bool has_floats(const ra_field *fields, int n) {
    for (int i = 0; i < n; i++)
        if (fields[i].type == RA_TYPE_FLOAT || fields[i].type == RA_TYPE_DOUBLE ||
            has_floats(fields[i].children, fields[i].n_children))
            return true;
    return false;
}

// To DuckDB's dictionaries -0.0 and 0.0 are one.
static const char *parquet_options(const ra_schema *plain) {
    return has_floats(plain->fields, plain->n_fields)
               ? ", DICTIONARY_SIZE_LIMIT 0, COMPRESSION zstd"
               : "";
}

// The schema goes along as pyarrow and others write it, so that they restore types from it.
static int print_schema(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    ra_bytes framed;
    ra_bytes_init(&framed, STATEMENT_CEILING);
    int rc = ra_ipc_encode_framed_schema(schema, &framed, err);
    if (rc == 0)
        rc = ra_base64_encode(ra_bytes_str(&framed), true, out, err);
    ra_bytes_fini(&framed);
    return rc;
}

static int print_copy(const worker *w, bool parquet, ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_printf(
        out, err, "COPY (SELECT * FROM input()) TO '" RA_SQL_FILE_PATH "' (USE_TMP_FILE false, "));
    if (!parquet)
        return ra_bytes_printf(out, err, "FORMAT csv, HEADER)");
    RA_TRY(ra_bytes_printf(out, err, "FORMAT parquet%s, KV_METADATA {'ARROW:schema': '",
                           parquet_options(w->plain)));
    RA_TRY(print_schema(ra_ipc_decoder_schema(w->stream.decoder), out, err));
    return ra_bytes_printf(out, err, "'})");
}

static int copy_table(worker *w, bool parquet, ra_error *err) {
    const ra_schema *schema = ra_ipc_decoder_schema(w->stream.decoder);
    RA_TRY(ra_storage_schema(schema, &w->plain, err));
    RA_TRY(ra_c_schema(w->plain, &w->schema, err));
    RA_TRY(
        fail_duck(w, w->duck.duckdb_schema_from_arrow(w->connection, &w->schema, &w->types), err));
    ra_bytes statement;
    ra_bytes_init(&statement, STATEMENT_CEILING);
    int rc = print_copy(w, parquet, &statement, err);
    if (rc == 0)
        rc = ra_bytes_append_zeros(&statement, 1, err);
    if (rc == 0)
        rc = run(w, (const char *)statement.data, err);
    ra_bytes_fini(&statement);
    return rc;
}

static int work(worker *w, int64_t memory_bytes, bool parquet, ra_error *err) {
    RA_TRY(ra_duck_load(&w->duck, err));
    RA_TRY(open_database(w, memory_bytes, err));
    RA_TRY(register_input(w, err));
    // Not before: DuckDB looks at the machine's memory when it starts. It has not seen data yet.
    RA_TRY(ra_sandbox_enter(RA_SQL_FILE_FD, memory_bytes, err));
    RA_TRY(ra_stream_open(&w->stream, err));
    return copy_table(w, parquet, err);
}

// What DuckDB and the stream hold goes with the process.
int main(int argc, char **argv) {
    ra_sql_answer answer = {0};
    ra_error err;
    ra_error_init(&err);
    ra_error_init(&the_worker.failed);
    if (argc != 4 || fcntl(RA_SQL_ANSWER_FD, F_GETFD) < 0) {
        fprintf(stderr, "remote-arrow-sql is started by remote-arrow-server\n");
        return 2;
    }
    if (work(&the_worker, strtoll(argv[1], NULL, 10), strcmp(argv[3], "parquet") == 0, &err) != 0)
        answer.reason = (int32_t)err.reason;
    answer.n_rows = the_worker.n_rows;
    memcpy(answer.message, err.message, sizeof answer.message);
    bool told = write(RA_SQL_ANSWER_FD, &answer, sizeof answer) == (ssize_t)sizeof answer;
    _exit(told ? 0 : 1);
}
