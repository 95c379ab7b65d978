// For tests: a store, an engine and the Flight methods behind a wire on a free port.
#ifndef RA_FLIGHT_TESTING_FLIGHT_H
#define RA_FLIGHT_TESTING_FLIGHT_H

#include "arrow/testing_ipc.h"
#include "base/log.h"
#include "flight/client.h"
#include "query/job.h"
#include "query/testing_store.h"
#include "wire/limits.h"
#include "wire/protobuf.h"
#include "wire/testing_client.h"

enum { TESTING_JOB_THREADS = 4 };  // of testing_store.h

typedef struct {
    testing_store store;
    ra_workers *workers;  // of the app; those of `store` serve store and engine
    ra_task blockers[TESTING_JOB_THREADS];
    ra_app app;
    ra_wire_limits limits;
} testing_flight;

static inline testing_flight *testing_flight_new(void) {
    testing_flight *t = calloc(1, sizeof *t);
    ra_error err;
    ra_log_set(RA_LOG_OFF, false);
    testing_store_open(&t->store);
    assert_ok(ra_workers_new("app", 4, &t->workers, &err), &err);
    ra_wire_limits_init(&t->limits);
    t->app = (ra_app){.store = t->store.store,
                      .engine = t->store.engine,
                      .jobs = t->store.jobs,
                      .workers = t->workers,
                      .budget = &t->store.budget,
                      .data_dir = t->store.dir};
    ra_flight_limits_init(&t->app.limits);
    return t;
}

static inline void testing_flight_start(testing_flight *t) {
    ra_error err;
    ra_wire_options options = {.host = "localhost",
                               .io_threads = 1,
                               .methods = ra_flight_methods,
                               .n_methods = ra_n_flight_methods,
                               .context = &t->app,
                               .budget = &t->store.budget,
                               .limits = &t->limits,
                               .on_connection_end = ra_client_on_connection_end};
    assert_ok(ra_wire_start(&options, &t->app.wire, &err), &err);
}

// As the server stops: see server.c.
static inline void testing_flight_stop(testing_flight *t) {
    ra_wire_drain(t->app.wire, 200);
    ra_wire_stop(t->app.wire);
    ra_workers_free(t->workers);
    ra_workers_free(t->store.jobs);
    t->store.jobs = NULL;
    ra_store_settle(t->store.store);
    ra_wire_free(t->app.wire);
    testing_store_close(&t->store);
    free(t);
}

static inline client *testing_flight_client(const testing_flight *t) {
    return client_open(ra_wire_port(t->app.wire));
}

// A gate for the job threads: jobs wait in the queue while it is shut.
static pthread_mutex_t testing_gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t testing_gate_wake = PTHREAD_COND_INITIALIZER;
static bool testing_gate_is_shut;

static inline void testing_wait_at_gate(ra_task *task) {
    (void)task;
    pthread_mutex_lock(&testing_gate_lock);
    while (testing_gate_is_shut)
        pthread_cond_wait(&testing_gate_wake, &testing_gate_lock);
    pthread_mutex_unlock(&testing_gate_lock);
}

static inline void testing_block_jobs(testing_flight *t) {
    pthread_mutex_lock(&testing_gate_lock);
    testing_gate_is_shut = true;
    pthread_mutex_unlock(&testing_gate_lock);
    for (int i = 0; i < TESTING_JOB_THREADS; i++) {
        t->blockers[i] = (ra_task){.run = testing_wait_at_gate};
        ra_workers_submit(t->store.jobs, &t->blockers[i]);
    }
}

static inline void testing_unblock_jobs(void) {
    pthread_mutex_lock(&testing_gate_lock);
    testing_gate_is_shut = false;
    pthread_cond_broadcast(&testing_gate_wake);
    pthread_mutex_unlock(&testing_gate_lock);
}

static inline int testing_n_jobs(const testing_flight *t) {
    ra_engine *engine = t->store.engine;
    pthread_mutex_lock(&engine->lock);
    int n = engine->n_jobs;
    pthread_mutex_unlock(&engine->lock);
    return n;
}

static inline void testing_wait_for_jobs(const testing_flight *t, int n) {
    for (int i = 0; i < 5000 && testing_n_jobs(t) != n; i++)
        usleep(1000);
    assert_int_equal(testing_n_jobs(t), n);
}

static inline int64_t testing_n_flights(const testing_flight *t) {
    ra_snapshot *snapshot = ra_store_snapshot(t->store.store);
    int64_t n = ra_snapshot_count(snapshot);
    ra_snapshot_unref(snapshot);
    return n;
}

// Appends a gRPC message whose payload is `message`, which is freed.
static inline void testing_put_grpc(ra_bytes *out, ra_bytes *message) {
    ra_error err;
    uint8_t prefix[5] = {0, (uint8_t)(message->len >> 24), (uint8_t)(message->len >> 16),
                         (uint8_t)(message->len >> 8), (uint8_t)message->len};
    assert_ok(ra_bytes_append(out, prefix, sizeof prefix, &err), &err);
    assert_ok(ra_bytes_append(out, message->data, message->len, &err), &err);
    ra_bytes_fini(message);
}

// Appends the beginning of an upload to a name: descriptor and schema, then a batch (JSON columns)
// with app_metadata, which is acknowledged.
static inline void testing_put_upload(ra_bytes *out, const char *name, const char *fields,
                                      const char *columns) {
    ra_error err;
    ra_bytes message, descriptor;
    ra_bytes_init(&message, 1 << 20);
    ra_bytes_init(&descriptor, 1 << 20);
    ra_schema *schema = testing_schema(fields);
    ra_bytes encoded = testing_encode_schema(schema);
    assert_ok(ra_pb_put_varint(&descriptor, 1, 1, &err), &err);
    assert_ok(ra_pb_put_bytes(&descriptor, 3, ra_str_of(name), &err), &err);
    assert_ok(ra_pb_put_bytes(&message, 1, ra_bytes_str(&descriptor), &err), &err);
    assert_ok(ra_pb_put_bytes(&message, 2, ra_bytes_str(&encoded), &err), &err);
    testing_put_grpc(out, &message);
    ra_bytes_fini(&descriptor);
    ra_bytes_fini(&encoded);

    ra_batch *batch = testing_batch(schema, columns, 0);
    testing_message m = testing_encode_batch(batch);
    ra_str body = {(const char *)m.body.data, (size_t)m.body.bytes};
    ra_bytes_init(&message, 1 << 20);
    assert_ok(ra_pb_put_bytes(&message, 2, ra_bytes_str(&m.message), &err), &err);
    assert_ok(ra_pb_put_bytes(&message, 3, RA_STR("x"), &err), &err);
    assert_ok(ra_pb_put_bytes(&message, 1000, body, &err), &err);
    testing_put_grpc(out, &message);
    testing_message_fini(&m);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

// Begins a call that sends `body` (which must outlive it) and stays open.
static inline int32_t testing_call_open(client *c, const char *path, const ra_bytes *body) {
    client_stream *s = calloc(1, sizeof *s);
    s->body = body->data;
    s->body_bytes = body->len;
    s->stays_open = true;
    return client_call(c, path, s, NULL, NULL);
}

#endif
