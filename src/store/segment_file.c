#include "store/segment_file.h"

#include <limits.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"
#include "store/disk.h"
#include "store/output.h"
#include "store/segment_frame.h"
#include "store/xxh3.h"

struct ra_segment_file {
    ra_store *store;
    ra_schema *schema;
    uint64_t id;
    ra_write_kind kind;
    ra_output output;
    bool finished;
    char path[RA_SEGMENT_PATH_BYTES];
    int n_dictionaries;
    ra_segment_entry *dictionaries;  // schema->n_dictionaries
    int n_batches;
    int capacity;
    ra_segment_entry *batches;
    ra_blob **app_metadata;  // `capacity`
    bool has_app_metadata;
    int64_t *column_bytes;
};

static int append_prefix(ra_segment_file *file, int64_t message_bytes, ra_error *err) {
    uint8_t prefix[RA_SEGMENT_PREFIX_BYTES];
    ra_segment_print_prefix(file->output.position, message_bytes, prefix);
    return ra_output_append(&file->output, prefix, sizeof prefix, err);
}

static int write_head(ra_segment_file *file, ra_error *err) {
    ra_bytes head;
    ra_bytes_init(&head, 2 * RA_MAX_SCHEMA_BYTES + RA_SEGMENT_ALIGNMENT);
    int rc = ra_segment_encode_head(file->schema, &head, err);
    if (rc == 0)
        rc = ra_output_append(&file->output, head.data, head.len, err);
    if (rc == 0)
        rc = ra_output_settle(&file->output, err);
    ra_bytes_fini(&head);
    return rc;
}

int ra_segment_file_new(ra_store *store, ra_schema *schema, ra_write_kind kind,
                        ra_segment_file **out, ra_error *err) {
    *out = NULL;
    ra_segment_file *file = ra_calloc(1, sizeof *file);
    if (!file)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to write a segment");
    file->store = store;
    file->schema = ra_schema_ref(schema);
    file->kind = kind;
    file->output.fd = -1;
    file->dictionaries = ra_calloc((size_t)schema->n_dictionaries, sizeof *file->dictionaries);
    file->column_bytes = ra_calloc((size_t)schema->n_fields, sizeof *file->column_bytes);
    int rc = 0;
    if (!file->dictionaries || !file->column_bytes)
        rc = ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory to write a segment");
    ra_os_random(&file->id, sizeof file->id);
    ra_segment_print_path(store, file->id, false, file->path);
    if (rc == 0)
        rc = ra_output_open(&file->output, store, kind, file->path, err);
    if (rc == 0)
        rc = write_head(file, err);
    if (rc != 0) {
        ra_segment_file_free(file);
        return rc;
    }
    *out = file;
    return 0;
}

void ra_segment_file_free(ra_segment_file *file) {
    if (!file)
        return;
    // What cannot be removed now is removed at the next start.
    if (file->output.fd >= 0 && !file->finished)
        (void)!ra_os_unlink(file->path, NULL);
    ra_output_close(&file->output);
    for (int i = 0; i < file->n_batches; i++)
        ra_blob_unref(file->app_metadata[i]);
    ra_free(file->app_metadata);
    ra_free(file->batches);
    ra_free(file->dictionaries);
    ra_free(file->column_bytes);
    ra_schema_unref(file->schema);
    ra_free(file);
}

// Appends and hashes, in one place so that the checksum cannot miss bytes.
static int append_hashed(ra_segment_file *file, XXH3_state_t *hash, const void *data, int64_t bytes,
                         ra_error *err) {
    static const uint8_t zeros[RA_SEGMENT_ALIGNMENT];
    if (bytes > 0)
        XXH3_64bits_update(hash, data, (size_t)bytes);
    RA_TRY(ra_output_append(&file->output, data, (size_t)bytes, err));
    int64_t padding = -file->output.position & (RA_SEGMENT_ALIGNMENT - 1);
    XXH3_64bits_update(hash, zeros, (size_t)padding);
    return ra_output_pad(&file->output, err);
}

// Writes a message and fills in its entry but for n_rows and app_metadata_bytes.
static int write_message(ra_segment_file *file, const ra_ipc_encoded *encoded,
                         ra_segment_entry *entry, ra_error *err) {
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    RA_TRY(append_prefix(file, (int64_t)encoded->message.len, err));
    entry->message_offset = file->output.position;
    entry->message_bytes = (int32_t)encoded->message.len;
    RA_TRY(append_hashed(file, &hash, encoded->message.data, (int64_t)encoded->message.len, err));
    entry->body_offset = file->output.position;
    for (int i = 0; i < encoded->n_pieces; i++)
        RA_TRY(append_hashed(file, &hash, encoded->pieces[i].data, encoded->pieces[i].bytes, err));
    entry->body_bytes = file->output.position - entry->body_offset;
    ra_assert(entry->body_bytes == encoded->body_bytes);
    entry->checksum = XXH3_64bits_digest(&hash);
    return ra_output_settle(&file->output, err);
}

int ra_segment_file_add_dictionary(ra_segment_file *file, const ra_ipc_encoded *encoded, int id,
                                   int64_t n_rows, ra_error *err) {
    ra_assert(file->n_dictionaries < file->schema->n_dictionaries);
    ra_segment_entry entry = {.dictionary_id = id, .n_rows = n_rows};
    RA_TRY(write_message(file, encoded, &entry, err));
    file->dictionaries[file->n_dictionaries++] = entry;
    return 0;
}

void ra_segment_file_forget_dictionaries(ra_segment_file *file) {
    file->n_dictionaries = 0;
}

static int grow(ra_segment_file *file, ra_error *err) {
    if (file->n_batches < file->capacity)
        return 0;
    if (file->capacity > INT_MAX / 4)
        RA_FAIL(err, LIMIT, "more than %d batches", file->capacity);
    int capacity = file->capacity ? 2 * file->capacity : 16;
    ra_segment_entry *batches = ra_realloc(file->batches, (size_t)capacity * sizeof *batches);
    if (batches)
        file->batches = batches;
    ra_blob **app_metadata =
        ra_realloc(file->app_metadata, (size_t)capacity * sizeof *app_metadata);
    if (app_metadata)
        file->app_metadata = app_metadata;
    if (!batches || !app_metadata)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the index of %d batches", capacity);
    file->capacity = capacity;
    return 0;
}

// The bytes of one column, counted as a batch of that column only.
static int64_t column_bytes(const ra_batch *batch, int column) {
    ra_batch alone = {.n_columns = 1, .columns = &batch->columns[column]};
    return ra_batch_body_bytes(&alone);
}

int ra_segment_file_add_batch(ra_segment_file *file, const ra_batch *batch,
                              const ra_ipc_encoded *encoded, ra_blob *app_metadata, ra_error *err) {
    RA_TRY(grow(file, err));
    ra_segment_entry entry = {
        .dictionary_id = -1,
        .n_rows = batch->n_rows,
        .app_metadata_bytes = app_metadata ? (int64_t)app_metadata->bytes : 0};
    RA_TRY(write_message(file, encoded, &entry, err));
    for (int i = 0; i < batch->n_columns; i++)
        file->column_bytes[i] += column_bytes(batch, i);
    file->batches[file->n_batches] = entry;
    file->app_metadata[file->n_batches] = app_metadata ? ra_blob_ref(app_metadata) : NULL;
    file->has_app_metadata |= app_metadata != NULL;
    file->n_batches++;
    return 0;
}

static int write_tail(ra_segment_file *file, ra_error *err) {
    ra_bytes tail;
    ra_bytes_init(&tail, INT32_MAX);
    int rc = ra_segment_encode_tail(file->schema, file->dictionaries, file->n_dictionaries,
                                    file->batches, file->n_batches, &tail, err);
    if (rc == 0)
        rc = ra_output_append(&file->output, tail.data, tail.len, err);
    if (rc == 0)
        rc = ra_output_finish(&file->output, err);
    ra_bytes_fini(&tail);
    return rc;
}

static int sync_file(ra_segment_file *file, ra_error *err) {
    if (file->kind != RA_WRITE_DURABLE || !file->store->options.durable)
        return 0;
    if (ra_os_sync(file->output.fd, err) != 0)
        return ra_store_word_sync_failure(file->store, err);
    return 0;
}

// Moves the index over into a segment.
static int make_segment(ra_segment_file *file, ra_segment **out, ra_error *err) {
    RA_TRY(ra_segment_new(file->store, file->id, file->schema, file->output.position,
                          file->n_dictionaries, file->n_batches, out, err));
    ra_segment *segment = *out;
    memcpy(segment->entries, file->dictionaries,
           (size_t)file->n_dictionaries * sizeof *segment->entries);
    if (file->n_batches > 0)
        memcpy(segment->entries + file->n_dictionaries, file->batches,
               (size_t)file->n_batches * sizeof *segment->entries);
    memcpy(segment->column_bytes, file->column_bytes,
           (size_t)file->schema->n_fields * sizeof *segment->column_bytes);
    for (int i = 0; i < file->n_dictionaries + file->n_batches; i++)
        atomic_init(&segment->verified[i], 1);
    if (file->has_app_metadata) {
        segment->app_metadata = file->app_metadata;
        file->app_metadata = NULL;
        file->n_batches = 0;
    }
    ra_segment_seal(segment);
    return 0;
}

int ra_segment_file_finish(ra_segment_file *file, ra_segment **out, ra_error *err) {
    *out = NULL;
    ra_assert(file->n_dictionaries == file->schema->n_dictionaries);
    RA_TRY(write_tail(file, err));
    RA_TRY(sync_file(file, err));
    uint8_t *memory = NULL;
    if (file->output.fd < 0)
        RA_TRY(ra_output_take_memory(&file->output, &memory, err));
    int rc = make_segment(file, out, err);
    if (rc != 0 && memory) {
        ra_budget_release(file->store->options.budget, file->output.position);
        ra_free(memory);
    }
    if (rc != 0)
        return rc;
    (*out)->map = memory;
    (*out)->in_memory = memory != NULL;
    if (memory)
        atomic_fetch_add(&(*out)->store->memory_bytes, (*out)->file_bytes);
    file->finished = true;
    return 0;
}

int ra_segment_file_leave(ra_segment_file *file, char *path, int64_t *n_bytes, ra_error *err) {
    RA_TRY(write_tail(file, err));
    RA_TRY(sync_file(file, err));
    file->finished = true;
    strcpy(path, file->path);
    *n_bytes = file->output.position;
    return 0;
}
