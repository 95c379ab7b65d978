#include "server/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/os.h"

typedef struct {
    ra_store_status store;
    ra_wire_status wire;
    bool is_ready;
    int64_t jobs, memory_used, memory_limit, disk_free, disk_total, resident_bytes, open_fds,
        max_fds;
    double cpu_seconds;
} figures;

static int64_t count_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    int64_t n = -3;  // ".", ".." and the folder itself
    if (!folder)
        return 0;
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

static int64_t resident_bytes(void) {
    long long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lld %lld", &size, &pages) != 2)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void get_figures(ra_app *app, figures *f) {
    struct rusage usage = {0};
    struct rlimit limit = {0};
    *f = (figures){0};
    ra_store_get_status(app->store, &f->store);
    ra_wire_get_status(app->wire, &f->wire);
    f->is_ready = !ra_app_why_not_ready(app);
    f->jobs = ra_engine_jobs(app->engine);
    f->memory_used = ra_budget_used(app->budget);
    f->memory_limit = app->budget->limit_bytes;
    if (ra_os_disk(app->data_dir, &f->disk_free, &f->disk_total, NULL) != 0)
        f->disk_free = f->disk_total = 0;
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    f->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    f->max_fds = (int64_t)limit.rlim_cur;
    f->resident_bytes = resident_bytes();
    f->open_fds = count_descriptors();
}

static int head(ra_bytes *out, const char *name, const char *type, const char *text,
                ra_error *err) {
    return ra_bytes_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, type);
}

static int write_number(ra_bytes *out, const char *name, const char *type, const char *text,
                        double value, ra_error *err) {
    RA_TRY(head(out, name, type, text, err));
    return ra_bytes_printf(out, err, "%s%s %.17g\n", name,
                           strcmp(type, "counter") == 0 ? "_total" : "", value);
}

enum { LABEL_BYTES = 256 };

static void write_labels(const char *path, char out[LABEL_BYTES]) {
    const char *method = strrchr(path, '/') + 1;
    snprintf(out, LABEL_BYTES, "grpc_service=\"%.*s\",grpc_method=\"%s\"", (int)(method - path - 2),
             path + 1, method);
}

static int write_handled(ra_bytes *out, const char *name, const char *labels,
                         const ra_wire_method *m, ra_error *err) {
    for (int code = 0; code < RA_WIRE_CODES; code++)
        if (m->handled[code] > 0)
            RA_TRY(ra_bytes_printf(out, err, "%s_total{%s,grpc_code=\"%s\"} %" PRId64 "\n", name,
                                   labels, ra_wire_code_name(code), m->handled[code]));
    return 0;
}

static int write_histogram(ra_bytes *out, const char *name, const char *labels,
                           const ra_wire_method *m, ra_error *err) {
    int64_t n = 0;
    for (int i = 0; i < RA_WIRE_N_BUCKETS - 1; i++) {
        n += m->buckets[i];
        RA_TRY(ra_bytes_printf(out, err, "%s_bucket{%s,le=\"%.*f\"} %" PRId64 "\n", name, labels,
                               ra_wire_bounds()[i] < 1 ? 4 : 1, ra_wire_bounds()[i], n));
    }
    n += m->buckets[RA_WIRE_N_BUCKETS - 1];
    return ra_bytes_printf(out, err,
                           "%s_bucket{%s,le=\"+Inf\"} %" PRId64 "\n%s_count{%s} %" PRId64
                           "\n%s_sum{%s} %.9f\n",
                           name, labels, n, name, labels, n, name, labels, (double)m->sum_ns / 1e9);
}

static int write_started(ra_bytes *out, const char *name, const char *labels,
                         const ra_wire_method *m, ra_error *err) {
    return ra_bytes_printf(out, err, "%s_total{%s} %" PRId64 "\n", name, labels, m->started);
}

static int write_received(ra_bytes *out, const char *name, const char *labels,
                          const ra_wire_method *m, ra_error *err) {
    return ra_bytes_printf(out, err, "%s_total{%s} %" PRId64 "\n", name, labels, m->received);
}

static int write_sent(ra_bytes *out, const char *name, const char *labels, const ra_wire_method *m,
                      ra_error *err) {
    return ra_bytes_printf(out, err, "%s_total{%s} %" PRId64 "\n", name, labels, m->sent);
}

typedef int (*method_writer)(ra_bytes *out, const char *name, const char *labels,
                             const ra_wire_method *m, ra_error *err);

static int write_methods(ra_app *app, ra_bytes *out, const char *name, method_writer writer,
                         ra_error *err) {
    ra_wire_method method;
    for (int i = 0; ra_wire_get_method(app->wire, i, &method); i++) {
        char labels[LABEL_BYTES];
        write_labels(method.path, labels);
        RA_TRY(writer(out, name, labels, &method, err));
    }
    return 0;
}

int ra_metrics_write(ra_app *app, ra_bytes *out, ra_error *err) {
    static const method_writer grpc_server_started = write_started,
                               grpc_server_handled = write_handled,
                               grpc_server_msg_received = write_received,
                               grpc_server_msg_sent = write_sent,
                               grpc_server_handling_seconds = write_histogram;
    figures now, *f = &now;
    get_figures(app, f);
#define RA_METHOD_METRIC(name, type, labels, text) \
    RA_TRY(head(out, #name, #type, text, err));    \
    RA_TRY(write_methods(app, out, #name, name, err));
#define RA_METRIC(name, type, text, value) \
    RA_TRY(write_number(out, #name, #type, text, (double)(value), err));
#include "server/metrics.def"
#undef RA_METRIC
#undef RA_METHOD_METRIC
    return ra_bytes_printf(out, err, "# EOF\n");
}
