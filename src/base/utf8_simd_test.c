#include "base/utf8_simd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

// Length of the valid character at the beginning of n > 0 bytes, by decoding it; 0: there is none.
static size_t plain_character(const uint8_t *s, size_t n) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (s[0] >= 0xF8 || length > n)
        return 0;
    uint32_t c = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    bool good = length > 0 && c >= smallest[length] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
    return good ? length : 0;
}

static size_t plain_prefix(const uint8_t *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        size_t length = plain_character(s + i, n - i);
        if (length == 0)
            break;
        i += length;
    }
    return i;
}

static void check(const uint8_t *text, size_t n) {
    size_t expected = plain_prefix(text, n), skipped = ra_utf8_skip_blocks(text, n);
    if (ra_utf8_valid_prefix(text, n) != expected)
        fail_msg("%zu instead of %zu", ra_utf8_valid_prefix(text, n), expected);
    assert_true(skipped <= expected);
    assert_int_equal(plain_prefix(text, skipped), skipped);
}

// All pairs of bytes with what may follow them, where 16-byte and 64-byte blocks meet.
static void every_pair_of_bytes_is_judged_right(void **state) {
    (void)state;
    static const uint8_t tails[][2] = {{'a', 'a'}, {0x80, 'a'}, {0xBF, 0x80}, {0xC3, 0x80}};
    static const size_t places[] = {1, 15, 48, 62, 63, 64, 126, 127};
    uint8_t text[200];
    for (unsigned pair = 0; pair < 65536; pair++) {
        size_t at = places[pair % 8];
        for (size_t t = 0; t < 4; t++) {
            memset(text, 'x', sizeof text);
            memcpy(text, "\xC3\xA4", at > 2 ? 2 : 0);
            text[at] = (uint8_t)(pair >> 8);
            text[at + 1] = (uint8_t)pair;
            memcpy(text + at + 2, tails[t], 2);
            check(text, sizeof text);
        }
    }
}

static void long_texts_are_judged_right_with_a_fault_anywhere(void **state) {
    (void)state;
    static const char *const pieces[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                         "ab",       "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"};
    uint64_t random = 1;
    for (int round = 0; round < 60; round++) {
        uint8_t text[330];
        size_t n = 0;
        while (n < 300) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const char *piece = pieces[(random >> 33) % 6];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        check(text, n);
        assert_int_equal(ra_utf8_valid_prefix(text, n), n);
        for (size_t at = 0; at < n; at++) {
            check(text, at);
            uint8_t old = text[at];
            text[at] = (uint8_t)(random >> (at % 50));
            check(text, n);
            text[at] = old;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_bytes_is_judged_right),
        cmocka_unit_test(long_texts_are_judged_right_with_a_fault_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
