// What the catalog remembers of files, over restarts and from one version of the catalog to
// another.
#include "store/catalog.h"
#include "store/testing_store.h"

static ra_change remember(const char *name, int64_t bytes) {
    return (ra_change){.change = RA_CHANGE_FILE,
                       .file_name = ra_str_of(name),
                       .file = {.bytes = bytes, .time_ns = 7, .hash = {1, 2}}};
}

static void a_file_is_remembered_over_restarts(void **state) {
    testing_store *t = *state;
    ra_file_mark mark;
    ra_change first = remember("a.csv", 10), second = remember("a.csv", 20);
    assert_false(ra_store_find_file(t->store, RA_STR("a.csv"), &mark));
    testing_change(t, &first);
    testing_change(t, &second);
    for (int i = 0; i < 2; i++) {
        assert_true(ra_store_find_file(t->store, RA_STR("a.csv"), &mark));
        assert_false(ra_store_find_file(t->store, RA_STR("a.cs"), &mark));
        assert_int_equal(mark.bytes, 20);
        assert_int_equal(mark.time_ns, 7);
        assert_int_equal(mark.hash[1], 2);
        assert_false(mark.has_uid);
        testing_reopen(t);
    }
}

static void a_published_file_knows_its_flight(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 5, RA_WRITE_DURABLE);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.file_name = RA_STR("a.csv");
    change.file = (ra_file_mark){.bytes = 3};
    int64_t id = testing_change(t, &change);
    // Refused: neither published nor remembered.
    ra_error err;
    change.file_name = RA_STR("b.csv");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_EXISTS);
    ra_content_unref(content);
    for (int i = 0; i < 2; i++) {
        ra_file_mark mark;
        ra_snapshot *snapshot = ra_store_snapshot(t->store);
        assert_true(ra_store_find_file(t->store, RA_STR("a.csv"), &mark));
        assert_true(mark.has_uid);
        assert_memory_equal(mark.uid, ra_snapshot_get(snapshot, id)->uid, sizeof mark.uid);
        assert_false(ra_store_find_file(t->store, RA_STR("b.csv"), &mark));
        ra_snapshot_unref(snapshot);
        testing_reopen(t);
    }
}

// On the catalog's own connection, while its thread has nothing to do.
static void run_sql(const testing_store *t, const char *text) {
    ra_error err;
    ra_store_settle(t->store);
    testing_check(ra_sql_script(t->store->catalog->sql, text, &err), &err);
}

static void an_older_catalog_gets_the_table(void **state) {
    testing_store *t = *state;
    int64_t id = testing_upload(t, "kept", 0, 5, RA_IF_EXISTS_ERROR);
    run_sql(t, "DROP TABLE file");
    testing_reopen(t);
    testing_assert_rows(t, id, 0, 5);
    ra_file_mark mark;
    ra_change change = remember("a.csv", 10);
    testing_change(t, &change);
    testing_reopen(t);
    assert_true(ra_store_find_file(t->store, RA_STR("a.csv"), &mark));
}

static void a_damaged_row_is_told(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_change change = remember("a.csv", 10);
    testing_change(t, &change);
    run_sql(t, "UPDATE file SET hash = x'00'");
    testing_close(t);
    assert_int_equal(testing_try_open(t, &err), RA_DATA_LOSS);
    assert_non_null(strstr(err.message, "a file has a wrong hash"));
}

int main(void) {
    const struct CMUnitTest tests[] = {testing_unit(a_file_is_remembered_over_restarts),
                                       testing_unit(a_published_file_knows_its_flight),
                                       testing_unit(an_older_catalog_gets_the_table),
                                       testing_unit(a_damaged_row_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
