// The wire as a whole: what its I/O threads share.
#ifndef RA_WIRE_WIRE_H
#define RA_WIRE_WIRE_H

#include <pthread.h>
#include <stdatomic.h>

#include "wire/auth.h"
#include "wire/io_thread.h"
#include "wire/limits.h"
#include "wire/listen.h"
#include "wire/method_stats.h"
#include "wire/server.h"

typedef struct {
    atomic_int_least64_t connections, calls, calls_open, bytes_in, bytes_out, resets, shed;
} ra_wire_counters;

struct ra_wire {
    ra_wire_options options;
    ra_wire_limits limits;
    bool has_auth;              // whether there are tokens: the same from the start on
    pthread_mutex_t auth_lock;  // of `auth`
    ra_auth *auth;              // a reference
    ra_wire_counters counters;
    ra_method_stats *stats;  // n_stats entries and one for unknown methods
    int n_stats;
    bool has_doors;
    ra_doors doors;
    ra_io_thread *threads;
    int n_threads;  // that are set up
    pthread_mutex_t lock;
    pthread_cond_t quiet;  // an I/O thread has lost its last connection
};

static inline void ra_wire_count(atomic_int_least64_t *counter, int64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

// For I/O threads: wakes who waits for the end of all connections.
void ra_wire_notice_quiet(ra_wire *wire);

// The tokens as they are now, a reference. Only with `has_auth`. Any thread.
ra_auth *ra_wire_auth(ra_wire *wire);

// The method of a path, the caller's before the built-in ones; NULL = unknown.
const ra_method *ra_wire_find_method(const ra_wire *wire, ra_str path);

#endif
