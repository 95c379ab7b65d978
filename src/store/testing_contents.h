// For tests only: what contents need of a store (folders, cache, budget) without a catalog, and
// contents compared row by row. A fault of these helpers ends the test program.
#ifndef RA_STORE_TESTING_CONTENTS_H
#define RA_STORE_TESTING_CONTENTS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arrow/check.h"
#include "arrow/ipc.h"
#include "arrow/slice.h"
#include "arrow/testing_random.h"
#include "base/log.h"
#include "store/internal.h"

typedef struct {
    ra_store store;
    ra_budget budget;
    char data_dir[64];
    char segments_dir[96];
    char tmp_dir[96];
} testing_folder;

static inline void testing_check(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "testing_contents: %s\n", what);
        abort();
    }
}

static inline void testing_folder_init_with(testing_folder *t, int max_open) {
    ra_error err;
    memset(t, 0, sizeof *t);
    ra_log_set(RA_LOG_OFF, false);
    // In memory where possible: real syncs of thousands of small files take minutes.
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(t->data_dir, sizeof t->data_dir, "%s/ra-store-test-XXXXXX", parent);
    testing_check(mkdtemp(t->data_dir) != NULL, "no folder");
    snprintf(t->segments_dir, sizeof t->segments_dir, "%s/segments", t->data_dir);
    snprintf(t->tmp_dir, sizeof t->tmp_dir, "%s/tmp", t->data_dir);
    testing_must(ra_os_mkdir(t->segments_dir, 0700, &err), &err);
    testing_must(ra_os_mkdir(t->tmp_dir, 0700, &err), &err);
    ra_budget_init(&t->budget, NULL, "test", INT64_C(1) << 30);
    t->store.options.data_dir = t->data_dir;
    t->store.options.durable = true;
    t->store.options.budget = &t->budget;
    t->store.data_dir = t->data_dir;
    t->store.segments_dir = t->segments_dir;
    t->store.tmp_dir = t->tmp_dir;
    testing_must(ra_segment_cache_new(max_open, &t->store.cache, &err), &err);
}

static inline void testing_folder_init(testing_folder *t) {
    testing_folder_init_with(t, 100);
}

static inline int testing_count_files(const char *path) {
    DIR *dir = opendir(path);
    testing_check(dir != NULL, "cannot read a folder");
    int n = -2;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

// Nothing is left: no segment, no file, no charged memory.
static inline bool testing_folder_is_empty(testing_folder *t) {
    return atomic_load(&t->store.n_segments) == 0 && atomic_load(&t->store.segment_bytes) == 0 &&
           atomic_load(&t->store.n_damaged_segments) == 0 &&
           atomic_load(&t->store.open_segments) == 0 && atomic_load(&t->store.spool_bytes) == 0 &&
           ra_budget_used(&t->budget) == 0 && testing_count_files(t->segments_dir) == 0 &&
           testing_count_files(t->tmp_dir) == 0;
}

static inline void testing_folder_fini(testing_folder *t) {
    testing_check(testing_folder_is_empty(t), "something is left in the store");
    ra_segment_cache_free(t->store.cache);
    ra_budget_fini(&t->budget);
    rmdir(t->segments_dir);
    rmdir(t->tmp_dir);
    rmdir(t->data_dir);
}

// Columns "c0", "c1" … of plain types.
static inline ra_schema *testing_plain_schema(const ra_type_id *types, int n) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(n, &schema, &err), &err);
    for (int i = 0; i < n; i++)
        schema->fields[i] =
            (ra_field){.name = testing_name(schema, "c", i), .type = types[i], .nullable = true};
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// An int64 column and a dictionary column of strings.
static inline ra_schema *testing_dictionary_schema(ra_type_id index_type) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(2, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("number"), .type = RA_TYPE_INT64};
    schema->fields[1] = (ra_field){.name = RA_STR("word"),
                                   .type = RA_TYPE_UTF8,
                                   .nullable = true,
                                   .is_dictionary = true,
                                   .index_type = index_type};
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

typedef struct {
    ra_batch **items;
    int n;
} testing_batches;

static inline void testing_batches_fini(testing_batches *list) {
    for (int i = 0; i < list->n; i++)
        ra_batch_unref(list->items[i]);
    free(list->items);
    *list = (testing_batches){0};
}

// Takes the reference.
static inline void testing_batches_add(testing_batches *list, ra_batch *batch) {
    list->items = realloc(list->items, (size_t)(list->n + 1) * sizeof(ra_batch *));
    testing_check(list->items != NULL, "no memory");
    list->items[list->n++] = batch;
}

static inline testing_batches testing_random_batches(ra_schema *schema, uint64_t seed, int n,
                                                     int64_t n_rows) {
    testing_batches list = {0};
    for (int i = 0; i < n; i++)
        testing_batches_add(&list, testing_random_batch(seed + (uint64_t)i, n_rows, schema));
    return list;
}

// Writes batches as a content.
static inline ra_content *testing_write(testing_folder *t, ra_schema *schema,
                                        const testing_batches *batches) {
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&t->store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    for (int i = 0; i < batches->n; i++)
        testing_must(ra_writer_add(writer, batches->items[i], (ra_span){0}, &err), &err);
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    return content;
}

// A content of `n` random batches of `n_rows` rows.
static inline ra_content *testing_write_random(testing_folder *t, ra_schema *schema, uint64_t seed,
                                               int n, int64_t n_rows) {
    testing_batches batches = testing_random_batches(schema, seed, n, n_rows);
    ra_content *content = testing_write(t, schema, &batches);
    testing_batches_fini(&batches);
    return content;
}

static inline bool testing_rows_equal(const ra_batch *a, int64_t a_from, const ra_batch *b,
                                      int64_t b_from, int64_t n) {
    ra_error err;
    ra_batch *x, *y;
    testing_must(ra_batch_slice(a, a_from, n, &x, &err), &err);
    testing_must(ra_batch_slice(b, b_from, n, &y, &err), &err);
    bool equal = a->n_columns == b->n_columns;
    for (int i = 0; i < a->n_columns && equal; i++)
        equal = ra_array_equal(&x->columns[i], &y->columns[i], true);
    ra_batch_unref(x);
    ra_batch_unref(y);
    return equal;
}

// Whether two lists of batches have the same rows, wherever batches end.
static inline bool testing_batches_equal(const testing_batches *a, const testing_batches *b) {
    int i = 0, j = 0;
    int64_t at_a = 0, at_b = 0;
    for (;;) {
        for (; i < a->n && at_a == a->items[i]->n_rows; i++)
            at_a = 0;
        for (; j < b->n && at_b == b->items[j]->n_rows; j++)
            at_b = 0;
        if (i == a->n || j == b->n)
            return i == a->n && j == b->n;
        int64_t rest_a = a->items[i]->n_rows - at_a, rest_b = b->items[j]->n_rows - at_b;
        int64_t n = rest_a < rest_b ? rest_a : rest_b;
        if (!testing_rows_equal(a->items[i], at_a, b->items[j], at_b, n))
            return false;
        at_a += n;
        at_b += n;
    }
}

// All batches of a content; they pass the check that uploads pass.
static inline testing_batches testing_read(ra_content *content) {
    ra_error err;
    testing_batches list = {0};
    int64_t n_rows = 0;
    for (int64_t i = 0; i < content->n_batches; i++) {
        ra_batch *batch;
        testing_must(ra_content_batch(content, i, &batch, &err), &err);
        testing_must(ra_check_batch(batch, &err), &err);
        testing_check(batch->schema == content->schema, "a batch of another schema");
        n_rows += batch->n_rows;
        testing_batches_add(&list, batch);
    }
    testing_check(n_rows == content->n_rows, "n_rows is wrong");
    return list;
}

// The body of a message as a client gets it.
static inline ra_blob *testing_body(const ra_out_message *message) {
    ra_error err;
    ra_blob *body;
    testing_must(ra_blob_new((size_t)message->body_bytes, &body, &err), &err);
    int64_t at = 0;
    for (int i = 0; i < message->n_body; i++) {
        const struct ra_body_range *range = &message->body[i];
        int fd = ra_segment_fd(message->segment);
        uint8_t byte = *range->data;
        if (fd >= 0)  // not of a temporary content that is in memory
            testing_must(ra_os_pread(fd, &byte, 1, range->offset, &err), &err);
        testing_check(byte == *range->data, "file and mapping differ");
        testing_check(at + range->bytes <= message->body_bytes, "body_bytes is too small");
        memcpy(body->data + at, range->data, (size_t)range->bytes);
        at += range->bytes;
    }
    testing_check(at == message->body_bytes, "body_bytes is wrong");
    return body;
}

// All batches that a client gets from `first_batch` on, decoded from the messages as an upload
// would be. `n_bytes`, if not NULL, is set to the bytes of the bodies.
static inline testing_batches testing_receive(ra_content *content, int64_t first_batch,
                                              int64_t window_bytes, int64_t *n_bytes) {
    ra_error err;
    testing_batches list = {0};
    ra_ipc_decoder *decoder;
    ra_span schema = {content->schema_message->data, (int64_t)content->schema_message->bytes};
    testing_must(ra_ipc_decoder_new(schema, NULL, &decoder, &err), &err);
    ra_cursor *cursor;
    testing_must(ra_cursor_new(content, first_batch, &cursor, &err), &err);
    int64_t total = 0;
    while (!ra_cursor_at_end(cursor)) {
        if (!ra_cursor_is_ready(cursor)) {
            testing_must(ra_cursor_prepare(cursor, window_bytes, &err), &err);
            testing_check(ra_cursor_is_ready(cursor), "not ready when prepared");
        }
        ra_out_message message;
        testing_must(ra_cursor_next(cursor, &message, &err), &err);
        ra_blob *body = testing_body(&message);
        total += message.body_bytes;
        ra_batch *batch;
        ra_span span = {body->data, message.body_bytes};
        testing_must(ra_ipc_decode(decoder, message.header, span, body, &batch, &err), &err);
        testing_check((batch != NULL) == message.is_batch, "is_batch is wrong");
        testing_check(!batch || batch->n_rows == message.n_rows, "n_rows is wrong");
        if (batch)
            testing_batches_add(&list, batch);
        ra_blob_unref(body);
        ra_out_message_fini(&message);
    }
    if (n_bytes)
        *n_bytes = total;
    ra_cursor_free(cursor);
    ra_ipc_decoder_free(decoder);
    return list;
}

// Whether reading and receiving a content give these rows.
static inline bool testing_content_equal(ra_content *content, const testing_batches *batches) {
    testing_batches read = testing_read(content);
    testing_batches received = testing_receive(content, 0, 1 << 20, NULL);
    bool equal = testing_batches_equal(batches, &read) && testing_batches_equal(batches, &received);
    testing_batches_fini(&read);
    testing_batches_fini(&received);
    return equal;
}

// The content as a new process finds it: segments from the catalog's form, closed and unverified.
// Takes the reference. `testing_forget` ends it, files included.
static inline ra_content *testing_reload(ra_content *content) {
    ra_error err;
    ra_store *store = content->store;
    ra_part *parts = ra_calloc((size_t)content->n_parts, sizeof *parts);
    int n = content->n_parts;
    ra_schema *schema = ra_schema_ref(content->schema);
    for (int i = 0; i < n; i++) {
        ra_segment *segment = content->parts[i].segment;
        ra_bytes index, message;
        ra_bytes_init(&index, 1 << 24);
        ra_bytes_init(&message, 1 << 24);
        testing_must(ra_segment_encode_index(segment, &index, &err), &err);
        testing_must(ra_ipc_encode_schema(segment->schema, &message, &err), &err);
        parts[i] = content->parts[i];
        testing_check(parts[i].n_columns < 0, "only whole parts can be reloaded");
        testing_must(
            ra_segment_load(store, segment->id, segment->file_bytes,
                            (ra_span){message.data, (int64_t)message.len},
                            (ra_span){index.data, (int64_t)index.len}, &parts[i].segment, &err),
            &err);
        ra_segment_adopt(segment);
        ra_bytes_fini(&index);
        ra_bytes_fini(&message);
    }
    ra_content_unref(content);
    testing_must(ra_content_new(store, schema, parts, n, false, &content, &err), &err);
    ra_schema_unref(schema);
    return content;
}

static inline void testing_forget(ra_content *content) {
    for (int i = 0; i < content->n_parts; i++)
        ra_segment_orphan(content->parts[i].segment);
    ra_content_unref(content);
}

// Overwrites a byte of a segment's file.
static inline void testing_flip(const ra_segment *segment, int64_t offset) {
    ra_error err;
    char path[RA_SEGMENT_PATH_BYTES];
    uint8_t byte;
    int fd;
    ra_segment_print_path(segment->store, segment->id, true, path);
    testing_must(ra_os_open(path, O_RDWR, 0, &fd, &err), &err);
    testing_must(ra_os_pread(fd, &byte, 1, offset, &err), &err);
    byte ^= 1;
    testing_must(ra_os_pwrite(fd, &byte, 1, offset, &err), &err);
    ra_os_close(fd);
}

#endif
