// Calls through a real server: what a client sees, and that every call ends once.
#include "wire/testing_client.h"
#include "wire/testing_server.h"

static test_server *server;

static int start(void **state) {
    (void)state;
    server = test_server_new();
    test_server_start(server, NULL, NULL);
    return 0;
}

static int stop(void **state) {
    (void)state;
    test_server_stop(server);
    return 0;
}

static client *open_client(void) {
    return client_open(ra_wire_port(server->wire));
}

static void a_unary_call_is_answered(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 50; i++) {
        client_stream *s = client_wait(c, client_send(c, "/t.T/Echo", "hello"));
        assert_true(s->is_closed);
        assert_int_equal(s->error_code, NGHTTP2_NO_ERROR);
        assert_int_equal(s->data_bytes, 10);
        assert_memory_equal(s->data, "\0\0\0\0\5hello", 10);
        assert_true(client_has(s, ":status: 200\ncontent-type: application/grpc\n"));
        assert_true(client_has(s, "grpc-status: 0\n"));
        assert_int_equal(s->n_header_blocks, 2);
    }
    client_free(c);
}

static void an_empty_message_is_a_message(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = client_wait(c, client_send(c, "/t.T/Echo", ""));
    assert_int_equal(s->data_bytes, 5);
    assert_true(client_has(s, "grpc-status: 0\n"));
    client_free(c);
}

static size_t check_download(size_t at, const uint8_t *data, size_t bytes) {
    // One message: its bytes begin behind the prefix.
    for (size_t i = at < 5 ? 5 - at : 0; i < bytes; i++)
        if (data[i] != test_pattern_byte(at + i - 5))
            return i;
    return bytes;
}

static void a_large_message_arrives_whole(void **state) {
    (void)state;
    client *c = open_client();
    int32_t id = client_send(c, "/t.T/Download", "1000000 1000000");
    client_at(c, id)->check = check_download;
    client_stream *s = client_wait(c, id);
    assert_int_equal(s->data_bytes, 1000005);
    assert_true(client_has(s, "grpc-status: 0\n"));
    client_free(c);
}

static void downloads_of_many_messages_share_a_connection(void **state) {
    (void)state;
    client *c = open_client();
    int32_t ids[8];
    for (int i = 0; i < 8; i++)
        ids[i] = client_send(c, "/t.T/Download", i % 2 ? "8000000 100000" : "8000000 1000");
    for (int i = 0; i < 8; i++) {
        client_stream *s = client_wait(c, ids[i]);
        assert_int_equal(s->data_bytes, 8000000 + 5 * (i % 2 ? 80 : 8000));
        assert_true(client_has(s, "grpc-status: 0\n"));
    }
    client_free(c);
}

static void a_small_window_is_respected_and_used(void **state) {
    (void)state;
    client *c = client_new(client_connect(ra_wire_port(server->wire)), 100, 16384);
    int32_t id = client_send(c, "/t.T/Download", "20000 20000");
    client_at(c, id)->check = check_download;
    assert_int_equal(client_wait(c, id)->data_bytes, 20005);
    client_free(c);
}

static void a_stalled_download_holds_nobody_and_goes_on(void **state) {
    (void)state;
    client *c = client_new(client_connect(ra_wire_port(server->wire)), 65535, 16384);
    c->stops_reading = true;
    int32_t stalled = client_send(c, "/t.T/Download", "4000000 50000");
    client_wait_data(c, stalled, 65535);
    client_run(c, 20);
    size_t before = client_at(c, stalled)->data_bytes;
    assert_int_equal(before, 65535);
    client *other = open_client();
    assert_true(
        client_has(client_wait(other, client_send(other, "/t.T/Echo", "x")), "grpc-status: 0\n"));
    client_free(other);
    c->stops_reading = false;
    assert_int_equal(nghttp2_session_consume(c->session, stalled, before), 0);
    assert_int_equal(client_wait(c, stalled)->data_bytes, 4000000 + 5 * 80);
    client_free(c);
}

// An upload of messages of 300,000 bytes.
static void fill_upload(size_t at, uint8_t *data, size_t bytes) {
    enum { MESSAGE = 300000 };
    static const uint8_t prefix[] = {0, 0, MESSAGE >> 16 & 255, MESSAGE >> 8 & 255, MESSAGE & 255};
    for (size_t i = 0; i < bytes; i++) {
        size_t message = (at + i) / (MESSAGE + 5), in_message = (at + i) % (MESSAGE + 5);
        data[i] = in_message < 5 ? prefix[in_message]
                                 : test_pattern_byte(message * MESSAGE + in_message - 5);
    }
}

static void an_upload_arrives_whole(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->fill = fill_upload;
    s->body_bytes = 100 * 300005;
    client_wait(c, client_call(c, "/t.T/Upload", s, NULL, NULL));
    assert_int_equal(s->data_bytes, 5 + 12);
    assert_memory_equal(s->data + 5, "30000000 100", 12);
    assert_true(client_has(s, "grpc-status: 0\n"));
    assert_true(ra_budget_used(&server->budget) <= 2 * server->limits.upload_window_bytes);
    client_free(c);
}

static void what_a_method_holds_is_not_refunded(void **state) {
    (void)state;
    atomic_store(&server->held_bytes, 0);
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->fill = fill_upload;
    s->body_bytes = 100 * 300005;
    client_call(c, "/t.T/Hold", s, NULL, NULL);
    client_run(c, 100);
    // One window held and one on its way, more is not even sent.
    int64_t held = atomic_load(&server->held_bytes);
    assert_true(held > 0 && held <= 4 * server->limits.stream_window_bytes);
    assert_true(s->body_at <= 4 * (size_t)server->limits.stream_window_bytes);
    // Another call on the same connection is not held up.
    assert_true(client_has(client_wait(c, client_send(c, "/t.T/Echo", "x")), "grpc-status: 0\n"));
    client_free(c);
}

static void errors_carry_their_trailers(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = client_wait(c, client_send(c, "/t.T/Fail", "x"));
    assert_int_equal(s->n_header_blocks, 1);  // trailers-only
    assert_int_equal(s->data_bytes, 0);
    assert_true(client_has(s, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 3\n"));
    assert_true(client_has(s, "grpc-message: no column 'x' of 100%25%0A\n"));
    assert_true(client_has(s, "x-arrow-status: 4\n"));
    assert_true(client_has(s, "x-arrow-status-message-bin: bm8gY29sdW1uICd4JyBvZiAxMDAlCg\n"));
    assert_true(client_has(s,
                           "remote-arrow-error: {\"reason\": \"COLUMN_NOT_FOUND\", "
                           "\"column\": \"\\u00e4\\\"\", \"flight\": 3, "
                           "\"retryable\": false}\n"));
    assert_false(client_has(s, "grpc-status-details-bin"));
    client_free(c);
}

static void an_early_end_resets_a_client_that_still_sends(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0\1x";
    s->body_bytes = 6;
    s->stays_open = true;
    client_wait(c, client_call(c, "/t.T/Fail", s, NULL, NULL));
    assert_true(s->is_closed);
    assert_int_equal(s->error_code, NGHTTP2_NO_ERROR);
    assert_true(client_has(s, "grpc-status: 3\n"));
    client_free(c);
}

static void other_threads_answer_by_post(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 50; i++) {
        client_stream *s = client_wait(c, client_send(c, "/t.T/Post", ""));
        assert_memory_equal(s->data, "\0\0\0\0\6posted", 11);
    }
    client_free(c);
}

static void a_post_to_a_call_that_is_gone_is_still_run(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        client *c = open_client();
        int32_t id = client_send(c, "/t.T/Post", "");
        client_flush(c);
        assert_int_equal(nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL), 0);
        client_flush(c);
        client_free(c);
    }
}

static void deadlines_end_calls(void **state) {
    (void)state;
    client *c = open_client();
    int before = atomic_load(&server->cancelled);
    client_stream *s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0\1x";
    s->body_bytes = 6;
    client_wait(c, client_call(c, "/t.T/Hang", s, "grpc-timeout", "20m"));
    assert_true(client_has(s, "grpc-status: 4\n"));
    assert_int_equal(atomic_load(&server->cancelled), before + 1);
    s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0\1x";
    s->body_bytes = 6;
    client_wait(c, client_call(c, "/t.T/Hang", s, "grpc-timeout", "123456789m"));
    assert_true(client_has(s, "grpc-status: 13\n"));
    client_free(c);
}

static void a_reset_cancels_the_call(void **state) {
    (void)state;
    client *c = open_client();
    int ended = atomic_load(&server->ended), cancelled = atomic_load(&server->cancelled);
    int32_t id = client_send(c, "/t.T/Hang", "x");
    client_flush(c);
    test_wait_for(&server->started, 1);
    assert_int_equal(nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL), 0);
    client_flush(c);
    test_wait_for(&server->ended, ended + 1);
    assert_int_equal(atomic_load(&server->cancelled), cancelled + 1);
    client_free(c);
}

static void a_lost_connection_cancels_its_calls(void **state) {
    (void)state;
    client *c = open_client();
    int started = atomic_load(&server->started), cancelled = atomic_load(&server->cancelled);
    for (int i = 0; i < 10; i++)
        client_send(c, "/t.T/Hang", "x");
    client_send(c, "/t.T/Download", "100000000 1000000");
    client_flush(c);
    test_wait_for(&server->started, started + 11);
    client_free(c);
    test_wait_for(&server->cancelled, cancelled + 11);
}

static void framing_faults_are_answered(void **state) {
    (void)state;
    static const struct {
        const char *path, *body;
        size_t bytes;
        const char *name, *value, *expected;
    } faults[] = {
        {"/t.T/Echo", "\0\0\0\0\5hel", 8, NULL, NULL, "grpc-status: 13\n"},          // G-12
        {"/t.T/Echo", "\0\0\0", 3, NULL, NULL, "grpc-status: 13\n"},                 // G-12
        {"/t.T/Hang", "", 0, NULL, NULL, "grpc-status: 13\n"},                       // no message
        {"/t.T/Hang", "\0\0\0\0\0\0\0\0\0\0", 10, NULL, NULL, "grpc-status: 13\n"},  // two
        {"/t.T/Hang", "\0\377\377\377\377", 5, NULL, NULL, "grpc-status: 8\n"},      // G-11
        {"/t.T/Hang", "\1\0\0\0\1x", 6, NULL, NULL, "grpc-status: 13\n"},            // G-10
        {"/t.T/Hang", "\1\0\0\0\1x", 6, "grpc-encoding", "gzip", "grpc-status: 12\n"},
        {"/t.T/Hang", "\1\0\0\0\1x", 6, "grpc-encoding", "gzip",
         "grpc-accept-encoding: identity\n"},
        {"/t.T/Hang", "\7\0\0\0\1x", 6, NULL, NULL, "grpc-status: 13\n"},
        {"/t.T/None", "\0\0\0\0\0", 5, NULL, NULL, "grpc-status: 12\n"},  // G-3
        {"nonsense", "\0\0\0\0\0", 5, NULL, NULL, NULL},
    };
    client *c = open_client();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        client_stream *s = calloc(1, sizeof *s);
        s->body = (const uint8_t *)faults[i].body;
        s->body_bytes = faults[i].bytes;
        client_wait(c, client_call(c, faults[i].path, s, faults[i].name, faults[i].value));
        if (faults[i].expected && !client_has(s, faults[i].expected))
            fail_msg("fault %zu: %s", i, s->headers);
    }
    assert_true(client_has(client_wait(c, client_send(c, "/t.T/Echo", "x")), "grpc-status: 0\n"));
    client_free(c);
}

static void headers_and_trailers_of_the_method_are_sent(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0";
    s->body_bytes = 5;
    client_wait(c, client_call(c, "/t.T/Tell", s, "x-test-bin", "YWJj"));
    assert_memory_equal(s->data + 5, "localhost:1 token= x=abc", 24);
    assert_true(client_has(s, "x-head-bin: AQI\n"));
    assert_true(client_has(s, "x-tail: tail\ngrpc-status: 0\n"));
    client_free(c);
}

static void pings_are_answered_ahead_of_data(void **state) {
    (void)state;
    client *c = client_new(client_connect(ra_wire_port(server->wire)), 64 << 20, 1 << 20);
    int32_t id = client_send(c, "/t.T/Download", "60000000 1000000");
    client_flush(c);
    usleep(50000);  // the socket and the queue are full
    assert_int_equal(nghttp2_submit_ping(c->session, 0, NULL), 0);
    client_flush(c);
    usleep(50000);
    while (c->n_ping_acks == 0 && client_turn(c, 100))
        continue;
    // What the kernel had buffered, and a frame that was begun; not the whole queue behind it.
    assert_false(client_at(c, id)->is_closed);
    client_wait(c, id);
    assert_int_equal(client_at(c, id)->data_bytes, 60000000 + 5 * 60);
    client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_unary_call_is_answered, start, stop),
        cmocka_unit_test_setup_teardown(an_empty_message_is_a_message, start, stop),
        cmocka_unit_test_setup_teardown(a_large_message_arrives_whole, start, stop),
        cmocka_unit_test_setup_teardown(downloads_of_many_messages_share_a_connection, start, stop),
        cmocka_unit_test_setup_teardown(a_small_window_is_respected_and_used, start, stop),
        cmocka_unit_test_setup_teardown(a_stalled_download_holds_nobody_and_goes_on, start, stop),
        cmocka_unit_test_setup_teardown(an_upload_arrives_whole, start, stop),
        cmocka_unit_test_setup_teardown(what_a_method_holds_is_not_refunded, start, stop),
        cmocka_unit_test_setup_teardown(errors_carry_their_trailers, start, stop),
        cmocka_unit_test_setup_teardown(an_early_end_resets_a_client_that_still_sends, start, stop),
        cmocka_unit_test_setup_teardown(other_threads_answer_by_post, start, stop),
        cmocka_unit_test_setup_teardown(a_post_to_a_call_that_is_gone_is_still_run, start, stop),
        cmocka_unit_test_setup_teardown(deadlines_end_calls, start, stop),
        cmocka_unit_test_setup_teardown(a_reset_cancels_the_call, start, stop),
        cmocka_unit_test_setup_teardown(a_lost_connection_cancels_its_calls, start, stop),
        cmocka_unit_test_setup_teardown(framing_faults_are_answered, start, stop),
        cmocka_unit_test_setup_teardown(headers_and_trailers_of_the_method_are_sent, start, stop),
        cmocka_unit_test_setup_teardown(pings_are_answered_ahead_of_data, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
