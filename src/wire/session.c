// The HTTP/2 session of a connection: what nghttp2 tells us, and what it has to send.
#include <nghttp2/nghttp2.h>

#include "base/log.h"
#include "base/os.h"
#include "wire/connection.h"

enum { FRAME_HEADER_BYTES = 9, FRAME_TYPE_AT = 3, FRAME_FLAGS_AT = 4 };
// nghttp2's own limit of resets counts those after trailers too; ours (flood.c) does not.
enum { LIBRARY_RESET_LIMIT = 1000000 };

// Opaque data of the PING that asks whether the first GOAWAY has arrived (G-26).
static const uint8_t drain_ping[8] = {'r', 'a', '-', 'd', 'r', 'a', 'i', 'n'};

static ra_call *call_of(nghttp2_session *session, int32_t stream) {
    return nghttp2_session_get_stream_user_data(session, stream);
}

// A call for which there is no memory, not even for its status: gRPC clients take this code of a
// reset for RESOURCE_EXHAUSTED.
static int reset_without_memory(nghttp2_session *session, int32_t stream) {
    int rc =
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_ENHANCE_YOUR_CALM);
    return rc == 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    ra_connection *connection = user;
    connection->open_header_stream = frame->hd.stream_id;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    ra_call *call = ra_call_new(connection, frame->hd.stream_id);
    if (!call)
        return reset_without_memory(session, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user) {
    (void)flags;
    ra_connection *connection = user;
    ra_call *call = call_of(session, frame->hd.stream_id);
    ra_error err;
    if (!call || ra_call_on_header(call, (ra_str){(const char *)name, name_bytes},
                                   (ra_str){(const char *)value, value_bytes}, &err) == 0)
        return 0;
    if (err.reason == RA_REASON_OUT_OF_MEMORY)
        return reset_without_memory(session, frame->hd.stream_id);
    connection->shed_reason = "header_list_too_large";
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user) {
    (void)session;
    if (hd->type == NGHTTP2_PRIORITY)
        ra_connection_count_useless(user);
    return 0;
}

// Frames of unknown types are ignored, but counted.
static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
                            void *user) {
    (void)session, (void)hd;
    *payload = NULL;
    ra_connection_count_useless(user);
    return NGHTTP2_ERR_CANCEL;
}

static int on_unknown_chunk(nghttp2_session *session, const nghttp2_frame_hd *hd,
                            const uint8_t *data, size_t bytes, void *user) {
    (void)session, (void)hd, (void)data, (void)bytes, (void)user;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream,
                         const uint8_t *data, size_t bytes, void *user) {
    (void)flags, (void)user;
    // The connection's window is given back at once: one slow upload holds no other call.
    if (nghttp2_session_consume_connection(session, bytes) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    ra_call *call = call_of(session, stream);
    if (call)
        ra_call_on_data(call, data, bytes);
    return 0;
}

static bool is_unanswered(const ra_call *call) {
    return !call || call->phase <= RA_CALL_OPEN;
}

static void on_window_update(ra_connection *connection, const nghttp2_frame *frame) {
    uint32_t initial = nghttp2_session_get_remote_settings(connection->session,
                                                           NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
    int64_t tiny = connection->io->wire->limits.tiny_update_bytes;
    if (tiny > initial / 4)
        tiny = initial / 4;
    if (frame->window_update.window_size_increment < tiny)
        ra_connection_count_useless(connection);
    ra_calls_resume(connection);
}

static void on_ping(ra_connection *connection, const nghttp2_frame *frame) {
    if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
        ra_connection_count_useless(connection);
    else if (memcmp(frame->ping.opaque_data, drain_ping, sizeof drain_ping) == 0)
        ra_connection_stop_taking(connection);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    ra_connection *connection = user;
    ra_call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;
    switch (frame->hd.type) {
        case NGHTTP2_HEADERS:
            connection->open_header_stream = 0;
            if (call && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
                ra_call_on_headers_end(call);
            break;
        case NGHTTP2_DATA:
            if (frame->hd.length <= frame->data.padlen &&
                !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
                ra_connection_count_useless(connection);
            break;
        case NGHTTP2_PING:
            on_ping(connection, frame);
            break;
        case NGHTTP2_SETTINGS:
            if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
                ra_connection_count_useless(connection);
            ra_calls_resume(connection);
            break;
        case NGHTTP2_WINDOW_UPDATE:
            on_window_update(connection, frame);
            break;
        case NGHTTP2_RST_STREAM:
            // Whoever looks at the first rows of many tables may leave so as often as it asks. What
            // the window of a client that does not read holds bounds how often that one does.
            if (is_unanswered(call) && !(call && call->has_sent_data))
                ra_connection_count_reset(connection);
            break;
        default:
            break;
    }
    if (call && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        ra_call_on_half_close(call);
    return 0;
}

// The last frame of an answer: a client that still sends is told to stop (G-23).
static int end_stream(nghttp2_session *session, ra_call *call) {
    ra_call_enter(call, RA_CALL_ANSWERED);
    if (call->is_half_closed)
        return 0;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_NO_ERROR);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    ra_connection *connection = user;
    ra_call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;
    switch (frame->hd.type) {
        case NGHTTP2_DATA:
        case NGHTTP2_HEADERS:
            if (frame->hd.type == NGHTTP2_HEADERS || !connection->is_small_window_over)
                ra_bucket_refill(&connection->useless);
            if (call && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
                return end_stream(session, call) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
            break;
        case NGHTTP2_RST_STREAM:
            if (is_unanswered(call))
                ra_connection_count_reset(connection);
            break;
        default:
            break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
    (void)code;
    ra_connection *connection = user;
    ra_call *call = call_of(session, stream);
    if (connection->open_header_stream == stream)
        connection->open_header_stream = 0;
    if (!call)
        return 0;
    if (call->phase == RA_CALL_ANSWERED)
        ra_bucket_give(&connection->resets);
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    ra_call_close(call);
    return 0;
}

static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t stream,
                            int32_t session_window, int32_t stream_window, uint32_t max_frame,
                            void *user) {
    (void)session, (void)type, (void)stream;
    const ra_connection *connection = user;
    const ra_wire_limits *limits = &connection->io->wire->limits;
    int64_t bytes = connection->n_sending > 1 ? limits->shared_frame_bytes : limits->frame_bytes;
    if (bytes > max_frame)
        bytes = max_frame;
    if (bytes > session_window)
        bytes = session_window;
    if (bytes > stream_window)
        bytes = stream_window;
    return (ssize_t)bytes;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                     size_t bytes, nghttp2_data_source *source, void *user) {
    (void)user;
    ra_error err;
    return ra_call_frame_data(source->ptr, header, bytes, &err) == 0
               ? 0
               : reset_without_memory(session, frame->hd.stream_id);
}

static void *session_malloc(size_t bytes, void *user) {
    (void)user;
    return ra_malloc(bytes);
}

static void session_free(void *p, void *user) {
    (void)user;
    ra_free(p);
}

static void *session_calloc(size_t count, size_t bytes, void *user) {
    (void)user;
    return ra_calloc(count, bytes);
}

static void *session_realloc(void *p, size_t bytes, void *user) {
    (void)user;
    return ra_realloc(p, bytes);
}

static void set_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, on_unknown_chunk);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
}

static int new_session(ra_connection *connection) {
    static nghttp2_mem memory = {NULL, session_malloc, session_free, session_calloc,
                                 session_realloc};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int rc = nghttp2_session_callbacks_new(&callbacks);
    if (rc == 0)
        rc = nghttp2_option_new(&option);
    if (rc == 0) {
        set_callbacks(callbacks);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_recv_client_magic(option, 1);  // connection.c does
        nghttp2_option_set_stream_reset_rate_limit(option, LIBRARY_RESET_LIMIT,
                                                   LIBRARY_RESET_LIMIT);
        for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
            nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
        rc = nghttp2_session_server_new3(&connection->session, callbacks, connection, option,
                                         &memory);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}

static int submit_settings(ra_connection *connection) {
    const ra_wire *wire = connection->io->wire;
    const ra_wire_limits *limits = &wire->limits;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, (uint32_t)limits->receive_frame_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_list_bytes}};
    int rc = nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings,
                                     sizeof settings / sizeof settings[0]);
    if (rc != 0)
        return rc;
    return nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)limits->connection_window_bytes);
}

int ra_session_open(ra_connection *connection, ra_error *err) {
    int rc = new_session(connection);
    if (rc == 0)
        rc = submit_settings(connection);
    if (rc != 0)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an HTTP/2 session: %s", nghttp2_strerror(rc));
    return 0;
}

bool ra_session_receive(ra_connection *connection, const uint8_t *data, size_t bytes) {
    ssize_t n = nghttp2_session_mem_recv(connection->session, data, bytes);
    if (n < 0 && !connection->shed_reason)
        ra_log(RA_LOG_DEBUG, "wire", "%s: %s", connection->peer.name, nghttp2_strerror((int)n));
    return !connection->shed_reason && n == (ssize_t)bytes &&
           nghttp2_session_want_read(connection->session);
}

// Copies a frame that nghttp2 made. A PING's answer goes ahead of queued DATA (G-30); a SETTINGS
// ACK may not, as larger frames queued before it would seem to come after it.
static int push_control(ra_connection *connection, const uint8_t *frame, size_t bytes,
                        ra_error *err) {
    ra_out_piece piece;
    uint8_t *to;
    RA_TRY(ra_out_reserve(&connection->out, 1, err));
    RA_TRY(ra_out_scratch_alloc(&connection->scratch, bytes, &to, &piece, err));
    memcpy(to, frame, bytes);
    uint8_t type = bytes >= FRAME_HEADER_BYTES ? frame[FRAME_TYPE_AT] : NGHTTP2_SETTINGS;
    uint8_t flags = bytes >= FRAME_HEADER_BYTES ? frame[FRAME_FLAGS_AT] : 0;
    bool is_header_block = type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION;
    if (!is_header_block || flags & NGHTTP2_FLAG_END_HEADERS)
        piece.flags = RA_OUT_ENDS_FRAME;
    if (type == NGHTTP2_PING && flags & NGHTTP2_FLAG_ACK)
        ra_out_push_urgent(&connection->out, piece);
    else
        ra_out_push(&connection->out, piece);
    return 0;
}

bool ra_session_drain(ra_connection *connection) {
    connection->has_answers = false;
    for (;;) {
        const uint8_t *frame;
        ssize_t n = nghttp2_session_mem_send(connection->session, &frame);
        if (n == 0)
            break;
        if (n < 0 || push_control(connection, frame, (size_t)n, NULL) != 0)
            return false;
    }
    connection->is_small_window_over = false;
    return !connection->shed_reason;
}

void ra_session_say_goaway(ra_connection *connection, uint32_t code, const char *text) {
    int32_t last = nghttp2_session_get_last_proc_stream_id(connection->session);
    (void)nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE, last, code,
                                (const uint8_t *)text, text ? strlen(text) : 0);
}

bool ra_session_say_leaving(ra_connection *connection) {
    return nghttp2_submit_shutdown_notice(connection->session) == 0 &&
           nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, drain_ping) == 0;
}

void ra_session_close(ra_connection *connection) {
    nghttp2_session_del(connection->session);
    connection->session = NULL;
}
