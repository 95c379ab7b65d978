#include "server/server.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "flight/action.h"
#include "flight/client.h"
#include "server/http.h"
#include "server/reload.h"
#include "sql/import.h"
#include "store/backup.h"

enum { MIN_JOB_THREADS = 16, JOB_THREADS_PER_CORE = 4, WORKERS_PER_CORE = 2, MAX_IO_THREADS = 8 };

struct ra_server {
    const ra_options *options;
    ra_budget budget;
    ra_workers *workers;
    ra_workers *jobs;
    ra_workers *morsels;
    ra_store *store;
    ra_engine *engine;
    ra_app app;
    ra_http *http;
    ra_importer *importer;
    char *backup_dir;            // absolute; NULL: none
    char socket_path[PATH_MAX];  // absolute: clients elsewhere are told it; empty: none
};

static bool is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_exposure(const ra_options *options, ra_error *err) {
    if (is_loopback(options->host.text) || options->token_file.text[0] || options->insecure.number)
        return 0;
    RA_FAIL(err, INVALID_ARGUMENT,
            "--host %s is reachable by others: give --token-file, or --insecure to allow anybody",
            options->host.text);
}

static int check_actions(const ra_options *options, ra_error *err) {
    RA_TRY(ra_action_list_check(options->disable_action.text, "--disable-action", err));
    return ra_action_list_check(options->allow_remote_action.text, "--allow-remote-action", err);
}

// The wire asks about health in the context of its calls, which is the app.
static bool app_is_serving(void *context) {
    return !ra_app_why_not_ready(context);
}

static void take_http1(void *context, int fd, ra_guest *guest) {
    ra_server *server = (ra_server *)((char *)context - offsetof(ra_server, app));
    ra_http_take(server->http, fd, guest);
}

// A time of the options, 0 for never: what nanoseconds since 1970 cannot express.
static int64_t ns_of(int64_t ms) {
    const int64_t century_ms = INT64_C(100) * 365 * 24 * 3600 * 1000;
    return ms > century_ms ? 0 : ms * 1000000;
}

// Every call takes longer than a nanosecond.
static int64_t slow_call_ns(int64_t ms) {
    return ms == 0 ? 1 : ns_of(ms);
}

static int start_store(ra_server *server, ra_error *err) {
    const ra_options *o = server->options;
    ra_store_options options = {.data_dir = o->data_dir.text,
                                .durable = o->durability.number == 0,
                                .read_only = o->read_only.number != 0,
                                .disk_reserve_bytes = o->disk_reserve.number,
                                .disk_quota_bytes = o->disk_quota.number,
                                .result_ttl_ns = ns_of(o->result_ttl.number),
                                .keep_versions = (int)o->keep_versions.number,
                                .budget = &server->budget,
                                .workers = server->workers};
    RA_TRY(ra_store_open(&options, &server->store, err));
    ra_engine_options engine = {.store = server->store,
                                .jobs = server->jobs,
                                .morsels = server->morsels,
                                .budget = &server->budget};
    return ra_engine_new(&engine, &server->engine, err);
}

static const char *text_or_null(const ra_option_value *value) {
    return value->text[0] ? value->text : NULL;
}

// A download keeps its I/O thread busy, so that small calls of other connections wait for the
// scheduler to give it a core: with a second thread their p99 beside a download is half as long.
static int n_io_threads(void) {
    int n_cores = ra_os_cores(), n = n_cores / 4;
    if (n < 2)
        return n_cores < 2 ? 1 : 2;
    return n < MAX_IO_THREADS ? n : MAX_IO_THREADS;
}

static int find_socket_path(ra_server *server, ra_error *err) {
    const char *path = server->options->socket.text;
    char folder[PATH_MAX] = "";
    if (path[0] && path[0] != '/' && !getcwd(folder, sizeof folder))
        RA_FAIL(err, UNAVAILABLE, "the working directory, to which --socket is relative, is gone");
    int n = snprintf(server->socket_path, sizeof server->socket_path, "%s%s%s", folder,
                     folder[0] ? "/" : "", path);
    if (n < 0 || (size_t)n >= sizeof server->socket_path)
        RA_FAIL(err, INVALID_ARGUMENT, "--socket: the path is too long");
    return 0;
}

static int find_backup_dir(ra_server *server, ra_error *err) {
    const char *folder = text_or_null(&server->options->backup_dir);
    return folder ? ra_backup_open_folder(folder, &server->backup_dir, err) : 0;
}

static int start_wire(ra_server *server, void (*stop)(void *context), void *context,
                      ra_error *err) {
    const ra_options *o = server->options;
    RA_TRY(find_socket_path(server, err));
    RA_TRY(find_backup_dir(server, err));
    server->app = (ra_app){.store = server->store,
                           .engine = server->engine,
                           .workers = server->workers,
                           .jobs = server->jobs,
                           .budget = &server->budget,
                           .data_dir = o->data_dir.text,
                           .backup_dir = server->backup_dir,
                           .advertise = text_or_null(&o->advertise),
                           .socket_path = server->socket_path[0] ? server->socket_path : NULL,
                           .disabled_actions = text_or_null(&o->disable_action),
                           .remote_actions = text_or_null(&o->allow_remote_action),
                           .read_only = o->read_only.number != 0,
                           .has_tokens = o->token_file.text[0] != 0,
                           .request_shutdown = stop,
                           .shutdown_context = context};
    ra_wire_options options = {.host = o->host.text,
                               .port = (int)o->port.number,
                               .socket_path = text_or_null(&o->socket),
                               .io_threads = n_io_threads(),
                               .methods = ra_flight_methods,
                               .n_methods = ra_n_flight_methods,
                               .context = &server->app,
                               .token_file = text_or_null(&o->token_file),
                               .budget = &server->budget,
                               .slow_call_ns = slow_call_ns(o->slow_log.number),
                               .on_connection_end = ra_client_on_connection_end,
                               .on_http1 = take_http1,
                               .is_serving = app_is_serving};
    ra_flight_limits_init(&server->app.limits);
    RA_TRY(ra_http_start(&server->app, &server->http, err));
    return ra_wire_start(&options, &server->app.wire, err);
}

// The I/O threads end first, as they hand tasks to the workers. Whoever may still post to the wire
// ends next: jobs, workers, the catalog's answers. The wire runs what was posted when it is freed,
// which gives back the last contents.
void ra_server_free(ra_server *server) {
    ra_importer_stop(server->importer);
    ra_wire_stop(server->app.wire);
    ra_http_free(server->http);
    ra_workers_free(server->workers);
    ra_workers_free(server->jobs);
    ra_workers_free(server->morsels);
    if (server->store)
        ra_store_settle(server->store);
    ra_wire_free(server->app.wire);
    ra_engine_free(server->engine);
    ra_store_close(server->store);
    ra_budget_fini(&server->budget);
    ra_free(server->backup_dir);
    ra_free(server);
}

static void log_start(const ra_options *options) {
    char absolute[PATH_MAX];
    const char *path = realpath(options->data_dir.text, absolute);
    ra_log(RA_LOG_INFO, "server", "data directory %s", path ? path : options->data_dir.text);
    if (options->durability.number != 0)
        ra_log(RA_LOG_WARNING, "server", "durability none: an upload may be lost in a crash");
}

int ra_server_start(const ra_options *options, void (*stop)(void *context), void *context,
                    ra_server **out, ra_error *err) {
    *out = NULL;
    RA_TRY(check_exposure(options, err));
    RA_TRY(check_actions(options, err));
    ra_server *server = ra_calloc(1, sizeof *server);
    if (!server)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the server");
    server->options = options;
    ra_budget_init(&server->budget, NULL, "memory limit of the server",
                   options->memory_limit.number);
    int cores = ra_os_cores(), rc;
    int n_workers = options->threads.number ? (int)options->threads.number : cores;
    int n_jobs = cores * JOB_THREADS_PER_CORE;
    RA_GOTO(ra_workers_new("ra-worker", n_workers * WORKERS_PER_CORE, &server->workers, err), fail);
    RA_GOTO(ra_workers_new("ra-job", n_jobs > MIN_JOB_THREADS ? n_jobs : MIN_JOB_THREADS,
                           &server->jobs, err),
            fail);
    RA_GOTO(ra_workers_new("ra-morsel", n_workers, &server->morsels, err), fail);
    RA_GOTO(start_store(server, err), fail);
    RA_GOTO(start_wire(server, stop, context, err), fail);
    if (options->import.number == 0 && !options->read_only.number)
        RA_GOTO(ra_importer_start(server->store, options->data_dir.text, &server->budget,
                                  &server->importer, err),
                fail);
    log_start(options);
    *out = server;
    return 0;
fail:
    ra_server_free(server);
    return rc;
}

int ra_server_port(const ra_server *server) {
    return ra_wire_port(server->app.wire);
}

void ra_server_reload(ra_server *server) {
    (void)ra_reload(server->options, server->app.wire);
}

void ra_server_drain(ra_server *server) {
    atomic_store(&server->app.draining, true);
    ra_wire_drain(server->app.wire, (int)server->options->drain_timeout.number);
}

void ra_server_close_all(ra_server *server) {
    ra_wire_close_all(server->app.wire);
}
