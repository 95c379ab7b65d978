#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

static ra_reason check(const char *text, size_t n) {
    ra_error err;
    ra_error_init(&err);
    int rc = ra_name_check((ra_str){text, n}, &err);
    assert_int_equal(rc != 0, err.reason != RA_REASON_NONE);
    return err.reason;
}

static void plain_and_strange_names_are_fine(void **state) {
    (void)state;
    static const char *const names[] = {"a", "taxi 2024", "../../etc", "x#",
                                        "{", "Größe 🚕",   ".",         "\xc2\xa0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(check(names[i], strlen(names[i])), RA_REASON_NONE);
}

static void length_is_1_to_255_bytes(void **state) {
    (void)state;
    char text[256];
    memset(text, 'x', sizeof text);
    assert_int_equal(check(text, 255), RA_REASON_NONE);
    assert_int_equal(check(text, 256), RA_REASON_INVALID_ARGUMENT);
    assert_int_equal(check(text, 0), RA_REASON_INVALID_ARGUMENT);
}

static void control_characters_markers_and_broken_text_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"#3",        "@2",   "a\nb",  "a\x7f",       "\x1b[0m",
                                        "a\xc2\x85", "\xff", "a\xc3", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(check(names[i], strlen(names[i])), RA_REASON_INVALID_ARGUMENT);
    assert_int_equal(check("a\0b", 3), RA_REASON_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_strange_names_are_fine),
        cmocka_unit_test(length_is_1_to_255_bytes),
        cmocka_unit_test(control_characters_markers_and_broken_text_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
