#include "store/writer.h"

#include <inttypes.h>
#include <string.h>

#include "arrow/slice.h"
#include "base/checked.h"
#include "base/os.h"
#include "store/disk.h"

// Segments of one content: generations, and what cannot be unified because indices are too narrow.
enum { MAX_SEGMENTS = 1024 };

int ra_writer_new(ra_store *store, ra_schema *schema, ra_write_kind kind, ra_writer **out,
                  ra_error *err) {
    *out = NULL;
    if (kind == RA_WRITE_DURABLE)
        RA_TRY(ra_store_check_writable(store, err));
    ra_writer *writer = ra_calloc(1, sizeof *writer);
    if (!writer)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to write a table");
    writer->store = store;
    writer->schema = ra_schema_ref(schema);
    writer->kind = kind;
    writer->budget = store->options.budget;
    writer->max_generations = RA_MAX_DICTIONARY_GENERATIONS;
    ra_ipc_encoded_init(&writer->encoded);
    size_t n = (size_t)schema->n_dictionaries;
    writer->dictionaries = ra_calloc(n, sizeof *writer->dictionaries);
    writer->incoming = ra_calloc(n, sizeof *writer->incoming);
    writer->in_force = ra_calloc(n, sizeof *writer->in_force);
    writer->segments = ra_calloc(RA_MAX_DICTIONARY_GENERATIONS, sizeof *writer->segments);
    if (!writer->dictionaries || !writer->incoming || !writer->in_force || !writer->segments) {
        ra_writer_free(writer);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to write a table");
    }
    *out = writer;
    return 0;
}

void ra_writer_free(ra_writer *writer) {
    if (!writer)
        return;
    ra_writer_drop_merge(writer);
    if (writer->dictionaries)
        ra_writer_drop_dictionaries(writer);
    ra_assert(writer->charged_bytes == 0);
    ra_segment_file_free(writer->file);
    for (int i = 0; i < writer->n_segments; i++)
        ra_segment_unref(writer->segments[i]);
    ra_free(writer->segments);
    ra_free(writer->dictionaries);
    ra_free(writer->incoming);
    ra_free(writer->in_force);
    ra_ipc_encoded_fini(&writer->encoded);
    ra_schema_unref(writer->checked_schema);
    ra_schema_unref(writer->schema);
    ra_free(writer);
}

int64_t ra_writer_rows(const ra_writer *writer) {
    return writer->n_rows;
}

int64_t ra_writer_bytes(const ra_writer *writer) {
    return writer->body_bytes;
}

void ra_writer_set_budget(ra_writer *writer, ra_budget *budget) {
    ra_assert(writer->charged_bytes == 0);
    writer->budget = budget;
}

void ra_writer_merge_all(ra_writer *writer, bool unify) {
    ra_assert(writer->n_rows == 0);
    writer->merges_all = true;
    if (unify)
        writer->max_generations = 1;
}

int ra_writer_charge(ra_writer *writer, int64_t bytes, ra_error *err) {
    RA_TRY(ra_budget_charge(writer->budget, bytes, err));
    writer->charged_bytes += bytes;
    return 0;
}

void ra_writer_release(ra_writer *writer, int64_t bytes) {
    ra_budget_release(writer->budget, bytes);
    writer->charged_bytes -= bytes;
}

static int64_t varint_bytes(int64_t value) {
    int64_t n = 1;
    for (uint64_t rest = (uint64_t)value >> 7; rest > 0; rest >>= 7)
        n++;
    return n;
}

// The gRPC message with the FlightData that DoGet sends: prefix, data_header, app_metadata,
// data_body (whose tag has two bytes).
static int64_t sent_bytes(int64_t header, int64_t app_metadata, int64_t body) {
    int64_t bytes = 5 + 1 + varint_bytes(header) + header + 2 + varint_bytes(body) + body;
    return app_metadata > 0 ? bytes + 1 + varint_bytes(app_metadata) + app_metadata : bytes;
}

static int64_t encoded_bytes(const ra_writer *writer, const ra_blob *app_metadata) {
    return sent_bytes((int64_t)writer->encoded.message.len,
                      app_metadata ? (int64_t)app_metadata->bytes : 0, writer->encoded.body_bytes);
}

static int begin_segment(ra_writer *writer, ra_error *err) {
    if (writer->n_segments == MAX_SEGMENTS)
        RA_FAIL(err, LIMIT, "more than %d dictionaries that do not fit their index type together",
                MAX_SEGMENTS);
    RA_TRY(ra_segment_file_new(writer->store, writer->schema, writer->kind, &writer->file, err));
    return ra_writer_store_dictionaries(writer, err);
}

// Stores what `encoded` holds.
static int store_encoded(ra_writer *writer, const ra_batch *batch, ra_blob *app_metadata,
                         ra_error *err) {
    int64_t bytes = encoded_bytes(writer, app_metadata);
    if (bytes > INT32_MAX)
        RA_FAIL(err, LIMIT, "a row of %" PRId64 " bytes is larger than a message can be", bytes);
    RA_TRY(ra_segment_file_add_batch(writer->file, batch, &writer->encoded, app_metadata, err));
    writer->body_bytes += writer->encoded.body_bytes;
    return 0;
}

// Whole bytes of bitmaps, and cache lines of most values, where that many rows fit.
static int64_t round_rows(int64_t rows) {
    return rows > 64 ? rows & ~INT64_C(63) : rows;
}

// The rows that fit if they are as large as `rows` rows were, which took `bytes`.
static int64_t estimate_rows(int64_t rows, int64_t bytes, int64_t room) {
    double fit = (double)rows * ((double)room * 127 / 128) / (double)bytes;
    double most = 4 * (double)rows;  // how far to trust the estimate
    int64_t estimate = (int64_t)(fit < most ? fit : most);
    return estimate < 1 ? 1 : round_rows(estimate);
}

// Stores a slice from `offset` with at most `*rows` rows: about as many as fit, by the size of the
// first attempt and then by halves. Sets `*rows` and the bytes that they take.
static int store_slice(ra_writer *writer, const ra_batch *batch, int64_t offset, int64_t *rows,
                       ra_blob *app_metadata, int64_t *bytes, ra_error *err) {
    for (int attempt = 1;; attempt++) {
        ra_batch *slice;
        RA_TRY(ra_batch_slice(batch, offset, *rows, &slice, err));
        int rc = ra_ipc_encode_batch(slice, &writer->encoded, err);
        *bytes = encoded_bytes(writer, app_metadata);
        bool fits = *bytes < RA_BATCH_LIMIT_BYTES || *rows == 1;
        if (rc == 0 && fits)
            rc = store_encoded(writer, slice, app_metadata, err);
        ra_batch_unref(slice);
        if (rc != 0 || fits)
            return rc;
        if (attempt == 1)
            *rows = estimate_rows(*rows, *bytes, RA_BATCH_LIMIT_BYTES);
        else
            *rows = round_rows(*rows / 2);
    }
}

// Stores a batch that is over the limit, and whose encoded form takes `bytes`, in slices.
static int store_slices(ra_writer *writer, const ra_batch *batch, ra_blob *app_metadata,
                        int64_t bytes, ra_error *err) {
    int64_t offset = 0, rows = batch->n_rows;
    while (offset < batch->n_rows) {
        int64_t room = RA_BATCH_LIMIT_BYTES - 1;
        if (app_metadata)
            room -= (int64_t)app_metadata->bytes;
        rows = estimate_rows(rows, bytes, room);
        if (rows > batch->n_rows - offset)
            rows = batch->n_rows - offset;
        RA_TRY(store_slice(writer, batch, offset, &rows, app_metadata, &bytes, err));
        offset += rows;
        app_metadata = NULL;
    }
    return 0;
}

int ra_writer_store(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata, ra_error *err) {
    if (!writer->file)
        RA_TRY(begin_segment(writer, err));
    RA_TRY(ra_ipc_encode_batch(batch, &writer->encoded, err));
    int64_t bytes = encoded_bytes(writer, app_metadata);
    if (bytes < RA_BATCH_LIMIT_BYTES || batch->n_rows <= 1)
        return store_encoded(writer, batch, app_metadata, err);
    return store_slices(writer, batch, app_metadata, bytes, err);
}

// Makes room for one more among the finished segments.
static int grow_segments(ra_writer *writer, ra_error *err) {
    if (writer->n_segments != RA_MAX_DICTIONARY_GENERATIONS)
        return 0;
    ra_segment **grown = ra_realloc(writer->segments, MAX_SEGMENTS * sizeof *writer->segments);
    if (!grown)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d segments", MAX_SEGMENTS);
    writer->segments = grown;
    return 0;
}

int ra_writer_end_segment(ra_writer *writer, ra_error *err) {
    if (!writer->file)
        return 0;
    if (writer->dictionaries_grew) {
        ra_segment_file_forget_dictionaries(writer->file);
        RA_TRY(ra_writer_store_dictionaries(writer, err));
    }
    RA_TRY(grow_segments(writer, err));
    ra_segment *segment;
    RA_TRY(ra_segment_file_finish(writer->file, &segment, err));
    writer->segments[writer->n_segments++] = segment;
    ra_segment_file_free(writer->file);
    writer->file = NULL;
    return 0;
}

// Batches of another schema object than the writer's must have its types.
static int check_types(ra_writer *writer, ra_schema *schema, ra_error *err) {
    if (schema == writer->schema || schema == writer->checked_schema)
        return 0;
    if (schema->n_fields != writer->schema->n_fields)
        RA_FAIL(err, SCHEMA_MISMATCH, "a batch has %d columns, the table has %d", schema->n_fields,
                writer->schema->n_fields);
    for (int i = 0; i < schema->n_fields; i++) {
        if (!ra_type_equal(&schema->fields[i], &writer->schema->fields[i]))
            RA_FAIL(err, SCHEMA_MISMATCH, "column '%.*s' of a batch has another type",
                    RA_STR_ARG(writer->schema->fields[i].name));
    }
    ra_schema_unref(writer->checked_schema);
    writer->checked_schema = ra_schema_ref(schema);
    return 0;
}

static int add(ra_writer *writer, ra_batch *batch, ra_span app_metadata, ra_error *err) {
    RA_TRY(check_types(writer, batch->schema, err));
    if (app_metadata.bytes > RA_MAX_APP_METADATA_BYTES)
        RA_FAIL(err, MESSAGE_TOO_LARGE, "app_metadata of %" PRId64 " bytes: at most %d",
                app_metadata.bytes, RA_MAX_APP_METADATA_BYTES);
    int64_t n_rows;
    if (!ra_add_i64(writer->n_rows, batch->n_rows, &n_rows))
        RA_FAIL(err, LIMIT, "more than 2^63 rows");
    ra_blob *blob = NULL;
    if (app_metadata.bytes > 0) {
        RA_TRY(ra_blob_new((size_t)app_metadata.bytes, &blob, err));
        memcpy(blob->data, app_metadata.data, (size_t)app_metadata.bytes);
    }
    int rc = ra_writer_pass_dictionaries(writer, batch, blob, err);
    ra_blob_unref(blob);
    if (rc == 0)
        writer->n_rows = n_rows;
    return rc;
}

int ra_writer_add(ra_writer *writer, ra_batch *batch, ra_span app_metadata, ra_error *err) {
    if (writer->failed)
        RA_FAIL(err, INTERNAL, "writing the table has failed before");
    int rc = add(writer, batch, app_metadata, err);
    writer->failed = rc != 0;
    return rc;
}

static int place_segment(ra_segment *segment, ra_error *err) {
    if (segment->in_memory)
        return 0;
    char from[RA_SEGMENT_PATH_BYTES], to[RA_SEGMENT_PATH_BYTES];
    ra_segment_print_path(segment->store, segment->id, false, from);
    ra_segment_print_path(segment->store, segment->id, true, to);
    RA_TRY(ra_os_rename(from, to, err));
    segment->placed = true;
    return 0;
}

static int place_segments(ra_writer *writer, ra_error *err) {
    ra_store *store = writer->store;
    for (int i = 0; i < writer->n_segments; i++)
        RA_TRY(place_segment(writer->segments[i], err));
    if (writer->kind != RA_WRITE_DURABLE || !store->options.durable || writer->n_segments == 0)
        return 0;
    if (ra_os_sync_dir(store->segments_dir, err) != 0)
        return ra_store_word_sync_failure(store, err);
    for (int i = 0; i < writer->n_segments; i++)
        atomic_store(&writer->segments[i]->synced, true);
    return 0;
}

// A content of the finished segments.
static int make_content(ra_writer *writer, ra_content **out, ra_error *err) {
    ra_part *parts = ra_calloc((size_t)writer->n_segments, sizeof *parts);
    if (!parts)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table");
    int n = writer->n_segments;
    for (int i = 0; i < n; i++)
        parts[i] = (ra_part){.segment = writer->segments[i],
                             .n_batches = writer->segments[i]->n_batches,
                             .n_columns = -1};
    writer->n_segments = 0;
    return ra_content_new(writer->store, writer->schema, parts, n, false, out, err);
}

static int finish(ra_writer *writer, ra_content **out, ra_error *err) {
    RA_TRY(ra_writer_flush_dictionaries(writer, err));
    RA_TRY(ra_writer_flush_merge(writer, err));
    RA_TRY(ra_writer_end_segment(writer, err));
    if (writer->kind == RA_WRITE_DURABLE)
        RA_TRY(ra_store_check_writable(writer->store, err));
    RA_TRY(place_segments(writer, err));
    return make_content(writer, out, err);
}

int ra_writer_finish(ra_writer *writer, ra_content **out, ra_error *err) {
    *out = NULL;
    if (writer->failed)
        RA_FAIL(err, INTERNAL, "writing the table has failed before");
    int rc = finish(writer, out, err);
    writer->failed = true;
    return rc;
}
