// GetFlightInfo: describes a Flight, or runs a command once for all who ask and describes its
// result.
#include "flight/describe.h"
#include "flight/flight_info.h"

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_describe_on_message(call, message, RA_COMMAND_RUN_IF_PUBLISHED, ra_flight_info_write_answer);
}

const ra_method ra_method_get_flight_info = {.path = RA_FLIGHT_PATH("GetFlightInfo"),
                                             .max_message_bytes = RA_COMMAND_MESSAGE_BYTES,
                                             .on_message = on_message,
                                             .on_end = ra_describe_on_end};
