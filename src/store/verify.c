#include "store/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "store/catalog_load.h"
#include "store/catalog_schema.h"
#include "store/files.h"
#include "store/segment_check.h"
#include "store/sqlite_vfs.h"

enum { LINE_BYTES = 1024, PATH_BYTES = PATH_MAX + 64, MAX_OPEN_SEGMENTS = 64, MAX_ROWS = 100 };

typedef struct {
    ra_store store;  // as much of one as reading takes
    ra_catalog catalog;
    char remote_dir[PATH_MAX];  // data_dir/.remote-arrow
    char segments_dir[PATH_BYTES];
    char copy[64];  // folder of the catalog's copy; empty: none
    void (*say)(void *context, const char *line);
    void *context;
    ra_verification *result;
} verify;

static void RA_PRINTF(2, 3) say_damage(verify *v, const char *fmt, ...) {
    char line[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *at = line; *at; at++)  // SQLite's words have several lines
        *at = *at == '\n' ? ' ' : *at;
    v->result->n_damages++;
    v->say(v->context, line);
}

// The catalog.

// A failure that is a damage is said; others end the check.
static int say_if_damage(verify *v, int rc, ra_error *err, bool *is_damaged) {
    *is_damaged = rc != 0 && err->reason == RA_REASON_DATA_LOSS;
    if (*is_damaged)
        say_damage(v, "%s", err->message);
    return *is_damaged ? 0 : rc;
}

// Copies a file of the catalog, if it is there.
static int copy_file(const verify *v, const char *name, bool *is_there, ra_error *err) {
    char from[PATH_BYTES], to[PATH_BYTES];
    struct stat about;
    snprintf(from, sizeof from, "%s/%s", v->remote_dir, name);
    snprintf(to, sizeof to, "%s/%s", v->copy, name);
    *is_there = stat(from, &about) == 0;
    if (!*is_there)
        return 0;
    int in, out;
    RA_TRY(ra_os_open(from, O_RDONLY, 0, &in, err));
    int rc = ra_os_open(to, O_WRONLY | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc == 0)
        rc = ra_os_copy(in, out, 0, about.st_size, err);
    ra_os_close(out);
    ra_os_close(in);
    return rc;
}

static int make_copy(verify *v, bool *is_there, ra_error *err) {
    const char *folder = getenv("TMPDIR");
    if (!folder || strlen(folder) > sizeof v->copy - 32)
        folder = "/tmp";
    snprintf(v->copy, sizeof v->copy, "%s/ra-verify-XXXXXX", folder);
    if (!mkdtemp(v->copy)) {
        int code = errno;
        v->copy[0] = 0;
        RA_FAIL(err, IO_ERROR, "a folder in %s for a copy of the catalog: %s", folder,
                strerror(code));
    }
    bool has_log;
    RA_TRY(copy_file(v, "catalog.db-wal", &has_log, err));
    return copy_file(v, "catalog.db", is_there, err);
}

static int say_row(void *context, int n, char **values, char **names) {
    (void)names;
    if (n == 1 && values[0] && strcmp(values[0], "ok") != 0)
        say_damage(context, "the catalog is damaged: %.900s", values[0]);
    return 0;
}

// Also pages that no table uses: each of the file has a checksum. The log is merged before.
static int check_pages(verify *v, const char *path, ra_error *err) {
    int fd;
    char page[RA_PAGE_BYTES];
    struct stat about;
    RA_TRY(ra_sql_script(v->catalog.sql, "PRAGMA wal_checkpoint(TRUNCATE)", err));
    RA_TRY(ra_os_open(path, O_RDONLY, 0, &fd, err));
    int rc = fstat(fd, &about) == 0 ? 0 : ra_error_set(err, RA_REASON_IO_ERROR, "stat %s", path);
    for (int64_t at = 0; rc == 0 && at + RA_PAGE_BYTES <= about.st_size; at += RA_PAGE_BYTES) {
        rc = ra_os_pread(fd, page, sizeof page, at, err);
        if (rc == 0 && !ra_sqlite_page_is_whole(page, at))
            say_damage(v, "the catalog is damaged: page %" PRId64 " is not as it was written",
                       at / RA_PAGE_BYTES + 1);
    }
    ra_os_close(fd);
    return rc;
}

static int open_catalog(verify *v, const char *path, ra_error *err) {
    RA_TRY(ra_sql_open(&v->store, path, &v->catalog.sql, err));
    (void)sqlite3_exec(ra_sql_connection(v->catalog.sql), "PRAGMA integrity_check(100)", say_row, v,
                       NULL);
    RA_TRY(check_pages(v, path, err));
    RA_TRY(ra_catalog_check_schema(v->catalog.sql, v->store.data_dir, err));
    return ra_sql_prepare(v->catalog.sql, err);
}

// Reads the catalog; `*is_read` tells whether there is a state.
static int read_catalog(verify *v, ra_state *state, bool *is_read, ra_error *err) {
    char path[PATH_BYTES];
    bool is_there, is_damaged;
    *is_read = false;
    RA_TRY(make_copy(v, &is_there, err));
    if (!is_there) {
        say_damage(v, "the catalog is missing: %s/catalog.db", v->remote_dir);
        return 0;
    }
    snprintf(path, sizeof path, "%s/catalog.db", v->copy);
    int rc = open_catalog(v, path, err);
    RA_TRY(say_if_damage(v, rc, err, &is_damaged));
    if (is_damaged)
        return 0;
    rc = ra_catalog_look(&v->catalog, state, err);
    RA_TRY(say_if_damage(v, rc, err, &is_damaged));
    *is_read = !is_damaged;
    return 0;
}

// The files.

static void print_version(const ra_flight *flight, const ra_version *version, char *text,
                          size_t bytes) {
    ra_str name = flight->n_names > 0 ? flight->names[0] : RA_STR("");
    snprintf(text, bytes, "Flight %" PRId64 "%s%.*s%s version %" PRId64, flight->id,
             name.len ? " '" : "", RA_STR_ARG(name), name.len ? "'" : "", version->number);
}

static bool has_segment(const ra_content *content, const ra_segment *segment) {
    for (int i = 0; i < content->n_parts; i++)
        if (content->parts[i].segment == segment)
            return true;
    return false;
}

// Says for each version that has the file what is wrong with it.
static void say_file(verify *v, const ra_state *state, const ra_segment *segment,
                     const char *what) {
    int64_t at = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&state->flights, &at)); at++) {
        for (int i = 0; i < flight->n_versions; i++) {
            char text[400];
            print_version(flight, flight->versions[i], text, sizeof text);
            if (has_segment(flight->versions[i]->content, segment))
                say_damage(v, "%s: %.600s", text, what);
        }
    }
}

static int check_files(verify *v, const ra_state *state, const ra_bytes *segments, ra_error *err) {
    ra_segment *const *list = (ra_segment *const *)(const void *)segments->data;
    for (size_t i = 0; i < segments->len / sizeof *list; i++) {
        bool is_damaged = false;
        int rc = ra_segment_check(list[i], err);
        v->result->n_files++;
        v->result->n_bytes += list[i]->file_bytes;
        if (rc != 0 && err->reason == RA_REASON_DATA_LOSS) {
            is_damaged = true;
            ra_segment_note_damage(list[i]);
            say_file(v, state, list[i], err->message);
        }
        if (rc != 0 && !is_damaged)
            return rc;
    }
    return 0;
}

// Versions whose files are whole but are not what was published.
static void check_versions(verify *v, const ra_state *state) {
    int64_t at = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&state->flights, &at)); at++) {
        v->result->n_flights++;
        v->result->n_versions += flight->n_versions;
        for (int i = 0; i < flight->n_versions; i++) {
            ra_version *version = flight->versions[i];
            char text[400];
            print_version(flight, version, text, sizeof text);
            bool is_lost = version->is_lost;
            version->is_lost = false;
            if (is_lost && !ra_version_is_failed(version))
                say_damage(v, "%s: rows of the catalog do not fit together", text);
        }
    }
}

static int check_state(verify *v, ra_state *state, ra_error *err) {
    ra_bytes segments;
    ra_bytes_init(&segments, INT32_MAX);
    int rc = ra_state_list_segments(state, &segments, err);
    if (rc == 0)
        rc = check_files(v, state, &segments, err);
    if (rc == 0)
        check_versions(v, state);
    ra_bytes_fini(&segments);
    return rc;
}

// The whole.

static int find_folders(verify *v, const char *data_dir, ra_error *err) {
    char absolute[PATH_MAX];
    if (!realpath(data_dir, absolute) || strlen(absolute) > PATH_MAX - 32)
        RA_FAIL(err, INVALID_ARGUMENT, "data directory %s: %s", data_dir, strerror(errno));
    snprintf(v->remote_dir, sizeof v->remote_dir, "%.*s/.remote-arrow", PATH_MAX - 32, absolute);
    snprintf(v->segments_dir, sizeof v->segments_dir, "%s/segments", v->remote_dir);
    if (access(v->segments_dir, R_OK | X_OK) != 0)
        RA_FAIL(err, INVALID_ARGUMENT, "data directory %s holds no tables of a server: %s: %s",
                data_dir, v->segments_dir, strerror(errno));
    v->store.data_dir = ra_strdup(absolute);
    if (!v->store.data_dir)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the data directory");
    v->store.segments_dir = v->segments_dir;
    v->store.tmp_dir = v->segments_dir;
    v->catalog.store = &v->store;
    RA_TRY(ra_files_new(&v->store.files, err));
    return ra_segment_cache_new(MAX_OPEN_SEGMENTS, &v->store.cache, err);
}

// Keeps servers away meanwhile. A backup has no lock file before its first start.
static int take_lock(verify *v, ra_error *err) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/lock", v->remote_dir);
    v->store.lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (v->store.lock_fd >= 0 && flock(v->store.lock_fd, LOCK_SH | LOCK_NB) != 0)
        RA_FAIL(err, UNAVAILABLE, "data directory %s is in use by a server", v->store.data_dir);
    return 0;
}

static int run(verify *v, const char *data_dir, ra_error *err) {
    ra_state state = {0};
    bool is_read;
    RA_TRY(find_folders(v, data_dir, err));
    RA_TRY(take_lock(v, err));
    RA_TRY(read_catalog(v, &state, &is_read, err));
    if (!is_read)
        return 0;
    int rc = check_state(v, &state, err);
    ra_state_fini(&state);
    return rc;
}

int ra_store_verify(const char *data_dir, ra_budget *budget,
                    void (*say)(void *context, const char *line), void *context,
                    ra_verification *out, ra_error *err) {
    *out = (ra_verification){0};
    verify *v = ra_calloc(1, sizeof *v);
    if (!v)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to check a data directory");
    v->say = say;
    v->context = context;
    v->result = out;
    v->store.lock_fd = -1;
    v->store.options = (ra_store_options){.read_only = true, .budget = budget};
    int rc = run(v, data_dir, err);
    ra_sql_close(v->catalog.sql);
    ra_segment_cache_free(v->store.cache);
    ra_files_free(v->store.files);
    ra_os_close(v->store.lock_fd);
    ra_error ignored;
    if (v->copy[0])
        (void)!ra_os_remove_tree(v->copy, &ignored);
    ra_free(v->store.data_dir);
    ra_free(v);
    return rc;
}
