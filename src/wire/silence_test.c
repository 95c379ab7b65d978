// Peers that are cut off without FIN or RST: in a network namespace whose only device goes down.
#include "wire/silence.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "wire/testing_client.h"
#include "wire/testing_server.h"

// Not loopback's: those peers are local, and their end is always told.
static const char address[] = "10.9.9.9";
// The kernel probes a closed window after 0.2, 0.6, 1.4 and 3 s: within the time until the third
// second, as with the real time for ever.
enum { SILENCE_MS = 2000, REST_MS = 2900 };

static bool has_network;
static test_server *server;

static bool set_up(bool is_up) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo"};
    bool ok = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = (short)(is_up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return ok;
}

static bool add_address(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo:1"};
    struct sockaddr_in *to = (struct sockaddr_in *)&request.ifr_addr;
    to->sin_family = AF_INET;
    inet_pton(AF_INET, address, &to->sin_addr);
    bool ok = ioctl(fd, SIOCSIFADDR, &request) == 0;
    close(fd);
    return ok;
}

static int enter_namespace(void **state) {
    (void)state;
    has_network = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    has_network = has_network && set_up(true) && add_address();
    return 0;
}

static int start(void **state) {
    (void)state;
    if (!has_network)
        return 0;
    server = test_server_new();
    server->limits.silence_ms = SILENCE_MS;
    ra_wire_options options;
    test_server_options(server, NULL, &options);
    options.host = address;
    ra_error err;
    if (ra_wire_start(&options, &server->wire, &err) != 0)
        fail_msg("%s", err.message);
    return 0;
}

static int stop(void **state) {
    (void)state;
    if (has_network) {
        assert_true(set_up(true));
        test_server_stop(server);
    }
    return 0;
}

static client *open_far_client(uint32_t window) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)ra_wire_port(server->wire))};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return client_new(fd, window, 16384);
}

static int connections(void) {
    ra_wire_status status;
    ra_wire_get_status(server->wire, &status);
    return (int)status.connections;
}

// Whether no connection is left after some of the times that it may take.
static bool are_gone(void) {
    for (int i = 0; i < 4 * SILENCE_MS && connections() > 0; i++)
        usleep(1000);
    return connections() == 0;
}

static void a_quiet_client_that_is_cut_off_goes(void **state) {
    (void)state;
    if (!has_network)
        skip();
    client *c = open_far_client(1 << 20);
    client_wait(c, client_send(c, "/t.T/Echo", "x"));
    assert_int_equal(connections(), 1);
    assert_true(set_up(false));
    assert_true(are_gone());
    client_free(c);
}

static void a_download_that_is_cut_off_goes(void **state) {
    (void)state;
    if (!has_network)
        skip();
    client *c = open_far_client(1 << 30);
    int32_t stream = client_send(c, "/t.T/Download", "1000000000 1000000");
    client_wait_data(c, stream, 1000000);
    assert_true(set_up(false));
    assert_true(are_gone());
    test_wait_for(&server->cancelled, 1);
    client_free(c);
}

// Longer than the time: quiet, and with a window that its program's rest has closed.
static void clients_that_live_stay(void **state) {
    (void)state;
    if (!has_network)
        skip();
    client *quiet = open_far_client(1 << 20);
    client_wait(quiet, client_send(quiet, "/t.T/Echo", "x"));
    client *resting = open_far_client(1 << 30);
    int32_t stream = client_send(resting, "/t.T/Download", "100000000 1000000");
    client_wait_data(resting, stream, 1000000);
    usleep(REST_MS * 1000);
    assert_int_equal(connections(), 2);
    client_wait_data(resting, stream, 100000000);
    client_wait(quiet, client_send(quiet, "/t.T/Echo", "x"));
    client_free(quiet);
    client_free(resting);
    assert_true(are_gone());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_quiet_client_that_is_cut_off_goes, start, stop),
        cmocka_unit_test_setup_teardown(a_download_that_is_cut_off_goes, start, stop),
        cmocka_unit_test_setup_teardown(clients_that_live_stay, start, stop),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
