#include "sql/worker/write.h"

#include <string.h>

#include "arrow/slice.h"
#include "base/base64.h"
#include "sql/worker/c_data.h"
#include "sql/worker/map_keys.h"
#include "sql/worker/protocol.h"
#include "sql/worker/storage.h"
#include "sql/worker/stream.h"

enum {
    CHUNK_ROWS = 2048,
    SMALL_GROUP_ROWS = 10 * CHUNK_ROWS,
    STATEMENT_CEILING = 64 * 1024 * 1024
};
static const int64_t small_memory_bytes = 128 * 1024 * 1024;

typedef struct {
    ra_database *db;
    ra_ipc_reader stream;
    ra_schema *plain;  // what DuckDB sees
    struct ArrowSchema schema;
    duckdb_arrow_converted_schema types;
    ra_batch *batch;  // rows from `at` on are to come
    int64_t at;
    duckdb_data_chunk chunk;  // what DuckDB has now
    int64_t n_rows;
    ra_error failed;  // of the stream, while DuckDB reads it
} writer;

// The process's one table: DuckDB's callbacks have no other way to it before the library is known.
static writer the_writer;

static int convert_chunk(writer *w, ra_batch *plain, ra_error *err) {
    struct ArrowArray array;
    RA_TRY(ra_c_array(plain, &array, err));
    int rc = ra_database_check(
        w->db,
        w->db->duck.duckdb_data_chunk_from_arrow(w->db->connection, &array, w->types, &w->chunk),
        err);
    if (array.release)
        array.release(&array);
    return rc;
}

static int make_chunk(writer *w, ra_batch *rows, ra_error *err) {
    ra_batch *plain;
    ra_error better;
    if (w->chunk)
        w->db->duck.duckdb_destroy_data_chunk(&w->chunk);
    RA_TRY(ra_storage_batch(rows, w->plain, &plain, err));
    int rc = convert_chunk(w, plain, err);
    // DuckDB does not say which column it does not take.
    if (rc != 0 && ra_map_keys_check(plain, &better) != 0) {
        *err = better;
        rc = (int)better.code;
    }
    ra_batch_unref(plain);
    return rc;
}

// The next chunk; none at the end.
static int next_chunk(writer *w, bool *end, ra_error *err) {
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
static int bind_columns(writer *w, duckdb_bind_info info, ra_error *err) {
    ra_batch *none;
    RA_TRY(ra_batch_new(ra_ipc_decoder_schema(w->stream.decoder), 0, &none, err));
    int rc = make_chunk(w, none, err);
    ra_batch_unref(none);
    RA_TRY(rc);
    for (idx_t i = 0; i < w->db->duck.duckdb_data_chunk_get_column_count(w->chunk); i++) {
        duckdb_vector vector = w->db->duck.duckdb_data_chunk_get_vector(w->chunk, i);
        duckdb_logical_type type = w->db->duck.duckdb_vector_get_column_type(vector);
        w->db->duck.duckdb_bind_add_result_column(info, w->schema.children[i]->name, type);
        w->db->duck.duckdb_destroy_logical_type(&type);
    }
    return 0;
}

static void on_bind(duckdb_bind_info info) {
    writer *w = &the_writer;
    if (bind_columns(w, info, &w->failed) != 0)
        w->db->duck.duckdb_bind_set_error(info, w->failed.message);
}

static void on_init(duckdb_init_info info) {
    the_writer.db->duck.duckdb_init_set_max_threads(info, 1);
}

static void on_rows(duckdb_function_info info, duckdb_data_chunk output) {
    writer *w = &the_writer;
    bool end = false;
    if (next_chunk(w, &end, &w->failed) != 0)
        w->db->duck.duckdb_function_set_error(info, w->failed.message);
    if (end || w->failed.code != RA_OK) {
        w->db->duck.duckdb_data_chunk_set_size(output, 0);
        return;
    }
    for (idx_t i = 0; i < w->db->duck.duckdb_data_chunk_get_column_count(w->chunk); i++)
        w->db->duck.duckdb_vector_reference_vector(
            w->db->duck.duckdb_data_chunk_get_vector(output, i),
            w->db->duck.duckdb_data_chunk_get_vector(w->chunk, i));
    w->db->duck.duckdb_data_chunk_set_size(output,
                                           w->db->duck.duckdb_data_chunk_get_size(w->chunk));
}

static int register_input(writer *w, ra_error *err) {
    duckdb_table_function function = w->db->duck.duckdb_create_table_function();
    w->db->duck.duckdb_table_function_set_name(function, "input");
    w->db->duck.duckdb_table_function_set_bind(function, on_bind);
    w->db->duck.duckdb_table_function_set_init(function, on_init);
    w->db->duck.duckdb_table_function_set_function(function, on_rows);
    if (w->db->duck.duckdb_register_table_function(w->db->connection, function) != DuckDBSuccess)
        RA_FAIL(err, INTERNAL, "DuckDB refuses the table function");
    w->db->duck.duckdb_destroy_table_function(&function);
    return 0;
}

static bool has_floats(const ra_field *fields, int n) {
    for (int i = 0; i < n; i++)
        if (fields[i].type == RA_TYPE_FLOAT || fields[i].type == RA_TYPE_DOUBLE ||
            has_floats(fields[i].children, fields[i].n_children))
            return true;
    return false;
}

// To DuckDB's dictionaries -0.0 and 0.0 are one. A row group is in memory before it is in the file.
static int print_options(const writer *w, ra_bytes *out, ra_error *err) {
    if (has_floats(w->plain->fields, w->plain->n_fields))
        RA_TRY(ra_bytes_printf(out, err, "DICTIONARY_SIZE_LIMIT 0, COMPRESSION zstd, "));
    if (w->db->memory_bytes < small_memory_bytes)
        RA_TRY(ra_bytes_printf(out, err, "ROW_GROUP_SIZE %d, ", SMALL_GROUP_ROWS));
    return 0;
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

static int print_copy(const writer *w, bool parquet, ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_printf(
        out, err, "COPY (SELECT * FROM input()) TO '" RA_SQL_FILE_PATH "' (USE_TMP_FILE false, "));
    if (!parquet)
        return ra_bytes_printf(out, err, "FORMAT csv, HEADER)");
    RA_TRY(print_options(w, out, err));
    RA_TRY(ra_bytes_printf(out, err, "FORMAT parquet, KV_METADATA {'ARROW:schema': '"));
    RA_TRY(print_schema(ra_ipc_decoder_schema(w->stream.decoder), out, err));
    return ra_bytes_printf(out, err, "'})");
}

static int copy_table(writer *w, bool parquet, ra_error *err) {
    const ra_schema *schema = ra_ipc_decoder_schema(w->stream.decoder);
    RA_TRY(ra_storage_schema(schema, &w->plain, err));
    RA_TRY(ra_c_schema(w->plain, &w->schema, err));
    RA_TRY(ra_database_check(
        w->db, w->db->duck.duckdb_schema_from_arrow(w->db->connection, &w->schema, &w->types),
        err));
    ra_bytes statement;
    ra_bytes_init(&statement, STATEMENT_CEILING);
    int rc = print_copy(w, parquet, &statement, err);
    if (rc == 0)
        rc = ra_bytes_append_zeros(&statement, 1, err);
    if (rc == 0)
        rc = ra_database_run(w->db, (const char *)statement.data, err);
    if (rc != 0 && w->failed.code != RA_OK) {
        *err = w->failed;
        rc = (int)err->code;
    }
    ra_bytes_fini(&statement);
    return rc;
}

int ra_write_prepare(ra_database *db, ra_error *err) {
    the_writer.db = db;
    ra_error_init(&the_writer.failed);
    return register_input(&the_writer, err);
}

int ra_write_run(bool parquet, int64_t *n_rows, ra_error *err) {
    RA_TRY(ra_stream_open(&the_writer.stream, err));
    int rc = copy_table(&the_writer, parquet, err);
    *n_rows = the_writer.n_rows;
    return rc;
}
