#include "store/disk.h"
#include "store/spool.h"
#include "store/testing_store.h"

enum { QUOTA_BYTES = 1024 * 1024 };

static int setup(void **state) {
    testing_setup(state);
    testing_store *t = *state;
    testing_close(t);
    t->disk_quota_bytes = QUOTA_BYTES;
    testing_open(t);
    return 0;
}

static void over_the_quota_uploads_and_keeps_are_refused_and_deletes_work(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_content *content;
    int64_t result = testing_result(t, 0, 10);
    testing_upload(t, "a", 0, 100000, RA_IF_EXISTS_ERROR);
    int64_t used = ra_store_disk_bytes(t->store);
    assert_true(used > 800000 && used < QUOTA_BYTES);
    assert_int_not_equal(
        testing_try_content(t->store, "n", 0, 100000, RA_WRITE_DURABLE, "", &content, &err), 0);
    assert_int_equal(err.code, RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_DISK_FULL);
    assert_non_null(strstr(err.message, "of 1.0 MB used"));
    assert_int_equal(ra_store_disk_bytes(t->store), used);
    t->store->options.disk_quota_bytes = used - 1;
    ra_change keep = {.change = RA_CHANGE_KEEP, .flight_id = result};
    assert_int_equal(testing_refused(t, &keep, &err), RA_REASON_DISK_FULL);
    testing_simple_change(t, RA_CHANGE_DELETE, testing_find(t, "a"));
    testing_change(t, &keep);
    testing_upload(t, "b", 0, 50000, RA_IF_EXISTS_ERROR);
}

static void spools_and_files_without_a_flight_count(void **state) {
    testing_store *t = *state;
    ra_error err;
    static const char bytes[600000];
    ra_spool spool;
    ra_spool_init(&spool, t->store);
    testing_check(ra_spool_open(&spool, 0, &err), &err);
    testing_check(ra_spool_append(&spool, (ra_str){bytes, sizeof bytes}, &err), &err);
    assert_int_equal(ra_store_disk_bytes(t->store), sizeof bytes);
    ra_content *content;
    assert_int_not_equal(
        testing_try_content(t->store, "n", 0, 100000, RA_WRITE_DURABLE, "", &content, &err), 0);
    ra_spool_fini(&spool);
    content = testing_content(t, 0, 100000, RA_WRITE_RESULT);
    assert_true(ra_store_disk_bytes(t->store) > 800000);
    ra_content_unref(content);
    assert_int_equal(ra_store_disk_bytes(t->store), 0);
}

static void what_is_in_memory_does_not_count(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 1000, RA_WRITE_TEMPORARY);
    assert_int_equal(ra_store_disk_bytes(t->store), 0);
    ra_content_unref(content);
    assert_int_equal(ra_store_disk_bytes(t->store), 0);
}

#define quota_unit(f) cmocka_unit_test_setup_teardown(f, setup, testing_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        quota_unit(over_the_quota_uploads_and_keeps_are_refused_and_deletes_work),
        quota_unit(spools_and_files_without_a_flight_count),
        quota_unit(what_is_in_memory_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
