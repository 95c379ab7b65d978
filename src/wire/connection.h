// A connection: a socket, an HTTP/2 session on it, and the calls of its streams.
#ifndef RA_WIRE_CONNECTION_H
#define RA_WIRE_CONNECTION_H

#include <nghttp2/nghttp2.h>

#include "wire/call.h"
#include "wire/flood.h"
#include "wire/io_thread.h"
#include "wire/output.h"
#include "wire/wire.h"

// RA_CONNECTION_STATE(name, states that may come before, meaning)
#define RA_CONNECTION_STATES(X)                                                                \
    X(PREFACE, 0, "the client has not sent all of the HTTP/2 preface")                         \
    X(OPEN, BIT(PREFACE), "calls come and go")                                                 \
    X(LEAVING, BIT(OPEN), "the first GOAWAY is out: new calls are still taken (G-26)")         \
    X(LAST_CALLS, BIT(LEAVING), "the second GOAWAY is out: open calls end, none is taken")     \
    X(CLOSING, BIT(PREFACE) | BIT(OPEN) | BIT(LEAVING) | BIT(LAST_CALLS),                      \
      "what is queued is sent, nothing is taken any more")                                     \
    X(LINGERING, BIT(CLOSING), "all is sent; input is discarded so that the peer can read it") \
    X(DEAD, ~0u, "to be freed")

typedef enum {
#define X(name, before, meaning) RA_CONNECTION_##name,
    RA_CONNECTION_STATES(X)
#undef X
        RA_N_CONNECTION_STATES
} ra_connection_state;

struct ra_connection {
    ra_io_thread *io;
    ra_connection *next_ready;
    bool is_ready;  // in the I/O thread's list
    bool can_read;  // the socket may have input
    bool can_write;
    bool is_hung_up;
    bool has_answers;           // input was processed and the session not drained since
    bool is_small_window_over;  // frames for small windows have waited long enough
    ra_connection_state state;
    int fd;  // -1: handed over
    uint32_t slot;
    uint32_t generation;
    ra_peer peer;
    nghttp2_session *session;    // NULL before the preface is complete
    uint8_t preface_bytes;       // of the preface that have come
    int32_t open_header_stream;  // whose header block is incomplete; 0 = none
    int32_t watched_stream;      // the one that `timer` is set for
    ra_out_queue out;
    ra_out_scratch scratch;
    ra_bytes input_rest;  // input that waits until answers are drained
    size_t input_rest_at;
    int64_t input_until_ns;  // monotonic: what is left then waits for the next turn
    size_t discarded_bytes;  // while lingering
    ra_bucket resets;
    ra_bucket useless;
    const char *shed_reason;  // static; set when a bucket is empty
    ra_timer timer;           // preface, header block, second GOAWAY or lingering, by state
    ra_timer small_window;
    ra_timer pulse;  // of peers on other machines: whether they are still there
    ra_call *calls;  // all of them; those served last are at the end
    ra_call *calls_tail;
    int n_calls;
    int n_sending;      // with messages queued
    int n_want_output;  // waiting for on_output
    int n_want_room;    // whose frames wait for room in `out`
    int n_to_tell;      // whose method has to be told the end
    int n_uploads;      // that were admitted
    void *methods_state;
};

// Takes a connected socket; `*out` starts with its first turn. On failure the socket stays the
// caller's.
RA_MUST int ra_connection_open(ra_io_thread *io, int fd, const ra_peer *peer, uint32_t slot,
                               uint32_t generation, ra_connection **out, ra_error *err);
// What epoll said: EPOLLIN and so on.
void ra_connection_notice(ra_connection *connection, uint32_t events);
// Reads, processes and writes as much as one turn allows. May free the connection.
void ra_connection_turn(ra_connection *connection);
// Begins G-26. The connection closes when its calls have ended.
void ra_connection_drain(ra_connection *connection);
// The PING behind the first GOAWAY was answered: the second one, with the last call taken.
void ra_connection_stop_taking(ra_connection *connection);
// Ends it now; it is freed at its next turn, which this asks for.
void ra_connection_kill(ra_connection *connection);

// For calls and the session: something was queued, or has to be done.
static inline void ra_connection_touch(ra_connection *connection) {
    ra_io_make_ready(connection->io, connection);
}
// One frame without use, or one reset of an unanswered call: sheds the connection when a bucket is
// empty.
void ra_connection_count_useless(ra_connection *connection);
void ra_connection_count_reset(ra_connection *connection);

// The session side (session.c).
RA_MUST int ra_session_open(ra_connection *connection, ra_error *err);
// Hands input to the session. False: the connection cannot go on and its GOAWAY, if any, is queued.
bool ra_session_receive(ra_connection *connection, const uint8_t *data, size_t bytes);
// Moves what the session has to send to `out`, DATA while there is room. False as above.
bool ra_session_drain(ra_connection *connection);
// Queues the first GOAWAY of a drain and the PING behind it. False as above.
bool ra_session_say_leaving(ra_connection *connection);
void ra_session_close(ra_connection *connection);
// Queues GOAWAY with an HTTP/2 error code and debug text (may be NULL).
void ra_session_say_goaway(ra_connection *connection, uint32_t code, const char *text);

#endif
