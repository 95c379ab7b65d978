// The wire: sockets, HTTP/2, gRPC. Calls come in as `ra_call`s to the methods that the flight layer
// registers; everything about a call happens on the I/O thread that owns its connection.
#ifndef RA_WIRE_SERVER_H
#define RA_WIRE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/blob.h"
#include "base/budget.h"
#include "base/bytes.h"
#include "wire/timer.h"

typedef struct ra_wire ra_wire;
typedef struct ra_call ra_call;

// A method. Callbacks run on the call's I/O thread and must not block.
typedef struct ra_method {
    const char *path;          // "/arrow.flight.protocol.FlightService/DoPut"
    bool streams_in;           // the client may send more than one message
    bool no_auth;              // allowed without a token (health)
    bool authenticates;        // may come without a token, which its messages carry (Handshake)
    size_t max_message_bytes;  // larger ones: RESOURCE_EXHAUSTED from the 5-byte prefix
    size_t part_bytes;         // a message over this arrives in parts of about this; 0: never
    // The call was accepted (headers, token, limits).
    void (*on_start)(ra_call *call);
    // A message, or one part of it: taken by the callee (ra_bytes_fini). `last` ends the message.
    void (*on_message)(ra_call *call, ra_bytes *message, bool last);
    // The client will send no more. Not called after finish.
    void (*on_half_close)(ra_call *call);
    // There is room for output again, after ra_call_send returned false or ra_call_want_output.
    void (*on_output)(ra_call *call);
    // The server has begun to drain: what would go on for ever ends here (ra_call_finish).
    void (*on_drain)(ra_call *call);
    // The call is over, however it ended: release what ra_call_set_state gave. Last callback.
    // `cancelled`: by the client, a lost connection or the deadline, before trailers were queued.
    void (*on_end)(ra_call *call, bool cancelled);
} ra_method;

void ra_call_set_state(ra_call *call, void *state);
void *ra_call_state(const ra_call *call);
void *ra_call_context(const ra_call *call);  // what ra_wire_options.context is
// What methods keep for the call's connection; NULL at first. ra_wire_options.on_connection_end
// gets it.
void ra_call_set_connection_state(ra_call *call, void *state);
void *ra_call_connection_state(const ra_call *call);

// Request: header values by lower-case name (first one; data == NULL if absent). `-bin` values are
// decoded. The authority, and who the peer is: "127.0.0.1:4711" or "unix".
ra_str ra_call_header(const ra_call *call, const char *name);
ra_str ra_call_authority(const ra_call *call);
const char *ra_call_peer(const ra_call *call);
bool ra_call_peer_is_local(const ra_call *call);  // loopback or Unix socket
bool ra_call_is_unix(const ra_call *call);
uint64_t ra_call_request_id(const ra_call *call);
ra_str ra_call_token(const ra_call *call);  // the bearer token that was accepted; empty = none
int64_t ra_call_deadline_ns(const ra_call *call);  // monotonic; INT64_MAX = none

// The timers of the call's I/O thread, for ra_timers_set and ra_timers_clear on that thread. They
// fire there; one that outlives its call must be cleared before the connection is gone.
ra_timers *ra_call_timers(const ra_call *call);

// Response headers and trailers beyond gRPC's own; names lower-case, `-bin` values are encoded
// here. Headers go out with the first message or ra_call_send_headers.
RA_MUST int ra_call_add_header(ra_call *call, const char *name, ra_str value, ra_error *err);
RA_MUST int ra_call_add_trailer(ra_call *call, const char *name, ra_str value, ra_error *err);
void ra_call_send_headers(ra_call *call);

// A piece of a message to send. MEMORY pieces are copied if `owner` is NULL, else referenced.
// FILE pieces name the same bytes in a mapping (data) and a file (fd, offset): the wire chooses.
typedef struct {
    const uint8_t *data;
    size_t bytes;
    int fd;  // -1: memory only
    int64_t offset;
    ra_blob *owner;  // borrowed; a reference is kept until the bytes are sent or dropped
} ra_piece;

// Queues one gRPC message made of pieces; the 5-byte prefix is added here. After the call ended it
// does nothing. Returns false when the output queue is full after this message: stop until
// on_output.
bool ra_call_send(ra_call *call, const ra_piece *pieces, int n_pieces);
// Room for more output now?
bool ra_call_can_send(const ra_call *call);
// Asks for one on_output as soon as there is room, never from within this function.
void ra_call_want_output(ra_call *call);

// Ends the call: trailers with the status (err NULL = OK), error trailers as design.md §4 says
// (x-arrow-status…, remote-arrow-error), then RST_STREAM(NO_ERROR) if the client has not
// half-closed (G-23). Queued messages are sent before it.
void ra_call_finish(ra_call *call, const ra_error *err);

// Whether the call has not ended yet, neither by ra_call_finish nor by a fault.
bool ra_call_is_open(const ra_call *call);

// Receive flow control of streaming methods: they say how many messages (or parts) and bytes of
// those they have used up. Credit goes back to the client while they hold less than a window, and
// they are given more while they hold fewer messages than a limit: a flood of empty ones stays as
// it was received. May call on_message and on_half_close, but not from within on_message.
// ra_call_admit_upload raises the stream's window (G-33).
void ra_call_consumed(ra_call *call, int64_t n_messages, size_t bytes);
void ra_call_admit_upload(ra_call *call);

// A name of a call that other threads may keep and use.
typedef struct {
    uint32_t io_thread;
    uint32_t connection;
    uint32_t connection_generation;
    uint32_t stream;
    uint64_t call_id;
} ra_call_ref;
ra_call_ref ra_call_get_ref(const ra_call *call);
// Runs fn(call, arg) on the call's I/O thread; `call` is NULL when it has ended. Any thread. The
// message is embedded in the caller's object and must live until fn runs.
typedef struct ra_post {
    ra_call_ref to;
    void (*fn)(ra_call *call, struct ra_post *post);
    struct ra_post *next;
} ra_post;
void ra_wire_post(ra_wire *wire, ra_post *post);

// What a call was, for the log, filled by the flight layer while it runs. Times are monotonic.
typedef struct {
    int64_t rows;
    int64_t bytes;
    int64_t flight;     // -1 = none
    int64_t run_ns;     // when its work began, after it had waited for its turn; 0: at once
    int64_t answer_ns;  // the wire's: when the answer's first message came, of a streamed request
                        // its end
    bool waits;         // for events, by its nature: it is never slow
} ra_call_account;
ra_call_account *ra_call_account_of(ra_call *call);
// What the client asked for, for the slow log: an action's type (or "") and a text, 511 bytes in
// all. The first note counts. Does nothing when there is no slow log.
void ra_call_note(ra_call *call, ra_str action, ra_str text);

// A connection that began with HTTP/1 and has left the wire. It is counted among the connections
// until ra_guest_leave, which its new owner calls before it closes the descriptor. Any thread.
typedef struct ra_guest ra_guest;
void ra_guest_leave(ra_guest *guest);

typedef struct {
    const char *host;         // "localhost" binds both loopback addresses
    int port;                 // 0 picks a free one
    const char *socket_path;  // NULL: no Unix socket
    int io_threads;
    const ra_method *const *methods;  // n_methods pointers
    int n_methods;
    void *context;           // ra_call_context
    const char *token_file;  // NULL: no authentication
    ra_budget *budget;       // receive buffers and windows
    int64_t slow_call_ns;    // calls that take longer have a line in the log; 0: none has
    int max_connections;     // 0: the limit's default; so for the next two
    int max_connections_per_address;
    int max_streams;
    // NULL: the defaults of limits.def.
    const struct ra_wire_limits *limits;
    // A connection with state is gone, after its last call has ended. I/O thread. NULL: no method
    // keeps any.
    void (*on_connection_end)(void *context, void *state);
    // An HTTP/1 connection, of which nothing has been read: takes descriptor and guest. I/O thread.
    // Guests are gone before ra_wire_free. NULL: such connections are answered 400.
    void (*on_http1)(void *context, int fd, ra_guest *guest);
    // Health: whether the server serves (also "" and every Flight service).
    bool (*is_serving)(void *context);
} ra_wire_options;

// Binds, and starts the I/O threads. UNAVAILABLE naming address and cause when it cannot bind.
RA_MUST int ra_wire_start(const ra_wire_options *options, ra_wire **out, ra_error *err);
int ra_wire_port(const ra_wire *wire);
// Stops accepting, sends GOAWAY (G-26), waits for calls until `timeout_ms`, closes all.
void ra_wire_drain(ra_wire *wire, int timeout_ms);
// Closes all connections now, also while another thread drains, whose wait ends then. Any thread.
void ra_wire_close_all(ra_wire *wire);
// Ends the I/O threads, after ra_wire_drain; posts wait from now on. What the threads hand to
// workers therefore always finds them: free those after this and before ra_wire_free. NULL is
// allowed.
void ra_wire_stop(ra_wire *wire);
// Stops, and runs the posts that wait, without a call. Every thread that posts must have ended
// before. NULL is allowed.
void ra_wire_free(ra_wire *wire);

// Whether `token` is one of the token file, in constant time; false without a token file. Any
// thread. For methods that authenticate by their messages.
bool ra_wire_token_is_valid(ra_wire *wire, ra_str token);
// Reads the token file again: the tokens of calls from now on. On failure the old ones stay. Does
// nothing without a token file. Any thread that may read files; one at a time. IO_ERROR,
// INVALID_ARGUMENT, OUT_OF_MEMORY.
RA_MUST int ra_wire_reload_tokens(ra_wire *wire, ra_error *err);
// The wire of a call.
const ra_wire *ra_call_wire(const ra_call *call);

typedef struct {
    int64_t connections, calls, calls_open, bytes_in, bytes_out, resets, shed;
} ra_wire_status;
void ra_wire_get_status(const ra_wire *wire, ra_wire_status *out);

// The calls of a method since the start. `buckets` counts those of a duration above the bound
// before (ra_wire_bounds) and up to its own, the last one the rest.
enum { RA_WIRE_CODES = 17, RA_WIRE_N_BUCKETS = 15 };
typedef struct {
    const char *path;
    int64_t started, received, sent, sum_ns;
    int64_t handled[RA_WIRE_CODES];
    int64_t buckets[RA_WIRE_N_BUCKETS];
} ra_wire_method;
// The method with that index from 0 on; false: there are no more. Any thread.
bool ra_wire_get_method(const ra_wire *wire, int index, ra_wire_method *out);
// RA_WIRE_N_BUCKETS - 1 bounds in seconds.
const double *ra_wire_bounds(void);
// gRPC's name of a code, "OK" to "UNAUTHENTICATED".
const char *ra_wire_code_name(int code);

#endif
