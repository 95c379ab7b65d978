#include "flight/request.h"

#include "wire/protobuf.h"

int ra_request_field(ra_str message, uint32_t number, ra_str *out, ra_error *err) {
    *out = (ra_str){"", 0};
    ra_pb_reader reader = ra_pb_reader_of(message);
    ra_pb_field field;
    int more;
    while ((more = ra_pb_next(&reader, &field)) > 0)
        if (field.number == number && field.type == RA_PB_LEN)
            *out = field.bytes;
    if (more < 0)
        RA_FAIL(err, MALFORMED_REQUEST, "the request is not valid protobuf");
    return 0;
}

void ra_reply_send(ra_call *call, const ra_bytes *message) {
    (void)ra_call_send(call, &(ra_piece){.data = message->data, .bytes = message->len, .fd = -1},
                       1);
}

int ra_reply_send_field(ra_call *call, uint32_t number, ra_str value, ra_error *err) {
    ra_bytes message;
    ra_bytes_init(&message, value.len + 32);
    int rc = ra_pb_put_bytes(&message, number, value, err);
    if (rc == 0)
        ra_reply_send(call, &message);
    ra_bytes_fini(&message);
    return rc;
}

void ra_reply_end(ra_call *call, int rc, const ra_error *err) {
    ra_call_finish(call, rc == 0 ? NULL : err);
}
