#include "wire/call.h"

#include <inttypes.h>

#include "base/os.h"
#include "wire/call_log.h"
#include "wire/connection.h"

enum { RESPONSE_HEADER_BYTES = 16 * 1024, UPLOAD_WINDOW_LEAST = 256 * 1024 };
// Requests that are no gRPC are answered at their end, or when they have sent more than this.
enum { PLAIN_BODY_BYTES = 8 * 1024 };

void ra_call_enter(ra_call *call, ra_call_phase phase) {
#define BIT(name) (1u << RA_CALL_##name)
#define X(name, before, meaning) [RA_CALL_##name] = (before),
    static const uint32_t may_follow[RA_N_CALL_PHASES] = {RA_CALL_PHASES(X)};
#undef X
#undef BIT
    ra_assert(may_follow[phase] & 1u << call->phase);
    call->phase = phase;
}

static ra_wire *wire_of(const ra_call *call) {
    return call->connection->io->wire;
}

static void fire_deadline(ra_timer *timer) {
    ra_call *call = (ra_call *)((char *)timer - offsetof(ra_call, deadline));
    if (call->phase != RA_CALL_OPEN)
        return;
    ra_error err;
    ra_error_set(&err, RA_REASON_DEADLINE, "the deadline of the call has passed");
    ra_call_abort(call, &err);
}

static int64_t largest_window(const ra_wire_limits *limits) {
    return limits->upload_window_bytes > limits->stream_window_bytes ? limits->upload_window_bytes
                                                                     : limits->stream_window_bytes;
}

static void drop_unread(ra_call *call) {
    ra_bytes_fini(&call->unread);
    call->unread_at = 0;
    if (call->unread_charged_bytes)
        ra_budget_release(wire_of(call)->options.budget, call->unread_charged_bytes);
    call->unread_charged_bytes = 0;
}

static void link_call(ra_connection *connection, ra_call *call) {
    call->next = NULL;
    call->prev = connection->calls_tail;
    if (call->prev)
        call->prev->next = call;
    else
        connection->calls = call;
    connection->calls_tail = call;
}

static void unlink_call(ra_connection *connection, ra_call *call) {
    if (call->prev)
        call->prev->next = call->next;
    else
        connection->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        connection->calls_tail = call->prev;
}

ra_call *ra_call_new(ra_connection *connection, int32_t stream) {
    ra_call *call = ra_calloc(1, sizeof *call);
    if (!call)
        return NULL;
    ra_io_thread *io = connection->io;
    const ra_wire_limits *limits = &io->wire->limits;
    call->connection = connection;
    call->stream = stream;
    call->phase = RA_CALL_HEADERS;
    call->id = io->index + (uint64_t)io->wire->options.io_threads * io->n_calls++;
    call->started_ns = io->now_ns;
    call->deadline_ns = INT64_MAX;
    call->deadline.fire = fire_deadline;
    call->account.flight = -1;
    call->hold_limit_bytes = (size_t)limits->stream_window_bytes;
    ra_headers_init(&call->request, (size_t)limits->header_list_bytes);
    ra_headers_init(&call->response, RESPONSE_HEADER_BYTES);
    ra_headers_init(&call->trailers, RESPONSE_HEADER_BYTES);
    ra_deframer_init(&call->in, 0, 0, NULL);
    // Unread is at most a window, and before it as much that is done with.
    ra_bytes_init(&call->unread, 2 * (size_t)largest_window(limits));
    link_call(connection, call);
    connection->n_calls++;
    ra_wire_count(&io->wire->counters.calls, 1);
    ra_wire_count(&io->wire->counters.calls_open, 1);
    return call;
}

static void set_wants(bool *wants, int *count, bool value) {
    *count += (int)value - (int)*wants;
    *wants = value;
}

static bool has_to_be_told(const ra_call *call) {
    return call->method && !call->is_method_told && call->phase > RA_CALL_OPEN;
}

static void tell_end(ra_call *call) {
    call->is_method_told = true;
    call->connection->n_to_tell--;
    if (call->phase == RA_CALL_FINISHED)
        ra_call_enter(call, RA_CALL_SENDING);
    if (call->method->on_end)
        call->method->on_end(call, call->is_cancelled);
}

const char *ra_wire_code_name(int code) {
    static const char *const names[RA_WIRE_CODES] = {"OK",
                                                     "CANCELLED",
                                                     "UNKNOWN",
                                                     "INVALID_ARGUMENT",
                                                     "DEADLINE_EXCEEDED",
                                                     "NOT_FOUND",
                                                     "ALREADY_EXISTS",
                                                     "PERMISSION_DENIED",
                                                     "RESOURCE_EXHAUSTED",
                                                     "FAILED_PRECONDITION",
                                                     "ABORTED",
                                                     "OUT_OF_RANGE",
                                                     "UNIMPLEMENTED",
                                                     "INTERNAL",
                                                     "UNAVAILABLE",
                                                     "DATA_LOSS",
                                                     "UNAUTHENTICATED"};
    return names[code];
}

static ra_code code_of(const ra_call *call, ra_call_phase phase) {
    return phase == RA_CALL_ANSWERED ? call->code : RA_CANCELLED;
}

// Requests that are no gRPC have no method and are not counted.
static void count_end(const ra_call *call, ra_call_phase phase) {
    if (call->stats)
        ra_method_stats_end(call->stats, code_of(call, phase), ra_os_now_ns() - call->started_ns);
}

void ra_call_close(ra_call *call) {
    ra_connection *connection = call->connection;
    ra_call_phase phase = call->phase;
    ra_timers_clear(&connection->io->timers, &call->deadline);
    if (phase == RA_CALL_OPEN) {
        call->is_cancelled = true;
        connection->n_to_tell++;
    }
    ra_call_enter(call, RA_CALL_CLOSED);
    if (has_to_be_told(call))
        tell_end(call);
    count_end(call, phase);
    ra_call_log(call, code_of(call, phase));
    set_wants(&call->wants_output, &connection->n_want_output, false);
    set_wants(&call->wants_room, &connection->n_want_room, false);
    connection->n_sending -= call->out.bytes > 0;
    connection->n_uploads -= call->is_upload;
    connection->n_calls--;
    unlink_call(connection, call);
    ra_deframer_fini(&call->in);
    drop_unread(call);
    if (call->charged_bytes)
        ra_budget_release(wire_of(call)->options.budget, call->charged_bytes);
    ra_out_fini(&call->out);
    ra_headers_fini(&call->request);
    ra_headers_fini(&call->response);
    ra_headers_fini(&call->trailers);
    ra_auth_unref(call->auth);
    ra_free(call->note);
    ra_wire_count(&connection->io->wire->counters.calls_open, -1);
    ra_free(call);
}

// Receiving.

int ra_call_on_header(ra_call *call, ra_str name, ra_str value, ra_error *err) {
    const ra_wire_limits *limits = &wire_of(call)->limits;
    call->header_list_bytes += name.len + value.len + 32;  // as RFC 9113 §6.5.2 counts
    if (call->header_list_bytes > (size_t)limits->header_list_max_bytes)
        RA_FAIL(err, LIMIT, "the header list has more than %" PRId64 " bytes",
                limits->header_list_max_bytes);
    if (call->header_list_bytes > (size_t)limits->header_list_bytes)
        call->has_too_long_headers = true;
    if (call->phase != RA_CALL_HEADERS || call->has_too_long_headers)
        return 0;
    return ra_headers_add_decoded(&call->request, name, value, err);
}

static bool is_grpc(ra_str content_type) {
    ra_str grpc = RA_STR("application/grpc");
    return content_type.len >= grpc.len && memcmp(content_type.data, grpc.data, grpc.len) == 0 &&
           (content_type.len == grpc.len || strchr("+;", content_type.data[grpc.len]));
}

// The status of what is no gRPC at all (G-2); 0 = it is gRPC.
static int plain_status(const ra_call *call) {
    const ra_wire_options *options = &wire_of(call)->options;
    ra_str verb = ra_headers_get(&call->request, ":method");
    ra_str path = ra_headers_get(&call->request, ":path");
    if (ra_str_eq(verb, RA_STR("GET")) && ra_str_eq(path, RA_STR("/healthz")))
        return !options->is_serving || options->is_serving(options->context) ? 200 : 503;
    if (!ra_str_eq(verb, RA_STR("POST")))
        return 405;
    return is_grpc(ra_headers_get(&call->request, "content-type")) ? 0 : 415;
}

static void answer_plain(ra_call *call) {
    ra_call_conclude_plain(call, call->http_status, call->http_status == 200 ? "ok" : "");
}

static int check_token(ra_call *call, const ra_method *method, ra_error *err) {
    ra_wire *wire = wire_of(call);
    if (!wire->has_auth || method->no_auth)
        return 0;
    call->auth = ra_wire_auth(wire);
    ra_auth_result result = ra_auth_check(call->auth, &call->request, &call->token);
    if (result == RA_AUTH_WRONG)
        RA_FAIL(err, UNAUTHENTICATED, "the token is wrong");
    if (result == RA_AUTH_NONE && !method->authenticates)
        RA_FAIL(err, UNAUTHENTICATED, "this server needs a token");
    return 0;
}

static int set_deadline(ra_call *call, ra_error *err) {
    ra_str text = ra_headers_get(&call->request, "grpc-timeout");
    if (!text.data)
        return 0;
    int64_t ns = ra_grpc_timeout_parse(text);
    if (ns < 0)
        RA_FAIL(err, PROTOCOL, "malformed grpc-timeout '%.*s'", RA_STR_ARG(text));
    if (__builtin_add_overflow(call->started_ns, ns, &call->deadline_ns))
        call->deadline_ns = INT64_MAX;
    return 0;
}

static int check_request(ra_call *call, const ra_method **method, ra_error *err) {
    ra_str path = ra_headers_get(&call->request, ":path");
    if (call->has_too_long_headers)
        RA_FAIL(err, MESSAGE_TOO_LARGE, "the header list has more than %" PRId64 " bytes",
                wire_of(call)->limits.header_list_bytes);
    *method = ra_wire_find_method(wire_of(call), path);
    if (!*method)
        RA_FAIL(err, UNKNOWN_CALL, "no method '%.*s'", RA_STR_ARG(path));
    RA_TRY(set_deadline(call, err));
    return check_token(call, *method, err);
}

void ra_call_on_headers_end(ra_call *call) {
    if (call->phase != RA_CALL_HEADERS)
        return;  // trailers of the client
    if (!call->has_too_long_headers)
        call->http_status = plain_status(call);
    if (call->http_status)
        return;  // answered at its end
    ra_error err;
    const ra_method *method = NULL;
    int rc = check_request(call, &method, &err);
    call->stats = ra_method_stats_of(wire_of(call), method);
    ra_wire_count(&call->stats->started, 1);
    if (rc != 0) {
        ra_call_conclude(call, &err);
        return;
    }
    ra_deframer_init(&call->in, method->max_message_bytes, method->part_bytes,
                     wire_of(call)->options.budget);
    call->method = method;
    ra_call_enter(call, RA_CALL_OPEN);
    if (call->deadline_ns != INT64_MAX)
        ra_timers_set(&call->connection->io->timers, &call->deadline, call->deadline_ns);
    if (method->on_start)
        method->on_start(call);
}

static void fail_input(ra_call *call, const ra_error *err) {
    ra_error error = *err, ignored;
    if (call->in.is_compressed) {
        ra_str encoding = ra_headers_get(&call->request, "grpc-encoding");
        if (!encoding.data || ra_str_eq(encoding, RA_STR("identity")))  // G-10
            ra_error_set(&error, RA_REASON_PROTOCOL,
                         "a gRPC message is flagged as compressed without grpc-encoding");
        else if (ra_headers_add(&call->trailers, RA_STR("grpc-accept-encoding"), RA_STR("identity"),
                                &ignored) != 0)
            error = ignored;
    }
    ra_call_abort(call, &error);
}

// The message's memory becomes the method's. Of streams that is bounded by the window, which is
// charged; a single message stays charged until the call has ended.
static void deliver(ra_call *call, bool last) {
    int64_t charged;
    ra_bytes message = ra_deframer_take(&call->in, &charged);
    if (call->method->streams_in) {
        ra_budget_release(wire_of(call)->options.budget, charged);
        call->held_messages++;
        call->held_bytes += message.len;
    } else {
        call->charged_bytes += charged;
        call->has_message = call->has_message || last;
    }
    ra_wire_count(&call->stats->received, last);
    call->method->on_message(call, &message, last);
}

static void refund(ra_call *call) {
    if (call->owed_bytes == 0 || call->held_bytes > call->hold_limit_bytes)
        return;
    size_t owed = call->owed_bytes;
    call->owed_bytes = 0;
    if (nghttp2_session_consume_stream(call->connection->session, call->stream, owed) != 0)
        ra_connection_kill(call->connection);
    ra_connection_touch(call->connection);
}

static bool may_deliver(const ra_call *call) {
    return call->phase == RA_CALL_OPEN && call->held_messages < wire_of(call)->limits.held_messages;
}

// Gives messages to the method until it holds enough, or the call has ended; the rest of the data
// is left.
static void deframe(ra_call *call, ra_str *data) {
    call->is_deframing = true;
    while (data->len > 0 && may_deliver(call)) {
        ra_error err;
        bool complete, last;
        if (call->has_message) {  // G-12
            ra_error_set(&err, RA_REASON_PROTOCOL, "a second message in a call that takes one");
            ra_call_abort(call, &err);
        } else if (ra_deframer_feed(&call->in, data, &complete, &last, &err) != 0) {
            fail_input(call, &err);
        } else if (complete) {
            deliver(call, last);
        }
    }
    call->is_deframing = false;
}

static int append_unread(ra_call *call, ra_str data, ra_error *err) {
    ra_bytes *unread = &call->unread;
    size_t rest = unread->len - call->unread_at;
    if (call->unread_at > 0 && call->unread_at >= rest) {
        memmove(unread->data, unread->data + call->unread_at, rest);
        unread->len = rest;
        call->unread_at = 0;
    }
    RA_TRY(ra_bytes_append(unread, data.data, data.len, err));
    // What it has grown by: less than two windows, so that it may be had before it is charged.
    int64_t more = (int64_t)unread->capacity - call->unread_charged_bytes;
    RA_TRY(ra_budget_charge(wire_of(call)->options.budget, more, err));
    call->unread_charged_bytes = (int64_t)unread->capacity;
    return 0;
}

static void keep_unread(ra_call *call, ra_str data) {
    ra_error err;
    if (append_unread(call, data, &err) != 0)
        ra_call_abort(call, &err);
}

static void end_input(ra_call *call) {
    ra_error err;
    if (!ra_deframer_is_between_messages(&call->in)) {
        ra_error_set(&err, RA_REASON_PROTOCOL, "the stream ends within a gRPC message");
        ra_call_abort(call, &err);
    } else if (!call->method->streams_in && !call->has_message) {
        ra_error_set(&err, RA_REASON_PROTOCOL, "no message in a call that takes one");
        ra_call_abort(call, &err);
    } else if (call->method->on_half_close) {
        call->method->on_half_close(call);
    }
}

// The method holds less than before: it gets what was received meanwhile.
static void read_on(ra_call *call) {
    size_t unread = call->unread.len - call->unread_at;
    if (unread == 0 || call->is_deframing)
        return;
    ra_str rest = {(const char *)call->unread.data + call->unread_at, unread};
    deframe(call, &rest);
    call->owed_bytes += unread - rest.len;
    call->unread_at += unread - rest.len;
    if (call->phase != RA_CALL_OPEN || rest.len > 0)
        return;
    drop_unread(call);
    if (call->is_half_closed)
        end_input(call);
}

void ra_call_on_data(ra_call *call, const uint8_t *data, size_t bytes) {
    ra_str rest = {(const char *)data, bytes};
    if (call->unread.len == 0)
        deframe(call, &rest);
    call->owed_bytes += bytes - rest.len;
    if (call->phase == RA_CALL_OPEN && rest.len > 0)
        keep_unread(call, rest);
    if (call->phase == RA_CALL_OPEN) {
        refund(call);
        return;
    }
    call->owed_bytes += rest.len;
    if (call->phase == RA_CALL_HEADERS && call->owed_bytes > PLAIN_BODY_BYTES)
        answer_plain(call);
}

void ra_call_on_half_close(ra_call *call) {
    call->is_half_closed = true;
    if (call->phase == RA_CALL_HEADERS && call->http_status)
        answer_plain(call);
    if (call->phase == RA_CALL_OPEN && call->unread.len == 0)
        end_input(call);
}

void ra_call_consumed(ra_call *call, int64_t n_messages, size_t bytes) {
    ra_assert(n_messages <= call->held_messages && bytes <= call->held_bytes);
    call->held_messages -= n_messages;
    call->held_bytes -= bytes;
    if (call->phase != RA_CALL_OPEN)
        return;
    read_on(call);
    if (call->phase == RA_CALL_OPEN)
        refund(call);
}

void ra_call_admit_upload(ra_call *call) {
    ra_connection *connection = call->connection;
    ra_wire *wire = wire_of(call);
    if (call->phase != RA_CALL_OPEN || call->is_upload)
        return;
    // The window, and as much again that the method may hold.
    for (int64_t window = wire->limits.upload_window_bytes; window >= UPLOAD_WINDOW_LEAST;
         window /= 2) {
        if (ra_budget_charge(wire->options.budget, 2 * window, NULL) != 0)
            continue;
        call->charged_bytes += 2 * window;
        call->hold_limit_bytes = (size_t)window;
        call->is_upload = true;
        connection->n_uploads++;
        if (nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE,
                                                  call->stream, (int32_t)window) != 0)
            ra_connection_kill(connection);
        refund(call);
        ra_connection_touch(connection);
        return;
    }
}

// Output.

bool ra_call_is_open(const ra_call *call) {
    return call->phase == RA_CALL_OPEN;
}

bool ra_call_can_send(const ra_call *call) {
    const ra_connection *connection = call->connection;
    const ra_wire_limits *limits = &wire_of(call)->limits;
    return call->phase == RA_CALL_OPEN && connection->state < RA_CONNECTION_CLOSING &&
           call->out.bytes < (size_t)limits->call_queue_bytes &&
           connection->out.data_bytes < (size_t)limits->data_queue_bytes &&
           nghttp2_session_get_remote_window_size(connection->session) > 0 &&
           nghttp2_session_get_stream_remote_window_size(connection->session, call->stream) > 0;
}

void ra_call_want_output(ra_call *call) {
    if (call->phase != RA_CALL_OPEN || !call->method->on_output)
        return;
    set_wants(&call->wants_output, &call->connection->n_want_output, true);
    ra_connection_touch(call->connection);
}

static void tell_finished(ra_connection *connection) {
    for (ra_call *call = connection->calls, *next; call && connection->n_to_tell > 0; call = next) {
        next = call->next;
        if (has_to_be_told(call))
            tell_end(call);
    }
}

void ra_calls_settle(ra_connection *connection) {
    tell_finished(connection);
    size_t room = (size_t)connection->io->wire->limits.data_queue_bytes;
    for (ra_call *call = connection->calls; call && connection->n_want_room > 0;
         call = call->next) {
        if (!call->wants_room || connection->out.data_bytes >= room)
            continue;
        set_wants(&call->wants_room, &connection->n_want_room, false);
        ra_call_resume(call);
    }
    // Each call once; it goes to the end of the list, so that the next round begins with others.
    ra_call *last = connection->calls_tail;
    for (ra_call *call = connection->calls, *next; call && connection->n_want_output > 0;
         call = next) {
        next = call == last ? NULL : call->next;
        if (!call->wants_output || !ra_call_can_send(call))
            continue;
        set_wants(&call->wants_output, &connection->n_want_output, false);
        unlink_call(connection, call);
        link_call(connection, call);
        call->method->on_output(call);
    }
    tell_finished(connection);
}

void ra_calls_drain(ra_connection *connection) {
    for (ra_call *call = connection->calls; call; call = call->next)
        if (call->phase == RA_CALL_OPEN && call->method->on_drain)
            call->method->on_drain(call);
}

void ra_calls_resume(ra_connection *connection) {
    for (ra_call *call = connection->calls; call; call = call->next)
        if (call->out.bytes > 0 && !call->wants_room)
            ra_call_resume(call);
}

// What methods ask and say.

void ra_call_set_state(ra_call *call, void *state) {
    call->method_state = state;
}

void *ra_call_state(const ra_call *call) {
    return call->method_state;
}

void *ra_call_context(const ra_call *call) {
    return wire_of(call)->options.context;
}

void ra_call_set_connection_state(ra_call *call, void *state) {
    call->connection->methods_state = state;
}

void *ra_call_connection_state(const ra_call *call) {
    return call->connection->methods_state;
}

ra_str ra_call_header(const ra_call *call, const char *name) {
    return ra_headers_get(&call->request, name);
}

ra_str ra_call_authority(const ra_call *call) {
    ra_str authority = ra_headers_get(&call->request, ":authority");
    return authority.data ? authority : ra_headers_get(&call->request, "host");
}

const char *ra_call_peer(const ra_call *call) {
    return call->connection->peer.name;
}

bool ra_call_peer_is_local(const ra_call *call) {
    return call->connection->peer.is_local;
}

bool ra_call_is_unix(const ra_call *call) {
    return call->connection->peer.is_unix;
}

uint64_t ra_call_request_id(const ra_call *call) {
    return call->id;
}

ra_str ra_call_token(const ra_call *call) {
    return call->token;
}

int64_t ra_call_deadline_ns(const ra_call *call) {
    return call->deadline_ns;
}

ra_timers *ra_call_timers(const ra_call *call) {
    return &call->connection->io->timers;
}

const ra_wire *ra_call_wire(const ra_call *call) {
    return wire_of(call);
}

ra_call_account *ra_call_account_of(ra_call *call) {
    return &call->account;
}

ra_call_ref ra_call_get_ref(const ra_call *call) {
    const ra_connection *connection = call->connection;
    return (ra_call_ref){.io_thread = connection->io->index,
                         .connection = connection->slot,
                         .connection_generation = connection->generation,
                         .stream = (uint32_t)call->stream,
                         .call_id = call->id};
}
