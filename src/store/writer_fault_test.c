// What happens when the operating system says no: clean errors, nothing left behind.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/testing_contents.h"

static const ra_type_id mixed[] = {RA_TYPE_INT64, RA_TYPE_UTF8};

// Records calls in order and fails some.
typedef struct {
    int64_t n_calls;  // of those that may fail
    int64_t fail_at;  // from 1; 0: none
    bool for_ever;    // and all behind it
    int fail_call;    // an ra_os_call whose calls fail; -1: any
    int code;
    int64_t bytes_written;
    ra_os_call order[4096];
    int n_order;
} fault_gate;

static int pass(void *context, const ra_os_event *event) {
    fault_gate *gate = context;
    if (event->call == RA_OS_UNLINK)
        return 0;  // cleaning up; what fails there is cleaned up at the next start
    if (gate->fail_call >= 0 && (int)event->call != gate->fail_call)
        return 0;
    if (event->call != RA_OS_ALLOC && gate->n_order < 4096)
        gate->order[gate->n_order++] = event->call;
    gate->n_calls++;
    bool fails = gate->n_calls == gate->fail_at ||
                 (gate->for_ever && gate->fail_at > 0 && gate->n_calls > gate->fail_at);
    return fails ? gate->code : 0;
}

static int write_all(testing_folder *store, const testing_batches *batches, ra_write_kind kind,
                     ra_content **out, ra_error *err) {
    ra_writer *writer;
    *out = NULL;
    RA_TRY(ra_writer_new(&store->store, batches->items[0]->schema, kind, &writer, err));
    int rc = 0;
    for (int i = 0; i < batches->n && rc == 0; i++) {
        ra_span app_metadata = {(const uint8_t *)"text", i % 70 == 69 ? 4 : 0};
        rc = ra_writer_add(writer, batches->items[i], app_metadata, err);
    }
    if (rc == 0)
        rc = ra_writer_finish(writer, out, err);
    ra_writer_free(writer);
    return rc;
}

static int read_all(ra_content *content, ra_error *err) {
    ra_cursor *cursor;
    RA_TRY(ra_cursor_new(content, 1, &cursor, err));
    int rc = ra_cursor_prepare(cursor, 1 << 20, err);
    while (rc == 0 && !ra_cursor_at_end(cursor)) {
        ra_out_message message;
        rc = ra_cursor_next(cursor, &message, err);
        if (rc == 0)
            ra_out_message_fini(&message);
    }
    ra_cursor_free(cursor);
    return rc;
}

static int use_content(ra_content *content, ra_error *err) {
    static const int columns[] = {1, 0, 1};
    ra_content *view, *slice, *all;
    RA_TRY(read_all(content, err));
    RA_TRY(ra_content_select(content, columns, 3, &view, err));
    int rc = ra_content_slice(view, 3, view->n_rows - 5, RA_WRITE_RESULT, &slice, err);
    if (rc == 0) {
        ra_content *const list[] = {view, slice};
        rc = ra_content_concat(list, 2, &all, err);
        if (rc == 0) {
            rc = read_all(all, err);
            ra_content_unref(all);
        }
        ra_content_unref(slice);
    }
    ra_content_unref(view);
    return rc;
}

static int write_and_use(testing_folder *store, const testing_batches *batches, ra_error *err) {
    ra_content *content;
    RA_TRY(write_all(store, batches, RA_WRITE_DURABLE, &content, err));
    int rc = use_content(content, err);
    ra_content_unref(content);
    return rc;
}

// Fails every call in turn until the scenario has no more calls.
static void fail_each_call(const testing_batches *batches, bool for_ever, int64_t stride) {
    testing_folder store;
    testing_folder_init_with(&store, 2);
    ra_error err;
    for (int64_t n = 1;; n += stride) {
        fault_gate gate = {.fail_at = n, .for_ever = for_ever, .fail_call = -1, .code = EIO};
        atomic_store(&store.store.sync_failed, false);
        ra_error_init(&err);
        ra_os_set_gate(pass, &gate);
        int rc = write_and_use(&store, batches, &err);
        ra_os_set_gate(NULL, NULL);
        assert_true(testing_folder_is_empty(&store));
        if (gate.n_calls < n) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_not_equal(rc, 0);
        assert_int_equal(rc, err.code);
        assert_true(err.reason == RA_REASON_OUT_OF_MEMORY || err.reason == RA_REASON_IO_ERROR ||
                    err.reason == RA_REASON_UNAVAILABLE);
    }
    testing_folder_fini(&store);
}

static void every_call_may_fail(void **state) {
    (void)state;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = testing_random_batches(schema, 5, 3, 6);
    fail_each_call(&batches, false, 1);
    fail_each_call(&batches, true, 7);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
}

static void every_call_may_fail_while_tiny_batches_are_merged(void **state) {
    (void)state;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    testing_batches batches = testing_random_batches(schema, 5, 69, 1);
    fail_each_call(&batches, false, 3);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
}

static void every_call_may_fail_while_dictionaries_are_unified(void **state) {
    (void)state;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = testing_random_batches(schema, 5, 72, 3);
    fail_each_call(&batches, false, 97);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
}

static void every_call_may_fail_while_a_large_batch_is_cut(void **state) {
    (void)state;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    testing_batches batches = testing_random_batches(schema, 5, 1, 350000);
    fail_each_call(&batches, false, 5);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
}

// Crash rule 1: all is written before the sync, the sync before the rename, the folder's at last.
static void a_durable_file_is_synced_before_it_has_its_name(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    testing_batches batches = testing_random_batches(schema, 5, 2, 50);
    for (int durable = 0; durable < 3; durable++) {
        store.store.options.durable = durable != 1;
        ra_content *content;
        fault_gate gate = {.fail_call = -1};
        ra_os_set_gate(pass, &gate);
        testing_must(write_all(&store, &batches, durable ? RA_WRITE_DURABLE : RA_WRITE_RESULT,
                               &content, &err),
                     &err);
        ra_os_set_gate(NULL, NULL);
        static const ra_os_call synced[] = {RA_OS_OPEN,   RA_OS_WRITE,  RA_OS_SYNC,
                                            RA_OS_OPEN,   RA_OS_WRITE,  RA_OS_SYNC,
                                            RA_OS_RENAME, RA_OS_RENAME, RA_OS_SYNC_DIR};
        static const ra_os_call not_synced[] = {RA_OS_OPEN,  RA_OS_WRITE,  RA_OS_OPEN,
                                                RA_OS_WRITE, RA_OS_RENAME, RA_OS_RENAME};
        // Opening the folder to sync it is a call of its own.
        bool is_synced = durable == 2;
        assert_int_equal(gate.n_order, is_synced ? 10 : 6);
        assert_memory_equal(gate.order, is_synced ? synced : not_synced,
                            is_synced ? sizeof synced : sizeof not_synced);
        assert_int_equal(content->parts[0].segment->synced, is_synced);
        ra_content_unref(content);
    }
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_failed_fsync_is_final(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    testing_batches batches = testing_random_batches(schema, 5, 2, 50);
    static const int calls[] = {RA_OS_SYNC, RA_OS_SYNC_DIR};
    for (int i = 0; i < 2; i++) {
        atomic_store(&store.store.sync_failed, false);
        ra_content *content;
        fault_gate gate = {.fail_at = 1, .fail_call = calls[i], .code = EIO};
        ra_os_set_gate(pass, &gate);
        assert_int_equal(write_all(&store, &batches, RA_WRITE_DURABLE, &content, &err),
                         RA_UNAVAILABLE);
        assert_null(content);
        assert_true(atomic_load(&store.store.sync_failed));
        assert_int_equal(write_all(&store, &batches, RA_WRITE_DURABLE, &content, &err),
                         RA_UNAVAILABLE);
        ra_os_set_gate(NULL, NULL);
        assert_int_equal(gate.n_calls, 1);  // not tried again
        assert_true(testing_folder_is_empty(&store));
        // Results go on.
        testing_must(write_all(&store, &batches, RA_WRITE_RESULT, &content, &err), &err);
        ra_content_unref(content);
    }
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_full_disk_is_named_with_sizes(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    testing_batches batches = testing_random_batches(schema, 5, 1, 200000);
    static const int calls[] = {RA_OS_WRITE, RA_OS_ALLOCATE, RA_OS_OPEN};
    for (int i = 0; i < 3; i++) {
        ra_content *content;
        fault_gate gate = {.fail_at = 1, .fail_call = calls[i], .code = ENOSPC};
        ra_os_set_gate(pass, &gate);
        assert_int_equal(write_all(&store, &batches, RA_WRITE_RESULT, &content, &err),
                         RA_EXHAUSTED);
        ra_os_set_gate(NULL, NULL);
        assert_int_equal(err.reason, RA_REASON_DISK_FULL);
        assert_non_null(strstr(err.message, " wanted, "));
        assert_non_null(strstr(err.message, " free, "));
        assert_true(testing_folder_is_empty(&store));
    }
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Uploads leave the reserve alone, results half of it.
static void the_reserve_is_kept(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    testing_batches batches = testing_random_batches(schema, 5, 1, 20);
    int64_t free_bytes, total_bytes;
    testing_must(ra_os_disk(store.data_dir, &free_bytes, &total_bytes, &err), &err);
    ra_content *content;
    store.store.options.disk_reserve_bytes = free_bytes + free_bytes / 2;
    assert_int_equal(ra_store_check_disk(&store.store, 0, &err), RA_EXHAUSTED);
    assert_int_equal(write_all(&store, &batches, RA_WRITE_DURABLE, &content, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_DISK_FULL);
    testing_must(write_all(&store, &batches, RA_WRITE_RESULT, &content, &err), &err);
    ra_content_unref(content);
    store.store.options.disk_reserve_bytes = 3 * free_bytes;
    assert_int_equal(write_all(&store, &batches, RA_WRITE_RESULT, &content, &err), RA_EXHAUSTED);
    store.store.options.disk_reserve_bytes = 0;
    testing_must(ra_store_check_disk(&store.store, 1, &err), &err);
    assert_int_equal(ra_store_check_disk(&store.store, INT64_MAX, &err), RA_EXHAUSTED);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(every_call_may_fail_while_tiny_batches_are_merged),
        cmocka_unit_test(every_call_may_fail_while_dictionaries_are_unified),
        cmocka_unit_test(every_call_may_fail_while_a_large_batch_is_cut),
        cmocka_unit_test(a_durable_file_is_synced_before_it_has_its_name),
        cmocka_unit_test(a_failed_fsync_is_final),
        cmocka_unit_test(a_full_disk_is_named_with_sizes),
        cmocka_unit_test(the_reserve_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
