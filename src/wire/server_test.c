// The server as a whole: doors, tokens, health, draining, what is no gRPC.
#include <sys/resource.h>
#include <sys/un.h>

#include "wire/testing_client.h"
#include "wire/testing_server.h"

static char token_path[] = "/tmp/ra_server_test_XXXXXX";

static client_stream *call_with(client *c, const char *path, const char *name, const char *value) {
    client_stream *s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0";
    s->body_bytes = 5;
    return client_wait(c, client_call(c, path, s, name, value));
}

static client_stream *get(client *c, const char *verb, const char *path, const char *type) {
    nghttp2_nv fields[] = {client_field(":method", verb), client_field(":scheme", "http"),
                           client_field(":path", path), client_field(":authority", "x"),
                           client_field("content-type", type)};
    client_stream *s = calloc(1, sizeof *s);
    int32_t id = nghttp2_submit_request(c->session, NULL, fields, 5, NULL, NULL);
    c->streams[(id - 1) / 2] = s;
    return client_wait(c, id);
}

static void localhost_is_both_addresses_on_one_port(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)ra_wire_port(server->wire)),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&v6, sizeof v6) == 0) {
        client *c = client_new(fd, 65535, 16384);
        assert_true(client_has(call_with(c, "/t.T/Echo", NULL, NULL), "grpc-status: 0\n"));
        client_free(c);
    } else {
        close(fd);  // a machine without IPv6
    }
    client *c = client_open(ra_wire_port(server->wire));
    assert_true(client_has(call_with(c, "/t.T/Echo", NULL, NULL), "grpc-status: 0\n"));
    client_free(c);
    test_server_stop(server);
}

static void a_taken_port_is_named(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    ra_wire_options options = {
        .host = "127.0.0.1", .port = ra_wire_port(server->wire), .io_threads = 1};
    ra_wire *second;
    ra_error err;
    assert_int_equal(ra_wire_start(&options, &second, &err), RA_UNAVAILABLE);
    assert_null(second);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_non_null(strstr(err.message, "in use"));
    test_server_stop(server);
}

static int connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void a_unix_socket_serves_and_is_removed(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/ra_server_test_%d.sock", getpid());
    for (int round = 0; round < 2; round++) {
        test_server *server = test_server_new();
        test_server_start(server, NULL, path);
        client *c = client_new(connect_unix(path), 65535, 16384);
        assert_true(client_has(call_with(c, "/t.T/Echo", NULL, NULL), "grpc-status: 0\n"));
        client_free(c);
        test_server_stop(server);
        assert_int_equal(connect_unix(path), -1);
        // What a killed server leaves behind is taken over by the next.
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        close(fd);
    }
    unlink(path);
}

static void calls_need_the_token(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, token_path, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    const char *auth = "authorization";
    assert_true(client_has(call_with(c, "/t.T/Echo", NULL, NULL), "grpc-status: 16\n"));
    assert_true(client_has(call_with(c, "/t.T/Echo", auth, "Bearer no"), "grpc-status: 16\n"));
    assert_int_equal(server->started, 0);
    client_stream *s = call_with(c, "/t.T/Tell", auth, "Bearer secret");
    assert_memory_equal(s->data + 5, "localhost:1 token=secret x=", 27);
    s = call_with(c, "/t.T/Tell", auth, "Basic eDpzZWNyZXQ=");
    assert_memory_equal(s->data + 5, "localhost:1 token=secret x=", 27);
    // Health needs none, reflection does.
    s = call_with(c, "/grpc.health.v1.Health/Check", NULL, NULL);
    assert_true(client_has(s, "grpc-status: 0\n"));
    s = call_with(c, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL, NULL);
    assert_true(client_has(s, "grpc-status: 16\n"));
    assert_true(ra_wire_token_is_valid(server->wire, RA_STR("secret")));
    assert_false(ra_wire_token_is_valid(server->wire, RA_STR("")));
    client_free(c);
    test_server_stop(server);
}

typedef struct {
    test_server *server;
    atomic_bool stop;
    int n_reloads;
} reloader;

static void *reload_main(void *arg) {
    reloader *r = arg;
    static const char *const texts[] = {"secret\n", "other\nsecret\n"};
    char fresh[64];
    snprintf(fresh, sizeof fresh, "%s.new", token_path);
    while (!atomic_load(&r->stop)) {
        FILE *file = fopen(fresh, "w");
        assert_non_null(file);
        assert_true(fputs(texts[r->n_reloads++ % 2], file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(rename(fresh, token_path), 0);
        assert_int_equal(ra_wire_reload_tokens(r->server->wire, NULL), 0);
    }
    return NULL;
}

static void tokens_may_be_read_again_while_calls_come(void **state) {
    (void)state;
    reloader r = {.server = test_server_new()};
    test_server_start(r.server, token_path, NULL);
    client *c = client_open(ra_wire_port(r.server->wire));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reload_main, &r), 0);
    for (int i = 0; i < 60; i++) {
        client_stream *s = call_with(c, "/t.T/Tell", "authorization", "Bearer secret");
        assert_memory_equal(s->data + 5, "localhost:1 token=secret x=", 27);
        assert_true(ra_wire_token_is_valid(r.server->wire, RA_STR("secret")));
        assert_false(ra_wire_token_is_valid(r.server->wire, RA_STR("none")));
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    assert_true(r.n_reloads > 1);
    client_free(c);
    test_server_stop(r.server);
}

static void health_says_what_the_server_says(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    client_stream *s = client_wait(c, client_send(c, "/grpc.health.v1.Health/Check", "\n\3t.T"));
    assert_memory_equal(s->data, "\0\0\0\0\2\10\1", 7);
    s = client_wait(c, client_send(c, "/grpc.health.v1.Health/Check", "\n\3t.X"));
    assert_true(client_has(s, "grpc-status: 5\n"));
    s = client_wait(c, client_send(c, "/grpc.health.v1.Health/Check", "\n\3"));
    assert_true(client_has(s, "grpc-status: 3\n"));
    int32_t watch = client_send(c, "/grpc.health.v1.Health/Watch", "");
    int32_t unknown = client_send(c, "/grpc.health.v1.Health/Watch", "\n\3t.X");
    client_wait_data(c, watch, 7);
    client_wait_data(c, unknown, 7);
    assert_memory_equal(client_at(c, watch)->data, "\0\0\0\0\2\10\1", 7);
    assert_memory_equal(client_at(c, unknown)->data, "\0\0\0\0\2\10\3", 7);
    atomic_store(&server->is_serving, false);
    assert_true(client_has(get(c, "GET", "/healthz", "x"), ":status: 503\n"));
    s = client_wait(c, client_send(c, "/grpc.health.v1.Health/Check", ""));
    assert_memory_equal(s->data, "\0\0\0\0\2\10\2", 7);
    client_wait_data(c, watch, 14);
    assert_int_equal(client_at(c, watch)->data_bytes, 14);
    assert_memory_equal(client_at(c, watch)->data + 7, "\0\0\0\0\2\10\2", 7);
    assert_false(client_at(c, unknown)->is_closed);
    client_free(c);
    test_server_stop(server);
}

static void what_is_no_grpc_gets_a_plain_answer(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    client_stream *s = get(c, "GET", "/healthz", "x");
    assert_true(client_has(s, ":status: 200\n"));
    assert_int_equal(s->data_bytes, 2);
    assert_memory_equal(s->data, "ok", 2);
    assert_true(client_has(get(c, "GET", "/t.T/Echo", "application/grpc"), ":status: 405\n"));
    assert_true(client_has(get(c, "POST", "/t.T/Echo", "application/json"), ":status: 415\n"));
    assert_true(client_has(get(c, "POST", "/t.T/Echo", "application/grpcx"), ":status: 415\n"));
    s = get(c, "POST", "/t.T/Echo", "application/grpc+proto");
    assert_true(client_has(s, "content-type: application/grpc+proto\n"));
    client_free(c);
    test_server_stop(server);
}

static size_t exchange(int port, const char *request, char *answer, size_t bytes) {
    int fd = client_connect(port);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    size_t n = 0;
    for (ssize_t k; n < bytes - 1 && (k = recv(fd, answer + n, bytes - 1 - n, 0)) > 0;)
        n += (size_t)k;
    answer[n] = 0;
    close(fd);
    return n;
}

static void other_protocols_are_turned_away(void **state) {
    (void)state;
    test_server *server = test_server_new();
    server->limits.preface_ms = 50;
    test_server_start(server, NULL, NULL);
    int port = ra_wire_port(server->wire);
    char answer[256];
    exchange(port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", answer, sizeof answer);
    assert_int_equal(strncmp(answer, "HTTP/1.1 400 ", 13), 0);
    assert_int_equal(exchange(port, "nonsense\r\n", answer, sizeof answer), 0);
    // A preface that does not become complete in time.
    int64_t before = ra_os_now_ns();
    exchange(port, "PRI * HTTP/2.0\r\n", answer, sizeof answer);
    assert_true(ra_os_now_ns() - before < INT64_C(5000000000));
    assert_true(ra_os_now_ns() - before >= INT64_C(40000000));
    test_server_stop(server);
}

static void connections_are_limited(void **state) {
    (void)state;
    test_server *server = test_server_new();
    server->limits.connections = 3;
    test_server_start(server, NULL, NULL);
    client *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = client_open(ra_wire_port(server->wire));
        call_with(clients[i], "/t.T/Echo", NULL, NULL);
    }
    int fd = client_connect(ra_wire_port(server->wire));
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    ra_wire_status status = {0};
    for (int i = 0; i < 2000 && status.shed == 0; i++) {
        usleep(1000);
        ra_wire_get_status(server->wire, &status);
    }
    assert_int_equal(status.connections, 3);
    assert_int_equal(status.shed, 1);
    for (int i = 0; i < 3; i++)
        client_free(clients[i]);
    test_server_stop(server);
}

static void a_lack_of_descriptors_is_survived(void **state) {
    (void)state;
    enum { MAX_FDS = 256 };
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = MAX_FDS;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fd = client_connect(ra_wire_port(server->wire)), fds[MAX_FDS], n = 0;
    usleep(20000);
    while ((fds[n] = dup(0)) >= 0)
        n++;
    assert_int_equal(errno, EMFILE);
    // One descriptor is left for the client, none for the server.
    close(fds[--n]);
    int late = client_connect(ra_wire_port(server->wire));
    usleep(150000);
    while (n > 0)
        close(fds[--n]);
    client *c = client_new(late, 65535, 16384);
    assert_true(client_has(call_with(c, "/t.T/Echo", NULL, NULL), "grpc-status: 0\n"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(fd);
    client_free(c);
    test_server_stop(server);
}

typedef struct {
    ra_wire *wire;
    atomic_bool done;
} drainer;

static void *drain_main(void *arg) {
    drainer *d = arg;
    ra_wire_drain(d->wire, 3000);
    atomic_store(&d->done, true);
    return NULL;
}

static void draining_lets_open_calls_end(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    client *idle = client_open(ra_wire_port(server->wire));
    call_with(idle, "/t.T/Echo", NULL, NULL);
    client_stream *s = calloc(1, sizeof *s);
    s->body = (const uint8_t *)"\0\0\0\0\1\0";
    s->body_bytes = 6;
    s->stays_open = true;
    int32_t upload = client_call(c, "/t.T/Upload", s, NULL, NULL);
    client_flush(c);
    test_wait_for(&server->started, 2);
    drainer d = {.wire = server->wire};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain_main, &d), 0);
    client_run(c, 100);
    client_run(idle, 100);
    assert_int_equal(c->n_goaways, 2);  // G-26
    assert_int_equal(c->goaway_code, NGHTTP2_NO_ERROR);
    assert_true(idle->is_eof);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)ra_wire_port(server->wire)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof address), -1);
    close(refused);
    assert_false(c->is_eof);
    assert_false(atomic_load(&d.done));
    s->stays_open = false;
    nghttp2_session_resume_data(c->session, upload);
    client_wait(c, upload);
    assert_true(client_has(s, "grpc-status: 0\n"));
    client_run(c, 1000);
    assert_true(c->is_eof);
    pthread_join(thread, NULL);
    assert_int_equal(server->cancelled, 0);
    client_free(c);
    client_free(idle);
    test_server_stop(server);
}

static void draining_ends_calls_that_do_not_end(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    client_send(c, "/t.T/Hang", "x");
    client_send(c, "/t.T/Download", "100000000 1000000");
    client_flush(c);
    test_wait_for(&server->started, 2);
    ra_wire_drain(server->wire, 50);
    assert_int_equal(server->ended, 2);
    assert_int_equal(server->cancelled, 2);
    client_free(c);
    test_server_stop(server);
}

static void reflection_describes_the_services(void **state) {
    (void)state;
    test_server *server = test_server_new();
    test_server_start(server, NULL, NULL);
    client *c = client_open(ra_wire_port(server->wire));
    const char *path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    client_stream *s = client_wait(c, client_send(c, path, "\72\0"));
    s = client_wait(c, client_send(c, path, ":\1*"));
    assert_non_null(memmem(s->data, s->data_bytes, "arrow.flight.protocol.FlightService", 35));
    s = client_wait(c, client_send(c, path,
                                   "\"\25"
                                   "grpc.health.v1.Health"));
    assert_non_null(memmem(s->data, s->data_bytes, "HealthCheckRequest", 18));
    s = client_wait(c, client_send(c, path, "\32\1x"));
    assert_non_null(memmem(s->data, s->data_bytes, "not found", 9));
    assert_true(client_has(s, "grpc-status: 0\n"));
    client_free(c);
    test_server_stop(server);
}

int main(void) {
    int fd = mkstemp(token_path);
    if (fd < 0 || write(fd, "secret\n", 7) != 7)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_both_addresses_on_one_port),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(a_unix_socket_serves_and_is_removed),
        cmocka_unit_test(calls_need_the_token),
        cmocka_unit_test(tokens_may_be_read_again_while_calls_come),
        cmocka_unit_test(health_says_what_the_server_says),
        cmocka_unit_test(what_is_no_grpc_gets_a_plain_answer),
        cmocka_unit_test(other_protocols_are_turned_away),
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(a_lack_of_descriptors_is_survived),
        cmocka_unit_test(draining_lets_open_calls_end),
        cmocka_unit_test(draining_ends_calls_that_do_not_end),
        cmocka_unit_test(reflection_describes_the_services),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(token_path);
    return failed;
}
