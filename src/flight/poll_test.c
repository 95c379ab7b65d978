// PollFlightInfo of runs that take long: bounded answers, a run that goes on for a bounded time.
#include "flight/testing_flight.h"

static const char unnamed[] = "0$take${0: [1, 0]}${}";
static const char named[] =
    "{\"from\": {\"id\": 0}, \"do\": [{\"slice\": {\"length\": 2}}], \"as\": \"x\"}";

static testing_flight *open_flight(int64_t poll_ms, int64_t polled_ms) {
    testing_flight *t = testing_flight_new();
    TESTING_PUBLISH(&t->store, "t", "i:a", "[[3,1,2]]");
    t->app.limits.poll_ms = poll_ms;
    t->app.limits.polled_ms = polled_ms;
    testing_flight_start(t);
    testing_block_jobs(t);
    return t;
}

// A FlightDescriptor of a command shorter than 128 bytes, as text.
static const char *descriptor_of(const char *command) {
    static char text[256];
    snprintf(text, sizeof text, "\x08\x02\x12%c%s", (int)strlen(command), command);
    return text;
}

// Begins a poll; `timeout` is its grpc-timeout, or NULL.
static int32_t start_poll(client *c, const char *command, const char *timeout) {
    ra_bytes descriptor, body;
    ra_error err;
    ra_bytes_init(&descriptor, 256);
    ra_bytes_init(&body, 256);
    const char *text = descriptor_of(command);
    assert_ok(ra_bytes_append(&descriptor, text, strlen(text), &err), &err);
    testing_put_grpc(&body, &descriptor);
    client_stream *s = calloc(1, sizeof *s + body.len);
    memcpy(s + 1, body.data, body.len);
    s->body = (const uint8_t *)(s + 1);
    s->body_bytes = body.len;
    ra_bytes_fini(&body);
    return client_call(c, RA_FLIGHT_PATH("PollFlightInfo"), s, timeout ? "grpc-timeout" : NULL,
                       timeout);
}

typedef struct {
    bool has_info;
    bool has_descriptor;
} poll_info;

static poll_info poll_once(client *c, const char *command, const char *timeout) {
    const char *descriptor = descriptor_of(command);
    client_stream *s = client_wait(c, start_poll(c, command, timeout));
    if (!client_has(s, "grpc-status: 0\n"))
        fail_msg("%s", s->headers);
    poll_info info = {false, false};
    ra_pb_reader reader = ra_pb_reader_of((ra_str){(const char *)s->data + 5, s->data_bytes - 5});
    ra_pb_field field;
    int more;
    while ((more = ra_pb_next(&reader, &field)) > 0) {
        info.has_info |= field.number == 1;
        if (field.number == 2) {
            assert_true(ra_str_eq(field.bytes, ra_str_of(descriptor)));
            info.has_descriptor = true;
        }
    }
    assert_int_equal(more, 0);
    return info;
}

static void assert_runs(client *c, const char *command, const char *timeout) {
    poll_info info = poll_once(c, command, timeout);
    assert_true(info.has_descriptor && !info.has_info);
}

static void assert_is_done(client *c, const char *command) {
    poll_info info = poll_once(c, command, NULL);
    assert_true(info.has_info && !info.has_descriptor);
}

static void a_poll_is_answered_in_time_and_its_run_goes_on(void **state) {
    (void)state;
    const char *const commands[] = {unnamed, named};
    for (int i = 0; i < 2; i++) {
        testing_flight *t = open_flight(40, 60000);
        client *c = testing_flight_client(t);
        for (int k = 0; k < 3; k++)
            assert_runs(c, commands[i], NULL);
        assert_int_equal(testing_n_jobs(t), 1);
        testing_unblock_jobs();
        testing_wait_for_jobs(t, 0);
        assert_is_done(c, commands[i]);
        assert_int_equal(testing_n_flights(t), 2);
        client_free(c);
        testing_flight_stop(t);
    }
}

// The named run would fail if it were started again.
static void an_answer_that_comes_during_a_poll_is_given_at_once(void **state) {
    (void)state;
    testing_flight *t = open_flight(60000, 60000);
    client *c = testing_flight_client(t);
    assert_runs(c, named, "200m");  // answered before its deadline
    int32_t id = start_poll(c, named, NULL);
    client_run(c, 50);
    testing_unblock_jobs();
    assert_true(client_has(client_wait(c, id), "grpc-status: 0\n"));
    // It is told once; who asks again is told that the name is taken.
    id = start_poll(c, named, NULL);
    assert_true(client_has(client_wait(c, id), "FLIGHT_EXISTS"));
    client_free(c);
    testing_flight_stop(t);
}

// How the run is given up: nobody polls any more, the client is gone, or it says so.
enum { FORGOTTEN, GONE, CANCELLED };

static void cancel(client *c, const char *command) {
    char info[300], body[400], action[500];
    const char *descriptor = descriptor_of(command);
    snprintf(info, sizeof info, "\x12%c%s", (int)strlen(descriptor), descriptor);
    snprintf(body, sizeof body, "\n%c%s", (int)strlen(info), info);
    snprintf(action, sizeof action, "\n\x10%s\x12%c%s", "CancelFlightInfo", (int)strlen(body),
             body);
    const client_stream *s = client_wait(c, client_send(c, RA_FLIGHT_PATH("DoAction"), action));
    assert_true(client_has(s, "grpc-status: 0\n"));
    assert_memory_equal(s->data + 5, "\n\2\x08\1", 4);  // Result{body: {status: CANCELLED}}
}

static void a_run_that_nobody_polls_is_given_up(void **state) {
    (void)state;
    for (int how = FORGOTTEN; how <= CANCELLED; how++) {
        testing_flight *t = open_flight(40, how == FORGOTTEN ? 100 : 60000);
        client *c = testing_flight_client(t);
        assert_runs(c, unnamed, NULL);
        if (how == CANCELLED)
            cancel(c, unnamed);
        if (how == GONE)
            client_free(c);
        usleep(200000);
        testing_unblock_jobs();
        testing_wait_for_jobs(t, 0);
        assert_int_equal(testing_n_flights(t), 1);
        if (how != GONE)
            client_free(c);
        testing_flight_stop(t);
    }
}

static void kept_runs_are_limited(void **state) {
    (void)state;
    testing_flight *t = open_flight(40, 60000);
    t->app.limits.polled_runs = 2;
    client *c = testing_flight_client(t);
    const char *const commands[] = {"0$take${0: [0]}${}", "0$take${0: [1]}${}",
                                    "0$take${0: [2]}${}"};
    for (int i = 0; i < 3; i++)
        assert_runs(c, commands[i], NULL);
    testing_unblock_jobs();
    testing_wait_for_jobs(t, 0);
    assert_int_equal(testing_n_flights(t), 1 + 2);
    client_free(c);
    testing_flight_stop(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_is_answered_in_time_and_its_run_goes_on),
        cmocka_unit_test(an_answer_that_comes_during_a_poll_is_given_at_once),
        cmocka_unit_test(a_run_that_nobody_polls_is_given_up),
        cmocka_unit_test(kept_runs_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
