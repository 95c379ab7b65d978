#include "arrow/utf8_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_random.h"
#include "base/utf8.h"

// Every range of random texts, sound and damaged, gets the answer that reading it gives.
static void every_range_is_answered_as_if_read(void **state) {
    (void)state;
    static const char *const pieces[] = {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                         "0123456789012345678901234567890123456789"};
    for (uint64_t seed = 0; seed < 40; seed++) {
        testing_rng rng = {seed};
        ra_error err;
        ra_bytes text;
        ra_bytes_init(&text, 10000);
        for (int64_t n = testing_below(&rng, 40); n > 0; n--) {
            const char *piece = pieces[testing_below(&rng, 5)];
            testing_append(&text, piece, strlen(piece));
        }
        for (int64_t n = testing_below(&rng, 4); n > 0 && text.len; n--)
            text.data[testing_below(&rng, (int64_t)text.len)] = (uint8_t)testing_next(&rng);
        ra_span spans[2] = {{NULL, 0}, {text.data, (int64_t)text.len}};
        ra_utf8_map *map;
        testing_must(ra_utf8_map_new(spans, 2, &map, &err), &err);
        for (int64_t from = 0; from < spans[1].bytes; from++)
            for (int64_t to = from; to <= spans[1].bytes; to++)
                if (ra_utf8_map_is_valid(map, 1, from, to - from) !=
                    ra_utf8_is_valid(text.data + from, (size_t)(to - from)))
                    fail_msg("seed %d, bytes %d to %d", (int)seed, (int)from, (int)to);
        ra_utf8_map_free(map);
        ra_bytes_fini(&text);
    }
}

static void ascii_prefixes_end_at_the_first_other_byte(void **state) {
    (void)state;
    uint8_t text[200];
    memset(text, 'x', sizeof text);
    for (size_t from = 0; from < 9; from++)
        for (size_t at = from; at < sizeof text; at++) {
            assert_int_equal(ra_utf8_ascii_prefix(text + from, at - from), at - from);
            text[at] = 0x80;
            assert_int_equal(ra_utf8_ascii_prefix(text + from, sizeof text - from), at - from);
            text[at] = 'x';
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_is_answered_as_if_read),
        cmocka_unit_test(ascii_prefixes_end_at_the_first_other_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
