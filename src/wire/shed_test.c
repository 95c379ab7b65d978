// Clients that mean harm: each is shed or bounded, and others do not notice.
#include "wire/testing_client.h"
#include "wire/testing_server.h"

static test_server *server;

static int start(void **state) {
    (void)state;
    server = test_server_new();
    server->limits.header_block_ms = 100;
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

// Bytes of a raw frame behind those of `to`.
static size_t put_frame(uint8_t *to, uint8_t type, uint8_t flags, uint32_t stream,
                        const void *payload, size_t bytes) {
    to[0] = (uint8_t)(bytes >> 16);
    to[1] = (uint8_t)(bytes >> 8);
    to[2] = (uint8_t)bytes;
    to[3] = type;
    to[4] = flags;
    for (int i = 0; i < 4; i++)
        to[5 + i] = (uint8_t)(stream >> (24 - 8 * i));
    if (bytes)
        memcpy(to + 9, payload, bytes);
    return bytes + 9;
}

// Sends a raw frame again and again on a client that has said its preface. Returns whether the
// server closed the connection.
static bool flood(client *c, int n, uint8_t type, uint8_t flags, uint32_t stream,
                  const void *payload, size_t bytes) {
    uint8_t frame[65536];
    size_t size = put_frame(frame, type, flags, stream, payload, bytes);
    for (int i = 0; i < n && !c->is_eof; i++) {
        if (send(c->fd, frame, size, MSG_NOSIGNAL) < 0)
            c->is_eof = true;
        if (i % 64 == 63)
            client_turn(c, 0);
    }
    client_run(c, 5000);
    return c->is_eof;
}

static void assert_others_are_served(void) {
    client *c = open_client();
    assert_true(client_has(client_wait(c, client_send(c, "/t.T/Echo", "x")), "grpc-status: 0\n"));
    client_free(c);
}

static client *open_and_greet(void) {
    client *c = open_client();
    client_wait(c, client_send(c, "/t.T/Echo", "x"));
    return c;
}

static void floods_of_useless_frames_are_shed(void **state) {
    (void)state;
    static const struct {
        uint8_t type, flags;
        uint32_t stream;
        const char *payload;
        size_t bytes;
    } floods[] = {
        {NGHTTP2_PING, 0, 0, "12345678", 8},          {NGHTTP2_SETTINGS, 0, 0, "", 0},
        {NGHTTP2_PRIORITY, 0, 5, "\0\0\0\1\20", 5},   {0x50, 0, 0, "unknown", 7},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4},
    };
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        client *c = open_and_greet();
        assert_true(flood(c, 3000, floods[i].type, floods[i].flags, floods[i].stream,
                          floods[i].payload, floods[i].bytes));
        // Acknowledgements that nghttp2 did not ask for end its own side before the GOAWAY.
        if (floods[i].type != NGHTTP2_SETTINGS) {
            assert_true(c->got_goaway);
            assert_int_equal(c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
            assert_string_equal(c->goaway_text, "too_many_pings");
        }
        client_free(c);
        assert_others_are_served();
    }
}

static void empty_data_is_shed(void **state) {
    (void)state;
    client *c = open_and_greet();
    client_stream *s = calloc(1, sizeof *s);
    s->stays_open = true;
    int32_t id = client_call(c, "/t.T/Hold", s, NULL, NULL);
    client_run(c, 10);
    assert_true(flood(c, 3000, NGHTTP2_DATA, 0, (uint32_t)id, "", 0));
    assert_int_equal(c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    client_free(c);
    assert_others_are_served();
}

// Message i has i % 4 bytes.
static void fill_small_messages(size_t at, uint8_t *data, size_t bytes) {
    static const uint8_t four[26] = {[9] = 1, [15] = 2, [22] = 3};
    for (size_t i = 0; i < bytes; i++)
        data[i] = four[(at + i) % sizeof four];
}

static void a_flood_of_small_messages_stays_as_received(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->fill = fill_small_messages;
    s->body_bytes = 64000;  // within the first window
    client_call(c, "/t.T/Hold", s, NULL, NULL);
    client_run(c, 100);
    assert_int_equal(s->body_at, 64000);
    assert_int_equal(atomic_load(&server->held_messages), server->limits.held_messages);
    client_free(c);
    assert_others_are_served();
}

static void fill_empty_messages(size_t at, uint8_t *data, size_t bytes) {
    (void)at;
    memset(data, 0, bytes);
}

static void a_few_unread_bytes_are_kept_too(void **state) {
    (void)state;
    enum { PREFIX_BYTES = 5, MOST_UNREAD = 60 };
    for (size_t n = 1; n <= MOST_UNREAD; n += 7) {
        client *c = open_client();
        client_stream *s = calloc(1, sizeof *s);
        int before = atomic_load(&server->held_messages);
        s->fill = fill_empty_messages;
        s->body_bytes = PREFIX_BYTES * ((size_t)server->limits.held_messages + n);
        client_call(c, "/t.T/Hold", s, NULL, NULL);
        client_run(c, 20);
        test_wait_for(&server->held_messages, before + (int)server->limits.held_messages);
        client_run(c, 5);
        assert_int_equal(atomic_load(&server->held_messages) - before,
                         server->limits.held_messages);
        client_free(c);
        assert_others_are_served();
    }
}

static void small_messages_come_as_earlier_ones_are_used_up(void **state) {
    (void)state;
    enum { N_FOURS = 250000 };
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->fill = fill_small_messages;
    s->body_bytes = 26 * (size_t)N_FOURS;
    client_wait(c, client_call(c, "/t.T/Lazy", s, NULL, NULL));
    assert_true(client_has(s, "grpc-status: 0\n"));
    assert_memory_equal(s->data + 5, "1500000 1000000", 15);
    assert_true(atomic_load(&server->held_messages) <= server->limits.held_messages);
    client_free(c);
    test_wait_for(&server->ended, 1);
    for (int i = 0; i < 2000 && ra_budget_used(&server->budget) > 0; i++)
        usleep(1000);
    assert_int_equal(ra_budget_used(&server->budget), 0);
}

static void a_stream_that_ends_within_an_unread_message_is_refused(void **state) {
    (void)state;
    client *c = open_client();
    client_stream *s = calloc(1, sizeof *s);
    s->fill = fill_small_messages;
    s->body_bytes = 26 * 20000 - 1;
    client_wait(c, client_call(c, "/t.T/Lazy", s, NULL, NULL));
    assert_true(client_has(s, "grpc-status: 13\n"));
    client_free(c);
}

static void a_client_that_pings_while_it_downloads_is_not_shed(void **state) {
    (void)state;
    client *c = open_client();
    int32_t id = client_send(c, "/t.T/Download", "50000000 100000");
    int pings = 0;
    while (!client_at(c, id)->is_closed) {
        assert_int_equal(nghttp2_submit_ping(c->session, 0, NULL), 0);
        pings++;
        assert_true(client_turn(c, 100));
    }
    assert_true(pings > 100);
    assert_false(c->got_goaway);
    client_free(c);
}

static void rapid_resets_are_shed(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 1000 && !c->is_eof; i++) {
        int32_t id = client_send(c, "/t.T/Hang", "x");
        client_flush(c);
        nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL);
        client_turn(c, 0);
    }
    client_run(c, 5000);
    assert_true(c->is_eof);
    assert_int_equal(c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    client_free(c);
    assert_others_are_served();
}

static void resets_that_the_client_provokes_are_shed(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 1000 && !c->is_eof; i++) {
        client_stream *s = calloc(1, sizeof *s);
        s->stays_open = true;
        int32_t id = client_call(c, "/t.T/Hold", s, NULL, NULL);
        client_flush(c);
        uint8_t frame[16];
        // An increment of 0 makes the server reset the stream.
        size_t n = put_frame(frame, NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)id, "\0\0\0\0", 4);
        if (send(c->fd, frame, n, MSG_NOSIGNAL) < 0)
            break;
        client_turn(c, 0);
    }
    client_run(c, 5000);
    assert_true(c->is_eof);
    assert_true(c->got_goaway);
    client_free(c);
    assert_others_are_served();
}

static void resets_after_the_answer_are_normal(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 600; i++) {
        client_stream *s = calloc(1, sizeof *s);
        s->body = (const uint8_t *)"\0\0\0\0\1x";
        s->body_bytes = 6;
        s->stays_open = true;
        int32_t id = client_call(c, "/t.T/Fail", s, NULL, NULL);
        client_wait(c, id);
        uint8_t frame[16];
        size_t n = put_frame(frame, NGHTTP2_RST_STREAM, 0, (uint32_t)id, "\0\0\0\10", 4);
        assert_int_equal(send(c->fd, frame, n, MSG_NOSIGNAL), n);
    }
    client_run(c, 50);
    assert_false(c->got_goaway);
    assert_false(c->is_eof);
    client_free(c);
}

// As of a client that looks at the first rows of many tables.
static void resets_after_the_first_data_are_normal(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 600 && !c->is_eof; i++) {
        int32_t id = client_send(c, "/t.T/Download", "100000000 1000000");
        client_wait_data(c, id, 1);
        nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL);
        client_turn(c, 0);
    }
    client_run(c, 50);
    assert_false(c->got_goaway);
    assert_false(c->is_eof);
    client_free(c);
}

static void too_many_streams_are_refused_from_the_first_byte(void **state) {
    (void)state;
    client *c = open_client();
    int32_t ids[150];
    // The client learns the limit from the first SETTINGS; what it sends before is counted too.
    for (int i = 0; i < 150; i++)
        ids[i] = client_send(c, "/t.T/Hang", "x");
    client_flush(c);
    client_run(c, 100);
    int refused = 0;
    for (int i = 0; i < 150; i++)
        refused += client_at(c, ids[i])->is_closed;
    assert_int_equal(server->started, 100);
    assert_true(refused <= 50);
    client_free(c);
}

static void oversized_header_lists_are_refused(void **state) {
    (void)state;
    static char value[65400];
    client *c = open_and_greet();
    for (int over = 0; over < 2; over++) {
        memset(value, 0, sizeof value);
        memset(value, 'v', over ? 65300 : 60000);
        client_stream *s = calloc(1, sizeof *s);
        s->body = (const uint8_t *)"\0\0\0\0";
        s->body_bytes = 5;
        client_wait(c, client_call(c, "/t.T/Echo", s, "x-long", value));
        assert_true(client_has(s, over ? "grpc-status: 8\n" : "grpc-status: 0\n"));
    }
    assert_false(c->got_goaway);
    client_free(c);
    assert_others_are_served();
}

static void hpack_bombs_are_shed(void **state) {
    (void)state;
    client *c = open_and_greet();
    // One entry of 4,000 bytes goes to the dynamic table, then it is named again and again.
    static uint8_t block[32768], frame[65536];
    size_t n = 0;
    const uint8_t pseudo[] = {0x83, 0x86, 0x84, 0x41, 0x01, 'x'};
    memcpy(block, pseudo, sizeof pseudo);
    n += sizeof pseudo;
    const uint8_t entry[] = {0x40, 0x01, 'a', 0x7F, 0xA1, 0x1E};  // 127 + 0x1E21 - ... = 4000
    memcpy(block + n, entry, sizeof entry);
    n += sizeof entry;
    memset(block + n, 'b', 4000);
    n += 4000;
    memset(block + n, 0xBE, 10000);
    n += 10000;
    size_t bytes = put_frame(frame, NGHTTP2_HEADERS,
                             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 101, block, n);
    assert_int_equal(send(c->fd, frame, bytes, MSG_NOSIGNAL), bytes);
    client_run(c, 5000);
    assert_true(c->is_eof);
    assert_true(c->got_goaway);
    client_free(c);
    assert_others_are_served();
}

static void endless_header_blocks_are_shed(void **state) {
    (void)state;
    client *c = open_and_greet();
    uint8_t frame[64];
    size_t n = put_frame(frame, NGHTTP2_HEADERS, 0, 101, "\x83\x86", 2);
    assert_int_equal(send(c->fd, frame, n, MSG_NOSIGNAL), n);
    assert_true(flood(c, 1000, NGHTTP2_CONTINUATION, 0, 101, "", 0));
    client_free(c);
    assert_others_are_served();
}

static void slow_header_blocks_are_shed(void **state) {
    (void)state;
    client *c = open_and_greet();
    uint8_t frame[64];
    size_t n = put_frame(frame, NGHTTP2_HEADERS, 0, 101, "\x83\x86", 2);
    assert_int_equal(send(c->fd, frame, n, MSG_NOSIGNAL), n);
    client_run(c, 50);
    assert_false(c->is_eof);
    client_run(c, 5000);
    assert_true(c->is_eof);
    client_free(c);
}

static void one_byte_windows_cost_little_and_are_shed(void **state) {
    (void)state;
    client *c = client_new(client_connect(ra_wire_port(server->wire)), 65535, 16384);
    c->stops_reading = true;
    int32_t id = client_send(c, "/t.T/Download", "4000000 50000");
    client_wait_data(c, id, 65535);
    client_run(c, 20);
    size_t before = client_at(c, id)->data_bytes;
    assert_int_equal(before, 65535);
    int n = 0;
    while (!c->is_eof && n++ < 3000) {
        nghttp2_submit_window_update(c->session, 0, 0, 1);
        nghttp2_submit_window_update(c->session, 0, id, 1);
        client_turn(c, 0);
    }
    client_run(c, 5000);
    assert_true(c->is_eof);
    assert_int_equal(c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    client_free(c);
    assert_others_are_served();
}

// Sends as many PINGs as the server takes without the client reading anything. Returns how many.
static size_t stuff_with_pings(client *c) {
    static uint8_t pings[1024 * 17];
    for (size_t i = 0; i < sizeof pings; i += 17)
        put_frame(pings + i, NGHTTP2_PING, 0, 0, "12345678", 8);
    size_t sent = 0;
    for (int idle = 0; idle < 20 || sent % 17 != 0;) {
        size_t from = sent % 17;
        ssize_t n = send(c->fd, pings + from, idle < 20 ? sizeof pings - from : 17 - from,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        if (n <= 0)
            usleep(5000);
        if (idle > 1000)
            break;  // a cut frame that nobody takes
    }
    return sent;
}

static void answers_that_are_not_read_stop_the_reading(void **state) {
    (void)state;
    // Without the buckets in the way: what bounds memory is that the server stops to read.
    stop(NULL);
    server = test_server_new();
    server->limits.useless_burst = 1000000;
    server->limits.control_queue_bytes = 65536;
    test_server_start(server, NULL, NULL);
    int fd = client_connect(ra_wire_port(server->wire)), small = 262144;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    client *c = client_new(fd, 65535, 16384);
    client_wait(c, client_send(c, "/t.T/Echo", "x"));
    size_t sent = stuff_with_pings(c);
    assert_true(sent > 65536);
    assert_others_are_served();
    ra_wire_status status;
    ra_wire_get_status(server->wire, &status);
    // What was taken and not answered is bounded by the queue and one receive.
    assert_true(status.bytes_in - status.bytes_out < 65536 + 262144);
    assert_int_equal(status.shed, 0);
    // Once the client reads, everything that it sent is answered.
    int whole = (int)(sent / 17);
    int64_t until = ra_os_now_ns() + INT64_C(60000000000);
    while (c->n_ping_acks < whole && client_turn(c, 100))
        if (ra_os_now_ns() > until)
            fail_msg("%d of %d answered", c->n_ping_acks, whole);
    assert_int_equal(c->n_ping_acks, whole);
    client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(floods_of_useless_frames_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(empty_data_is_shed, start, stop),
        cmocka_unit_test_setup_teardown(a_flood_of_small_messages_stays_as_received, start, stop),
        cmocka_unit_test_setup_teardown(a_few_unread_bytes_are_kept_too, start, stop),
        cmocka_unit_test_setup_teardown(small_messages_come_as_earlier_ones_are_used_up, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_stream_that_ends_within_an_unread_message_is_refused,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_client_that_pings_while_it_downloads_is_not_shed, start,
                                        stop),
        cmocka_unit_test_setup_teardown(rapid_resets_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(resets_that_the_client_provokes_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(resets_after_the_answer_are_normal, start, stop),
        cmocka_unit_test_setup_teardown(resets_after_the_first_data_are_normal, start, stop),
        cmocka_unit_test_setup_teardown(too_many_streams_are_refused_from_the_first_byte, start,
                                        stop),
        cmocka_unit_test_setup_teardown(oversized_header_lists_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(hpack_bombs_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(endless_header_blocks_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(slow_header_blocks_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(one_byte_windows_cost_little_and_are_shed, start, stop),
        cmocka_unit_test_setup_teardown(answers_that_are_not_read_stop_the_reading, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
