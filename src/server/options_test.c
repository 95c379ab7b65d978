#include "server/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/testing.h"

static int read_options(ra_options *options, const char *a, const char *b, ra_error *err) {
    char *argv[] = {"server", (char *)(uintptr_t)a, (char *)(uintptr_t)b};
    return ra_options_read(options, 1 + (a != NULL) + (b != NULL), argv, err);
}

static void defaults_are_those_of_the_table(void **state) {
    (void)state;
    ra_options o;
    ra_error err;
    assert_int_equal(read_options(&o, NULL, NULL, &err), 0);
    assert_string_equal(o.host.text, "localhost");
    assert_int_equal(o.port.number, 5005);
    assert_int_equal(o.drain_timeout.number, 30000);
    assert_true(o.memory_limit.number > 16 << 20);
    assert_int_equal(o.insecure.number, 0);
}

static void values_are_read_in_their_units(void **state) {
    (void)state;
    ra_options o;
    ra_error err;
    assert_int_equal(read_options(&o, "--memory-limit=2G", "--insecure", &err), 0);
    assert_int_equal(o.memory_limit.number, INT64_C(2) << 30);
    assert_int_equal(o.insecure.number, 1);
    assert_int_equal(read_options(&o, "--drain-timeout", "500ms", &err), 0);
    assert_int_equal(o.drain_timeout.number, 500);
    assert_int_equal(read_options(&o, "--keep-versions", "1000", &err), 0);
    assert_int_equal(o.keep_versions.number, 1000);
    assert_int_equal(read_options(&o, "--result-ttl", "2d", &err), 0);
    assert_int_equal(o.result_ttl.number, INT64_C(172800000));
    assert_int_equal(read_options(&o, "--result-ttl", "never", &err), 0);
    assert_int_equal(o.result_ttl.number, INT64_MAX);
    assert_int_equal(o.disk_quota.number, 0);
    assert_int_equal(o.disk_reserve.number, -5);
    assert_int_equal(read_options(&o, "--disk-quota", "3G", &err), 0);
    assert_int_equal(o.disk_quota.number, INT64_C(3) << 30);
    assert_int_equal(read_options(&o, "--disk-quota=20%", "--disk-reserve=none", &err), 0);
    assert_int_equal(o.disk_quota.number, -20);
    assert_int_equal(o.disk_reserve.number, 0);
    assert_int_equal(read_options(&o, "--durability", "none", &err), 0);
    assert_int_equal(o.durability.number, 1);
}

static void wrong_ones_are_named(void **state) {
    (void)state;
    static const char *const bad[][2] = {{"--prot", "1"},
                                         {"--port", "70000"},
                                         {"--port", "5x"},
                                         {"--port", NULL},
                                         {"--slow-log", "5"},
                                         {"--log-level", "loud"},
                                         {"--insecure=maybe", NULL},
                                         {"--data-dir", ""},
                                         {"--keep-versions", "0"},
                                         {"--keep-versions", "1001"},
                                         {"--drain-timeout", "never"},
                                         {"--result-ttl", "0s"},
                                         {"--disk-quota", "101%"},
                                         {"--disk-reserve", "much"},
                                         {"--durability", "some"},
                                         {"--memory-limit", "99999999999999999G"},
                                         {"--memory-limit", "1"},
                                         {"port", "1"}};
    ra_options o;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ra_error err;
        assert_int_equal(read_options(&o, bad[i][0], bad[i][1], &err), RA_INVALID);
        size_t n_name = strcspn(bad[i][0], "=");
        assert_true(strlen(err.message) > n_name);
        char name[32] = "";
        memcpy(name, bad[i][0], n_name);
        assert_non_null(strstr(err.message, name));
    }
    ra_error err;
    assert_int_equal(read_options(&o, "--port", "70000", &err), RA_INVALID);
    assert_string_equal(err.message, "--port: '70000' is not a number from 0 to 65535");
    assert_int_equal(read_options(&o, "--slow-log", "5", &err), RA_INVALID);
    assert_non_null(strstr(err.message, "a time such as 500ms, 30s, 2m, 1h or 7d, or never"));
}

static void the_command_line_beats_the_environment(void **state) {
    (void)state;
    ra_options o;
    ra_error err;
    setenv("REMOTE_ARROW_DATA_DIR", "/tmp/from-environment", 1);
    assert_int_equal(read_options(&o, NULL, NULL, &err), 0);
    assert_string_equal(o.data_dir.text, "/tmp/from-environment");
    assert_int_equal(read_options(&o, "--data-dir", "/tmp/from-line", &err), 0);
    assert_string_equal(o.data_dir.text, "/tmp/from-line");
    unsetenv("REMOTE_ARROW_DATA_DIR");
}

static void help_shows_every_option(void **state) {
    (void)state;
    ra_options o;
    assert_int_equal(read_options(&o, "-h", NULL, NULL), 0);
    assert_true(o.show_help);
    ra_bytes text;
    ra_error err;
    ra_bytes_init(&text, 65536);
    assert_int_equal(ra_options_help(&text, &err), 0);
    assert_int_equal(ra_bytes_append(&text, "", 1, &err), 0);
#define RA_OPTION(field, name, ...) assert_non_null(strstr((const char *)text.data, "--" name));
#include "server/options.def"
#undef RA_OPTION
    ra_bytes_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(values_are_read_in_their_units),
        cmocka_unit_test(wrong_ones_are_named),
        cmocka_unit_test(the_command_line_beats_the_environment),
        cmocka_unit_test(help_shows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
