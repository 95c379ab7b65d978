// A call: one stream of a connection, from its first header to its last byte.
#ifndef RA_WIRE_CALL_H
#define RA_WIRE_CALL_H

#include "wire/auth.h"
#include "wire/grpc_frame.h"
#include "wire/header.h"
#include "wire/output.h"
#include "wire/server.h"
#include "wire/timer.h"

typedef struct ra_connection ra_connection;

// X(name, phases that may come before, meaning)
#define RA_CALL_PHASES(X)                                                                       \
    X(HEADERS, 0, "the header block is arriving")                                               \
    X(OPEN, BIT(HEADERS), "the method has it")                                                  \
    X(FINISHED, BIT(OPEN), "the status is decided, the method is still to be told with on_end") \
    X(SENDING, BIT(HEADERS) | BIT(FINISHED), "the method is out, what it queued is being sent") \
    X(ANSWERED, BIT(FINISHED) | BIT(SENDING), "the trailers are in the connection's queue")     \
    X(CLOSED, ~0u, "the stream is gone")

typedef enum {
#define X(name, before, meaning) RA_CALL_##name,
    RA_CALL_PHASES(X)
#undef X
        RA_N_CALL_PHASES
} ra_call_phase;

struct ra_call {
    ra_connection *connection;
    ra_call *next;  // of the connection
    ra_call *prev;
    int32_t stream;
    ra_call_phase phase;
    uint64_t id;
    const ra_method *method;        // NULL: not started
    struct ra_method_stats *stats;  // NULL: not gRPC
    void *method_state;

    bool is_method_told;  // on_end was called
    bool is_cancelled;    // ended by the client, the connection or the deadline
    bool has_too_long_headers;
    bool is_half_closed;  // by the client
    bool has_message;     // one came: methods without streams_in take no second
    bool has_sent_headers;
    bool has_sent_data;     // at least framed
    bool is_data_deferred;  // nghttp2 has our data source and waits for a resume
    bool wants_output;
    bool wants_room;
    bool is_upload;

    ra_headers request;
    size_t header_list_bytes;  // as HTTP/2 counts them
    ra_auth *auth;             // a reference: the tokens that it was let in by, NULL without
    ra_str token;              // points into `auth`
    ra_headers response;
    ra_headers trailers;
    ra_code code;
    ra_reason reason;  // when the code is an error's
    int http_status;   // of a plain answer; 0: gRPC
    ra_deframer in;
    ra_bytes unread;   // received behind the messages that the method holds
    size_t unread_at;  // of it that is done with
    int64_t unread_charged_bytes;
    bool is_deframing;  // on_message is being called
    ra_out_queue out;
    int64_t charged_bytes;  // of messages and windows
    int64_t held_messages;  // given to the method and not used up
    size_t held_bytes;
    size_t owed_bytes;  // of the stream's window, refunded when the method holds less
    size_t hold_limit_bytes;
    int64_t started_ns;
    int64_t deadline_ns;
    ra_timer deadline;
    ra_call_account account;
    char *note;  // ra_call_note, or NULL
};

// A call in phase HEADERS at the end of the connection's list, or NULL without memory.
ra_call *ra_call_new(ra_connection *connection, int32_t stream);
// The stream or connection is gone: tells the method if that is due, writes the access log, frees.
void ra_call_close(ra_call *call);

// What the session sees of the stream.
RA_MUST int ra_call_on_header(ra_call *call, ra_str name, ra_str value, ra_error *err);
void ra_call_on_headers_end(ra_call *call);
void ra_call_on_data(ra_call *call, const uint8_t *data, size_t bytes);
void ra_call_on_half_close(ra_call *call);

// Between turns of the session: tells finished methods, asks for output where there is room.
void ra_calls_settle(ra_connection *connection);

// The server drains: tells the methods of open calls.
void ra_calls_drain(ra_connection *connection);

// Windows or settings changed: calls whose DATA waited for that are asked again.
void ra_calls_resume(ra_connection *connection);

// The one door between phases.
void ra_call_enter(ra_call *call, ra_call_phase phase);

// Sending (reply.c).

// Takes `bytes` from the front of the call's messages into a DATA frame of the connection, behind
// the frame header. OUT_OF_MEMORY: nothing was taken.
RA_MUST int ra_call_frame_data(ra_call *call, const uint8_t *frame_header, size_t bytes,
                               ra_error *err);
// Lets the session ask again for DATA after it was told that there is none.
void ra_call_resume(ra_call *call);
// Hands the trailers to the session: they follow the last message at once.
void ra_call_submit_trailers(ra_call *call);
// Ends a call of phase HEADERS or OPEN with a status; NULL = OK.
void ra_call_conclude(ra_call *call, const ra_error *err);
// Ends a call of phase HEADERS without gRPC: a status and a short text (may be empty).
void ra_call_conclude_plain(ra_call *call, int http_status, const char *text);
// Ends a call of phase OPEN against the method's will: messages that are not framed yet are
// dropped, on_end will say cancelled.
void ra_call_abort(ra_call *call, const ra_error *err);

#endif
