// utf8, json_text, base64, error.
#include <string.h>

#include "base/base64.h"
#include "base/glob.h"
#include "base/json_text.h"
#include "base/os.h"
#include "base/testing.h"
#include "base/utf8.h"

static size_t valid(const char *text, size_t n) {
    return ra_utf8_valid_prefix(text, n);
}

static void utf8_refuses_what_unicode_refuses(void **state) {
    (void)state;
    assert_int_equal(valid("h\xC3\xA9llo", 6), 6);
    assert_int_equal(valid("a\xC0\x80", 3), 1);         // overlong
    assert_int_equal(valid("\xE0\x80\x80", 3), 0);      // overlong
    assert_int_equal(valid("\xED\xA0\x80", 3), 0);      // surrogate
    assert_int_equal(valid("\xF4\x90\x80\x80", 4), 0);  // over U+10FFFF
    assert_int_equal(valid("\xF4\x8F\xBF\xBF", 4), 4);  // U+10FFFF
    assert_int_equal(valid("\x80", 1), 0);              // continuation alone
    assert_int_equal(valid("ab\xE2\x82", 4), 2);        // cut
    assert_true(ra_utf8_is_cut("\xE2\x82", 2));
    assert_false(ra_utf8_is_cut("\xE2\x28", 2));
}

static void utf8_finds_the_fault_at_every_position(void **state) {
    (void)state;
    char text[200];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'x', sizeof text);
        text[at] = (char)0xFF;
        assert_int_equal(valid(text, sizeof text), at);
    }
}

static void utf8_agrees_with_a_plain_decoder(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += 7) {
        char text[4];
        size_t n = 0;
        if (c < 0x80) {
            text[n++] = (char)c;
        } else if (c < 0x800) {
            text[n++] = (char)(0xC0 | c >> 6);
            text[n++] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            text[n++] = (char)(0xE0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            text[n++] = (char)(0x80 | (c & 0x3F));
        } else {
            text[n++] = (char)(0xF0 | c >> 18);
            text[n++] = (char)(0x80 | (c >> 12 & 0x3F));
            text[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            text[n++] = (char)(0x80 | (c & 0x3F));
        }
        bool surrogate = c >= 0xD800 && c < 0xE000;
        assert_int_equal(ra_utf8_is_valid(text, n), !surrogate);
    }
}

static void json_strings_are_ascii(void **state) {
    (void)state;
    ra_bytes out;
    ra_error err;
    ra_bytes_init(&out, 1024);
    assert_int_equal(ra_json_put_string(&out, RA_STR("a\"\\\n\xC3\xA9\xF0\x9F\x98\x80\xFF"), &err),
                     0);
    const char *expected = "\"a\\\"\\\\\\u000a\\u00e9\\ud83d\\ude00\\ufffd\"";
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    ra_bytes_fini(&out);
}

static void base64_round_trips(void **state) {
    (void)state;
    char data[64];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 37 + 11);
    for (size_t n = 0; n < sizeof data; n++) {
        for (int padded = 0; padded < 2; padded++) {
            ra_bytes text, back;
            ra_error err;
            ra_bytes_init(&text, 256);
            ra_bytes_init(&back, 256);
            assert_int_equal(ra_base64_encode((ra_str){data, n}, padded, &text, &err), 0);
            assert_int_equal(ra_base64_decode(ra_bytes_str(&text), &back, &err), 0);
            assert_int_equal(back.len, n);
            assert_true(n == 0 || memcmp(back.data, data, n) == 0);
            ra_bytes_fini(&text);
            ra_bytes_fini(&back);
        }
    }
}

static void base64_refuses_what_is_none(void **state) {
    (void)state;
    static const char *const bad[] = {"A", "AA*A", "AAAAA", "AA=A", "=AAA", "AAA==", "A==="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ra_bytes out;
        ra_error err;
        ra_bytes_init(&out, 64);
        assert_int_equal(ra_base64_decode(ra_str_of(bad[i]), &out, &err), RA_INVALID);
        ra_bytes_fini(&out);
    }
}

static void patterns_match_whole_names(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {{"", "", true},
                 {"", "a", false},
                 {"*", "", true},
                 {"ta*", "taxi", true},
                 {"ta*", "a taxi", false},
                 {"*xi", "taxi", true},
                 {"t?xi", "taxi", true},
                 {"t?xi", "txi", false},
                 {"*a*b*c", "xaxbxc", true},
                 {"*a*b*c", "xbxaxc", false},
                 {"[a]", "a", false},
                 {"a**b", "ab", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ra_glob_match(ra_str_of(cases[i].pattern), ra_str_of(cases[i].text)),
                         cases[i].matches);
    char pattern[400], text[256];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';  // what takes for ever where every star backtracks
    assert_false(ra_glob_match((ra_str){pattern, sizeof pattern}, (ra_str){text, sizeof text}));
}

static void errors_are_cut_at_a_character(void **state) {
    (void)state;
    ra_error err;
    char text[2 * RA_ERROR_MESSAGE_BYTES];
    for (size_t shift = 0; shift < 3; shift++) {
        size_t n = shift;
        memset(text, 'x', shift);
        while (n + 3 < sizeof text) {
            memcpy(text + n, "\xE2\x82\xAC", 3);
            n += 3;
        }
        text[n] = 0;
        assert_int_equal(ra_error_set(&err, RA_REASON_LIMIT, "%s", text), RA_EXHAUSTED);
        assert_true(ra_utf8_is_valid(err.message, strlen(err.message)));
        assert_true(strlen(err.message) > RA_ERROR_MESSAGE_BYTES - 8);
    }
    ra_error_set(&err, RA_REASON_LIMIT, "bad \xFF byte");
    assert_string_equal(err.message, "bad ? byte");
    ra_error_prefix(&err, "column '%s'", "x");
    assert_string_equal(err.message, "column 'x': bad ? byte");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_refuses_what_unicode_refuses),
        cmocka_unit_test(utf8_finds_the_fault_at_every_position),
        cmocka_unit_test(utf8_agrees_with_a_plain_decoder),
        cmocka_unit_test(json_strings_are_ascii),
        cmocka_unit_test(base64_round_trips),
        cmocka_unit_test(base64_refuses_what_is_none),
        cmocka_unit_test(patterns_match_whole_names),
        cmocka_unit_test(errors_are_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
