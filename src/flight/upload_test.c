// Uploads that are given up: what they wrote goes, and never on a thread that serves connections.
#include "flight/upload.h"

#include <stdatomic.h>

#include "flight/testing_flight.h"

static atomic_int n_unlinked, n_on_io_thread;

static int watch_files(void *context, const ra_os_event *event) {
    (void)context;
    if (event->call == RA_OS_ALLOC)
        return 0;
    atomic_fetch_add(&n_unlinked, event->call == RA_OS_UNLINK);
    atomic_fetch_add(&n_on_io_thread, ra_os_thread_is_nonblocking());
    return 0;
}

static testing_flight *open_flight(void) {
    testing_flight *t = testing_flight_new();
    ra_os_set_gate(watch_files, NULL);
    atomic_store(&n_unlinked, 0);
    atomic_store(&n_on_io_thread, 0);
    testing_flight_start(t);
    return t;
}

static void wait_for_calls(const testing_flight *t, int64_t n_open) {
    ra_wire_status status;
    do {
        usleep(1000);
        ra_wire_get_status(t->app.wire, &status);
    } while (status.calls_open != n_open);
}

static const char put_path[] = RA_FLIGHT_PATH("DoPut");

// The last message has been answered, so the call has the last reference when the client dies.
static void an_upload_of_a_client_that_died_is_torn_down_by_a_worker(void **state) {
    (void)state;
    testing_flight *t = open_flight();
    ra_bytes body;
    ra_bytes_init(&body, 1 << 20);
    testing_put_upload(&body, "half", "i:a", "[[1, 2]]");
    client *c = testing_flight_client(t);
    client_wait_data(c, testing_call_open(c, put_path, &body), 5);
    int before = atomic_load(&n_unlinked);
    client_free(c);
    for (int i = 0; i < 5000 && atomic_load(&n_unlinked) == before; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&n_unlinked), before + 1);
    assert_int_equal(atomic_load(&n_on_io_thread), 0);
    testing_flight_stop(t);
    ra_os_set_gate(NULL, NULL);
    ra_bytes_fini(&body);
}

static void wait_a_while(ra_task *task) {
    usleep(400000);
    ra_free(task);
}

// The workers are busy until all connections are closed: the uploads' last references come back
// from them while the server stops.
static void uploads_that_outlive_the_connections_are_torn_down_at_the_stop(void **state) {
    (void)state;
    testing_flight *t = open_flight();
    ra_bytes body;
    ra_bytes_init(&body, 1 << 20);
    testing_put_upload(&body, "half", "i:a", "[[1, 2]]");
    for (int i = 0; i < 4; i++) {
        ra_task *task = ra_calloc(1, sizeof *task);
        task->run = wait_a_while;
        ra_workers_submit(t->workers, task);
    }
    client *c = testing_flight_client(t);
    for (int i = 0; i < 20; i++)
        testing_call_open(c, put_path, &body);
    client_run(c, 50);
    wait_for_calls(t, 20);
    client_free(c);
    testing_flight_stop(t);
    assert_int_equal(atomic_load(&n_on_io_thread), 0);
    ra_os_set_gate(NULL, NULL);
    ra_bytes_fini(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_of_a_client_that_died_is_torn_down_by_a_worker),
        cmocka_unit_test(uploads_that_outlive_the_connections_are_torn_down_at_the_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
