#include "flight/descriptor.h"

#include "base/testing.h"
#include "flight/flight_data.h"
#include "wire/protobuf.h"

static ra_bytes path_descriptor(const char *first, const char *second) {
    ra_bytes b;
    ra_error err;
    ra_bytes_init(&b, 4096);
    assert_int_equal(ra_pb_put_varint(&b, 1, 1, &err), 0);
    assert_int_equal(ra_pb_put_bytes(&b, 3, ra_str_of(first), &err), 0);
    if (second)
        assert_int_equal(ra_pb_put_bytes(&b, 3, ra_str_of(second), &err), 0);
    return b;
}

static int read_path(const char *first, const char *second, ra_target *target) {
    static char kept[4096];
    ra_error err;
    ra_bytes b = path_descriptor(first, second);
    memcpy(kept, b.data, b.len);
    size_t n = b.len;
    ra_bytes_fini(&b);
    return ra_descriptor_read((ra_str){kept, n}, target, &err);
}

static void paths_name_flights_and_versions(void **state) {
    (void)state;
    ra_target t;
    assert_int_equal(read_path("taxi", NULL, &t), 0);
    assert_int_equal(t.by, RA_NAMED_BY_NAME);
    assert_true(ra_str_eq(t.name, RA_STR("taxi")));
    assert_int_equal(t.version, 0);
    assert_int_equal(read_path("taxi", "@7", &t), 0);
    assert_int_equal(t.version, 7);
    assert_int_equal(read_path("#3", "@2", &t), 0);
    assert_int_equal(t.by, RA_NAMED_BY_ID);
    assert_int_equal(t.id, 3);
    assert_int_equal(t.version, 2);
}

static void other_paths_are_refused(void **state) {
    (void)state;
    static const char *const bad[][2] = {{"", NULL},      {"#", NULL},
                                         {"#x", NULL},    {"@1", NULL},
                                         {"taxi", "7"},   {"taxi", "@0"},
                                         {"taxi", "@-1"}, {"taxi", "@1x"},
                                         {"a\nb", NULL},  {"#1234567890123456789", NULL}};
    ra_target t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_path(bad[i][0], bad[i][1], &t), RA_INVALID);
}

static void tickets_round_trip_and_are_no_commands(void **state) {
    (void)state;
    ra_version version = {.flight_id = 1234567, .number = 89};
    for (int i = 0; i < 16; i++)
        version.uid[i] = (uint8_t)(i * 17);
    uint8_t ticket[RA_TICKET_BYTES];
    ra_target t;
    ra_error err;
    ra_ticket_write(&version, ticket);
    assert_int_equal(ra_ticket_read((ra_str){(char *)ticket, sizeof ticket}, &t, &err), 0);
    assert_int_equal(t.by, RA_NAMED_BY_TICKET);
    assert_int_equal(t.id, 1234567);
    assert_int_equal(t.version, 89);
    assert_memory_equal(t.uid, version.uid, 16);
    for (size_t n = 0; n < sizeof ticket; n++)
        assert_int_equal(ra_ticket_read((ra_str){(char *)ticket, n}, &t, &err), RA_NOT_FOUND);
    assert_int_equal(ra_ticket_read(RA_STR("{\"from\": 1}"), &t, &err), 0);
    assert_int_equal(t.by, RA_NAMED_BY_COMMAND);
    assert_int_equal(ra_ticket_read(RA_STR("0$take${}${}"), &t, &err), 0);
    assert_int_equal(t.by, RA_NAMED_BY_COMMAND);
}

static void flight_data_takes_fields_in_any_order(void **state) {
    (void)state;
    ra_bytes b;
    ra_error err;
    ra_flight_data data;
    ra_bytes_init(&b, 4096);
    assert_int_equal(ra_pb_put_bytes(&b, 1000, RA_STR("old body"), &err), 0);
    assert_int_equal(ra_pb_put_varint(&b, 77, 5, &err), 0);
    assert_int_equal(ra_pb_put_bytes(&b, 3, RA_STR("meta"), &err), 0);
    assert_int_equal(ra_pb_put_bytes(&b, 2, RA_STR("header"), &err), 0);
    assert_int_equal(ra_pb_put_bytes(&b, 1000, RA_STR("body"), &err), 0);
    assert_int_equal(ra_flight_data_read(ra_bytes_str(&b), &data, &err), 0);
    assert_false(data.has_descriptor);
    assert_int_equal(data.header.bytes, 6);
    assert_memory_equal(data.body.data, "body", 4);
    assert_true(data.has_app_metadata);
    size_t good = 0;
    for (size_t n = 0; n < b.len; n++)
        good += ra_flight_data_read((ra_str){(char *)b.data, n}, &data, &err) == 0;
    assert_int_equal(good, 5);  // only where a field ends
    ra_bytes_fini(&b);
}

static void the_body_is_found_in_the_first_part(void **state) {
    (void)state;
    ra_bytes b;
    ra_error err;
    ra_bytes_init(&b, 4096);
    assert_int_equal(ra_pb_put_bytes(&b, 2, RA_STR("header"), &err), 0);
    assert_int_equal(ra_pb_put_len(&b, 1000, 1000000, &err), 0);
    size_t start = b.len;
    assert_int_equal(ra_bytes_append(&b, "beginning", 9, &err), 0);
    assert_int_equal(ra_flight_data_body_start(ra_bytes_str(&b)), start);
    assert_int_equal(ra_flight_data_body_start((ra_str){(char *)b.data, start - 1}), 0);
    ra_bytes_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_flights_and_versions),
        cmocka_unit_test(other_paths_are_refused),
        cmocka_unit_test(tickets_round_trip_and_are_no_commands),
        cmocka_unit_test(flight_data_takes_fields_in_any_order),
        cmocka_unit_test(the_body_is_found_in_the_first_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
