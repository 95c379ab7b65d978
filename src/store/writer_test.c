#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/testing_contents.h"

static const ra_type_id mixed[] = {RA_TYPE_INT64, RA_TYPE_UTF8, RA_TYPE_BOOL, RA_TYPE_BINARY_VIEW};

static void random_batches_of_every_type_come_back(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    for (uint64_t seed = 0; seed < 120; seed++) {
        ra_schema *schema = seed % 8 == 0 ? testing_all_types_schema()
                                          : testing_random_schema(seed, (int)(seed % 7), 4);
        testing_batches batches = {0};
        for (uint64_t i = 0; i < 4; i++) {
            ra_batch *batch =
                testing_random_batch(seed * 31 + i, (int64_t)((seed + i * 37) % 101), schema);
            testing_batches_add(&batches, testing_misaligned(batch));
            ra_batch_unref(batch);
        }
        ra_content *content = testing_write(&store, schema, &batches);
        assert_int_equal(content->n_batches, batches.n);
        assert_true(testing_content_equal(content, &batches));
        ra_content_unref(content);
        testing_batches_fini(&batches);
        ra_schema_unref(schema);
    }
    testing_folder_fini(&store);
}

static void a_table_without_batches_has_no_file(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_all_types_schema();
    ra_content *content = testing_write(&store, schema, &(testing_batches){0});
    assert_int_equal(content->n_parts, 0);
    assert_int_equal(content->n_rows, 0);
    assert_int_equal(content->n_bytes, 0);
    assert_true(testing_folder_is_empty(&store));
    testing_batches received = testing_receive(content, 0, 1, NULL);
    assert_int_equal(received.n, 0);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_table_without_columns_keeps_its_rows(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(NULL, 0);
    ra_content *content = testing_write_random(&store, schema, 1, 3, 70);
    assert_int_equal(content->n_rows, 210);
    testing_batches received = testing_receive(content, 0, 1, NULL);
    assert_int_equal(received.n, 3);
    assert_int_equal(received.items[2]->n_rows, 70);
    testing_batches_fini(&received);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void equal_content_has_an_equal_hash(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    ra_content *a = testing_write_random(&store, schema, 1, 3, 70);
    ra_content *b = testing_write_random(&store, schema, 1, 3, 70);
    ra_content *other = testing_write_random(&store, schema, 2, 3, 70);
    ra_content *fewer = testing_write_random(&store, schema, 1, 2, 70);
    assert_memory_equal(a->hash, b->hash, sizeof a->hash);
    assert_memory_not_equal(a->hash, other->hash, sizeof a->hash);
    assert_memory_not_equal(a->hash, fewer->hash, sizeof a->hash);
    ra_content_unref(a);
    ra_content_unref(b);
    ra_content_unref(other);
    ra_content_unref(fewer);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static ra_content *write_one(testing_folder *store, ra_batch *batch, ra_span app_metadata) {
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&store->store, batch->schema, RA_WRITE_DURABLE, &writer, &err),
                 &err);
    testing_must(ra_writer_add(writer, batch, app_metadata, &err), &err);
    assert_int_equal(ra_writer_rows(writer), batch->n_rows);
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    assert_int_equal(ra_writer_bytes(writer), content->n_bytes);
    ra_writer_free(writer);
    return content;
}

// The size of the gRPC message with the FlightData, written out by hand.
static int64_t sent_bytes(const ra_out_message *message) {
    int64_t bytes = 5 + 1 + 4 + message->header.bytes + 2 + 4 + message->body_bytes;
    return bytes + (message->app_metadata.bytes ? 1 + 4 + message->app_metadata.bytes : 0);
}

// Messages are below the limit, slices are whole words of bitmaps, app_metadata is on the first.
static void check_messages(ra_content *content, int64_t app_metadata_bytes) {
    ra_error err;
    ra_cursor *cursor;
    testing_must(ra_cursor_new(content, 0, &cursor, &err), &err);
    bool is_first = true;
    while (!ra_cursor_at_end(cursor)) {
        ra_out_message message;
        testing_must(ra_cursor_prepare(cursor, 1, &err), &err);
        testing_must(ra_cursor_next(cursor, &message, &err), &err);
        assert_true(sent_bytes(&message) < RA_BATCH_LIMIT_BYTES || message.n_rows == 1);
        assert_int_equal(message.app_metadata.bytes, is_first ? app_metadata_bytes : 0);
        if (!ra_cursor_at_end(cursor) && message.n_rows > 64)
            assert_int_equal(message.n_rows % 64, 0);
        is_first = false;
        ra_out_message_fini(&message);
    }
    ra_cursor_free(cursor);
}

static void a_batch_over_the_limit_is_cut_into_slices_that_fit(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_batch *batch = testing_random_batch(5, 400000, schema);
    ra_batch *odd = testing_misaligned(batch);
    uint8_t *app_metadata = calloc(1, RA_MAX_APP_METADATA_BYTES);
    ra_span span = {app_metadata, RA_MAX_APP_METADATA_BYTES};
    ra_content *content = write_one(&store, odd, span);
    // About as many slices as there must be.
    assert_in_range(content->n_batches, content->n_bytes / RA_BATCH_LIMIT_BYTES + 1,
                    content->n_bytes / RA_BATCH_LIMIT_BYTES + 3);
    check_messages(content, RA_MAX_APP_METADATA_BYTES);
    const ra_segment *segment = content->parts[0].segment;
    char path[RA_SEGMENT_PATH_BYTES];
    struct stat st;
    ra_segment_print_path(&store.store, segment->id, true, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, segment->file_bytes);
    assert_true(testing_content_equal(content, &(testing_batches){&batch, 1}));
    ra_content_unref(content);
    free(app_metadata);
    ra_batch_unref(odd);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// A batch of strings of the given sizes.
static ra_batch *make_strings(ra_schema *schema, const int32_t *sizes, int n) {
    ra_error err;
    ra_batch *batch;
    testing_must(ra_batch_new(schema, n, &batch, &err), &err);
    int32_t *offsets = (int32_t *)(void *)testing_alloc(batch, (n + 1) * 4);
    for (int i = 0; i < n; i++)
        offsets[i + 1] = offsets[i] + sizes[i];
    uint8_t *data = testing_alloc(batch, offsets[n]);
    memset(data, 'x', (size_t)offsets[n]);
    batch->columns[0].buffers[0] = (ra_span){(uint8_t *)offsets, (n + 1) * 4};
    batch->columns[0].buffers[1] = (ra_span){data, offsets[n]};
    return batch;
}

static void rows_of_uneven_size_fit_too(void **state) {
    (void)state;
    static const ra_type_id text[] = {RA_TYPE_UTF8};
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(text, 1);
    enum { N = 5000 };
    int32_t sizes[N] = {[10] = 5000000, [11] = 3000000, [4000] = 4194304, [N - 1] = 4100000};
    ra_batch *batch = make_strings(schema, sizes, N);
    ra_content *content = write_one(&store, batch, (ra_span){0});
    check_messages(content, 0);
    assert_true(testing_content_equal(content, &(testing_batches){&batch, 1}));
    assert_in_range(content->n_batches, 5, 40);
    ra_content_unref(content);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Strings whose message is exactly as large as allowed are stored as they came.
static void the_limit_is_exact(void **state) {
    (void)state;
    static const ra_type_id text[] = {RA_TYPE_UTF8};
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(text, 1);
    ra_ipc_encoded encoded;
    ra_error err;
    ra_ipc_encoded_init(&encoded);
    int32_t sizes[128] = {0};
    ra_batch *empty = make_strings(schema, sizes, 128);
    testing_must(ra_ipc_encode_batch(empty, &encoded, &err), &err);
    // 5 + (1 + 2 + header) + (2 + 4 + body): what is left is a multiple of 64 or not used.
    int64_t header = (int64_t)encoded.message.len, offsets = 576;
    int64_t room = RA_BATCH_LIMIT_BYTES - 1 - 5 - 3 - header - 6 - offsets;
    ra_ipc_encoded_fini(&encoded);
    ra_batch_unref(empty);
    for (int over = 0; over < 2; over++) {
        sizes[0] = (int32_t)(room / 64 * 64 + over);
        ra_batch *batch = make_strings(schema, sizes, 128);
        ra_content *content = write_one(&store, batch, (ra_span){0});
        if (over)
            assert_true(content->n_batches > 1);
        else
            assert_int_equal(content->n_batches, 1);
        check_messages(content, 0);
        assert_true(testing_content_equal(content, &(testing_batches){&batch, 1}));
        ra_content_unref(content);
        ra_batch_unref(batch);
    }
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void app_metadata_stays_with_its_batch(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    for (int i = 0; i < 200; i++) {
        ra_batch *batch = testing_random_batch((uint64_t)i, 5, schema);
        ra_span span = {(const uint8_t *)&i, i % 3 == 0 ? sizeof i : 0};
        testing_must(ra_writer_add(writer, batch, span, &err), &err);
        ra_batch_unref(batch);
    }
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    assert_int_equal(content->n_batches, 200);
    for (int i = 0; i < 200; i++) {
        ra_blob *blob;
        testing_must(ra_content_app_metadata(content, i, &blob, &err), &err);
        assert_int_equal(blob->bytes, i % 3 == 0 ? sizeof i : 0);
        assert_memory_equal(blob->data, &i, blob->bytes);
        ra_blob_unref(blob);
    }
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void what_does_not_belong_is_refused(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 4), *other = testing_plain_schema(mixed, 3);
    ra_batch *batch = testing_random_batch(1, 5, other), *good = testing_random_batch(1, 5, schema);
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    assert_int_equal(ra_writer_add(writer, batch, (ra_span){0}, &err), RA_INVALID);
    assert_int_equal(err.reason, RA_REASON_SCHEMA_MISMATCH);
    // A writer that has failed does not go on.
    assert_int_not_equal(ra_writer_add(writer, good, (ra_span){0}, &err), 0);
    assert_int_not_equal(ra_writer_finish(writer, &content, &err), 0);
    assert_null(content);
    ra_writer_free(writer);
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    ra_span large = {good->columns[0].buffers[0].data, RA_MAX_APP_METADATA_BYTES + 1};
    assert_int_equal(ra_writer_add(writer, good, large, &err), RA_EXHAUSTED);
    ra_writer_free(writer);
    ra_batch_unref(batch);
    ra_batch_unref(good);
    ra_schema_unref(schema);
    ra_schema_unref(other);
    testing_folder_fini(&store);
}

static void a_writer_that_is_given_up_leaves_nothing(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    ra_writer *writer;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_DURABLE, &writer, &err), &err);
    for (uint64_t i = 0; i < 10; i++) {
        ra_batch *batch = testing_random_batch(i, 4000, schema);
        testing_must(ra_writer_add(writer, batch, (ra_span){0}, &err), &err);
        ra_batch_unref(batch);
    }
    assert_int_equal(testing_count_files(store.tmp_dir), 10);
    assert_int_equal(testing_count_files(store.segments_dir), 0);
    ra_writer_free(writer);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static ra_content *write_temporary(testing_folder *t, ra_schema *schema, int n, int64_t n_rows) {
    testing_batches batches = testing_random_batches(schema, 71, n, n_rows);
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&t->store, schema, RA_WRITE_TEMPORARY, &writer, &err), &err);
    for (int i = 0; i < batches.n; i++)
        testing_must(ra_writer_add(writer, batches.items[i], (ra_span){0}, &err), &err);
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    assert_true(testing_content_equal(content, &batches));
    testing_batches_fini(&batches);
    return content;
}

static void temporary_content_is_in_memory_while_it_is_small(void **state) {
    (void)state;
    testing_folder t;
    testing_folder_init(&t);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    int64_t before = ra_budget_used(t.store.options.budget);
    ra_content *small = write_temporary(&t, schema, 2, 20);
    assert_true(small->parts[0].segment->in_memory);
    assert_int_equal(testing_count_files(t.segments_dir) + testing_count_files(t.tmp_dir), 0);
    assert_int_equal(ra_budget_used(t.store.options.budget) - before,
                     small->parts[0].segment->file_bytes);
    ra_content_unref(small);
    assert_int_equal(ra_budget_used(t.store.options.budget), before);
    ra_content *large = write_temporary(&t, schema, 3, 40000);
    assert_false(large->parts[0].segment->in_memory);
    assert_int_equal(testing_count_files(t.segments_dir), 1);
    ra_content_unref(large);
    assert_true(testing_folder_is_empty(&t));
    ra_schema_unref(schema);
    testing_folder_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_of_every_type_come_back),
        cmocka_unit_test(a_table_without_batches_has_no_file),
        cmocka_unit_test(a_table_without_columns_keeps_its_rows),
        cmocka_unit_test(equal_content_has_an_equal_hash),
        cmocka_unit_test(a_batch_over_the_limit_is_cut_into_slices_that_fit),
        cmocka_unit_test(rows_of_uneven_size_fit_too),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(app_metadata_stays_with_its_batch),
        cmocka_unit_test(what_does_not_belong_is_refused),
        cmocka_unit_test(temporary_content_is_in_memory_while_it_is_small),
        cmocka_unit_test(a_writer_that_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
