#include "sql/worker/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arrow/ipc.h"
#include "arrow/slice.h"
#include "base/base64.h"
#include "base/os.h"
#include "sql/worker/c_data.h"
#include "sql/worker/protocol.h"
#include "sql/worker/restore.h"

enum { MAX_CHUNKS = 256, SCHEMA_CEILING = 64 * 1024 * 1024, MAX_LIST_DEPTH = 16 };
static const int64_t min_csv_buffer_bytes = 2 * 1024 * 1024;
static const int64_t max_csv_buffer_bytes = 32 * 1024 * 1024;
static const int64_t batch_rows = 128 * 1024, batch_bytes = 2 * 1024 * 1024;

typedef struct {
    ra_database *db;
    duckdb_result result;
    duckdb_arrow_options options;
    ra_schema *from;  // as DuckDB gives the rows
    ra_schema *to;    // as they are sent
    ra_batch *chunks[MAX_CHUNKS];
    int n_chunks;
    int64_t n_rows;  // in `chunks`
    int64_t n_bytes;
    int64_t n_read;
    ra_ipc_encoded encoded;
} reader;

static int send_all(const void *data, int64_t bytes, ra_error *err) {
    for (int64_t done = 0; done < bytes;) {
        ssize_t n = write(RA_SQL_STREAM_FD, (const char *)data + done, (size_t)(bytes - done));
        if (n < 0 && errno != EINTR)
            RA_FAIL(err, IO_ERROR, "nobody takes the stream");
        if (n > 0)
            done += n;
    }
    return 0;
}

static int send_padded(ra_span piece, int64_t alignment, ra_error *err) {
    RA_TRY(send_all(piece.data, piece.bytes, err));
    return send_all(ra_zero_bytes, -piece.bytes & (alignment - 1), err);
}

static int send_message(const ra_ipc_encoded *encoded, ra_error *err) {
    int64_t bytes = (int64_t)encoded->message.len;
    int32_t prefix[2] = {-1, (int32_t)((bytes + 7) & ~INT64_C(7))};
    RA_TRY(send_all(prefix, sizeof prefix, err));
    RA_TRY(send_padded((ra_span){encoded->message.data, bytes}, 8, err));
    for (int i = 0; i < encoded->n_pieces; i++)
        RA_TRY(send_padded(encoded->pieces[i], 64, err));
    return 0;
}

static int send_schema(const ra_schema *schema, ra_error *err) {
    ra_bytes framed;
    ra_bytes_init(&framed, SCHEMA_CEILING);
    int rc = ra_ipc_encode_framed_schema(schema, &framed, err);
    if (rc == 0)
        rc = send_all(framed.data, (int64_t)framed.len, err);
    ra_bytes_fini(&framed);
    return rc;
}

// Only columns have dictionaries, so they come in the order of their ids.
static int send_batch(reader *r, const ra_batch *batch, ra_error *err) {
    for (int i = 0, id = 0; i < batch->n_columns; i++) {
        if (!batch->columns[i].field->is_dictionary)
            continue;
        if (batch->n_rows > 0) {
            RA_TRY(ra_ipc_encode_dictionary(batch->dictionaries[id], id, &r->encoded, err));
            RA_TRY(send_message(&r->encoded, err));
        }
        id++;
    }
    RA_TRY(ra_ipc_encode_batch(batch, &r->encoded, err));
    return send_message(&r->encoded, err);
}

// In halves where the whole has more values than a dictionary can number.
static int restore_and_send(reader *r, ra_batch *rows, ra_error *err) {
    ra_batch *restored;
    int rc = ra_restore_batch(rows, r->to, &restored, err);
    if (rc == 0) {
        rc = send_batch(r, restored, err);
        ra_batch_unref(restored);
        return rc;
    }
    if (err->reason != RA_REASON_LIMIT || rows->n_rows < 2)
        return rc;
    int64_t half = rows->n_rows / 2;
    for (int i = 0; i < 2; i++) {
        ra_batch *part;
        RA_TRY(ra_batch_slice(rows, i * half, i ? rows->n_rows - half : half, &part, err));
        rc = restore_and_send(r, part, err);
        ra_batch_unref(part);
        RA_TRY(rc);
    }
    return 0;
}

static int flush(reader *r, ra_error *err) {
    ra_batch *rows;
    if (r->n_chunks == 0)
        return 0;
    RA_TRY(ra_batch_concat(r->chunks, r->n_chunks, &rows, err));
    for (int i = 0; i < r->n_chunks; i++)
        ra_batch_unref(r->chunks[i]);
    r->n_chunks = 0;
    r->n_rows = r->n_bytes = 0;
    int rc = restore_and_send(r, rows, err);
    ra_batch_unref(rows);
    return rc;
}

static int add_chunk(reader *r, duckdb_data_chunk chunk, ra_error *err) {
    struct ArrowArray array;
    ra_batch *rows;
    RA_TRY(ra_database_check(
        r->db, r->db->duck.duckdb_data_chunk_to_arrow(r->options, chunk, &array), err));
    RA_TRY(ra_c_read_batch(&array, r->from, &rows, err));
    r->chunks[r->n_chunks++] = rows;
    r->n_rows += rows->n_rows;
    r->n_read += rows->n_rows;
    r->n_bytes += ra_batch_body_bytes(rows);
    if (r->n_chunks == MAX_CHUNKS || r->n_rows >= batch_rows || r->n_bytes >= batch_bytes)
        return flush(r, err);
    return 0;
}

static int send_rows(reader *r, ra_error *err) {
    static const int32_t end[2] = {-1, 0};
    const ra_duck *duck = &r->db->duck;
    RA_TRY(send_schema(r->to, err));
    for (duckdb_data_chunk chunk; (chunk = duck->duckdb_fetch_chunk(r->result));) {
        int rc = duck->duckdb_data_chunk_get_size(chunk) > 0 ? add_chunk(r, chunk, err) : 0;
        duck->duckdb_destroy_data_chunk(&chunk);
        RA_TRY(rc);
    }
    const char *words = duck->duckdb_result_error(&r->result);
    if (words && *words)
        return ra_database_fail(words, err);
    RA_TRY(flush(r, err));
    return send_all(end, sizeof end, err);
}

// Types and names of the result's columns, as DuckDB will give them.
static int read_schema(reader *r, ra_error *err) {
    const ra_duck *duck = &r->db->duck;
    size_t n = (size_t)duck->duckdb_column_count(&r->result);
    duckdb_logical_type *types = ra_calloc(n, sizeof(duckdb_logical_type));
    const char **names = ra_calloc(n, sizeof(char *));
    struct ArrowSchema schema;
    if (!types || !names)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
    for (size_t i = 0; i < n; i++) {
        types[i] = duck->duckdb_column_logical_type(&r->result, i);
        names[i] = duck->duckdb_column_name(&r->result, i);
    }
    r->options = duck->duckdb_result_get_arrow_options(&r->result);
    RA_TRY(ra_database_check(
        r->db, duck->duckdb_to_arrow_schema(r->options, types, names, n, &schema), err));
    for (size_t i = 0; i < n; i++)
        duck->duckdb_destroy_logical_type(&types[i]);
    ra_free(types);
    ra_free(names);
    int rc = ra_c_read_schema(&schema, &r->from, err);
    schema.release(&schema);
    return rc;
}

static int query(ra_database *db, const char *statement, duckdb_result *out, ra_error *err) {
    duckdb_prepared_statement prepared;
    int rc = 0;
    if (db->duck.duckdb_prepare(db->connection, statement, &prepared) != DuckDBSuccess)
        rc = ra_database_fail(db->duck.duckdb_prepare_error(prepared), err);
    else if (db->duck.duckdb_execute_prepared_streaming(prepared, out) != DuckDBSuccess)
        rc = ra_database_fail(db->duck.duckdb_result_error(out), err);
    db->duck.duckdb_destroy_prepare(&prepared);
    return rc;
}

// The one text that a query gives, for duckdb_free; NULL when it gives none.
static int query_text(ra_database *db, const char *statement, char **out, ra_error *err) {
    duckdb_result result;
    int rc = 0;
    *out = NULL;
    if (db->duck.duckdb_query(db->connection, statement, &result) != DuckDBSuccess)
        rc = ra_database_fail(db->duck.duckdb_result_error(&result), err);
    else if (db->duck.duckdb_row_count(&result) > 0)
        *out = db->duck.duckdb_value_varchar(&result, 0, 0);
    db->duck.duckdb_destroy_result(&result);
    return rc;
}

static int decode_schema(const char *text, ra_schema **out, ra_error *err) {
    ra_bytes framed;
    ra_bytes_init(&framed, SCHEMA_CEILING);
    int rc = ra_base64_decode(ra_str_of(text), &framed, err);
    if (rc == 0)
        rc = ra_ipc_decode_framed_schema((ra_span){framed.data, (int64_t)framed.len}, out, err);
    ra_bytes_fini(&framed);
    return rc;
}

// What the file says of its Arrow schema. One that makes no sense is none.
static int find_wanted(ra_database *db, ra_schema **out, ra_error *err) {
    char *text;
    ra_error ignored;
    *out = NULL;
    RA_TRY(query_text(db,
                      "SELECT value::VARCHAR FROM parquet_kv_metadata('" RA_SQL_FILE_PATH
                      "') WHERE key = 'ARROW:schema'",
                      &text, err));
    if (text && decode_schema(text, out, &ignored) != 0)
        *out = NULL;
    db->duck.duckdb_free(text);
    return 0;
}

// Of nanoseconds with a zone DuckDB reads microseconds, of long decimals floating-point numbers.
static int refuse_inexact(ra_database *db, ra_error *err) {
    char *name;
    RA_TRY(query_text(
        db,
        "SELECT name FROM parquet_schema('" RA_SQL_FILE_PATH
        "') WHERE logical_type LIKE '%isAdjustedToUTC=1%NANOS=NanoSeconds%' OR precision > 38 "
        "LIMIT 1",
        &name, err));
    if (!name)
        return 0;
    int rc = ra_error_set(err, RA_REASON_NOT_IMPLEMENTED,
                          "column '%s' would not be read exactly: nanoseconds with a zone, or a "
                          "decimal of more than 38 digits",
                          name);
    db->duck.duckdb_free(name);
    return rc;
}

// A CSV buffer holds the longest line there may be, and DuckDB wants several.
static void print_query(bool parquet, int64_t memory_bytes, char *out, size_t bytes) {
    int64_t buffer_bytes = memory_bytes / 8;
    if (buffer_bytes < min_csv_buffer_bytes)
        buffer_bytes = min_csv_buffer_bytes;
    if (buffer_bytes > max_csv_buffer_bytes)
        buffer_bytes = max_csv_buffer_bytes;
    if (parquet)
        snprintf(out, bytes, "SELECT * FROM read_parquet('" RA_SQL_FILE_PATH "')");
    else
        snprintf(out, bytes,
                 "SELECT * FROM read_csv('" RA_SQL_FILE_PATH "', buffer_size = %" PRId64 ")",
                 buffer_bytes);
}

static int list_depth(const ra_field *field) {
    int most = 0;
    for (int i = 0; i < field->n_children; i++) {
        int depth = list_depth(&field->children[i]);
        most = depth > most ? depth : most;
    }
    return most + (field->type == RA_TYPE_LIST || field->type == RA_TYPE_MAP);
}

// Each level doubles the time that DuckDB takes to skip nothing: 20 of a row 0.1 s, 24 two seconds.
static int check_list_depth(const ra_schema *schema, ra_error *err) {
    for (int i = 0; i < schema->n_fields; i++) {
        if (list_depth(&schema->fields[i]) > MAX_LIST_DEPTH)
            RA_FAIL(err, NOT_IMPLEMENTED, "column '%.*s': lists nested more than %d deep",
                    RA_STR_ARG(schema->fields[i].name), MAX_LIST_DEPTH);
    }
    return 0;
}

// Before any row is read, which the running of a query begins with.
static int refuse_deep_lists(ra_database *db, ra_error *err) {
    reader no_rows = {.db = db};
    RA_TRY(query(db, "SELECT * FROM read_parquet('" RA_SQL_FILE_PATH "') LIMIT 0", &no_rows.result,
                 err));
    RA_TRY(read_schema(&no_rows, err));
    int rc = check_list_depth(no_rows.from, err);
    ra_schema_unref(no_rows.from);
    db->duck.duckdb_destroy_result(&no_rows.result);
    return rc;
}

int ra_read_run(ra_database *db, bool parquet, int64_t *n_rows, ra_error *err) {
    reader r = {.db = db};
    ra_schema *wanted = NULL;
    ra_ipc_encoded_init(&r.encoded);
    if (parquet) {
        RA_TRY(refuse_inexact(db, err));
        RA_TRY(refuse_deep_lists(db, err));
        RA_TRY(find_wanted(db, &wanted, err));
    }
    char statement[128];
    print_query(parquet, db->memory_bytes, statement, sizeof statement);
    RA_TRY(query(db, statement, &r.result, err));
    RA_TRY(read_schema(&r, err));
    if (wanted && wanted->n_fields == r.from->n_fields)
        RA_TRY(ra_restore_schema(r.from, wanted, &r.to, err));
    else
        r.to = ra_schema_ref(r.from);
    int rc = send_rows(&r, err);
    *n_rows = r.n_read;
    return rc;
}
