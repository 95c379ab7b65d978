// An I/O thread: one epoll loop that owns its connections wholly.
#ifndef RA_WIRE_IO_THREAD_H
#define RA_WIRE_IO_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "wire/listen.h"
#include "wire/server.h"
#include "wire/timer.h"

typedef struct ra_connection ra_connection;

// What other threads may ask of an I/O thread; each includes those before it.
typedef enum { RA_IO_RUN, RA_IO_DRAIN, RA_IO_CLOSE_ALL, RA_IO_STOP } ra_io_order;

typedef struct {
    ra_connection *connection;  // NULL: free
    uint32_t generation;        // goes up each time the slot is given away
    uint32_t next_free;
} ra_io_slot;

// A connection that another thread has accepted for this one.
typedef struct ra_io_arrival {
    struct ra_io_arrival *next;
    int fd;
    ra_peer peer;
} ra_io_arrival;

typedef struct ra_io_thread {
    ra_wire *wire;
    uint32_t index;
    pthread_t thread;
    bool is_started;
    int epoll_fd;
    int event_fd;
    atomic_int order;
    atomic_int n_connections;  // arrivals included

    pthread_mutex_t lock;  // guards posts and arrivals
    ra_post *posts;
    ra_post **posts_tail;
    ra_io_arrival *arrivals;

    // The rest belongs to the thread.
    ra_io_order obeyed;
    ra_timers timers;
    int64_t now_ns;  // monotonic, of this turn of the loop
    uint64_t n_calls;
    ra_io_slot *slots;
    uint32_t n_slots;
    uint32_t free_slot;
    ra_connection *ready;  // connections that have something to do
    ra_connection **ready_tail;
    uint8_t *input;  // the hot receive buffer
    size_t input_bytes;
    ra_timer accept_again;  // set while the process is out of descriptors
} ra_io_thread;

// Sets up what the thread needs; it may be given posts and connections from now on. UNAVAILABLE,
// OUT_OF_MEMORY: then nothing is left.
RA_MUST int ra_io_init(ra_io_thread *io, ra_wire *wire, uint32_t index, ra_error *err);
// Starts the thread, once all are set up: each gives connections to the others. UNAVAILABLE.
RA_MUST int ra_io_start(ra_io_thread *io, ra_error *err);
// Gives an order, unless a further one was given already; the thread sees it soon. Any thread.
void ra_io_order_to(ra_io_thread *io, ra_io_order order);
// Waits for the end of a thread that was ordered to STOP; nothing if it was never started.
void ra_io_join(ra_io_thread *io);
// When no I/O thread runs any more: refuses connections and answers posts (with NULL) that are
// left, frees everything.
void ra_io_fini(ra_io_thread *io);
// Queues a post; any thread.
void ra_io_post(ra_io_thread *io, ra_post *post);

// From the thread itself: this connection wants a turn.
void ra_io_make_ready(ra_io_thread *io, ra_connection *connection);
// From the thread itself: a connection is gone; its slot is free again.
void ra_io_forget(ra_io_thread *io, uint32_t slot);

#endif
