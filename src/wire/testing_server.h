// A server with small methods for the tests of the wire.
#ifndef RA_WIRE_TESTING_SERVER_H
#define RA_WIRE_TESTING_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "base/testing.h"
#include "wire/limits.h"
#include "wire/server.h"

typedef struct {
    ra_wire *wire;
    ra_budget budget;
    ra_wire_limits limits;
    atomic_int started, ended, cancelled;
    atomic_int posting;               // threads that will post to the wire
    atomic_int_least64_t held_bytes;  // that /t.T/Hold has and does not give back
    atomic_int held_messages;         // of these; and most that a call of /t.T/Lazy had
    atomic_bool is_serving;
} test_server;

static inline test_server *test_server_of(const ra_call *call) {
    return ra_call_context(call);
}

static inline void test_on_start(ra_call *call) {
    atomic_fetch_add(&test_server_of(call)->started, 1);
}

static inline void test_on_end(ra_call *call, bool cancelled) {
    test_server *server = test_server_of(call);
    atomic_fetch_add(&server->ended, 1);
    atomic_fetch_add(&server->cancelled, cancelled);
    free(ra_call_state(call));
}

static inline void test_reply(ra_call *call, ra_str text) {
    ra_piece piece = {.data = (const uint8_t *)text.data, .bytes = text.len, .fd = -1};
    ra_call_send(call, &piece, 1);
}

static inline void echo_on_message(ra_call *call, ra_bytes *message, bool last) {
    assert_true(last);
    test_reply(call, ra_bytes_str(message));
    ra_bytes_fini(message);
    ra_call_finish(call, NULL);
}

// "TOTAL MESSAGE_BYTES": sends so many bytes, byte i of all is i * 7 + i / 4096.
enum { TEST_PATTERN_BYTES = 1 << 20 };

typedef struct {
    size_t left, message_bytes, at;
    ra_blob *pattern;
} test_download;

static inline uint8_t test_pattern_byte(size_t i) {
    i %= TEST_PATTERN_BYTES;
    return (uint8_t)(i * 7 + i / 4096);
}

static inline void download_on_output(ra_call *call) {
    test_download *d = ra_call_state(call);
    while (d->left > 0 && ra_call_can_send(call)) {
        size_t bytes = d->left < d->message_bytes ? d->left : d->message_bytes;
        size_t from = d->at % TEST_PATTERN_BYTES;
        size_t first = TEST_PATTERN_BYTES - from < bytes ? TEST_PATTERN_BYTES - from : bytes;
        ra_piece pieces[] = {
            {.data = d->pattern->data + from, .bytes = first, .fd = -1, .owner = d->pattern},
            {.data = d->pattern->data, .bytes = bytes - first, .fd = -1, .owner = d->pattern}};
        d->at += bytes;
        d->left -= bytes;
        ra_call_send(call, pieces, 2);
    }
    if (d->left == 0)
        ra_call_finish(call, NULL);
    else
        ra_call_want_output(call);
}

static inline void download_on_message(ra_call *call, ra_bytes *message, bool last) {
    assert_true(last);
    test_download *d = calloc(1, sizeof *d);
    char text[64];
    snprintf(text, sizeof text, "%.*s", RA_STR_ARG(ra_bytes_str(message)));
    assert_int_equal(sscanf(text, "%zu %zu", &d->left, &d->message_bytes), 2);
    ra_bytes_fini(message);
    assert_true(d->message_bytes <= TEST_PATTERN_BYTES);
    ra_call_set_state(call, d);
    ra_error err;
    if (ra_blob_new(TEST_PATTERN_BYTES, &d->pattern, &err) != 0) {
        ra_call_finish(call, &err);
        return;
    }
    for (size_t i = 0; i < TEST_PATTERN_BYTES; i++)
        d->pattern->data[i] = test_pattern_byte(i);
    download_on_output(call);
}

static inline void download_on_end(ra_call *call, bool cancelled) {
    test_download *d = ra_call_state(call);
    if (d)
        ra_blob_unref(d->pattern);
    test_on_end(call, cancelled);
}

// Counts what comes and answers "BYTES MESSAGES" at half-close.
typedef struct {
    size_t bytes;
    int messages;
} test_upload;

static inline void upload_on_start(ra_call *call) {
    test_on_start(call);
    ra_call_set_state(call, calloc(1, sizeof(test_upload)));
    ra_call_admit_upload(call);
    ra_call_send_headers(call);
}

static inline void upload_on_message(ra_call *call, ra_bytes *message, bool last) {
    test_upload *upload = ra_call_state(call);
    for (size_t i = 0; i < message->len; i += 1009)
        assert_int_equal(message->data[i], test_pattern_byte(upload->bytes + i));
    upload->bytes += message->len;
    upload->messages += last;
    ra_call_account_of(call)->bytes += (int64_t)message->len;
    ra_call_consumed(call, 1, message->len);
    ra_bytes_fini(message);
}

static inline void upload_on_half_close(ra_call *call) {
    const test_upload *upload = ra_call_state(call);
    char text[64];
    snprintf(text, sizeof text, "%zu %d", upload->bytes, upload->messages);
    test_reply(call, ra_str_of(text));
    ra_call_finish(call, NULL);
}

// Takes messages and gives nothing back.
static inline void hold_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    atomic_fetch_add(&test_server_of(call)->held_bytes, (int64_t)message->len);
    atomic_fetch_add(&test_server_of(call)->held_messages, 1);
    ra_bytes_fini(message);
}

// As Upload, but uses a message up later.
typedef struct {
    test_upload upload;
    int n_held;
} test_lazy;

typedef struct {
    ra_post post;
    size_t bytes;
} test_lazy_message;

static inline void lazy_on_start(ra_call *call) {
    test_on_start(call);
    ra_call_set_state(call, calloc(1, sizeof(test_lazy)));
    ra_call_admit_upload(call);
    ra_call_send_headers(call);
}

static inline void lazy_used_up(ra_call *call, ra_post *post) {
    test_lazy_message *message = (test_lazy_message *)post;
    if (call) {
        test_lazy *lazy = ra_call_state(call);
        lazy->n_held--;
        ra_call_consumed(call, 1, message->bytes);
    }
    free(message);
}

static inline void lazy_on_message(ra_call *call, ra_bytes *message, bool last) {
    test_lazy *lazy = ra_call_state(call);
    test_server *server = test_server_of(call);
    test_lazy_message *kept = calloc(1, sizeof *kept);
    kept->post = (ra_post){.to = ra_call_get_ref(call), .fn = lazy_used_up};
    kept->bytes = message->len;
    lazy->upload.bytes += message->len;
    lazy->upload.messages += last;
    lazy->n_held++;
    if (lazy->n_held > atomic_load(&server->held_messages))
        atomic_store(&server->held_messages, lazy->n_held);
    ra_bytes_fini(message);
    ra_wire_post(server->wire, &kept->post);
}

static inline void hang_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)call, (void)last;
    ra_bytes_fini(message);
}

// Answers every message at once, and ends with the error that the last one names.
static inline void fail_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    ra_error_set(&err, RA_REASON_COLUMN_NOT_FOUND, "no column '%.*s' of 100%%\n", (int)message->len,
                 (char *)message->data);
    ra_error_set_subject(&err, "column", "\xC3\xA4\"", 3);
    err.flight = 3;
    ra_bytes_fini(message);
    ra_call_finish(call, &err);
}

// Answers from another thread.
typedef struct {
    ra_post post;
    test_server *server;
} test_answer;

static inline void answer_posted(ra_call *call, ra_post *post) {
    if (call) {
        test_reply(call, RA_STR("posted"));
        ra_call_finish(call, NULL);
    }
    free(post);
}

static inline void *answer_main(void *arg) {
    test_answer *answer = arg;
    test_server *server = answer->server;
    ra_wire_post(server->wire, &answer->post);
    atomic_fetch_sub(&server->posting, 1);
    return NULL;
}

static inline void post_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_bytes_fini(message);
    test_answer *answer = calloc(1, sizeof *answer);
    answer->post = (ra_post){.to = ra_call_get_ref(call), .fn = answer_posted};
    answer->server = test_server_of(call);
    atomic_fetch_add(&answer->server->posting, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_main, answer), 0);
    pthread_detach(thread);
}

// Says what the request carried: "AUTHORITY token=TOKEN x=VALUE OF x-test-bin".
static inline void tell_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_bytes_fini(message);
    char text[512];
    ra_str authority = ra_call_authority(call), token = ra_call_token(call);
    ra_str x = ra_call_header(call, "x-test-bin");
    snprintf(text, sizeof text, "%.*s token=%.*s x=%.*s", RA_STR_ARG(authority), RA_STR_ARG(token),
             RA_STR_ARG(x));
    assert_int_equal(ra_call_add_header(call, "x-head-bin", RA_STR("\1\2"), NULL), 0);
    assert_int_equal(ra_call_add_trailer(call, "x-tail", RA_STR("tail"), NULL), 0);
    test_reply(call, ra_str_of(text));
    ra_call_finish(call, NULL);
}

#define TEST_METHOD(variable, name, ...) \
    static const ra_method variable = {  \
        .path = "/t.T/" name, .max_message_bytes = 64 << 20, __VA_ARGS__}
TEST_METHOD(test_echo, "Echo", .on_start = test_on_start, .on_message = echo_on_message,
            .on_end = test_on_end);
TEST_METHOD(test_down, "Download", .on_start = test_on_start, .on_message = download_on_message,
            .on_output = download_on_output, .on_end = download_on_end);
TEST_METHOD(test_up, "Upload", .streams_in = true, .part_bytes = 1 << 20,
            .on_start = upload_on_start, .on_message = upload_on_message,
            .on_half_close = upload_on_half_close, .on_end = test_on_end);
TEST_METHOD(test_hold, "Hold", .streams_in = true, .part_bytes = 64 << 10,
            .on_start = test_on_start, .on_message = hold_on_message, .on_end = test_on_end);
TEST_METHOD(test_lazily, "Lazy", .streams_in = true, .on_start = lazy_on_start,
            .on_message = lazy_on_message, .on_half_close = upload_on_half_close,
            .on_end = test_on_end);
TEST_METHOD(test_hang, "Hang", .on_start = test_on_start, .on_message = hang_on_message,
            .on_end = test_on_end);
TEST_METHOD(test_fail, "Fail", .streams_in = true, .on_start = test_on_start,
            .on_message = fail_on_message, .on_end = test_on_end);
TEST_METHOD(test_post, "Post", .on_start = test_on_start, .on_message = post_on_message,
            .on_end = test_on_end);
TEST_METHOD(test_tell, "Tell", .on_start = test_on_start, .on_message = tell_on_message,
            .on_end = test_on_end);

static const ra_method *const test_methods[] = {&test_echo, &test_down,   &test_up,
                                                &test_hold, &test_lazily, &test_hang,
                                                &test_fail, &test_post,   &test_tell};

static inline bool test_is_serving(void *context) {
    return atomic_load(&((test_server *)context)->is_serving);
}

static inline void test_server_options(test_server *server, const char *token_file,
                                       ra_wire_options *options) {
    ra_log_set(getenv("RA_TEST_LOG") ? RA_LOG_DEBUG : RA_LOG_OFF, false);
    ra_budget_init(&server->budget, NULL, "test", INT64_C(1) << 30);
    atomic_store(&server->is_serving, true);
    *options = (ra_wire_options){.host = "localhost",
                                 .io_threads = 2,
                                 .methods = test_methods,
                                 .n_methods = sizeof test_methods / sizeof test_methods[0],
                                 .context = server,
                                 .token_file = token_file,
                                 .budget = &server->budget,
                                 .limits = &server->limits,
                                 .is_serving = test_is_serving};
}

// A server on a free port of both loopback addresses; change server->limits before.
static inline void test_server_start(test_server *server, const char *token_file,
                                     const char *socket_path) {
    ra_wire_options options;
    test_server_options(server, token_file, &options);
    options.socket_path = socket_path;
    ra_error err;
    if (ra_wire_start(&options, &server->wire, &err) != 0)
        fail_msg("%s", err.message);
}

static inline test_server *test_server_new(void) {
    test_server *server = calloc(1, sizeof *server);
    ra_wire_limits_init(&server->limits);
    return server;
}

// Every call that was started must have ended, once; every byte must have been released.
static inline void test_server_stop(test_server *server) {
    ra_wire_drain(server->wire, 200);
    ra_wire_status status;
    ra_wire_get_status(server->wire, &status);
    assert_int_equal(status.calls_open, 0);
    assert_int_equal(status.connections, 0);
    while (atomic_load(&server->posting) > 0)
        usleep(1000);
    ra_wire_free(server->wire);
    assert_int_equal(server->started, server->ended);
    ra_budget_fini(&server->budget);
    free(server);
}

// Waits up to two seconds until a counter has a value.
static inline void test_wait_for(const atomic_int *counter, int value) {
    for (int i = 0; i < 2000 && atomic_load(counter) != value; i++)
        usleep(1000);
    assert_int_equal(atomic_load(counter), value);
}

#endif
