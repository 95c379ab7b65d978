#include "wire/server.h"

#include <errno.h>
#include <time.h>

#include "base/os.h"
#include "wire/builtin.h"
#include "wire/wire.h"

static const ra_method *find(const ra_method *const *methods, int n, ra_str path) {
    for (int i = 0; i < n; i++)
        if (ra_str_eq(ra_str_of(methods[i]->path), path))
            return methods[i];
    return NULL;
}

const ra_method *ra_wire_find_method(const ra_wire *wire, ra_str path) {
    const ra_method *method = find(wire->options.methods, wire->options.n_methods, path);
    if (!method)
        method = find(ra_health_methods, RA_N_HEALTH_METHODS, path);
    return method ? method : find(ra_reflection_methods, RA_N_REFLECTION_METHODS, path);
}

static int start_threads(ra_wire *wire, ra_error *err) {
    wire->threads = ra_calloc((size_t)wire->options.io_threads, sizeof *wire->threads);
    if (!wire->threads)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the I/O threads");
    while (wire->n_threads < wire->options.io_threads) {
        RA_TRY(ra_io_init(&wire->threads[wire->n_threads], wire, (uint32_t)wire->n_threads, err));
        wire->n_threads++;
    }
    for (int i = 0; i < wire->n_threads; i++)
        RA_TRY(ra_io_start(&wire->threads[i], err));
    return 0;
}

static void set_limits(ra_wire *wire) {
    const ra_wire_options *options = &wire->options;
    ra_wire_limits_init(&wire->limits);
    if (options->limits)
        wire->limits = *options->limits;
    if (options->max_connections)
        wire->limits.connections = options->max_connections;
    if (options->max_connections_per_address)
        wire->limits.address_connections = options->max_connections_per_address;
    if (options->max_streams)
        wire->limits.streams = options->max_streams;
}

static void init_locks(ra_wire *wire) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&wire->lock, NULL);
    pthread_mutex_init(&wire->auth_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&wire->quiet, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int start(ra_wire *wire, ra_error *err) {
    const ra_wire_options *options = &wire->options;
    const ra_wire_limits *limits = &wire->limits;
    RA_TRY(ra_wire_limits_check(limits, err));
    RA_TRY(ra_method_stats_new(wire, err));
    if (options->token_file) {
        RA_TRY(ra_auth_read(options->token_file, &wire->auth, err));
        wire->has_auth = true;
    }
    RA_TRY(ra_doors_open(&wire->doors, options->host, options->port, options->socket_path,
                         (int)limits->connections, (int)limits->address_connections, err));
    wire->has_doors = true;
    return start_threads(wire, err);
}

int ra_wire_start(const ra_wire_options *options, ra_wire **out, ra_error *err) {
    ra_assert(options->io_threads > 0);
    // Set before the threads run: a method that is called at once may look for it there.
    ra_wire *wire = *out = ra_calloc(1, sizeof *wire);
    if (!wire)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the server");
    wire->options = *options;
    init_locks(wire);
    set_limits(wire);
    int rc = start(wire, err);
    if (rc != 0) {
        ra_wire_free(wire);
        *out = NULL;
    }
    return rc;
}

int ra_wire_port(const ra_wire *wire) {
    return wire->doors.port;
}

static void order_all(ra_wire *wire, ra_io_order order) {
    for (int i = 0; i < wire->n_threads; i++)
        ra_io_order_to(&wire->threads[i], order);
}

void ra_wire_notice_quiet(ra_wire *wire) {
    pthread_mutex_lock(&wire->lock);
    pthread_cond_broadcast(&wire->quiet);
    pthread_mutex_unlock(&wire->lock);
}

static bool is_quiet(const ra_wire *wire) {
    for (int i = 0; i < wire->n_threads; i++)
        if (atomic_load(&wire->threads[i].n_connections) > 0)
            return false;
    return true;
}

// Waits until no connection is left or the monotonic time has come.
static bool wait_until_quiet(ra_wire *wire, int64_t until_ns) {
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&wire->lock);
    while (!is_quiet(wire) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&wire->quiet, &wire->lock, &until);
    pthread_mutex_unlock(&wire->lock);
    return is_quiet(wire);
}

void ra_wire_drain(ra_wire *wire, int timeout_ms) {
    order_all(wire, RA_IO_DRAIN);
    ra_doors_shut(&wire->doors);
    if (!wait_until_quiet(wire, ra_os_now_ns() + (int64_t)timeout_ms * 1000000))
        order_all(wire, RA_IO_CLOSE_ALL);
    while (!wait_until_quiet(wire, ra_os_now_ns() + INT64_C(1000000000)))
        continue;
}

void ra_wire_close_all(ra_wire *wire) {
    order_all(wire, RA_IO_CLOSE_ALL);
}

void ra_wire_stop(ra_wire *wire) {
    if (!wire)
        return;
    order_all(wire, RA_IO_STOP);
    for (int i = 0; i < wire->n_threads; i++)
        ra_io_join(&wire->threads[i]);
}

void ra_wire_free(ra_wire *wire) {
    if (!wire)
        return;
    ra_wire_stop(wire);
    for (int i = 0; i < wire->n_threads; i++)
        ra_io_fini(&wire->threads[i]);
    ra_free(wire->threads);
    if (wire->has_doors)
        ra_doors_close(&wire->doors);
    ra_auth_unref(wire->auth);
    ra_free(wire->stats);
    pthread_mutex_destroy(&wire->auth_lock);
    pthread_cond_destroy(&wire->quiet);
    pthread_mutex_destroy(&wire->lock);
    ra_free(wire);
}

void ra_wire_post(ra_wire *wire, ra_post *post) {
    ra_assert(post->to.io_thread < (uint32_t)wire->options.io_threads);
    ra_io_post(&wire->threads[post->to.io_thread], post);
}

ra_auth *ra_wire_auth(ra_wire *wire) {
    pthread_mutex_lock(&wire->auth_lock);
    ra_auth *auth = ra_auth_ref(wire->auth);
    pthread_mutex_unlock(&wire->auth_lock);
    return auth;
}

int ra_wire_reload_tokens(ra_wire *wire, ra_error *err) {
    if (!wire->has_auth)
        return 0;
    ra_auth *fresh;
    RA_TRY(ra_auth_read(wire->options.token_file, &fresh, err));
    pthread_mutex_lock(&wire->auth_lock);
    ra_auth *old = wire->auth;
    wire->auth = fresh;
    pthread_mutex_unlock(&wire->auth_lock);
    ra_auth_unref(old);
    return 0;
}

bool ra_wire_token_is_valid(ra_wire *wire, ra_str token) {
    if (!wire->has_auth)
        return false;
    ra_auth *auth = ra_wire_auth(wire);
    bool is_valid = ra_auth_find(auth, token).data != NULL;
    ra_auth_unref(auth);
    return is_valid;
}

static int64_t get(const atomic_int_least64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void ra_wire_get_status(const ra_wire *wire, ra_wire_status *out) {
    const ra_wire_counters *counters = &wire->counters;
    *out = (ra_wire_status){.connections = get(&counters->connections),
                            .calls = get(&counters->calls),
                            .calls_open = get(&counters->calls_open),
                            .bytes_in = get(&counters->bytes_in),
                            .bytes_out = get(&counters->bytes_out),
                            .resets = get(&counters->resets),
                            .shed = get(&counters->shed)};
}
