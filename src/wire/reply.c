// The sending side of a call: headers, messages, trailers.
#include <inttypes.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/os.h"
#include "wire/builtin.h"
#include "wire/call.h"
#include "wire/connection.h"

enum {
    MAX_RESPONSE_FIELDS = 64,
    FRAME_HEADER_BYTES = 9,
    GRPC_MESSAGE_BYTES = 1024,  // F-51
    ERROR_JSON_BYTES = 4096,
    STATUS_DIGITS = 4
};

static nghttp2_nv field(ra_str name, ra_str value) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.data,
                        .namelen = name.len,
                        .value = (uint8_t *)(uintptr_t)value.data,
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

static size_t put_fields(nghttp2_nv *fields, size_t n, const ra_headers *headers) {
    for (int i = 0; i < ra_headers_count(headers) && n < MAX_RESPONSE_FIELDS; i++)
        fields[n++] = field(ra_headers_name(headers, i), ra_headers_value(headers, i));
    return n;
}

// A failure here is a lack of memory: the connection cannot go on.
static void check_session(ra_call *call, int rc) {
    if (rc != 0)
        ra_connection_kill(call->connection);
    ra_connection_touch(call->connection);
}

void ra_call_resume(ra_call *call) {
    if (!call->is_data_deferred)
        return;
    call->is_data_deferred = false;
    check_session(call, nghttp2_session_resume_data(call->connection->session, call->stream));
}

// A frame for a small window is not worth its overhead: it waits a little, unless it is the rest or
// the peer chose such a window.
static bool waits_for_window(ra_call *call, size_t allowed) {
    ra_connection *connection = call->connection;
    const ra_wire_limits *limits = &connection->io->wire->limits;
    size_t half_initial = nghttp2_session_get_remote_settings(
                              connection->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) /
                          2;
    size_t worth = (size_t)limits->small_window_bytes;
    if (worth > half_initial)
        worth = half_initial;
    if (worth > call->out.bytes)
        worth = call->out.bytes;
    if (allowed >= worth)
        return false;
    if (!connection->is_small_window_over) {
        if (!connection->small_window.is_set)
            ra_timers_set(&connection->io->timers, &connection->small_window,
                          connection->io->now_ns + limits->small_window_ms * 1000000);
        return true;
    }
    ra_connection_count_useless(connection);
    return false;
}

// Says how much of the call's messages goes into the next DATA frame.
static ssize_t read_data(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)buffer, (void)user;
    ra_call *call = source->ptr;
    ra_connection *connection = call->connection;
    if (connection->out.data_bytes >= (size_t)connection->io->wire->limits.data_queue_bytes) {
        connection->n_want_room += !call->wants_room;
        call->wants_room = true;
        call->is_data_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (call->out.bytes == 0 || waits_for_window(call, length)) {
        call->is_data_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t bytes = length < call->out.bytes ? length : call->out.bytes;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (bytes == call->out.bytes && call->phase > RA_CALL_OPEN) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!call->http_status) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            ra_call_submit_trailers(call);
        }
    }
    return (ssize_t)bytes;
}

int ra_call_frame_data(ra_call *call, const uint8_t *frame_header, size_t bytes, ra_error *err) {
    ra_connection *connection = call->connection;
    uint32_t n = ra_out_pieces_in(&call->out, bytes);
    RA_TRY(ra_out_reserve(&connection->out, n + 1, err));
    ra_out_piece header;
    uint8_t *to;
    RA_TRY(ra_out_scratch_alloc(&connection->scratch, FRAME_HEADER_BYTES, &to, &header, err));
    memcpy(to, frame_header, FRAME_HEADER_BYTES);
    header.flags = RA_OUT_DATA;
    ra_out_push(&connection->out, header);
    ra_out_move_frame(&call->out, &connection->out, bytes);
    connection->n_sending -= call->out.bytes == 0;
    call->has_sent_data = true;
    return 0;
}

static ra_str content_type_of(const ra_call *call) {
    ra_str proto = RA_STR("application/grpc+proto");
    ra_str asked = ra_headers_get(&call->request, "content-type");
    return ra_str_eq(asked, proto) ? proto : RA_STR("application/grpc");
}

void ra_call_send_headers(ra_call *call) {
    if (call->has_sent_headers || call->phase > RA_CALL_FINISHED)
        return;
    nghttp2_nv fields[MAX_RESPONSE_FIELDS];
    fields[0] = field(RA_STR(":status"), RA_STR("200"));
    fields[1] = field(RA_STR("content-type"), content_type_of(call));
    size_t n = put_fields(fields, 2, &call->response);
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_data};
    call->has_sent_headers = true;
    check_session(call, nghttp2_submit_response(call->connection->session, call->stream, fields, n,
                                                &provider));
}

void ra_call_submit_trailers(ra_call *call) {
    nghttp2_nv fields[MAX_RESPONSE_FIELDS];
    size_t n = put_fields(fields, 0, &call->trailers);
    check_session(call, nghttp2_submit_trailer(call->connection->session, call->stream, fields, n));
}

// Trailers-only: nothing was sent before (G-20).
static void submit_trailers_only(ra_call *call) {
    nghttp2_nv fields[MAX_RESPONSE_FIELDS];
    fields[0] = field(RA_STR(":status"), RA_STR("200"));
    fields[1] = field(RA_STR("content-type"), content_type_of(call));
    size_t n = put_fields(fields, 2, &call->response);
    n = put_fields(fields, n, &call->trailers);
    call->has_sent_headers = true;
    check_session(
        call, nghttp2_submit_response(call->connection->session, call->stream, fields, n, NULL));
}

static int put_json(ra_bytes *json, const ra_error *err, ra_error *failure) {
    const ra_reason_info *reason = ra_reason_get(err->reason);
    RA_TRY(ra_bytes_printf(json, failure, "{\"reason\": \"%s\"", reason->name));
    if (err->subject_key) {
        RA_TRY(ra_bytes_printf(json, failure, ", \"%s\": ", err->subject_key));
        RA_TRY(ra_json_put_string(json, ra_str_of(err->subject), failure));
    }
    if (err->flight >= 0)
        RA_TRY(ra_bytes_printf(json, failure, ", \"flight\": %" PRId64, err->flight));
    return ra_bytes_printf(json, failure, ", \"retryable\": %s}",
                           reason->retryable ? "true" : "false");
}

// Status, message, and what pyarrow and our client read (design.md §4); never
// grpc-status-details-bin, beside which pyarrow ignores x-arrow-status.
static int put_error_trailers(ra_headers *trailers, const ra_error *err, ra_bytes *scratch,
                              ra_error *failure) {
    RA_TRY(ra_percent_encode(scratch, ra_str_of(err->message), GRPC_MESSAGE_BYTES, failure));
    RA_TRY(ra_headers_add(trailers, RA_STR("grpc-message"), ra_bytes_str(scratch), failure));
    if (err->status != RA_ARROW_NONE) {
        char digits[STATUS_DIGITS];
        snprintf(digits, sizeof digits, "%u", (unsigned)err->status & 0xFF);
        RA_TRY(ra_headers_add(trailers, RA_STR("x-arrow-status"), ra_str_of(digits), failure));
        RA_TRY(ra_headers_add_encoded(trailers, "x-arrow-status-message-bin",
                                      ra_str_of(err->message), failure));
    }
    ra_bytes_clear(scratch);
    RA_TRY(put_json(scratch, err, failure));
    return ra_headers_add(trailers, RA_STR("remote-arrow-error"), ra_bytes_str(scratch), failure);
}

static void put_status(ra_call *call, const ra_error *err) {
    static const char *const digits[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                         "9", "10", "11", "12", "13", "14", "15", "16"};
    call->code = err ? err->code : RA_OK;
    // Without memory for one header the session could not send it either.
    if (ra_headers_add(&call->trailers, RA_STR("grpc-status"), ra_str_of(digits[call->code]),
                       NULL) != 0)
        ra_connection_kill(call->connection);
    if (!err)
        return;
    call->reason = err->reason;
    ra_bytes scratch;
    ra_bytes_init(&scratch, ERROR_JSON_BYTES);
    int rc = put_error_trailers(&call->trailers, err, &scratch, NULL);
    (void)rc;  // without memory the status alone has to do
    ra_bytes_fini(&scratch);
}

static void note_answer(ra_call *call) {
    if (call->account.answer_ns == 0)
        call->account.answer_ns = ra_os_now_ns();
}

void ra_call_conclude(ra_call *call, const ra_error *err) {
    note_answer(call);
    put_status(call, err);
    ra_timers_clear(&call->connection->io->timers, &call->deadline);
    if (call->phase == RA_CALL_OPEN) {
        call->connection->n_to_tell++;
        ra_call_enter(call, RA_CALL_FINISHED);
    } else {
        ra_call_enter(call, RA_CALL_SENDING);
    }
    if (!call->has_sent_headers && err) {
        submit_trailers_only(call);
        return;
    }
    ra_call_send_headers(call);
    if (call->out.bytes == 0)
        ra_call_submit_trailers(call);
    ra_connection_touch(call->connection);
}

void ra_call_finish(ra_call *call, const ra_error *err) {
    if (call->phase == RA_CALL_OPEN)
        ra_call_conclude(call, err);
}

void ra_call_abort(ra_call *call, const ra_error *err) {
    if (call->phase != RA_CALL_OPEN)
        return;
    call->is_cancelled = true;
    call->connection->n_sending -= call->out.bytes > 0;
    ra_out_clear(&call->out);
    ra_call_conclude(call, err);
}

void ra_call_conclude_plain(ra_call *call, int http_status, const char *text) {
    char status[16], length[24];
    size_t bytes = strlen(text);
    snprintf(status, sizeof status, "%d", http_status);
    snprintf(length, sizeof length, "%zu", bytes);
    nghttp2_nv fields[] = {field(RA_STR(":status"), ra_str_of(status)),
                           field(RA_STR("content-type"), RA_STR("text/plain")),
                           field(RA_STR("content-length"), ra_str_of(length))};
    call->http_status = http_status;
    call->has_sent_headers = true;
    ra_call_enter(call, RA_CALL_SENDING);
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_data};
    if (bytes > 0 && ra_out_reserve(&call->out, 1, NULL) == 0) {
        ra_out_push(&call->out,
                    (ra_out_piece){.data = (const uint8_t *)text, .bytes = bytes, .fd = -1});
        call->connection->n_sending++;
    }
    check_session(call, nghttp2_submit_response(call->connection->session, call->stream, fields, 3,
                                                call->out.bytes ? &provider : NULL));
}

int ra_call_add_header(ra_call *call, const char *name, ra_str value, ra_error *err) {
    if (ra_headers_count(&call->response) >= MAX_RESPONSE_FIELDS / 4)
        RA_FAIL(err, LIMIT, "more than %d response headers", MAX_RESPONSE_FIELDS / 4);
    return ra_headers_add_encoded(&call->response, name, value, err);
}

int ra_call_add_trailer(ra_call *call, const char *name, ra_str value, ra_error *err) {
    if (ra_headers_count(&call->trailers) >= MAX_RESPONSE_FIELDS / 4)
        RA_FAIL(err, LIMIT, "more than %d response trailers", MAX_RESPONSE_FIELDS / 4);
    return ra_headers_add_encoded(&call->trailers, name, value, err);
}

// Pushes one memory piece: the gRPC prefix if there is one, and a run of pieces without owner.
static int push_copied(ra_call *call, const uint8_t *prefix, const ra_piece *pieces, int n,
                       ra_error *err) {
    size_t bytes = prefix ? RA_GRPC_PREFIX_BYTES : 0;
    for (int i = 0; i < n; i++)
        bytes += pieces[i].bytes;
    if (bytes == 0)
        return 0;
    ra_out_piece piece;
    uint8_t *to;
    RA_TRY(ra_out_scratch_alloc(&call->connection->scratch, bytes, &to, &piece, err));
    if (prefix) {
        memcpy(to, prefix, RA_GRPC_PREFIX_BYTES);
        to += RA_GRPC_PREFIX_BYTES;
    }
    for (int i = 0; i < n; i++) {
        if (pieces[i].bytes)
            memcpy(to, pieces[i].data, pieces[i].bytes);
        to += pieces[i].bytes;
    }
    ra_out_push(&call->out, piece);
    return 0;
}

static int push_message(ra_call *call, size_t bytes, const ra_piece *pieces, int n, ra_error *err) {
    uint8_t prefix[RA_GRPC_PREFIX_BYTES] = {0, (uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16),
                                            (uint8_t)(bytes >> 8), (uint8_t)bytes};
    RA_TRY(ra_out_reserve(&call->out, (uint32_t)n + 1, err));
    for (int i = 0; i < n || i == 0;) {
        int run = i;
        while (run < n && !pieces[run].owner)
            run++;
        RA_TRY(push_copied(call, i == 0 ? prefix : NULL, pieces + i, run - i, err));
        i = run + 1;
        if (run < n && pieces[run].bytes)
            ra_out_push(&call->out, (ra_out_piece){.data = pieces[run].data,
                                                   .bytes = pieces[run].bytes,
                                                   .offset = pieces[run].offset,
                                                   .owner = ra_blob_ref(pieces[run].owner),
                                                   .fd = pieces[run].fd});
    }
    return 0;
}

bool ra_call_send(ra_call *call, const ra_piece *pieces, int n_pieces) {
    if (call->phase != RA_CALL_OPEN)
        return false;
    size_t bytes = 0;
    for (int i = 0; i < n_pieces; i++)
        bytes += pieces[i].bytes;
    ra_assert(bytes <= UINT32_MAX);
    ra_call_send_headers(call);
    bool was_sending = call->out.bytes > 0;
    uint32_t before = call->out.count;
    ra_error err;
    if (push_message(call, bytes, pieces, n_pieces, &err) != 0) {
        ra_out_truncate(&call->out, before);
        ra_call_abort(call, &err);
        return false;
    }
    if (!call->method->streams_in)
        note_answer(call);
    ra_wire_count(&call->stats->sent, 1);
    call->connection->n_sending += !was_sending;
    if (!call->wants_room)
        ra_call_resume(call);
    ra_connection_touch(call->connection);
    if (ra_call_can_send(call))
        return true;
    ra_call_want_output(call);
    return false;
}

void ra_call_send_bytes(ra_call *call, ra_str message) {
    ra_piece piece = {.data = (const uint8_t *)message.data, .bytes = message.len, .fd = -1};
    (void)ra_call_send(call, &piece, 1);
}
