// gRPC server reflection, v1 and v1alpha: the two differ in their package only.
#include "wire/builtin.h"
#include "wire/call.h"
#include "wire/connection.h"
#include "wire/descriptors.h"
#include "wire/protobuf.h"

enum { REQUEST_MAX_BYTES = 4096, RESPONSE_MAX_BYTES = 64 * 1024, UNREAD_MAX_BYTES = 256 * 1024 };

// Fields of ServerReflectionRequest and ServerReflectionResponse.
enum {
    HOST = 1,
    ORIGINAL_REQUEST = 2,
    FILE_BY_FILENAME = 3,
    FILE_CONTAINING_SYMBOL = 4,
    FILE_CONTAINING_EXTENSION = 5,
    ALL_EXTENSION_NUMBERS = 6,
    LIST_SERVICES = 7,
    FILE_DESCRIPTOR_RESPONSE = 4,
    LIST_SERVICES_RESPONSE = 6,
    ERROR_RESPONSE = 7
};

typedef struct {
    ra_str host;
    uint32_t asked;  // the field of the question; 0 = none
    ra_str value;
} question;

static int read_question(ra_str request, question *out, ra_error *err) {
    ra_pb_reader reader = ra_pb_reader_of(request);
    ra_pb_field field;
    int rc;
    *out = (question){0};
    while ((rc = ra_pb_next(&reader, &field)) > 0) {
        if (field.type != RA_PB_LEN)
            continue;
        if (field.number == HOST)
            out->host = field.bytes;
        if (field.number >= FILE_BY_FILENAME && field.number <= LIST_SERVICES) {
            out->asked = field.number;
            out->value = field.bytes;
        }
    }
    if (rc < 0)
        RA_FAIL(err, MALFORMED_REQUEST, "malformed ServerReflectionRequest");
    return 0;
}

// ListServiceResponse{service=1 {name=1}}.
static int put_service(void *context, ra_str name, ra_error *err) {
    ra_bytes *out = context, service;
    ra_bytes_init(&service, REQUEST_MAX_BYTES);
    int rc = ra_pb_put_bytes(&service, 1, name, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, 1, ra_bytes_str(&service), err);
    ra_bytes_fini(&service);
    return rc;
}

// ErrorResponse{error_code=1, error_message=2}.
static int put_error(ra_bytes *out, ra_code code, ra_str message, ra_error *err) {
    RA_TRY(ra_pb_put_varint(out, 1, (uint64_t)code, err));
    return ra_pb_put_bytes(out, 2, message, err);
}

// FileDescriptorResponse{file_descriptor_proto=1}.
static int put_file(int file, ra_bytes *out, ra_error *err) {
    ra_bytes proto;
    ra_bytes_init(&proto, RESPONSE_MAX_BYTES);
    int rc = ra_descriptors_put_file(file, &proto, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, 1, ra_bytes_str(&proto), err);
    ra_bytes_fini(&proto);
    return rc;
}

// The answer to a question, and the field of the response that it stands in.
static int put_answer(const question *q, ra_bytes *out, uint32_t *place, ra_error *err) {
    int file = -1;
    *place = FILE_DESCRIPTOR_RESPONSE;
    switch (q->asked) {
        case LIST_SERVICES:
            *place = LIST_SERVICES_RESPONSE;
            return ra_descriptors_each_service(put_service, out, err);
        case FILE_BY_FILENAME:
            file = ra_descriptors_find_file(q->value);
            break;
        case FILE_CONTAINING_SYMBOL:
            file = ra_descriptors_find_symbol(q->value);
            break;
        case FILE_CONTAINING_EXTENSION:
        case ALL_EXTENSION_NUMBERS:
            break;
        default:
            *place = ERROR_RESPONSE;
            return put_error(out, RA_INVALID, RA_STR("no question"), err);
    }
    if (file >= 0)
        return put_file(file, out, err);
    *place = ERROR_RESPONSE;
    return put_error(out, RA_NOT_FOUND, RA_STR("not found"), err);
}

static int answer(ra_call *call, ra_str request, ra_error *err) {
    question q;
    RA_TRY(read_question(request, &q, err));
    ra_bytes part, response;
    ra_bytes_init(&part, RESPONSE_MAX_BYTES);
    ra_bytes_init(&response, RESPONSE_MAX_BYTES);
    uint32_t place;
    int rc = put_answer(&q, &part, &place, err);
    if (rc == 0 && q.host.len > 0)
        rc = ra_pb_put_bytes(&response, HOST, q.host, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(&response, ORIGINAL_REQUEST, request, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(&response, place, ra_bytes_str(&part), err);
    if (rc == 0)
        ra_call_send_bytes(call, ra_bytes_str(&response));
    ra_bytes_fini(&part);
    ra_bytes_fini(&response);
    return rc;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    int rc = 0;
    // Answers are far larger than questions: who does not read them asks no more.
    if (call->out.bytes > UNREAD_MAX_BYTES)
        rc = ra_error_set(&err, RA_REASON_LIMIT, "too many answers that were not read");
    if (rc == 0)
        rc = answer(call, ra_bytes_str(message), &err);
    ra_call_consumed(call, 1, message->len);
    ra_bytes_fini(message);
    if (rc != 0)
        ra_call_finish(call, &err);
}

static void on_half_close(ra_call *call) {
    ra_call_finish(call, NULL);
}

static const ra_method v1_method = {.path =
                                        "/grpc.reflection.v1.ServerReflection/"
                                        "ServerReflectionInfo",
                                    .streams_in = true,
                                    .max_message_bytes = REQUEST_MAX_BYTES,
                                    .on_message = on_message,
                                    .on_half_close = on_half_close};
static const ra_method v1alpha_method = {.path =
                                             "/grpc.reflection.v1alpha.ServerReflection/"
                                             "ServerReflectionInfo",
                                         .streams_in = true,
                                         .max_message_bytes = REQUEST_MAX_BYTES,
                                         .on_message = on_message,
                                         .on_half_close = on_half_close};

const ra_method *const ra_reflection_methods[RA_N_REFLECTION_METHODS] = {&v1_method,
                                                                         &v1alpha_method};
