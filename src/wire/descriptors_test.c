#include "wire/descriptors.h"

#include "base/testing.h"
#include "wire/protobuf.h"

enum { MAX_BYTES = 64 * 1024, MAX_NESTING = 5 };

// Whether a descriptor is well-formed protobuf all the way down, taking what can be read as a
// message for one.
static int count_named(ra_str message, const char *name, int depth) {
    ra_pb_reader reader = ra_pb_reader_of(message);
    ra_pb_field field;
    int rc, n = 0;
    while ((rc = ra_pb_next(&reader, &field)) > 0) {
        if (field.type != RA_PB_LEN)
            continue;
        if (field.number == 1 && ra_str_eq(field.bytes, ra_str_of(name)))
            n++;
        if (depth < MAX_NESTING) {
            int inner = count_named(field.bytes, name, depth + 1);
            n += inner > 0 ? inner : 0;
        }
    }
    return rc < 0 ? -1 : n;
}

static int count_in_file(int file, const char *name) {
    ra_bytes out;
    ra_bytes_init(&out, MAX_BYTES);
    assert_int_equal(ra_descriptors_put_file(file, &out, NULL), 0);
    int n = count_named(ra_bytes_str(&out), name, 0);
    ra_bytes_fini(&out);
    return n;
}

static void files_and_symbols_are_found(void **state) {
    (void)state;
    int flight = ra_descriptors_find_file(RA_STR("Flight.proto"));
    assert_true(flight >= 0);
    const char *symbols[] = {
        "arrow.flight.protocol.FlightService", "arrow.flight.protocol.FlightService.DoGet",
        "arrow.flight.protocol.Ticket", "arrow.flight.protocol.FlightDescriptor.DescriptorType",
        "arrow.flight.protocol.CancelStatus"};
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        assert_int_equal(ra_descriptors_find_symbol(ra_str_of(symbols[i])), flight);
    assert_int_equal(ra_descriptors_find_symbol(RA_STR("google.protobuf.Timestamp")),
                     ra_descriptors_find_file(RA_STR("google/protobuf/timestamp.proto")));
    assert_int_equal(ra_descriptors_find_symbol(RA_STR("arrow.flight.protocol")), -1);
    assert_int_equal(ra_descriptors_find_symbol(RA_STR("")), -1);
    assert_int_equal(ra_descriptors_find_file(RA_STR("Flight")), -1);
}

static void every_file_is_well_formed(void **state) {
    (void)state;
    assert_int_equal(ra_descriptors_count(), 5);
    for (int file = 0; file < ra_descriptors_count(); file++)
        assert_int_equal(count_in_file(file, "no such name"), 0);
}

static void flight_proto_has_its_messages(void **state) {
    (void)state;
    int flight = ra_descriptors_find_file(RA_STR("Flight.proto"));
    assert_int_equal(count_in_file(flight, "data_body"), 1);
    assert_int_equal(count_in_file(flight, "CANCEL_STATUS_NOT_CANCELLABLE"), 1);
    assert_int_equal(count_in_file(flight, "DoExchange"), 1);
    assert_int_equal(count_in_file(flight, "app_metadata"), 4);
}

static int collect(void *context, ra_str name, ra_error *err) {
    ra_bytes *out = context;
    RA_TRY(ra_bytes_append(out, name.data, name.len, err));
    return ra_bytes_append(out, " ", 1, err);
}

static void every_service_is_listed(void **state) {
    (void)state;
    ra_bytes out;
    ra_bytes_init(&out, MAX_BYTES);
    assert_int_equal(ra_descriptors_each_service(collect, &out, NULL), 0);
    assert_true(ra_str_eq(ra_bytes_str(&out),
                          RA_STR("arrow.flight.protocol.FlightService grpc.health.v1.Health "
                                 "grpc.reflection.v1.ServerReflection "
                                 "grpc.reflection.v1alpha.ServerReflection ")));
    ra_bytes_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_symbols_are_found),
        cmocka_unit_test(every_file_is_well_formed),
        cmocka_unit_test(flight_proto_has_its_messages),
        cmocka_unit_test(every_service_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
