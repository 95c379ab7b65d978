// A handshake ends in time, whatever the client sends.
#include "flight/testing_flight.h"

static void a_handshake_that_says_nothing_is_ended(void **state) {
    (void)state;
    for (int has_tokens = 0; has_tokens < 2; has_tokens++) {
        testing_flight *t = testing_flight_new();
        t->app.has_tokens = has_tokens;
        t->app.limits.handshake_ms = 50;
        testing_flight_start(t);
        client *c = testing_flight_client(t);
        ra_bytes nothing;
        ra_bytes_init(&nothing, 0);
        const client_stream *s =
            client_wait(c, testing_call_open(c, RA_FLIGHT_PATH("Handshake"), &nothing));
        assert_true(client_has(s, "grpc-status: 4\n"));
        assert_true(client_has(s, "the handshake took longer than 50 ms"));
        client_free(c);
        testing_flight_stop(t);
    }
}

// One that ends before is not touched by its timer.
static void a_handshake_that_ends_leaves_no_timer(void **state) {
    (void)state;
    testing_flight *t = testing_flight_new();
    t->app.limits.handshake_ms = 20;
    testing_flight_start(t);
    client *c = testing_flight_client(t);
    for (int i = 0; i < 10; i++)
        assert_true(client_has(client_wait(c, client_send(c, RA_FLIGHT_PATH("Handshake"), "")),
                               "grpc-status: 0\n"));
    client_run(c, 60);
    assert_false(c->is_eof);
    client_free(c);
    testing_flight_stop(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_that_says_nothing_is_ended),
        cmocka_unit_test(a_handshake_that_ends_leaves_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
