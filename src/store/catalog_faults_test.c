#include <errno.h>

#include "store/testing_store.h"

// Fails the n-th file call or allocation, once or from then on, wherever it happens to be.
typedef enum { NOTHING, FILES, ALLOCATIONS } target;
static struct {
    _Atomic target fails;
    atomic_bool forever;
    atomic_int left;
    atomic_int code;
    atomic_int n_seen;
    atomic_int n_failed;
    atomic_bool disk_is_full;  // until the reserve is released
} fault;

static int gate(void *context, const ra_os_event *event) {
    (void)context;
    bool grows = event->call == RA_OS_WRITE || event->call == RA_OS_ALLOCATE;
    if (event->call == RA_OS_TRUNCATE)
        atomic_store(&fault.disk_is_full, false);
    if (grows && atomic_load(&fault.disk_is_full))
        return ENOSPC;
    target fails = atomic_load(&fault.fails);
    if (fails == NOTHING || (event->call == RA_OS_ALLOC) != (fails == ALLOCATIONS))
        return 0;
    atomic_fetch_add(&fault.n_seen, 1);
    int left = atomic_fetch_sub(&fault.left, 1);
    if (left > 0 || (left < 0 && !atomic_load(&fault.forever)))
        return 0;
    atomic_fetch_add(&fault.n_failed, 1);
    return atomic_load(&fault.code);
}

static void arm(target fails, int left, bool forever, int code) {
    atomic_store(&fault.left, left);
    atomic_store(&fault.forever, forever);
    atomic_store(&fault.code, code);
    atomic_store(&fault.n_seen, 0);
    atomic_store(&fault.n_failed, 0);
    atomic_store(&fault.fails, fails);
}

static void disarm(void) {
    atomic_store(&fault.fails, NOTHING);
}

// What the store said to the changes of a scene: 0, a code, or -1 when it did not come to it.
typedef struct {
    int uploaded;
    int appended;
    int computed;
    int kept;
    int deleted;
    int64_t kept_id;
    int64_t deleted_id;
    int64_t last_id;  // highest that was acknowledged
} answers;

static int change(testing_store *t, const ra_change *change, int64_t *id) {
    ra_error err;
    ra_change_result result;
    int rc = ra_store_change_wait(t->store, change, &result, &err);
    if (rc == 0 && result.flight)
        *id = result.flight->id;
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    return rc;
}

static int publish(testing_store *t, const char *name, ra_kind kind, int64_t first, int64_t *id) {
    ra_error err;
    ra_content *content;
    int rc = testing_try_content(t->store, "n", first, 10,
                                 kind == RA_KIND_DATASET ? RA_WRITE_DURABLE : RA_WRITE_RESULT,
                                 "extra", &content, &err);
    if (rc != 0)
        return rc;
    ra_change request = testing_publish(name, kind, content);
    request.if_exists = name[0] ? RA_IF_EXISTS_APPEND : RA_IF_EXISTS_ERROR;
    rc = change(t, &request, id);
    ra_content_unref(content);
    return rc;
}

static void run_changes(testing_store *t, answers *a) {
    int64_t id = -1, ignored;
    a->uploaded = publish(t, "a", RA_KIND_DATASET, 0, &id);
    a->deleted_id = id;
    a->appended = a->uploaded ? -1 : publish(t, "a", RA_KIND_DATASET, 10, &id);
    a->last_id = id;
    int64_t b = -1;
    if (publish(t, "b", RA_KIND_DATASET, 50, &b) == 0)
        a->last_id = b;
    a->computed = publish(t, "", RA_KIND_RESULT, 100, &a->kept_id);
    if (a->computed == 0)
        a->last_id = a->kept_id;
    ra_change keep = {.change = RA_CHANGE_KEEP, .flight_id = a->kept_id};
    a->kept = a->computed ? -1 : change(t, &keep, &ignored);
    ra_change delete = {.change = RA_CHANGE_DELETE, .flight_id = a->deleted_id};
    a->deleted = a->uploaded ? -1 : change(t, &delete, &ignored);
}

// Every Flight that is listed can be read, what was acknowledged is there, what was deleted is not.
static void check_after_restart(testing_store *t, const answers *a) {
    int64_t n = testing_count(t);
    for (int64_t id = 0; id < n; id++) {
        if (!testing_is_there(t, id))
            continue;
        ra_error err;
        ra_flight *flight;
        ra_version *version;
        testing_check(ra_store_get(t->store, id, 0, &flight, &version, &err), &err);
        int64_t n_rows = version->content->n_rows;
        ra_batch *first;
        testing_check(ra_content_batch(version->content, 0, &first, &err), &err);
        int64_t value = *(const int64_t *)(const void *)first->columns[0].buffers[0].data;
        ra_batch_unref(first);
        ra_flight_unref(flight);
        ra_version_unref(version);
        testing_assert_rows(t, id, value, n_rows);
    }
    // A sync that failed leaves it open whether the change is on disk.
    if (a->deleted == 0)
        assert_false(testing_is_there(t, a->deleted_id));
    else if (a->uploaded == 0 && a->deleted != RA_UNAVAILABLE)
        assert_true(testing_is_there(t, a->deleted_id));
    if (a->uploaded == 0 && a->appended == 0 && testing_is_there(t, a->deleted_id))
        testing_assert_rows(t, a->deleted_id, 0, 20);
    if (a->kept == 0)
        testing_assert_rows(t, a->kept_id, 100, 10);
    int64_t next = testing_upload(t, "next", 0, 10, RA_IF_EXISTS_ERROR);
    assert_true(next > a->last_id);
}

// Whether the scene came to its end without meeting the fault.
static bool run_scene(target fails, int left, bool forever, int code, bool with_open) {
    testing_store t;
    ra_error err;
    testing_make_dir(&t);
    testing_check(ra_workers_new("test", 2, &t.workers, &err), &err);
    answers a = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (with_open)
        arm(fails, left, forever, code);
    int rc = testing_try_open(&t, &err);
    if (!with_open)
        arm(fails, left, forever, code);
    if (rc == 0) {
        run_changes(&t, &a);
        if (!with_open)
            disarm();
        testing_close(&t);
    }
    disarm();
    bool met = atomic_load(&fault.n_failed) > 0;
    assert_true(met || (rc == 0 && a.deleted == 0 && a.kept == 0));
    testing_open(&t);
    check_after_restart(&t, &a);
    testing_finish(&t);
    return !met;
}

static void run_all(target fails, bool forever, int code, bool with_open, int step) {
    int left = 0;
    while (!run_scene(fails, left, forever, code, with_open))
        left += step;
    assert_true(left > 10 * step);
}

static void any_file_call_may_fail_once(void **state) {
    (void)state;
    run_all(FILES, false, EIO, true, 1);
}

static void file_calls_may_fail_from_any_on(void **state) {
    (void)state;
    run_all(FILES, true, EIO, true, 1);
}

static void the_disk_may_be_full_at_any_time(void **state) {
    (void)state;
    run_all(FILES, false, ENOSPC, true, 1);
    run_all(FILES, true, ENOSPC, true, 1);
}

static void any_allocation_of_a_change_may_fail(void **state) {
    (void)state;
    run_all(ALLOCATIONS, false, ENOMEM, false, 1);
    run_all(ALLOCATIONS, true, ENOMEM, false, 7);
}

static void allocations_of_start_and_stop_may_fail(void **state) {
    (void)state;
    run_all(ALLOCATIONS, false, ENOMEM, true, 11);
    run_all(ALLOCATIONS, true, ENOMEM, true, 41);
}

static void loading_may_run_out_of_memory_anywhere(void **state) {
    (void)state;
    testing_store t;
    ra_error err;
    testing_make_dir(&t);
    testing_start(&t);
    testing_upload(&t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(&t, "a", 10, 10, RA_IF_EXISTS_APPEND);
    testing_result(&t, 0, 10);
    testing_close(&t);
    int left = 0;
    for (;; left++) {
        arm(ALLOCATIONS, left, false, ENOMEM);
        int rc = testing_try_open(&t, &err);
        disarm();
        if (rc == 0) {
            testing_assert_rows(&t, 0, 0, 20);
            testing_assert_rows(&t, 1, 0, 10);
            testing_close(&t);
        } else {
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        }
        if (atomic_load(&fault.n_failed) == 0)
            break;
    }
    assert_true(left > 100);
    testing_finish(&t);
}

static void a_delete_works_on_a_full_disk(void **state) {
    (void)state;
    testing_store t;
    testing_make_dir(&t);
    testing_start(&t);
    testing_upload(&t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(&t, 0, 10, RA_WRITE_DURABLE);
    atomic_store(&fault.disk_is_full, true);
    ra_error err;
    ra_change request = testing_publish("b", RA_KIND_DATASET, content);
    assert_int_equal(testing_refused(&t, &request, &err), RA_REASON_DISK_FULL);
    ra_content_unref(content);
    testing_simple_change(&t, RA_CHANGE_DELETE, 0);
    assert_false(atomic_load(&fault.disk_is_full));
    testing_reopen(&t);
    assert_int_equal(testing_count(&t), 0);
    assert_int_equal(testing_count_files(&t, "segments"), 0);
    testing_finish(&t);
}

static int fail_syncs(void *context, const ra_os_event *event) {
    return *(atomic_bool *)context && event->call == RA_OS_SYNC ? EIO : 0;
}

static void after_a_failed_sync_the_store_is_read_only(void **state) {
    (void)state;
    testing_store t;
    testing_make_dir(&t);
    atomic_bool failing = false;
    ra_os_set_gate(fail_syncs, &failing);
    testing_start(&t);
    testing_upload(&t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(&t, 0, 10, RA_WRITE_DURABLE);
    atomic_store(&failing, true);
    ra_error err;
    ra_change request = testing_publish("b", RA_KIND_DATASET, content);
    assert_int_equal(testing_refused(&t, &request, &err), RA_REASON_UNAVAILABLE);
    // For good: the same file must not be tried again.
    atomic_store(&failing, false);
    assert_int_equal(testing_refused(&t, &request, &err), RA_REASON_UNAVAILABLE);
    request = (ra_change){.change = RA_CHANGE_DELETE, .flight_id = 0};
    assert_int_equal(testing_refused(&t, &request, &err), RA_REASON_UNAVAILABLE);
    ra_content_unref(content);
    testing_assert_rows(&t, 0, 0, 10);
    ra_store_status status;
    ra_store_get_status(t.store, &status);
    assert_true(status.read_only);
    testing_reopen(&t);
    testing_assert_rows(&t, 0, 0, 10);
    testing_upload(&t, "c", 0, 10, RA_IF_EXISTS_ERROR);
    testing_finish(&t);
    ra_os_set_gate(gate, NULL);
}

int main(void) {
    ra_os_set_gate(gate, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delete_works_on_a_full_disk),
        cmocka_unit_test(after_a_failed_sync_the_store_is_read_only),
        cmocka_unit_test(any_file_call_may_fail_once),
        cmocka_unit_test(file_calls_may_fail_from_any_on),
        cmocka_unit_test(the_disk_may_be_full_at_any_time),
        cmocka_unit_test(any_allocation_of_a_change_may_fail),
        cmocka_unit_test(allocations_of_start_and_stop_may_fail),
        cmocka_unit_test(loading_may_run_out_of_memory_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
