#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/mapped_io.h"
#include "store/testing_contents.h"

static const ra_type_id mixed[] = {RA_TYPE_INT64, RA_TYPE_UTF8};

static void a_segment_comes_back_from_the_catalogs_form(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_all_types_schema();
    testing_batches batches = testing_random_batches(schema, 5, 3, 70);
    ra_content *content = testing_write(&store, schema, &batches);
    uint64_t hash[2] = {content->hash[0], content->hash[1]};
    int64_t n_bytes = content->n_bytes;
    content = testing_reload(content);
    assert_memory_equal(content->hash, hash, sizeof hash);
    assert_int_equal(content->n_bytes, n_bytes);
    assert_true(testing_content_equal(content, &batches));
    testing_forget(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static ra_span span_of(const ra_bytes *bytes) {
    return (ra_span){bytes->data, (int64_t)bytes->len};
}

static void a_damaged_index_is_data_loss(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    ra_content *content = testing_write_random(&store, schema, 5, 1, 20);
    ra_segment *segment = content->parts[0].segment, *loaded;
    ra_bytes index, message;
    ra_bytes_init(&index, 1 << 20);
    ra_bytes_init(&message, 1 << 20);
    testing_must(ra_segment_encode_index(segment, &index, &err), &err);
    testing_must(ra_ipc_encode_schema(schema, &message, &err), &err);
    for (size_t i = 0; i < index.len; i++) {
        index.data[i] ^= 0x10;
        assert_int_equal(ra_segment_load(&store.store, 1, segment->file_bytes, span_of(&message),
                                         span_of(&index), &loaded, &err),
                         RA_DATA_LOSS);
        index.data[i] ^= 0x10;
        ra_span shorter = {index.data, (int64_t)i};
        assert_int_equal(ra_segment_load(&store.store, 1, segment->file_bytes, span_of(&message),
                                         shorter, &loaded, &err),
                         RA_DATA_LOSS);
    }
    // Right in itself, but for a larger file.
    assert_int_equal(
        ra_segment_load(&store.store, 1, 200, span_of(&message), span_of(&index), &loaded, &err),
        RA_DATA_LOSS);
    assert_null(loaded);
    ra_bytes_fini(&index);
    ra_bytes_fini(&message);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_flipped_bit_anywhere_is_data_loss(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_write_random(&store, schema, 5, 1, 5);
    const ra_segment_entry entry = content->parts[0].segment->entries[0];
    ra_batch *batch;
    for (int64_t at = entry.message_offset; at < entry.body_offset + entry.body_bytes; at += 7) {
        content = testing_reload(content);
        ra_segment *segment = content->parts[0].segment;
        testing_flip(segment, at);
        assert_int_equal(ra_content_batch(content, 0, &batch, &err), RA_DATA_LOSS);
        char name[32];
        snprintf(name, sizeof name, "%016llx.arrow", (unsigned long long)segment->id);
        assert_non_null(strstr(err.message, name));
        assert_int_equal(atomic_load(&store.store.n_damaged_segments), 1);
        testing_flip(segment, at);
        testing_must(ra_content_batch(content, 0, &batch, &err), &err);
        ra_batch_unref(batch);
    }
    testing_forget(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static struct sigaction our_handler;

static void a_file_that_lost_its_end_is_data_loss(void **state) {
    (void)state;
    assert_int_equal(sigaction(SIGBUS, &our_handler, NULL), 0);  // instead of cmocka's
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_reload(testing_write_random(&store, schema, 5, 2, 20000));
    ra_segment *segment = content->parts[0].segment;
    ra_batch *batch;
    char path[RA_SEGMENT_PATH_BYTES];
    ra_segment_print_path(&store.store, segment->id, true, path);
    // Cut while it is mapped: the missing pages raise SIGBUS.
    testing_must(ra_content_batch(content, 0, &batch, &err), &err);
    assert_int_equal(truncate(path, segment->entries[1].body_offset), 0);
    ra_batch *second;
    assert_int_equal(ra_content_batch(content, 1, &second, &err), RA_DATA_LOSS);
    ra_cursor *cursor;
    testing_must(ra_cursor_new(content, 1, &cursor, &err), &err);
    assert_int_equal(ra_cursor_prepare(cursor, 1, &err), RA_DATA_LOSS);
    ra_cursor_free(cursor);
    ra_batch_unref(batch);
    // Opened when it is too short, and when it is gone.
    content = testing_reload(content);
    assert_int_equal(ra_content_batch(content, 0, &batch, &err), RA_DATA_LOSS);
    unlink(path);
    assert_int_equal(ra_content_batch(content, 0, &batch, &err), RA_DATA_LOSS);
    testing_forget(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void an_adopted_file_stays_and_an_orphaned_one_goes(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_write_random(&store, schema, 5, 2, 20);
    ra_segment *segment = ra_segment_ref(content->parts[0].segment);
    ra_segment_adopt(segment);
    ra_content_unref(content);
    assert_int_equal(testing_count_files(store.segments_dir), 1);
    ra_segment_orphan(segment);
    assert_int_equal(testing_count_files(store.segments_dir), 1);
    ra_segment_unref(segment);
    assert_int_equal(testing_count_files(store.segments_dir), 0);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

typedef struct {
    int syncs;
    int fail_at;  // the sync that fails, from 1; 0: none
} sync_gate;

static int gate_syncs(void *context, const ra_os_event *event) {
    sync_gate *gate = context;
    if (event->call != RA_OS_SYNC && event->call != RA_OS_SYNC_DIR)
        return 0;
    return ++gate->syncs == gate->fail_at ? 5 : 0;
}

static void a_kept_result_is_synced_once(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    sync_gate gate = {0};
    ra_os_set_gate(gate_syncs, &gate);
    ra_content *content = testing_write_random(&store, schema, 5, 2, 20);
    ra_segment *segment = content->parts[0].segment;
    assert_int_equal(gate.syncs, 0);
    testing_must(ra_segment_sync(segment, &err), &err);
    assert_int_equal(gate.syncs, 2);
    testing_must(ra_segment_sync(segment, &err), &err);
    assert_int_equal(gate.syncs, 2);
    ra_content_unref(content);
    for (int fail_at = 1; fail_at <= 2; fail_at++) {
        gate = (sync_gate){.fail_at = fail_at};
        atomic_store(&store.store.sync_failed, false);
        content = testing_write_random(&store, schema, 5, 2, 20);
        assert_int_equal(ra_segment_sync(content->parts[0].segment, &err), RA_UNAVAILABLE);
        assert_true(atomic_load(&store.store.sync_failed));
        ra_content_unref(content);
    }
    ra_os_set_gate(NULL, NULL);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void few_segments_are_open_at_once(void **state) {
    (void)state;
    enum { N = 40, MAX_OPEN = 5 };
    testing_folder store;
    testing_folder_init_with(&store, MAX_OPEN);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = testing_random_batches(schema, 5, N, 50);
    ra_content *content = testing_write(&store, schema, &batches);
    for (int round = 0; round < 2; round++) {
        assert_true(testing_content_equal(content, &batches));
        testing_batches held = {0};
        for (int64_t i = 0; i < N; i++) {
            ra_batch *batch;
            testing_must(ra_content_batch(content, i, &batch, &err), &err);
            ra_batch_unref(batch);
            // Eight are closed at once.
            assert_true(atomic_load(&store.store.open_segments) <= MAX_OPEN || i < N / 8);
        }
        // What is in use stays open, and whole, beyond the limit.
        held = testing_read(content);
        assert_int_equal(atomic_load(&store.store.open_segments), N);
        assert_true(testing_batches_equal(&batches, &held));
        testing_batches_fini(&held);
    }
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void batches_of_a_segment_share_its_dictionaries(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = {0};
    for (int i = 0; i < 3; i++)
        testing_batches_add(&batches, testing_random_batch(8, 100, schema));
    ra_content *content = testing_reload(testing_write(&store, schema, &batches));
    testing_batches read = testing_read(content);
    const ra_array *dictionary = read.items[0]->columns[1].dictionary;
    for (int i = 1; i < read.n; i++)
        assert_ptr_equal(read.items[i]->columns[1].dictionary, dictionary);
    // A dictionary alone keeps the mapping.
    ra_batch *alone = ra_batch_ref(read.items[0]->dictionaries[0]);
    testing_batches_fini(&read);
    testing_forget(content);
    assert_int_equal(atomic_load(&store.store.open_segments), 1);
    assert_true(ra_array_equal(&alone->columns[0], batches.items[0]->columns[1].dictionary, true));
    ra_batch_unref(alone);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

typedef struct {
    ra_content *content;
    const testing_batches *batches;
    uint64_t seed;
} reader;

static void *read_at_random(void *arg) {
    reader *r = arg;
    testing_rng rng = {r->seed};
    ra_error err;
    ra_batch *kept = NULL;
    for (int i = 0; i < 400; i++) {
        int at = (int)testing_below(&rng, r->batches->n);
        ra_batch *batch;
        testing_must(ra_content_batch(r->content, at, &batch, &err), &err);
        testing_check(
            testing_rows_equal(batch, 0, r->batches->items[at], 0, r->batches->items[at]->n_rows),
            "a batch differs");
        if (testing_one_in(&rng, 4)) {
            ra_batch_unref(kept);
            kept = batch;
        } else {
            ra_batch_unref(batch);
        }
        if (testing_one_in(&rng, 40)) {
            testing_batches received = testing_receive(r->content, at, 1 << 20, NULL);
            testing_batches_fini(&received);
        }
    }
    ra_batch_unref(kept);
    ra_content_unref(r->content);
    return NULL;
}

// Threads read while the cache, much too small, closes segments behind them.
static void readers_and_the_cache_do_not_disturb_each_other(void **state) {
    (void)state;
    enum { N_THREADS = 4 };
    testing_folder store;
    testing_folder_init_with(&store, 1);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = testing_random_batches(schema, 5, 6, 30);
    ra_content *content = testing_reload(testing_write(&store, schema, &batches));
    pthread_t threads[N_THREADS];
    reader readers[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        readers[i] = (reader){ra_content_ref(content), &batches, (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &readers[i]), 0);
    }
    testing_forget(content);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_comes_back_from_the_catalogs_form),
        cmocka_unit_test(a_damaged_index_is_data_loss),
        cmocka_unit_test(a_flipped_bit_anywhere_is_data_loss),
        cmocka_unit_test(a_file_that_lost_its_end_is_data_loss),
        cmocka_unit_test(an_adopted_file_stays_and_an_orphaned_one_goes),
        cmocka_unit_test(a_kept_result_is_synced_once),
        cmocka_unit_test(few_segments_are_open_at_once),
        cmocka_unit_test(batches_of_a_segment_share_its_dictionaries),
        cmocka_unit_test(readers_and_the_cache_do_not_disturb_each_other),
    };
    ra_mapped_io_install();
    sigaction(SIGBUS, NULL, &our_handler);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
