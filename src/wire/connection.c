#include "wire/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "wire/guest.h"
#include "wire/silence.h"

// File ranges from this size go out by sendfile, smaller ones by sendmsg from the mapping. Server
// CPU per GB for a pyarrow client: Unix socket 0.10 against 0.20 s (2 MB batches), 0.12 against
// 0.29 s (128 KB batches); TCP loopback 0.10 against 0.14 s (2 MB), but 0.27 against 0.18 s (128
// KB).
enum { UNIX_SENDFILE_MIN_BYTES = 64 * 1024, TCP_SENDFILE_MIN_BYTES = 512 * 1024 };

enum { NS_PER_MS = 1000000, NS_PER_US = 1000, FIRST_READ_BYTES = 64 * 1024, PREFACE_BYTES = 24 };

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char http1_answer[] =
    "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

static void enter(ra_connection *connection, ra_connection_state state) {
#define BIT(name) (1u << RA_CONNECTION_##name)
#define X(name, before, meaning) [RA_CONNECTION_##name] = (before),
    static const uint32_t may_follow[RA_N_CONNECTION_STATES] = {RA_CONNECTION_STATES(X)};
#undef X
#undef BIT
    ra_assert(may_follow[state] & 1u << connection->state);
    connection->state = state;
}

static void set_timer(ra_connection *connection, int64_t ms) {
    ra_timers_set(&connection->io->timers, &connection->timer,
                  connection->io->now_ns + ms * NS_PER_MS);
}

static void shed(ra_connection *connection, const char *reason) {
    if (connection->shed_reason || connection->state >= RA_CONNECTION_CLOSING)
        return;
    connection->shed_reason = reason;
    ra_wire_count(&connection->io->wire->counters.shed, 1);
    ra_log(RA_LOG_WARNING, "wire", "%s: shed: %s", connection->peer.name, reason);
    ra_connection_touch(connection);
}

static void fire_timer(ra_timer *timer) {
    ra_connection *connection = (ra_connection *)((char *)timer - offsetof(ra_connection, timer));
    switch (connection->state) {
        case RA_CONNECTION_OPEN:
            shed(connection, "header_block_too_slow");
            break;
        case RA_CONNECTION_LEAVING:
            ra_connection_stop_taking(connection);
            break;
        default:
            ra_connection_kill(connection);
            break;
    }
    ra_connection_touch(connection);
}

static void fire_small_window(ra_timer *timer) {
    ra_connection *connection =
        (ra_connection *)((char *)timer - offsetof(ra_connection, small_window));
    if (connection->state >= RA_CONNECTION_CLOSING)
        return;
    connection->is_small_window_over = true;
    ra_calls_resume(connection);
    ra_connection_touch(connection);
}

static void set_pulse(ra_connection *connection) {
    int64_t quarter_ms = connection->io->wire->limits.silence_ms / 4;
    ra_timers_set(&connection->io->timers, &connection->pulse,
                  connection->io->now_ns + quarter_ms * NS_PER_MS);
}

static void fire_pulse(ra_timer *timer) {
    ra_connection *connection = (ra_connection *)((char *)timer - offsetof(ra_connection, pulse));
    if (!ra_silence_is_over(connection->fd, connection->io->wire->limits.silence_ms)) {
        set_pulse(connection);
        return;
    }
    ra_log(RA_LOG_INFO, "wire", "%s: silent for too long, taken for gone", connection->peer.name);
    ra_connection_kill(connection);
}

int ra_connection_open(ra_io_thread *io, int fd, const ra_peer *peer, uint32_t slot,
                       uint32_t generation, ra_connection **out, ra_error *err) {
    ra_connection *connection = *out = ra_calloc(1, sizeof *connection);
    if (!connection)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a connection");
    const ra_wire_limits *limits = &io->wire->limits;
    connection->io = io;
    connection->fd = fd;
    connection->peer = *peer;
    connection->slot = slot;
    connection->generation = generation;
    connection->can_read = connection->can_write = true;
    connection->timer.fire = fire_timer;
    connection->small_window.fire = fire_small_window;
    connection->pulse.fire = fire_pulse;
    connection->out.sendfile_min_bytes =
        peer->is_unix ? UNIX_SENDFILE_MIN_BYTES : TCP_SENDFILE_MIN_BYTES;
    ra_bytes_init(&connection->input_rest, io->input_bytes);
    ra_bucket_init(&connection->resets, limits->reset_burst, limits->reset_per_second, io->now_ns);
    ra_bucket_init(&connection->useless, limits->useless_burst, limits->useless_per_second,
                   io->now_ns);
    set_timer(connection, limits->preface_ms);
    if (!peer->is_local) {
        ra_silence_watch(fd, limits->silence_ms);
        set_pulse(connection);
    }
    ra_wire_count(&io->wire->counters.connections, 1);
    return 0;
}

static void close_calls(ra_connection *connection) {
    while (connection->calls)
        ra_call_close(connection->calls);
    ra_session_close(connection);
}

static void free_connection(ra_connection *connection) {
    ra_io_thread *io = connection->io;
    close_calls(connection);
    if (connection->methods_state)
        io->wire->options.on_connection_end(io->wire->options.context, connection->methods_state);
    ra_timers_clear(&io->timers, &connection->timer);
    ra_timers_clear(&io->timers, &connection->small_window);
    ra_timers_clear(&io->timers, &connection->pulse);
    ra_out_fini(&connection->out);
    ra_out_scratch_fini(&connection->scratch);
    ra_bytes_fini(&connection->input_rest);
    if (connection->fd >= 0) {
        close(connection->fd);
        ra_doors_leave(&io->wire->doors, &connection->peer);
        ra_wire_count(&io->wire->counters.connections, -1);
    }
    ra_io_forget(io, connection->slot);
    ra_free(connection);
}

void ra_connection_notice(ra_connection *connection, uint32_t events) {
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        connection->can_read = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        connection->can_write = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        connection->is_hung_up = true;
    ra_connection_touch(connection);
}

void ra_connection_kill(ra_connection *connection) {
    enter(connection, RA_CONNECTION_DEAD);
    ra_connection_touch(connection);
}

void ra_connection_count_useless(ra_connection *connection) {
    if (!ra_bucket_spend(&connection->useless, connection->io->now_ns))
        shed(connection, "too_many_pings");  // the text that gRPC clients know (G-35)
}

void ra_connection_count_reset(ra_connection *connection) {
    ra_wire_count(&connection->io->wire->counters.resets, 1);
    if (!ra_bucket_spend(&connection->resets, connection->io->now_ns))
        shed(connection, "too_many_resets");
}

void ra_connection_drain(ra_connection *connection) {
    if (connection->state == RA_CONNECTION_PREFACE) {
        ra_connection_kill(connection);
    } else if (connection->state == RA_CONNECTION_OPEN) {
        enter(connection, RA_CONNECTION_LEAVING);
        set_timer(connection, connection->io->wire->limits.goaway_ms);
        if (!ra_session_say_leaving(connection))
            ra_connection_kill(connection);
        ra_calls_drain(connection);
        ra_connection_touch(connection);
    }
}

void ra_connection_stop_taking(ra_connection *connection) {
    if (connection->state != RA_CONNECTION_LEAVING)
        return;
    enter(connection, RA_CONNECTION_LAST_CALLS);
    ra_timers_clear(&connection->io->timers, &connection->timer);
    ra_session_say_goaway(connection, NGHTTP2_NO_ERROR, NULL);
    ra_connection_touch(connection);
}

// Takes nothing any more: what is queued is sent, within `limit_ms` if that is not 0.
static void begin_closing(ra_connection *connection, int64_t limit_ms) {
    if (connection->session)
        (void)ra_session_drain(connection);
    enter(connection, RA_CONNECTION_CLOSING);
    close_calls(connection);
    if (limit_ms > 0)
        set_timer(connection, limit_ms);
    else
        ra_timers_clear(&connection->io->timers, &connection->timer);
    ra_connection_touch(connection);
}

// Ends a connection that broke a rule, or was shed: then GOAWAY says why.
static void close_after_fault(ra_connection *connection) {
    if (connection->state >= RA_CONNECTION_CLOSING)
        return;
    if (connection->shed_reason && connection->session)
        ra_session_say_goaway(connection, NGHTTP2_ENHANCE_YOUR_CALM, connection->shed_reason);
    begin_closing(connection, connection->io->wire->limits.linger_ms + 1);
}

static bool may_take_input(const ra_connection *connection) {
    size_t control = connection->out.bytes - connection->out.data_bytes;
    return connection->state < RA_CONNECTION_CLOSING &&
           control <= (size_t)connection->io->wire->limits.control_queue_bytes;
}

// A header block may not stay incomplete for long; each new block has its own time.
static void watch_header_block(ra_connection *connection) {
    if (connection->state != RA_CONNECTION_OPEN ||
        connection->open_header_stream == connection->watched_stream)
        return;
    connection->watched_stream = connection->open_header_stream;
    if (connection->open_header_stream)
        set_timer(connection, connection->io->wire->limits.header_block_ms);
    else
        ra_timers_clear(&connection->io->timers, &connection->timer);
}

// Whether it is a request of HTTP/1: its first line names the protocol.
static bool is_http1(const uint8_t *data, size_t bytes) {
    const uint8_t *end = memchr(data, '\n', bytes);
    size_t n = end ? (size_t)(end - data) : bytes;
    return memmem(data, n, " HTTP/1.", 8) != NULL;
}

// Takes the preface from the front of the input: whatever of it has come. False: another protocol
// (HTTP/1 is told so), or no memory.
static bool take_preface(ra_connection *connection, const uint8_t **data, size_t *bytes) {
    size_t n = PREFACE_BYTES - connection->preface_bytes;
    if (n > *bytes)
        n = *bytes;
    if (memcmp(*data, http2_preface + connection->preface_bytes, n) != 0) {
        if (is_http1(*data, *bytes) && ra_out_reserve(&connection->out, 1, NULL) == 0)
            ra_out_push(&connection->out, (ra_out_piece){.data = (const uint8_t *)http1_answer,
                                                         .bytes = sizeof http1_answer - 1,
                                                         .fd = -1,
                                                         .flags = RA_OUT_ENDS_FRAME});
        close_after_fault(connection);
        return false;
    }
    *data += n;
    *bytes -= n;
    connection->preface_bytes = (uint8_t)(connection->preface_bytes + n);
    if (connection->preface_bytes < PREFACE_BYTES)
        return true;
    if (ra_session_open(connection, NULL) != 0) {
        ra_connection_kill(connection);
        return false;
    }
    enter(connection, RA_CONNECTION_OPEN);
    ra_timers_clear(&connection->io->timers, &connection->timer);
    return true;
}

// Processes input in slices. The answers to a slice are drained before the next one; those to the
// last go out together with what the methods queue. Returns the bytes processed; the rest has to
// wait for the next turn, or until answers are sent.
static size_t process(ra_connection *connection, const uint8_t *data, size_t bytes) {
    const uint8_t *start = data;
    if (connection->state == RA_CONNECTION_PREFACE && !take_preface(connection, &data, &bytes))
        return bytes;
    size_t preface = (size_t)(data - start);
    size_t done = 0, slice_bytes = (size_t)connection->io->wire->limits.input_slice_bytes;
    while (done < bytes && may_take_input(connection)) {
        size_t slice = bytes - done < slice_bytes ? bytes - done : slice_bytes;
        bool ok = !connection->has_answers || ra_session_drain(connection);
        if (!ok || !ra_session_receive(connection, data + done, slice)) {
            close_after_fault(connection);
            return preface + bytes;
        }
        connection->has_answers = true;
        done += slice;
        // Many tiny frames take long: the other connections do not wait for all of them.
        if (ra_os_now_ns() > connection->input_until_ns)
            break;
    }
    watch_header_block(connection);
    return preface + done;
}

static void keep_rest(ra_connection *connection, const uint8_t *data, size_t bytes) {
    if (bytes == 0 || connection->state >= RA_CONNECTION_CLOSING)
        return;
    if (ra_bytes_append(&connection->input_rest, data, bytes, NULL) != 0)
        ra_connection_kill(connection);
}

// Input that had to wait. True when none is left.
static bool process_rest(ra_connection *connection) {
    ra_bytes *rest = &connection->input_rest;
    if (rest->len == 0)
        return true;
    size_t at = connection->input_rest_at;
    connection->input_rest_at += process(connection, rest->data + at, rest->len - at);
    if (connection->input_rest_at < rest->len)
        return false;
    connection->input_rest_at = 0;
    ra_bytes_fini(rest);
    return true;
}

// Receives once. Returns the bytes, 0 when there is nothing (more) to take.
static size_t receive(ra_connection *connection, size_t max_bytes) {
    ssize_t n;
    do
        n = recv(connection->fd, connection->io->input, max_bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        connection->can_read = false;
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            ra_connection_kill(connection);
        return 0;
    }
    // A short read has emptied the socket: the next bytes raise an event of their own.
    if ((size_t)n < max_bytes && !connection->is_hung_up)
        connection->can_read = false;
    ra_wire_count(&connection->io->wire->counters.bytes_in, n);
    return (size_t)n;
}

// Looks at the first input without taking it. HTTP/1 is another's: then only the shell of the
// connection is left, without descriptor, and goes at once. True: there is nothing to take here.
static bool hand_over_http1(ra_connection *connection) {
    ra_io_thread *io = connection->io;
    uint8_t first[PREFACE_BYTES];
    if (connection->preface_bytes > 0 || !connection->can_read || !io->wire->options.on_http1)
        return false;
    ssize_t n = recv(connection->fd, first, sizeof first, MSG_PEEK);
    // What comes from now on raises an event: it must not be taken before it was looked at.
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        connection->can_read = false;
        return true;
    }
    if (n <= 0)
        return false;
    bool may_be_preface = memcmp(first, http2_preface, (size_t)n) == 0;
    bool may_be_http1 = ra_guest_is_http1(first, (size_t)n);
    // A lone "P" is looked at again when more has come, within the time for the preface. Who says
    // no more said too little.
    if (may_be_preface && may_be_http1 && !connection->is_hung_up) {
        connection->can_read = false;
        return true;
    }
    if (may_be_preface || !may_be_http1)
        return false;
    struct epoll_event none = {0};
    int fd = connection->fd;
    epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, fd, &none);
    if (ra_guest_send_on(io->wire, fd, &connection->peer))
        connection->fd = -1;
    ra_connection_kill(connection);
    return true;
}

static void take_input(ra_connection *connection) {
    const ra_wire_limits *limits = &connection->io->wire->limits;
    size_t taken = 0;
    if (connection->state == RA_CONNECTION_PREFACE && hand_over_http1(connection))
        return;
    connection->input_until_ns = ra_os_now_ns() + limits->turn_us * NS_PER_US;
    bool has_rest = !process_rest(connection);
    while (!has_rest && connection->can_read && taken < (size_t)limits->turn_bytes &&
           may_take_input(connection)) {
        size_t n = receive(
            connection, connection->n_uploads > 0 ? connection->io->input_bytes : FIRST_READ_BYTES);
        size_t done = n > 0 ? process(connection, connection->io->input, n) : 0;
        taken += n;
        has_rest = done < n;
        keep_rest(connection, connection->io->input + done, n - done);
    }
}

// Makes output and sends it, turn by turn with the other connections.
static void give_output(ra_connection *connection) {
    size_t turn = (size_t)connection->io->wire->limits.turn_bytes, sent = 0;
    for (;;) {
        if (connection->session) {
            ra_calls_settle(connection);
            if (connection->state == RA_CONNECTION_DEAD)
                return;
            if (!ra_session_drain(connection))
                close_after_fault(connection);
        }
        if (connection->out.count == 0 || !connection->can_write)
            break;
        if (sent >= turn) {
            ra_connection_touch(connection);
            break;
        }
        ra_out_result result = ra_out_send(&connection->out, connection->fd, turn, &sent);
        if (result == RA_OUT_BLOCKED)
            connection->can_write = false;
        if (result == RA_OUT_FAILED) {
            ra_connection_kill(connection);
            break;
        }
    }
    ra_wire_count(&connection->io->wire->counters.bytes_out, (int64_t)sent);
}

// Reading on lets the peer see our last frames instead of a reset; but not for ever.
static void discard_input(ra_connection *connection) {
    size_t turn = (size_t)connection->io->wire->limits.turn_bytes;
    for (size_t taken = 0; connection->can_read && taken < turn;) {
        size_t n = receive(connection, connection->io->input_bytes);
        taken += n;
        connection->discarded_bytes += n;
    }
    if (connection->discarded_bytes > (size_t)connection->io->wire->limits.linger_bytes)
        ra_connection_kill(connection);
    if (connection->can_read)
        ra_connection_touch(connection);
}

void ra_connection_turn(ra_connection *connection) {
    if (connection->state < RA_CONNECTION_CLOSING)
        take_input(connection);
    if (connection->state < RA_CONNECTION_LINGERING)
        give_output(connection);
    // Input is left when its time was up, or when answers had to go out first, which they now have.
    if ((connection->can_read || connection->input_rest.len > 0) && may_take_input(connection))
        ra_connection_touch(connection);
    if (connection->state == RA_CONNECTION_LAST_CALLS && connection->n_calls == 0)
        begin_closing(connection, 0);
    if (connection->state < RA_CONNECTION_CLOSING && connection->session &&
        !nghttp2_session_want_read(connection->session))
        close_after_fault(connection);
    if (connection->state == RA_CONNECTION_CLOSING && connection->out.count == 0) {
        enter(connection, RA_CONNECTION_LINGERING);
        shutdown(connection->fd, SHUT_WR);
        connection->can_read = true;
        set_timer(connection, connection->io->wire->limits.linger_ms);
    }
    if (connection->state == RA_CONNECTION_LINGERING)
        discard_input(connection);
    // One that asked for another turn is in the list of those and goes with that turn.
    if (connection->state == RA_CONNECTION_DEAD && !connection->is_ready)
        free_connection(connection);
}
