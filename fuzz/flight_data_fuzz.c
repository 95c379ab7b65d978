// libFuzzer: the protobuf readers that see a client's bytes first: FlightData, descriptors,
// tickets.
#include "flight/descriptor.h"
#include "flight/flight_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ra_str message = {(const char *)data, size};
    ra_flight_data parsed;
    ra_target target;
    ra_error err;
    if (ra_flight_data_read(message, &parsed, &err) == 0 && parsed.has_descriptor)
        (void)!ra_descriptor_read(parsed.descriptor, &target, &err);
    size_t body = ra_flight_data_body_start(message);
    if (body > size)
        __builtin_trap();
    (void)!ra_descriptor_read(message, &target, &err);
    (void)!ra_ticket_read(message, &target, &err);
    return 0;
}
