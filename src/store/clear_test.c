#include "store/testing_store.h"

static void clear(testing_store *t, bool results_only, bool purge) {
    ra_change change = {.change = RA_CHANGE_CLEAR, .results_only = results_only, .purge = purge};
    testing_change(t, &change);
}

static void clear_restarts_ids_and_datasets_come_back(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_result(t, 0, 5);
    testing_upload(t, "", 20, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "c", 30, 10, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    assert_int_equal(testing_count(t), 0);
    assert_int_equal(testing_find(t, "a"), -1);
    assert_int_equal(testing_count_files(t, "segments"), 3);
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    ra_reason reason = ra_store_get(t->store, 0, 0, &flight, &version, &err) ? err.reason : 0;
    assert_int_equal(reason, RA_REASON_FLIGHT_NOT_FOUND);
    assert_int_equal(testing_upload(t, "new", 40, 10, RA_IF_EXISTS_ERROR), 0);
    testing_reopen(t);
    // After the ids that were live, in the order in which they were made.
    assert_int_equal(testing_count(t), 4);
    assert_int_equal(testing_find(t, "new"), 0);
    assert_int_equal(testing_find(t, "a"), 1);
    assert_int_equal(testing_find(t, "c"), 3);
    testing_assert_rows(t, 1, 0, 10);
    testing_assert_rows(t, 2, 20, 10);
    testing_assert_rows(t, 3, 30, 10);
    testing_reopen(t);
    assert_int_equal(testing_find(t, "c"), 3);
    assert_int_equal(testing_upload(t, "d", 0, 1, RA_IF_EXISTS_ERROR), 4);
}

static void tickets_of_before_do_not_fit_after_a_clear(void **state) {
    testing_store *t = *state;
    uint8_t uid[16];
    for (int i = 0; i < 2; i++) {
        testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
        ra_snapshot *snapshot = ra_store_snapshot(t->store);
        const ra_flight *flight = ra_snapshot_get(snapshot, 0);
        if (i == 0)
            memcpy(uid, flight->uid, sizeof uid);
        else
            assert_memory_not_equal(flight->uid, uid, sizeof uid);
        assert_memory_equal(flight->uid, ra_flight_newest(flight)->uid, sizeof uid);
        ra_snapshot_unref(snapshot);
        clear(t, false, false);
    }
}

static void an_upload_under_a_hidden_name_replaces_it_for_good(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "b", 10, 10, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    assert_int_equal(testing_upload(t, "a", 50, 10, RA_IF_EXISTS_ERROR), 0);
    assert_int_equal(testing_count_files(t, "segments"), 2);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    testing_reopen(t);
    assert_int_equal(testing_find(t, "a"), -1);
    assert_int_equal(testing_find(t, "b"), 1);
    testing_assert_rows(t, 1, 10, 10);
    assert_int_equal(testing_count_files(t, "segments"), 1);
}

static void a_rename_to_a_hidden_name_takes_only_the_name(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    testing_upload(t, "b", 10, 10, RA_IF_EXISTS_ERROR);
    ra_change change = {.change = RA_CHANGE_RENAME, .flight_id = 0, .name = RA_STR("a")};
    testing_change(t, &change);
    testing_reopen(t);
    assert_int_equal(testing_find(t, "a"), 0);
    testing_assert_rows(t, 0, 10, 10);
    testing_assert_rows(t, 1, 0, 10);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_get(snapshot, 1)->n_names, 0);
    ra_snapshot_unref(snapshot);
}

static void clear_of_results_leaves_tombstones(void **state) {
    testing_store *t = *state;
    testing_result(t, 0, 10);
    testing_upload(t, "a", 10, 10, RA_IF_EXISTS_ERROR);
    testing_result(t, 20, 10);
    clear(t, true, false);
    assert_int_equal(testing_count(t), 2);
    assert_false(testing_is_there(t, 0));
    assert_int_equal(testing_find(t, "a"), 1);
    assert_int_equal(testing_result(t, 30, 10), 3);
    testing_reopen(t);
    testing_assert_rows(t, 1, 10, 10);
    testing_assert_rows(t, 3, 30, 10);
    assert_int_equal(testing_count_files(t, "segments"), 2);
}

static void purge_deletes_everything_hidden_ones_too(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 1000, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    testing_upload(t, "b", 0, 1000, RA_IF_EXISTS_ERROR);
    testing_result(t, 0, 1000);
    ra_change change = {.change = RA_CHANGE_CLEAR, .purge = true};
    ra_change_result result;
    ra_error err;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_true(result.bytes_freed >= 24000);
    assert_int_equal(result.bytes_later, 0);
    assert_int_equal(testing_count_files(t, "segments"), 0);
    testing_reopen(t);
    assert_int_equal(testing_count(t), 0);
    assert_int_equal(testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR), 0);
}

static void hidden_datasets_survive_a_second_clear(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    testing_upload(t, "b", 10, 10, RA_IF_EXISTS_ERROR);
    clear(t, false, false);
    clear(t, true, false);
    testing_reopen(t);
    assert_int_equal(testing_find(t, "a"), 0);
    assert_int_equal(testing_find(t, "b"), 1);
}

static void a_command_of_before_is_not_answered_after_a_clear(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    change.has_command_key = true;
    testing_change(t, &change);
    ra_content_unref(content);
    testing_simple_change(t, RA_CHANGE_KEEP, 0);
    clear(t, false, false);
    for (int i = 0; i < 2; i++) {
        ra_snapshot *snapshot = ra_store_snapshot(t->store);
        assert_null(ra_snapshot_find_command(snapshot, change.command_key));
        ra_snapshot_unref(snapshot);
        testing_reopen(t);
    }
    testing_assert_rows(t, 0, 0, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(clear_restarts_ids_and_datasets_come_back),
        testing_unit(tickets_of_before_do_not_fit_after_a_clear),
        testing_unit(an_upload_under_a_hidden_name_replaces_it_for_good),
        testing_unit(a_rename_to_a_hidden_name_takes_only_the_name),
        testing_unit(clear_of_results_leaves_tombstones),
        testing_unit(purge_deletes_everything_hidden_ones_too),
        testing_unit(hidden_datasets_survive_a_second_clear),
        testing_unit(a_command_of_before_is_not_answered_after_a_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
