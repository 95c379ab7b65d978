#include "store/testing_store.h"

#define MILLISECONDS INT64_C(1000000)

static void open_with_ttl(testing_store *t, int64_t ttl_ns) {
    testing_close(t);
    t->result_ttl_ns = ttl_ns;
    testing_open(t);
}

// Whether Flight `id` goes within ten seconds.
static bool goes(testing_store *t, int64_t id) {
    for (int i = 0; i < 1000; i++) {
        if (!testing_is_there(t, id))
            return true;
        usleep(10000);
    }
    return false;
}

static ra_version *newest(testing_store *t, int64_t id, ra_flight **flight) {
    ra_error err;
    ra_version *version;
    testing_check(ra_store_get(t->store, id, 0, flight, &version, &err), &err);
    return version;
}

static void unused_results_go_and_nothing_else(void **state) {
    testing_store *t = *state;
    open_with_ttl(t, 300 * MILLISECONDS);
    testing_upload(t, "", 0, 1, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(t, 0, 2, RA_WRITE_RESULT);
    ra_change named = testing_publish("r", RA_KIND_RESULT, content);
    testing_change(t, &named);
    ra_content_unref(content);
    testing_result(t, 0, 3);
    testing_simple_change(t, RA_CHANGE_KEEP, 2);
    int64_t id = testing_result(t, 0, 4);
    assert_true(goes(t, id));
    assert_true(testing_is_there(t, 0));
    assert_true(testing_is_there(t, 1));
    assert_true(testing_is_there(t, 2));
    ra_store_settle(t->store);
    assert_int_equal(testing_count_files(t, "segments"), 3);
    ra_event events[16];
    bool lost;
    int n = ra_store_events(t->store, 0, events, 16, &lost);
    assert_int_equal(events[n - 1].kind, RA_EVENT_DELETED);
    assert_int_equal(events[n - 1].flight_id, id);
}

static void what_is_held_stays_until_long_after(void **state) {
    testing_store *t = *state;
    open_with_ttl(t, 200 * MILLISECONDS);
    int64_t id = testing_result(t, 0, 4);
    ra_flight *flight;
    ra_version *version = newest(t, id, &flight);
    int64_t used_ns = atomic_load(flight->last_used_ns);
    usleep(700000);
    assert_true(testing_is_there(t, id));
    assert_true(atomic_load(flight->last_used_ns) > used_ns);
    ra_version_unref(version);
    ra_flight_unref(flight);
    assert_true(goes(t, id));
}

static void a_use_puts_the_end_off(void **state) {
    testing_store *t = *state;
    open_with_ttl(t, 3600 * 1000 * MILLISECONDS);
    int64_t id = testing_result(t, 0, 4);
    ra_flight *flight;
    ra_version_unref(newest(t, id, &flight));
    int64_t expires_ns = ra_flight_expires_ns(flight);
    assert_int_equal(expires_ns - atomic_load(flight->last_used_ns), t->result_ttl_ns);
    ra_flight_touch(flight);
    assert_true(ra_flight_expires_ns(flight) > expires_ns);
    ra_flight_unref(flight);
}

static void results_that_expired_while_it_was_closed_go_after_the_start(void **state) {
    testing_store *t = *state;
    int64_t id = testing_result(t, 0, 4);
    testing_upload(t, "a", 0, 1, RA_IF_EXISTS_ERROR);
    usleep(20000);
    open_with_ttl(t, 10 * MILLISECONDS);
    assert_true(goes(t, id));
    assert_int_equal(testing_find(t, "a"), 1);
}

static void without_a_time_to_live_results_stay(void **state) {
    testing_store *t = *state;
    int64_t id = testing_result(t, 0, 4);
    ra_flight *flight;
    ra_version_unref(newest(t, id, &flight));
    assert_int_equal(ra_flight_expires_ns(flight), INT64_MAX);
    ra_flight_unref(flight);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(unused_results_go_and_nothing_else),
        testing_unit(what_is_held_stays_until_long_after),
        testing_unit(a_use_puts_the_end_off),
        testing_unit(results_that_expired_while_it_was_closed_go_after_the_start),
        testing_unit(without_a_time_to_live_results_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
