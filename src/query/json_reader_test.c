#include "query/json_reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "query/reader.h"

static char *as_json(ra_str text) {
    json_t *value;
    ra_error err;
    if (ra_json_read(text, &value, &err) != 0)
        return NULL;
    char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(value);
    return json;
}

static void assert_reads(const char *text, const char *json) {
    char *got = as_json(ra_str_of(text));
    if (!got)
        fail_msg("%s was refused", text);
    assert_string_equal(got, json);
    free(got);
}

static void values_read_as_rfc_8259_has_them(void **state) {
    (void)state;
    assert_reads(" null ", "null");
    assert_reads("[true,false]", "[true,false]");
    assert_reads("[0,-0,-17,9223372036854775807,-9223372036854775808]",
                 "[0,0,-17,9223372036854775807,-9223372036854775808]");
    assert_reads("[1.5,-0.25e1,1E2,0e0]", "[1.5,-2.5,100.0,0.0]");
    assert_reads("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\"");
    assert_reads("\"\\u00e9\\u20AC\\ud83d\\uDE00\\u0000é\"",
                 "\"\\u00E9\\u20AC\\uD83D\\uDE00\\u0000\\u00E9\"");
    assert_reads("{ }", "{}");
    assert_reads("{\"a\" : {\"\":[ ]} ,\n\t\"b\":[1 , 2\r\n]}", "{\"a\":{\"\":[]},\"b\":[1,2]}");
}

static void what_is_no_json_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "nul",
        "nulll",
        "tru",
        "True",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "[",
        "]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0000\":1}",
        "1 1",
        "01",
        "-",
        "-a",
        "+1",
        ".5",
        "5.",
        "1.e1",
        "1e",
        "1e+",
        "1e999",
        "-1e999",
        "0x1",
        "NaN",
        "Infinity",
        "9223372036854775808",
        "-9223372036854775809",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\n\"",
        "\"a\nb\"",
        "\"\x01\"",
        "// c\n1",
        "'a'",
        "[1}",
        "{\"a\":1]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *got = as_json(ra_str_of(texts[i]));
        if (got)
            fail_msg("%s was read as %s", texts[i], got);
    }
    assert_null(as_json(RA_STR("[1]\0")));
    assert_null(as_json(RA_STR("\"a\0b\"")));
}

static void the_error_names_line_column_and_byte(void **state) {
    (void)state;
    json_t *value;
    ra_error err;
    assert_int_equal(ra_json_read(RA_STR("{\"a\":\n\"\xc3\xa9\" x}"), &value, &err), RA_INVALID);
    assert_int_equal(err.reason, RA_REASON_MALFORMED_REQUEST);
    assert_non_null(strstr(err.message, "at line 2, column 5 (byte 11)"));
}

static void nesting_stops_at_64(void **state) {
    (void)state;
    char text[2 * RA_MAX_COMMAND_NESTING + 2];
    size_t n = RA_MAX_COMMAND_NESTING;
    memset(text, '[', n + 1);
    memset(text + n, ']', n);
    char *got = as_json((ra_str){text, 2 * n});
    assert_non_null(got);
    free(got);
    memset(text, '[', n + 1);
    memset(text + n + 1, ']', n + 1);
    assert_null(as_json((ra_str){text, 2 * n + 2}));
}

// jansson's parser and this one must agree on texts made by changing a few bytes of a valid one.
static void jansson_reads_the_same(void **state) {
    (void)state;
    static const char seed[] =
        "{\"from\":{\"id\":3},\"do\":[{\"a\":[1,-2.5e3,null,true,\"x\\u20ac\\n\"]},{}],\"k\":"
        "\"\\\"\"}";
    srandom(3);
    int n_valid = 0;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        for (int i = (int)(random() % 3); i >= 0; i--)
            text[(size_t)random() % (sizeof seed - 1)] =
                "{}[]\":,0-1.eE+\\unftls /b"[(size_t)random() % 24];
        json_t *theirs =
            json_loadb(text, sizeof seed - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        json_t *ours = NULL;
        ra_error err;
        int rc = ra_json_read((ra_str){text, sizeof seed - 1}, &ours, &err);
        if ((rc == 0) != (theirs != NULL) || (theirs && !json_equal(ours, theirs)))
            fail_msg("differs: %s", text);
        n_valid += rc == 0;
        json_decref(theirs);
        json_decref(ours);
    }
    assert_true(n_valid > 500);
}

static int allocations_left;
static int fail_allocation(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOC && allocations_left-- == 0 ? 12 : 0;
}

static void every_failed_allocation_is_out_of_memory(void **state) {
    (void)state;
    ra_str text =
        RA_STR("{\"a\":[1,2.5,\"x\",{\"b\":null,\"c\":[[]]}],\"long key\":{\"d\":\"e\"}}");
    json_set_alloc_funcs(ra_malloc, ra_free);
    ra_os_set_gate(fail_allocation, NULL);
    int rc = -1;
    for (int i = 0; rc != 0; i++) {
        json_t *value;
        ra_error err;
        allocations_left = i;
        rc = ra_json_read(text, &value, &err);
        allocations_left = -1;
        if (rc != 0)
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        json_decref(value);
        assert_true(i < 200);
    }
    ra_os_set_gate(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_read_as_rfc_8259_has_them),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(the_error_names_line_column_and_byte),
        cmocka_unit_test(nesting_stops_at_64),
        cmocka_unit_test(jansson_reads_the_same),
        cmocka_unit_test(every_failed_allocation_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
