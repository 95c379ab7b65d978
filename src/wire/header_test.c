#include "wire/header.h"

#include "base/testing.h"

static void assert_percent(const char *text, size_t max_bytes, const char *expected) {
    ra_bytes out;
    ra_bytes_init(&out, 1000);
    assert_int_equal(ra_percent_encode(&out, ra_str_of(text), max_bytes, NULL), 0);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data ? (const char *)out.data : "", expected, out.len);
    ra_bytes_fini(&out);
}

static void messages_are_percent_encoded(void **state) {
    (void)state;
    assert_percent("plain text, #1 ~", 100, "plain text, #1 ~");
    assert_percent("50% \n", 100, "50%25 %0A");
    assert_percent("\xC3\xA4\x7F", 100, "%C3%A4%7F");
    assert_percent("", 100, "");
}

static void long_messages_are_cut_at_a_character(void **state) {
    (void)state;
    assert_percent("abcdef", 3, "abc");
    assert_percent("a\xC3\xA4\xC3\xA4", 9, "a%C3%A4");
    assert_percent("\xF0\x9F\x98\x80", 11, "");
    assert_percent("\xF0\x9F\x98\x80", 12, "%F0%9F%98%80");
}

static void timeouts_have_eight_digits_and_a_unit(void **state) {
    (void)state;
    assert_true(ra_grpc_timeout_parse(RA_STR("1n")) == 1);
    assert_true(ra_grpc_timeout_parse(RA_STR("20u")) == 20000);
    assert_true(ra_grpc_timeout_parse(RA_STR("300m")) == 300000000);
    assert_true(ra_grpc_timeout_parse(RA_STR("4S")) == 4000000000);
    assert_true(ra_grpc_timeout_parse(RA_STR("5M")) == 300000000000);
    assert_true(ra_grpc_timeout_parse(RA_STR("1H")) == 3600000000000);
    assert_true(ra_grpc_timeout_parse(RA_STR("0S")) == 0);
    assert_true(ra_grpc_timeout_parse(RA_STR("99999999H")) == INT64_MAX);
    const char *wrong[] = {"", "S", "1", "123456789S", "1s", "-1S", "1.5S", " 1S", "1S ", "1SS"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_true(ra_grpc_timeout_parse(ra_str_of(wrong[i])) == -1);
}

static void received_binary_headers_are_decoded(void **state) {
    (void)state;
    ra_headers headers;
    ra_headers_init(&headers, 4096);
    assert_int_equal(ra_headers_add_decoded(&headers, RA_STR("a-bin"), RA_STR("AAECAw"), NULL), 0);
    assert_int_equal(ra_headers_add_decoded(&headers, RA_STR("b-bin"), RA_STR("YQ==,Yg"), NULL), 0);
    assert_int_equal(ra_headers_add_decoded(&headers, RA_STR("c-bin"), RA_STR("*"), NULL), 0);
    assert_int_equal(ra_headers_add_decoded(&headers, RA_STR("d"), RA_STR("YQ=="), NULL), 0);
    assert_int_equal(ra_headers_add_decoded(&headers, RA_STR("d"), RA_STR("second"), NULL), 0);
    assert_true(ra_str_eq(ra_headers_get(&headers, "a-bin"), (ra_str){"\0\1\2\3", 4}));
    assert_true(ra_str_eq(ra_headers_get(&headers, "b-bin"), RA_STR("a")));
    assert_int_equal(ra_headers_get(&headers, "c-bin").len, 0);
    assert_non_null(ra_headers_get(&headers, "c-bin").data);
    assert_true(ra_str_eq(ra_headers_get(&headers, "d"), RA_STR("YQ==")));
    assert_null(ra_headers_get(&headers, "e").data);
    assert_int_equal(ra_headers_count(&headers), 5);
    ra_headers_fini(&headers);
}

static void sent_binary_headers_have_no_padding(void **state) {
    (void)state;
    ra_headers headers;
    ra_error err;
    ra_headers_init(&headers, 4096);
    assert_int_equal(ra_headers_add_encoded(&headers, "a-bin", RA_STR("a"), NULL), 0);
    assert_int_equal(ra_headers_add_encoded(&headers, "b", RA_STR("a"), NULL), 0);
    assert_true(ra_str_eq(ra_headers_get(&headers, "a-bin"), RA_STR("YQ")));
    assert_true(ra_str_eq(ra_headers_get(&headers, "b"), RA_STR("a")));
    assert_int_equal(ra_headers_add_encoded(&headers, "c", RA_STR("a\nb"), &err), RA_INVALID);
    assert_int_equal(ra_headers_count(&headers), 2);
    ra_headers_fini(&headers);
}

static void a_list_has_a_ceiling(void **state) {
    (void)state;
    ra_headers headers;
    ra_error err;
    ra_headers_init(&headers, 64);
    assert_int_equal(ra_headers_add(&headers, RA_STR("a"), RA_STR("b"), NULL), 0);
    char big[64];
    memset(big, 'x', sizeof big);
    assert_int_equal(ra_headers_add(&headers, RA_STR("c"), (ra_str){big, sizeof big}, &err),
                     RA_EXHAUSTED);
    assert_int_equal(ra_headers_count(&headers), 1);
    ra_headers_fini(&headers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_percent_encoded),
        cmocka_unit_test(long_messages_are_cut_at_a_character),
        cmocka_unit_test(timeouts_have_eight_digits_and_a_unit),
        cmocka_unit_test(received_binary_headers_are_decoded),
        cmocka_unit_test(sent_binary_headers_have_no_padding),
        cmocka_unit_test(a_list_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
