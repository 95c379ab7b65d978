// GetSchema: the schema of a Flight or of a command's result, which is not run for it.
#include "arrow/ipc.h"
#include "flight/describe.h"
#include "wire/protobuf.h"

enum { SCHEMA_CEILING = 2 * RA_MAX_SCHEMA_BYTES };

static int describe(const ra_call *call, ra_str descriptor, ra_str command, const ra_answer *answer,
                    ra_bytes *out, ra_error *err) {
    (void)call;
    (void)descriptor;
    (void)command;
    if (answer->content) {
        const ra_blob *held = answer->content->framed_schema;
        return ra_pb_put_bytes(out, 1, (ra_str){(const char *)held->data, held->bytes}, err);
    }
    ra_bytes framed;
    ra_bytes_init(&framed, SCHEMA_CEILING);
    int rc = ra_ipc_encode_framed_schema(ra_plan_schema(answer->plan), &framed, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, 1, ra_bytes_str(&framed), err);
    ra_bytes_fini(&framed);
    return rc;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_describe_on_message(call, message, RA_COMMAND_PLAN, describe);
}

const ra_method ra_method_get_schema = {.path = RA_FLIGHT_PATH("GetSchema"),
                                        .max_message_bytes = RA_COMMAND_MESSAGE_BYTES,
                                        .on_message = on_message,
                                        .on_end = ra_describe_on_end};
