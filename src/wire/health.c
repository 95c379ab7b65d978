// grpc.health.v1.Health: Check, and Watch that looks again twice a second.
#include "base/os.h"
#include "wire/builtin.h"
#include "wire/connection.h"
#include "wire/protobuf.h"

typedef enum { UNKNOWN = 0, SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 } serving_status;

enum { REQUEST_MAX_BYTES = 4096, LOOK_AGAIN_NS = 500000000 };

static const char health_service[] = "grpc.health.v1.Health";

static bool is_service_of(ra_str service, const char *path) {
    return strlen(path) > service.len + 2 && memcmp(path + 1, service.data, service.len) == 0 &&
           path[service.len + 1] == '/';
}

static bool is_known(const ra_wire *wire, ra_str service) {
    if (service.len == 0 || ra_str_eq(service, ra_str_of(health_service)))
        return true;
    for (int i = 0; i < wire->options.n_methods; i++)
        if (is_service_of(service, wire->options.methods[i]->path))
            return true;
    return false;
}

static serving_status status_now(const ra_wire *wire) {
    const ra_wire_options *options = &wire->options;
    return !options->is_serving || options->is_serving(options->context) ? SERVING : NOT_SERVING;
}

// HealthCheckRequest{service = 1}.
static int read_request(ra_bytes *message, ra_str *service, ra_error *err) {
    ra_pb_reader reader = ra_pb_reader_of(ra_bytes_str(message));
    ra_pb_field field;
    int rc;
    *service = RA_STR("");
    while ((rc = ra_pb_next(&reader, &field)) > 0)
        if (field.number == 1 && field.type == RA_PB_LEN)
            *service = field.bytes;
    if (rc < 0)
        RA_FAIL(err, MALFORMED_REQUEST, "malformed HealthCheckRequest");
    return 0;
}

// HealthCheckResponse{status = 1}.
static void send_status(ra_call *call, serving_status status) {
    uint8_t response[] = {1 << 3 | RA_PB_VARINT, (uint8_t)status};
    ra_call_send_bytes(call, (ra_str){(const char *)response, sizeof response});
}

static void check_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_str service;
    ra_error err;
    int rc = read_request(message, &service, &err);
    if (rc == 0 && !is_known(ra_call_wire(call), service)) {
        // The health protocol's own NOT_FOUND; it has no Arrow status.
        rc = ra_error_set(&err, RA_REASON_FLIGHT_NOT_FOUND, "unknown service '%.*s'",
                          RA_STR_ARG(service));
        err.status = RA_ARROW_NONE;
        err.reason = RA_REASON_NONE;
    }
    if (rc == 0)
        send_status(call, status_now(ra_call_wire(call)));
    ra_bytes_fini(message);
    ra_call_finish(call, rc == 0 ? NULL : &err);
}

typedef struct {
    ra_timer timer;
    ra_call *call;
    serving_status sent;
} watcher;

static void look_again(ra_timer *timer) {
    watcher *w = (watcher *)timer;
    ra_connection *connection = w->call->connection;
    serving_status now = status_now(ra_call_wire(w->call));
    if (connection->state != RA_CONNECTION_OPEN) {
        ra_call_finish(w->call, NULL);  // the server drains: nothing more to watch
        return;
    }
    if (now != w->sent)
        send_status(w->call, now);
    w->sent = now;
    ra_timers_set(&connection->io->timers, timer, connection->io->now_ns + LOOK_AGAIN_NS);
}

static void watch_on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_str service;
    ra_error err;
    watcher *w = NULL;
    int rc = read_request(message, &service, &err);
    if (rc == 0 && !(w = ra_calloc(1, sizeof *w)))
        rc = ra_error_set(&err, RA_REASON_OUT_OF_MEMORY, "no memory to watch");
    if (rc != 0) {
        ra_bytes_fini(message);
        ra_call_finish(call, &err);
        return;
    }
    ra_io_thread *io = call->connection->io;
    bool known = is_known(ra_call_wire(call), service);
    *w = (watcher){.timer.fire = look_again,
                   .call = call,
                   .sent = known ? status_now(ra_call_wire(call)) : SERVICE_UNKNOWN};
    ra_bytes_fini(message);
    ra_call_set_state(call, w);
    ra_call_account_of(call)->waits = true;
    send_status(call, w->sent);
    if (known)
        ra_timers_set(&io->timers, &w->timer, io->now_ns + LOOK_AGAIN_NS);
}

static void watch_on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    watcher *w = ra_call_state(call);
    if (w)
        ra_timers_clear(&call->connection->io->timers, &w->timer);
    ra_free(w);
}

static const ra_method check_method = {.path = "/grpc.health.v1.Health/Check",
                                       .no_auth = true,
                                       .max_message_bytes = REQUEST_MAX_BYTES,
                                       .on_message = check_on_message};
static const ra_method watch_method = {.path = "/grpc.health.v1.Health/Watch",
                                       .no_auth = true,
                                       .max_message_bytes = REQUEST_MAX_BYTES,
                                       .on_message = watch_on_message,
                                       .on_end = watch_on_end};

const ra_method *const ra_health_methods[RA_N_HEALTH_METHODS] = {&check_method, &watch_method};
