#include "query/literal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "query/reader.h"

static int read_text(ra_str text, json_t **out, ra_error *err) {
    size_t at = 0;
    int rc = ra_literal_read(text, &at, out, err);
    if (rc == 0 && at != text.len) {
        json_decref(*out);
        *out = NULL;
        return -1;  // something is left
    }
    return rc;
}

// What the text reads as, in compact JSON; NULL when it is refused.
static char *as_json(ra_str text) {
    json_t *value;
    ra_error err;
    if (read_text(text, &value, &err) != 0)
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

static void assert_refused(const char *text) {
    char *got = as_json(ra_str_of(text));
    if (got)
        fail_msg("%s was read as %s", text, got);
}

static void numbers_read_as_python_reads_them(void **state) {
    (void)state;
    assert_reads("0", "0");
    assert_reads("-17", "-17");
    assert_reads("- 17", "-17");
    assert_reads("+1_000", "1000");
    assert_reads("000", "0");
    assert_reads("0x_fF", "255");
    assert_reads("0o17", "15");
    assert_reads("0b1_01", "5");
    assert_reads("9223372036854775807", "9223372036854775807");
    assert_reads("-9223372036854775808", "-9223372036854775808");
    assert_reads("1.5", "1.5");
    assert_reads(".5", "0.5");
    assert_reads("5.", "5.0");
    assert_reads("01.5", "1.5");
    assert_reads("1e3", "1000.0");
    assert_reads("-2.5E-1", "-0.25");
    assert_reads("1_0.2_5e0_1", "102.5");
}

static void numbers_that_python_refuses_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "-",
        "--1",
        "1__0",
        "1_",
        "_1",
        "0x",
        "0xg",
        "0o8",
        "0b2",
        "01",
        "1.2.3",
        "1e",
        "1e+",
        ".",
        "1j",
        "1.5j",
        "1a",
        "e5",
        "1_.5",
        "1._5",
        "0_x1",
        "nan",
        "inf",
        "1e999",
        "-1e999",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999999999999999999999999999999999999999999999999999",
        "1 2",
        "0x8000000000000000"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
}

static void strings_and_bytes_read_with_all_escapes(void **state) {
    (void)state;
    assert_reads("'a$b'", "\"a$b\"");
    assert_reads("\"it's\"", "\"it's\"");
    assert_reads("'it\\'s \\\"x\\\" \\\\'", "\"it's \\\"x\\\" \\\\\"");
    assert_reads("'\\a\\b\\f\\n\\r\\t\\v'", "\"\\u0007\\b\\f\\n\\r\\t\\u000B\"");
    assert_reads("'\\x41\\xe9\\u20ac\\U0001F600'", "\"A\\u00E9\\u20AC\\uD83D\\uDE00\"");
    assert_reads("'\\0\\101\\7778'", "\"\\u0000A\\u01FF8\"");
    assert_reads("'\\d\\q'", "\"\\\\d\\\\q\"");
    assert_reads("'a\\\nb'", "\"ab\"");
    assert_reads("'é€'", "\"\\u00E9\\u20AC\"");
    assert_reads("b'abc\\x41'", "\"abcA\"");
    assert_reads("b'\\xc3\\xa9\\u1'", "\"\\u00E9\\\\u1\"");
    assert_reads("B\"x\"", "\"x\"");
    assert_reads("u'x'", "\"x\"");
    assert_reads("r'\\n\\''", "\"\\\\n\\\\'\"");
    assert_reads("bR'\\x'", "\"\\\\x\"");
    assert_reads("'a' \"b\"\n'c'", "\"abc\"");
    assert_reads("'''a'''", "\"a\"");
    assert_reads("''", "\"\"");
}

static void broken_strings_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "'",         "'a",        "'a\"",          "'a\\",        "'a\\'",  "'\\x4'", "'\\u20a'",
        "'\\U0011'", "'\\ud800'", "'\\U00110000'", "'\\N{DASH}'", "'a\nb'", "b'é'",   "b'\\xff'",
        "b'\\777'",  "ur'x'",     "'a' b'b'",      "f'x'",        "bb'x'",  "rr'x'",  "r'\\"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
}

static void containers_nest_and_take_trailing_commas(void **state) {
    (void)state;
    assert_reads("[ ]", "[]");
    assert_reads("()", "[]");
    assert_reads("(1)", "1");
    assert_reads("(1,)", "[1]");
    assert_reads("((1,2),[3,],)", "[[1,2],[3]]");
    assert_reads("{}", "{}");
    assert_reads("{0: [1, None], 'k': (True, False), b'b': {-1: 2.5,},}",
                 "{\"0\":[1,null],\"k\":[true,false],\"b\":{\"-1\":2.5}}");
    assert_reads("{'': {'': ''}}", "{\"\":{\"\":\"\"}}");
    assert_reads("[\n1 ,\t2\r\n]", "[1,2]");
    assert_reads("{'a\\x00b': 1}", "{\"a\\u0000b\":1}");
}

static void broken_containers_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"[",
                                        "[1",
                                        "[1 2]",
                                        "[,]",
                                        "[1,,2]",
                                        "(",
                                        "(,)",
                                        "{",
                                        "{1}",
                                        "{1, 2}",
                                        "{1: 2",
                                        "{1: 2 3: 4}",
                                        "{,}",
                                        "{1.5: 2}",
                                        "{[]: 1}",
                                        "{None: 1}",
                                        "{True: 1}",
                                        "{'a': 1, 'a': 2}",
                                        "{1: 1, 0x1: 2}",
                                        "[1}",
                                        "{1: 2]",
                                        "{1: 1, '1': 2}",
                                        "True1",
                                        "true",
                                        "null",
                                        "None()",
                                        "x",
                                        "[x]",
                                        "__import__('os')",
                                        "1 + 1",
                                        "[i for i in x]",
                                        "{**a}",
                                        "lambda: 0",
                                        "]",
                                        "#"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
}

static void the_error_names_the_byte(void **state) {
    (void)state;
    json_t *value;
    ra_error err;
    size_t at = 0;
    assert_int_equal(ra_literal_read(RA_STR("[1, 2, x]"), &at, &value, &err), RA_INVALID);
    assert_int_equal(err.reason, RA_REASON_MALFORMED_REQUEST);
    assert_non_null(strstr(err.message, "at byte 7"));
}

// Text of `n` copies of `unit`, then `tail`.
static ra_str repeat(const char *unit, size_t n, const char *tail) {
    size_t bytes = strlen(unit);
    char *text = malloc(bytes * n + strlen(tail) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * bytes, unit, bytes);
    strcpy(text + n * bytes, tail);
    return (ra_str){text, bytes * n + strlen(tail)};
}

static void deep_nesting_is_refused_at_once(void **state) {
    (void)state;
    static const char *const units[] = {"[", "(", "{0:", "{0:[(", "[[],"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        ra_str text = repeat(units[i], 1024 * 1024 / strlen(units[i]), "");
        json_t *value;
        ra_error err;
        assert_int_equal(read_text(text, &value, &err), RA_INVALID);
        assert_non_null(strstr(err.message, "64 levels"));
        free((char *)text.data);
    }
    ra_str text = repeat("[", RA_MAX_COMMAND_NESTING, "");
    char whole[2 * RA_MAX_COMMAND_NESTING];
    memcpy(whole, text.data, text.len);
    memset(whole + text.len, ']', text.len);
    free((char *)text.data);
    char *json = as_json((ra_str){whole, sizeof whole});
    assert_non_null(json);
    free(json);
}

static void numbers_of_every_length_stay_in_their_buffer(void **state) {
    (void)state;
    for (size_t n = 1; n < 600; n++) {
        ra_str zeros = repeat("0", n, ""), ones = repeat("1", n, ".");
        char *json = as_json(zeros);
        assert_string_equal(json, "0");
        free(json);
        json = as_json(ones);
        assert_true((json != NULL) == (n < 310));
        free(json);
        free((char *)zeros.data);
        free((char *)ones.data);
    }
}

static void long_texts_take_linear_time(void **state) {
    (void)state;
    static const struct {
        const char *unit, *head, *tail;
    } texts[] = {{"1,", "[", "]"},   {"'' ", "", "''"},   {"\\x41", "'", "'"},
                 {"'a' ", "[", "]"}, {"9", "", ""},       {"_1", "1", ""},
                 {"(1),", "[", "]"}, {"b'' ", "b''", ""}, {"\\", "'", "'"}};
    int64_t start = ra_os_now_ns();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ra_str body = repeat(texts[i].unit, 1000 * 1000 / strlen(texts[i].unit), texts[i].tail);
        size_t head = strlen(texts[i].head);
        char *text = malloc(head + body.len);
        assert_non_null(text);
        memcpy(text, texts[i].head, head);
        memcpy(text + head, body.data, body.len);
        json_t *value;
        ra_error err;
        if (read_text((ra_str){text, head + body.len}, &value, &err) == 0)
            json_decref(value);
        free(text);
        free((char *)body.data);
    }
    assert_true(ra_os_now_ns() - start < 5 * 1000000000LL);
}

// A small random generator, so that runs can be repeated.
static uint32_t random_state = 1;
static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

// Without NUL where it is to be a key: jansson compares keys up to one.
static json_t *random_string(bool with_nul) {
    char text[64];
    size_t n = 0;
    for (uint32_t i = random_below(8); i > 0; i--) {
        static const char *const pieces[] = {
            "a", "$", "'", "\"", "\\", "\n", "\t", "é", "€", "\xF0\x9F\x98\x80", " ", "{0: 1}"};
        const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
        memcpy(text + n, piece, strlen(piece));
        n += strlen(piece);
    }
    if (with_nul && random_below(8) == 0)
        text[n++] = '\0';
    return json_stringn(text, n);
}

static json_t *random_value(int depth) {
    json_t *value;
    switch (random_below(depth > 0 ? 7 : 5)) {
        case 0:
            return json_null();
        case 1:
            return json_boolean(random_below(2));
        case 2:
            return json_integer(
                (json_int_t)(((uint64_t)random_below(1u << 24) << 40) ^ random_below(1u << 24)));
        case 3:
            return json_real((double)random_below(1u << 24) / 1024 - 4096);
        case 4:
            return random_string(true);
        case 5:
            value = json_array();
            for (uint32_t i = random_below(5); i > 0; i--)
                json_array_append_new(value, random_value(depth - 1));
            return value;
        default:
            value = json_object();
            for (uint32_t i = random_below(5); i > 0; i--) {
                json_t *key = random_string(false);
                json_object_setn_new(value, json_string_value(key), json_string_length(key),
                                     random_value(depth - 1));
                json_decref(key);
            }
            return value;
    }
}

static void print_python_string(const char *text, size_t n, FILE *out) {
    char quote = random_below(2) ? '\'' : '"';
    fputc(quote, out);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == (unsigned char)quote || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, random_below(2) ? "\\x%02x" : "\\%03o", c);
        else
            fputc(c, out);
    }
    fputc(quote, out);
}

static void print_space(FILE *out) {
    if (random_below(4) == 0)
        fputc(" \n\t"[random_below(3)], out);
}

// As Python's repr writes it, with spaces thrown in.
static void print_python(json_t *value, FILE *out) {
    const char *key;
    size_t key_len, i;
    json_t *item;
    bool tuple = json_is_array(value) && random_below(2);
    print_space(out);
    if (json_is_null(value))
        fputs("None", out);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "True" : "False", out);
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(out, "%.17e", json_real_value(value));
    else if (json_is_string(value))
        print_python_string(json_string_value(value), json_string_length(value), out);
    else
        fputc(json_is_object(value) ? '{' : tuple ? '(' : '[', out);
    json_array_foreach(value, i, item) {
        print_python(item, out);
        fputc(',', out);
    }
    json_object_keylen_foreach(value, key, key_len, item) {
        print_python_string(key, key_len, out);
        fputs(": ", out);
        print_python(item, out);
        fputc(',', out);
    }
    if (json_is_array(value) || json_is_object(value))
        fputc(json_is_object(value) ? '}' : tuple ? ')' : ']', out);
    print_space(out);
}

// `(,)` is no tuple in Python; an empty one has no comma.
static void what_python_prints_reads_back(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        json_t *value = random_value(4), *got;
        char *text;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        print_python(value, out);
        print_space(out);
        fclose(out);
        ra_error err;
        size_t at = 0;
        if (ra_literal_read((ra_str){text, n}, &at, &got, &err) != 0)
            fail_msg("%s: %s", err.message, text);
        if (!json_equal(value, got))
            fail_msg("read wrongly: %s", text);
        json_decref(value);
        json_decref(got);
        free(text);
    }
}

static void cut_and_changed_texts_never_misbehave(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        json_t *value = random_value(4), *got;
        char *text;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        print_python(value, out);
        fclose(out);
        for (uint32_t i = random_below(4); i > 0 && n > 0; i--)
            text[random_below((uint32_t)n)] = "'\"\\[](){},:0x\n$bru_.e-+N"[random_below(25)];
        if (n > 0)
            n = random_below((uint32_t)n + 1);
        ra_error err;
        if (ra_utf8_is_valid(text, n) && read_text((ra_str){text, n}, &got, &err) == 0)
            json_decref(got);
        json_decref(value);
        free(text);
    }
}

static int allocations_left;
static int fail_allocation(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOC && allocations_left-- == 0 ? 12 : 0;
}

static void every_failed_allocation_is_out_of_memory(void **state) {
    (void)state;
    ra_str text = RA_STR("{0: [1, 2.5, 'abc', (None, True)], 'k': {'x': b'y', 'z': [[]]}}");
    json_set_alloc_funcs(ra_malloc, ra_free);
    ra_os_set_gate(fail_allocation, NULL);
    int rc = -1;
    for (int i = 0; rc != 0; i++) {
        json_t *value = NULL;
        ra_error err;
        allocations_left = i;
        rc = read_text(text, &value, &err);
        allocations_left = -1;
        if (rc != 0)
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        else
            json_decref(value);
        assert_true(i < 200);
    }
    ra_os_set_gate(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_read_as_python_reads_them),
        cmocka_unit_test(numbers_that_python_refuses_are_refused),
        cmocka_unit_test(strings_and_bytes_read_with_all_escapes),
        cmocka_unit_test(broken_strings_are_refused),
        cmocka_unit_test(containers_nest_and_take_trailing_commas),
        cmocka_unit_test(broken_containers_are_refused),
        cmocka_unit_test(the_error_names_the_byte),
        cmocka_unit_test(deep_nesting_is_refused_at_once),
        cmocka_unit_test(numbers_of_every_length_stay_in_their_buffer),
        cmocka_unit_test(long_texts_take_linear_time),
        cmocka_unit_test(what_python_prints_reads_back),
        cmocka_unit_test(cut_and_changed_texts_never_misbehave),
        cmocka_unit_test(every_failed_allocation_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
