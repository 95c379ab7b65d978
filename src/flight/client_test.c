// Turns: what a client may run at a time, whatever it does with its calls.
#include "flight/client.h"

#include "flight/testing_flight.h"

static testing_flight *open_flight(void) {
    testing_flight *t = testing_flight_new();
    TESTING_PUBLISH(&t->store, "t", "i:a", "[[3,1,2]]");
    t->limits.reset_burst = 100000;
    t->limits.streams = 4096;
    testing_flight_start(t);
    testing_block_jobs(t);
    return t;
}

// DoGet of a command that only this call asks for.
static int32_t ask(client *c, int i) {
    char command[64], ticket[80];
    int n = snprintf(command, sizeof command, "0$take${0: [%d, %d, %d, %d]}${}", i % 3, i / 3 % 3,
                     i / 9 % 3, i / 27 % 3);
    snprintf(ticket, sizeof ticket, "\n%c%s", n, command);
    return client_send(c, RA_FLIGHT_PATH("DoGet"), ticket);
}

static void calls_that_are_reset_keep_their_turns_until_their_jobs_end(void **state) {
    (void)state;
    testing_flight *t = open_flight();
    client *c = testing_flight_client(t);
    int most = 0;
    for (int i = 0; i < 1000; i++) {
        int32_t id = ask(c, i);
        client_turn(c, 0);
        assert_int_equal(nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL), 0);
        client_turn(c, 0);
        most = testing_n_jobs(t) > most ? testing_n_jobs(t) : most;
    }
    client_run(c, 100);
    most = testing_n_jobs(t) > most ? testing_n_jobs(t) : most;
    assert_int_equal(most, 16);
    // Another client has turns of its own.
    client *other = testing_flight_client(t);
    ask(other, 80);
    client_run(other, 50);
    assert_int_equal(testing_n_jobs(t), 17);
    testing_unblock_jobs();
    testing_wait_for_jobs(t, 0);
    assert_true(client_has(client_wait(c, ask(c, 5)), "grpc-status: 0\n"));
    client_free(c);
    client_free(other);
    testing_flight_stop(t);
}

static void calls_that_wait_for_their_turn_are_answered(void **state) {
    (void)state;
    testing_flight *t = open_flight();
    client *c = testing_flight_client(t);
    int32_t ids[81];
    for (int i = 0; i < 81; i++)
        ids[i] = ask(c, i);
    client_run(c, 100);
    testing_wait_for_jobs(t, 16);
    // One that waits ends before its turn: it is not run.
    nghttp2_submit_rst_stream(c->session, 0, ids[80], NGHTTP2_CANCEL);
    client_run(c, 50);
    testing_unblock_jobs();
    for (int i = 0; i < 80; i++)
        assert_true(client_has(client_wait(c, ids[i]), "grpc-status: 0\n"));
    testing_wait_for_jobs(t, 0);
    assert_int_equal(testing_n_flights(t), 1 + 80);
    client_free(c);
    testing_flight_stop(t);
}

static void a_client_that_is_gone_leaves_its_turns_to_its_jobs(void **state) {
    (void)state;
    testing_flight *t = open_flight();
    client *c = testing_flight_client(t);
    for (int i = 0; i < 40; i++)
        ask(c, i);
    client_run(c, 50);
    testing_wait_for_jobs(t, 16);
    client_free(c);
    usleep(50000);
    assert_int_equal(testing_n_jobs(t), 16);
    testing_unblock_jobs();
    testing_wait_for_jobs(t, 0);
    testing_flight_stop(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_are_reset_keep_their_turns_until_their_jobs_end),
        cmocka_unit_test(calls_that_wait_for_their_turn_are_answered),
        cmocka_unit_test(a_client_that_is_gone_leaves_its_turns_to_its_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
