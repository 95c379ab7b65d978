// remote-arrow-server: reads the options, runs the server until a signal or a client ends it.
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "base/thread.h"
#include "base/version.h"
#include "server/notify.h"
#include "server/reload.h"
#include "server/server.h"
#include "server/verify.h"

enum { EXIT_USAGE = 2, HELP_CEILING = 64 * 1024 };
// What stopping may take beyond the drain: jobs, the catalog's last commit.
enum { CLOSE_MS = 30000 };
// The draining thread's word to the main thread that it is done.
enum { DRAINED = SIGUSR1 };

static int fail(int exit_code, const ra_error *err) {
    fprintf(stderr, "remote-arrow-server: %s\n", err->message);
    return exit_code;
}

static int print_help(void) {
    ra_bytes text;
    ra_error err;
    ra_bytes_init(&text, HELP_CEILING);
    int rc = ra_options_help(&text, &err);
    if (rc == 0)
        fwrite(text.data, 1, text.len, stdout);
    ra_bytes_fini(&text);
    return rc == 0 ? EXIT_SUCCESS : fail(EXIT_FAILURE, &err);
}

// A client's shutdown takes the same way as SIGTERM, but a second one hurries nobody.
static void stop_by_client(void *context) {
    atomic_flag *asked = context;
    if (!atomic_flag_test_and_set(asked))
        kill(getpid(), SIGTERM);
}

static void block_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, DRAINED);
    sigprocmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// Receive buffers of a few MiB come and go all the time. By default glibc maps and unmaps each, and
// its pages are zeroed every time: an upload costs 0.28 s/GB of kernel time that way, 0.20 this
// way.
static void tune_allocator(void) {
    enum { MAPPED_BYTES = 16 * 1024 * 1024, KEPT_BYTES = 32 * 1024 * 1024, ARENAS = 4 };
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_ARENA_MAX, ARENAS);
}

// Each open segment and each connection takes a descriptor.
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        ra_log(RA_LOG_WARNING, "server", "the limit of open files cannot be raised");
}

static int wait_for_signal(const sigset_t *signals) {
    int number = 0;
    sigwait(signals, &number);
    return number;
}

static atomic_bool is_drained;

static void *drain_main(void *server) {
    ra_server_drain(server);
    atomic_store(&is_drained, true);
    kill(getpid(), DRAINED);
    return NULL;
}

// Drains; another signal to stop meanwhile closes all connections.
static void drain(ra_server *server, const sigset_t *signals) {
    pthread_t thread;
    if (!ra_thread_start(&thread, "drain", drain_main, server)) {
        ra_server_drain(server);
        return;
    }
    while (!atomic_load(&is_drained)) {
        int number = wait_for_signal(signals);
        if (number == DRAINED || number == SIGHUP)  // DRAINED may also be somebody else's
            continue;
        ra_log(RA_LOG_INFO, "server", "stopping now");
        ra_server_close_all(server);
    }
    pthread_join(thread, NULL);
}

static void reload(ra_server *server) {
    ra_notify_reloading();
    ra_server_reload(server);
    ra_notify("READY=1\nSTATUS=serving");
}

// Serves until a signal asks to stop: its number.
static int wait_for_stop(ra_server *server, const sigset_t *signals) {
    for (;;) {
        int number = wait_for_signal(signals);
        if (number == SIGHUP)
            reload(server);
        else if (number != DRAINED)  // from somebody else
            return number;
    }
}

static int serve(const ra_options *options) {
    static atomic_flag asked = ATOMIC_FLAG_INIT;
    sigset_t signals;
    ra_error err;
    ra_server *server;
    block_signals(&signals);
    if (ra_reload_log(options, &err) != 0)
        return fail(EXIT_USAGE, &err);
    raise_descriptor_limit();
    if (ra_server_start(options, stop_by_client, &asked, &server, &err) != 0)
        return fail(err.reason == RA_REASON_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE, &err);
    bool is_ipv6 = strchr(options->host.text, ':') != NULL;
    printf("Server online: grpc+tcp://%s%s%s:%d\n", is_ipv6 ? "[" : "", options->host.text,
           is_ipv6 ? "]" : "", ra_server_port(server));
    fflush(stdout);
    ra_notify("READY=1\nSTATUS=serving");
    int number = wait_for_stop(server, &signals);
    ra_notify_stopping(options->drain_timeout.number + CLOSE_MS);
    (void)atomic_flag_test_and_set(&asked);  // a client that asks now comes second
    ra_log(RA_LOG_INFO, "server", "stopping: %s", number == SIGINT ? "interrupted" : "terminated");
    drain(server, &signals);
    ra_server_free(server);
    ra_log(RA_LOG_INFO, "server", "stopped");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    ra_options options;
    ra_error err;
    tune_allocator();
    json_set_alloc_funcs(ra_malloc, ra_free);
    if (ra_options_read(&options, argc, argv, &err) != 0)
        return fail(EXIT_USAGE, &err);
    if (options.show_help)
        return print_help();
    if (options.show_version) {
        printf("remote-arrow-server %s\n", RA_VERSION);
        return EXIT_SUCCESS;
    }
    if (options.verify.number)
        return ra_verify(&options);
    return serve(&options);
}
