#include "wire/limits.h"

#include <string.h>

#include "base/testing.h"

static void the_defaults_are_within_their_ranges(void **state) {
    (void)state;
    ra_wire_limits limits;
    ra_error err;
    ra_wire_limits_init(&limits);
    assert_int_equal(ra_wire_limits_check(&limits, &err), 0);
}

static void the_defaults_are_those_that_are_promised(void **state) {
    (void)state;
    ra_wire_limits limits;
    ra_wire_limits_init(&limits);
    assert_int_equal(limits.connections, 1024);
    assert_int_equal(limits.streams, 100);
    assert_int_equal(limits.preface_ms, 10000);
    assert_int_equal(limits.header_block_ms, 10000);
    assert_int_equal(limits.header_list_bytes, 64 * 1024);
    assert_int_equal(limits.header_list_max_bytes, 128 * 1024);
    assert_int_equal(limits.reset_burst, 200);
    assert_int_equal(limits.reset_per_second, 5);
    assert_int_equal(limits.useless_burst, 1000);
    assert_int_equal(limits.useless_per_second, 100);
    assert_int_equal(limits.data_queue_bytes, 1 << 20);
    assert_int_equal(limits.control_queue_bytes, 1 << 20);
}

static void a_limit_out_of_range_is_named(void **state) {
    (void)state;
    ra_wire_limits limits;
    ra_error err;
    ra_wire_limits_init(&limits);
    limits.reset_burst = 0;
    assert_int_equal(ra_wire_limits_check(&limits, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "reset_burst"));
    ra_wire_limits_init(&limits);
    limits.frame_bytes = 1 << 24;
    assert_int_equal(ra_wire_limits_check(&limits, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "frame_bytes"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_within_their_ranges),
        cmocka_unit_test(the_defaults_are_those_that_are_promised),
        cmocka_unit_test(a_limit_out_of_range_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
