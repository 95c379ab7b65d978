// Every allocation of the server fails in turn: no crash, no leak, nothing closed twice, no call
// that never ends.
#include "base/testing_close.h"
#include "wire/testing_client.h"
#include "wire/testing_server.h"

static atomic_int allocations_left;  // until one fails; negative: none does

static int fail_one(void *context, const ra_os_event *event) {
    (void)context;
    if (event->call != RA_OS_ALLOC || atomic_load(&allocations_left) < 0)
        return 0;
    return atomic_fetch_sub(&allocations_left, 1) == 0 ? ENOMEM : 0;
}

// Runs until the stream is closed or the connection is. A stream that is closed without a status
// tells its client RESOURCE_EXHAUSTED by the code of the reset.
static void wait_for_any_end(client *c, int32_t stream) {
    int64_t until = ra_os_now_ns() + INT64_C(10000000000);
    const client_stream *s = client_at(c, stream);
    while (!s->is_closed && client_turn(c, 100))
        assert_true(ra_os_now_ns() < until);
    if (s->is_closed && !client_has(s, "grpc-status: "))
        assert_int_equal(s->error_code, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void use_everything(int port) {
    static const char *const calls[][2] = {
        {"/t.T/Echo", "hello"},
        {"/t.T/Download", "300000 100000"},
        {"/t.T/Fail", "x"},
        {"/t.T/None", "x"},
        {"/t.T/Post", ""},
        {"/grpc.health.v1.Health/Check", ""},
        {"/t.T/Upload", ""},
        {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ":\1*"},
    };
    client *c = client_open(port);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0] && !c->is_eof; i++)
        wait_for_any_end(c, client_send(c, calls[i][0], calls[i][1]));
    client_free(c);
}

// One server with its n-th allocation failing; false when it has fewer.
static bool run_with_failure(int n, char *token_path) {
    test_server *server = test_server_new();
    atomic_store(&allocations_left, n);
    ra_error err;
    ra_wire_options options;
    test_server_options(server, token_path, &options);
    if (ra_wire_start(&options, &server->wire, &err) != 0) {
        assert_null(server->wire);
        assert_int_equal(err.code, RA_EXHAUSTED);
        ra_budget_fini(&server->budget);
        free(server);
        return true;
    }
    use_everything(ra_wire_port(server->wire));
    bool failed = atomic_exchange(&allocations_left, -1) < 0;
    // Whatever was lost, the next connection is served.
    client *c = client_open(ra_wire_port(server->wire));
    wait_for_any_end(c, client_send(c, "/grpc.health.v1.Health/Check", ""));
    assert_true(client_has(client_at(c, 1), "grpc-status: 0\n"));
    client_free(c);
    test_server_stop(server);
    return failed;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    atomic_store(&allocations_left, -1);
    ra_os_set_gate(fail_one, NULL);
    int n = 0;
    while (run_with_failure(n, NULL))
        n++;
    ra_os_set_gate(NULL, NULL);
    assert_in_range(n, 50, 2000);
    assert_int_equal(atomic_load(&testing_n_bad_closes), 0);
}

static void a_token_file_without_memory_is_an_error(void **state) {
    (void)state;
    char path[] = "/tmp/ra_memory_test_XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "a\nb\n", 4), 4);
    close(fd);
    ra_os_set_gate(fail_one, NULL);
    for (int n = 0; n < 8; n++)
        run_with_failure(n, path);
    ra_os_set_gate(NULL, NULL);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_token_file_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
