// PollFlightInfo: like GetFlightInfo, in the poll form; the answer is always complete (F-70).
#include "flight/describe.h"
#include "flight/flight_info.h"
#include "wire/protobuf.h"

enum { INFO_CEILING = 64 * 1024 * 1024 };

static int describe(const ra_call *call, ra_str descriptor, ra_str command, const ra_answer *answer,
                    ra_bytes *out, ra_error *err) {
    static const double finished = 1.0;
    uint64_t progress;
    memcpy(&progress, &finished, sizeof progress);
    ra_bytes info;
    ra_bytes_init(&info, INFO_CEILING);
    int rc = ra_flight_info_write_answer(call, descriptor, command, answer, &info, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, 1, ra_bytes_str(&info), err);
    if (rc == 0)
        rc = ra_pb_put_fixed64(out, 3, progress, err);
    ra_bytes_fini(&info);
    return rc;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_describe_on_message(call, message, RA_COMMAND_RUN_IF_PUBLISHED, describe);
}

const ra_method ra_method_poll_flight_info = {.path = RA_FLIGHT_PATH("PollFlightInfo"),
                                              .max_message_bytes = RA_COMMAND_MESSAGE_BYTES,
                                              .on_message = on_message,
                                              .on_end = ra_describe_on_end};
