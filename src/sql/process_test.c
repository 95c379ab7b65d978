// A worker that neither takes, sends nor answers anything is waited for so long and no longer.
#include "sql/process.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/testing.h"

enum { FILL_BYTES = 16 * 1024 * 1024 };

static void a_worker_that_does_nothing_is_given_up(void **state) {
    (void)state;
    static const uint8_t zeros[FILL_BYTES];
    int stream[2], answer[2];
    uint8_t byte;
    int64_t n_rows;
    bool gone = false, end;
    ra_error err;
    atomic_bool cancelled = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    assert_int_equal(pipe(answer), 0);
    ra_sql_process stopped = {
        .stream = stream[0], .answer = answer[0], .cancelled = &cancelled, .stall_ms = 200};
    assert_int_equal(ra_sql_process_receive(&stopped, &byte, 1, &end, &err), RA_UNAVAILABLE);
    assert_int_equal(ra_sql_process_finish(&stopped, &n_rows, &err), RA_UNAVAILABLE);
    assert_int_equal(ra_sql_process_send(&stopped, zeros, sizeof zeros, &gone, &err),
                     RA_UNAVAILABLE);
    assert_false(gone);
    assert_non_null(strstr(err.message, "did nothing"));
    for (int i = 0; i < 2; i++) {
        close(stream[i]);
        close(answer[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_worker_that_does_nothing_is_given_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
