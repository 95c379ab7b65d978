// What every Flight call may use, and the table of methods that the wire serves.
#ifndef RA_FLIGHT_APP_H
#define RA_FLIGHT_APP_H

#include <stdatomic.h>

#include "base/budget.h"
#include "base/workers.h"
#include "flight/limits.h"
#include "query/engine.h"
#include "store/store.h"
#include "wire/server.h"

typedef struct ra_app {
    ra_wire *wire;  // set after ra_wire_start
    ra_store *store;
    ra_engine *engine;
    ra_workers *jobs;     // what reads whole tables
    ra_workers *workers;  // strands of uploads, windows of downloads, long answers
    ra_budget *budget;
    ra_flight_limits limits;
    const char *data_dir;
    const char *backup_dir;        // absolute, or NULL: no backups
    const char *advertise;         // URI, or NULL
    const char *socket_path;       // or NULL
    const char *disabled_actions;  // comma-separated, or NULL
    const char *remote_actions;    // allowed to peers that are not local; or NULL
    bool read_only;
    bool has_tokens;
    atomic_bool draining;
    void (*request_shutdown)(void *context);  // any thread
    void *shutdown_context;
} ra_app;

// Why the server takes no work, in a few words; NULL when it does. A server that was asked to be
// read-only does.
const char *ra_app_why_not_ready(ra_app *app);

static inline ra_app *ra_app_of(const ra_call *call) {
    return ra_call_context(call);
}

// The Flight service's methods, for ra_wire_options.
extern const ra_method *const ra_flight_methods[];
extern const int ra_n_flight_methods;

// One method a file.
extern const ra_method ra_method_handshake;
extern const ra_method ra_method_list_flights;
extern const ra_method ra_method_get_flight_info;
extern const ra_method ra_method_poll_flight_info;
extern const ra_method ra_method_get_schema;
extern const ra_method ra_method_do_get;
extern const ra_method ra_method_do_put;
extern const ra_method ra_method_do_exchange;
extern const ra_method ra_method_do_action;
extern const ra_method ra_method_list_actions;

#define RA_FLIGHT_PATH(method) "/arrow.flight.protocol.FlightService/" method

enum {
    RA_SMALL_MESSAGE_BYTES = 1024 * 1024,
    RA_COMMAND_MESSAGE_BYTES = 64 * 1024 * 1024,  // commands may carry inline Arrow
    RA_QUICK_COMMAND_BYTES = 64 * 1024,           // planned on the I/O thread; larger on a worker
    RA_UPLOAD_PART_BYTES = 8 * 1024 * 1024        // a larger message goes through a spool
};

// Who calls, for created_by and `mine`: the header `remote-arrow-client`, else the peer's address
// without port. Points into the call or `buffer`.
enum { RA_CALLER_BYTES = 256 };
ra_str ra_app_caller(const ra_call *call, char buffer[RA_CALLER_BYTES]);

#endif
