#include "flight/flight_data.h"

#include "base/os.h"
#include "wire/protobuf.h"

enum { DESCRIPTOR = 1, HEADER = 2, APP_METADATA = 3, BODY = 1000, FEW_PIECES = 16 };

static ra_span span_of(ra_str bytes) {
    return (ra_span){(const uint8_t *)bytes.data, (int64_t)bytes.len};
}

int ra_flight_data_read(ra_str message, ra_flight_data *out, ra_error *err) {
    *out = (ra_flight_data){0};
    ra_pb_reader reader = ra_pb_reader_of(message);
    ra_pb_field field;
    int more;
    while ((more = ra_pb_next(&reader, &field)) > 0) {
        if (field.type != RA_PB_LEN)
            continue;
        if (field.number == DESCRIPTOR) {
            out->has_descriptor = true;
            out->descriptor = field.bytes;
        } else if (field.number == HEADER) {
            out->header = span_of(field.bytes);
        } else if (field.number == APP_METADATA) {
            out->has_app_metadata = true;
            out->app_metadata = span_of(field.bytes);
        } else if (field.number == BODY) {
            out->body = span_of(field.bytes);
        }
    }
    if (more < 0)
        RA_FAIL(err, MALFORMED_REQUEST, "a FlightData message is not valid protobuf");
    return 0;
}

// Reads one varint; false when it is cut or too long.
static bool skip_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

size_t ra_flight_data_body_start(ra_str beginning) {
    const uint8_t *start = (const uint8_t *)beginning.data, *at = start;
    const uint8_t *end = start + beginning.len;
    uint64_t tag, length;
    while (skip_varint(&at, end, &tag) && (tag & 7) == RA_PB_LEN &&
           skip_varint(&at, end, &length)) {
        if (tag >> 3 == BODY)
            return (size_t)(at - start);
        if (length > (uint64_t)(end - at))
            break;
        at += length;
    }
    return 0;
}

static int put_span(ra_bytes *out, uint32_t number, ra_span span, ra_error *err) {
    return ra_pb_put_bytes(out, number, (ra_str){(const char *)span.data, (size_t)span.bytes}, err);
}

int ra_flight_data_send(ra_call *call, ra_span header, ra_span app_metadata, ra_error *err) {
    ra_bytes head;
    ra_bytes_init(&head, (size_t)header.bytes + (size_t)app_metadata.bytes + 64);
    int rc = 0;
    if (header.bytes > 0)
        rc = put_span(&head, HEADER, header, err);
    if (rc == 0 && app_metadata.bytes > 0)
        rc = put_span(&head, APP_METADATA, app_metadata, err);
    if (rc == 0)
        (void)ra_call_send(call, &(ra_piece){.data = head.data, .bytes = head.len, .fd = -1}, 1);
    ra_bytes_fini(&head);
    return rc;
}

static void release_message(void *owner) {
    ra_out_message *message = owner;
    ra_out_message_fini(message);
    ra_free(message);
}

// A blob that stands for the whole message: released when its last piece has been sent.
static int own_message(ra_out_message *message, ra_blob **out, ra_error *err) {
    ra_out_message *held = ra_malloc(sizeof *held);
    if (!held)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a message to send");
    *held = *message;
    if (message->body == &message->one)
        held->body = &held->one;
    int rc = ra_blob_wrap(NULL, 0, release_message, held, out, err);
    if (rc != 0) {
        ra_free(held);
        return rc;
    }
    *message = (ra_out_message){0};
    return 0;
}

static int encode_head(const ra_out_message *message, ra_bytes *head, ra_error *err) {
    RA_TRY(put_span(head, HEADER, message->header, err));
    if (message->app_metadata.bytes > 0)
        RA_TRY(put_span(head, APP_METADATA, message->app_metadata, err));
    // The body is always announced: pyarrow takes a batch without one for malformed.
    return ra_pb_put_len(head, BODY, (uint64_t)message->body_bytes, err);
}

static int send_owned(ra_call *call, const ra_out_message *message, const ra_bytes *head,
                      ra_blob *owner, ra_error *err) {
    int n = message->n_body + 1, fd = message->segment ? ra_segment_fd(message->segment) : -1;
    ra_piece few[FEW_PIECES], *pieces = few;
    if (n > FEW_PIECES) {
        pieces = ra_malloc((size_t)n * sizeof *pieces);
        if (!pieces)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a message to send");
    }
    pieces[0] = (ra_piece){.data = head->data, .bytes = head->len, .fd = -1};
    for (int i = 0; i < message->n_body; i++)
        pieces[i + 1] = (ra_piece){.data = message->body[i].data,
                                   .bytes = (size_t)message->body[i].bytes,
                                   .fd = fd,
                                   .offset = message->body[i].offset,
                                   .owner = owner};
    (void)ra_call_send(call, pieces, n);
    if (pieces != few)
        ra_free(pieces);
    return 0;
}

int ra_flight_data_send_message(ra_call *call, ra_out_message *message, ra_error *err) {
    ra_bytes head;
    ra_bytes_init(&head, (size_t)message->header.bytes + (size_t)message->app_metadata.bytes + 64);
    ra_blob *owner = NULL;
    int rc = encode_head(message, &head, err);
    if (rc == 0)
        rc = own_message(message, &owner, err);
    if (rc == 0)
        rc = send_owned(call, owner->owner, &head, owner, err);
    ra_blob_unref(owner);
    ra_out_message_fini(message);
    ra_bytes_fini(&head);
    return rc;
}
