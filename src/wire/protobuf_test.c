#include "wire/protobuf.h"

#include "base/testing.h"

static int count_fields(const void *bytes, size_t n, ra_pb_field *last) {
    ra_pb_reader reader = ra_pb_reader_of((ra_str){bytes, n});
    int rc, count = 0;
    while ((rc = ra_pb_next(&reader, last)) > 0)
        count++;
    return rc < 0 ? -1 : count;
}

static void what_is_put_can_be_read(void **state) {
    (void)state;
    ra_bytes out;
    ra_bytes_init(&out, 1000);
    assert_int_equal(ra_pb_put_varint(&out, 1, UINT64_MAX, NULL), 0);
    assert_int_equal(ra_pb_put_bytes(&out, 1000, RA_STR("body"), NULL), 0);
    assert_int_equal(ra_pb_put_fixed64(&out, 3, 0x1122334455667788u, NULL), 0);
    assert_int_equal(ra_pb_put_len(&out, 4, 0, NULL), 0);
    ra_pb_reader reader = ra_pb_reader_of(ra_bytes_str(&out));
    ra_pb_field field;
    assert_int_equal(ra_pb_next(&reader, &field), 1);
    assert_int_equal(field.number, 1);
    assert_true(field.value == UINT64_MAX);
    assert_int_equal(ra_pb_next(&reader, &field), 1);
    assert_int_equal(field.number, 1000);
    assert_true(ra_str_eq(field.bytes, RA_STR("body")));
    assert_int_equal(ra_pb_next(&reader, &field), 1);
    assert_true(field.type == RA_PB_FIXED64 && field.value == 0x1122334455667788u);
    assert_int_equal(ra_pb_next(&reader, &field), 1);
    assert_int_equal(field.bytes.len, 0);
    assert_int_equal(ra_pb_next(&reader, &field), 0);
    ra_bytes_fini(&out);
}

static void the_body_of_flight_data_has_its_tag(void **state) {
    (void)state;
    ra_bytes out;
    ra_bytes_init(&out, 100);
    assert_int_equal(ra_pb_put_len(&out, 1000, 300, NULL), 0);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "\xC2\x3E\xAC\x02", 4);
    ra_bytes_fini(&out);
}

static void malformed_fields_are_refused(void **state) {
    (void)state;
    ra_pb_field field;
    assert_int_equal(count_fields("\x00\x01", 2, &field), -1);  // number 0
    assert_int_equal(count_fields("\x0B\x0C", 2, &field), -1);  // group
    assert_int_equal(count_fields("\x0E\x00", 2, &field), -1);  // type 6
    assert_int_equal(count_fields("\x08", 1, &field), -1);      // no value
    assert_int_equal(count_fields("\x08\x80", 2, &field), -1);  // cut varint
    assert_int_equal(count_fields("\x0A\x05"
                                  "abcd",
                                  6, &field),
                     -1);  // too long
    assert_int_equal(count_fields("\x09"
                                  "1234567",
                                  8, &field),
                     -1);  // cut fixed64
    assert_int_equal(count_fields("\x0D"
                                  "123",
                                  4, &field),
                     -1);                                                       // cut fixed32
    assert_int_equal(count_fields("\x80\x80\x80\x80\x10\x01", 6, &field), -1);  // number 2^29
    const char overlong[] = "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02";
    assert_int_equal(count_fields(overlong, sizeof overlong - 1, &field), -1);
    const char huge[] = "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01";
    assert_int_equal(count_fields(huge, sizeof huge - 1, &field), -1);
}

static void every_prefix_is_answered(void **state) {
    (void)state;
    const char message[] =
        "\x08\x96\x01\x12\x04"
        "abcd"
        "\x19"
        "12345678"
        "\x25"
        "1234";
    for (size_t n = 0; n < sizeof message; n++) {
        ra_pb_field field;
        int count = count_fields(message, n, &field);
        assert_true(count >= -1 && count <= 4);
    }
    ra_pb_field field;
    assert_int_equal(count_fields(message, sizeof message - 1, &field), 4);
    assert_true(field.type == RA_PB_FIXED32);
}

static void a_full_buffer_fails(void **state) {
    (void)state;
    ra_bytes out;
    ra_error err;
    ra_bytes_init(&out, 4);
    assert_int_equal(ra_pb_put_bytes(&out, 1, RA_STR("too long"), &err), RA_EXHAUSTED);
    ra_bytes_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_can_be_read),
        cmocka_unit_test(the_body_of_flight_data_has_its_tag),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(every_prefix_is_answered),
        cmocka_unit_test(a_full_buffer_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
