#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "store/catalog.h"
#include "store/files.h"
#include "store/lock.h"

enum { MAX_OPEN_SEGMENTS = 2048, MAX_DATA_DIR_BYTES = 3800 };

// Makes a directory that is missing; its name must survive a crash before what is put in it.
static int make_directory(const ra_store *store, const char *path, ra_error *err) {
    if (access(path, F_OK) == 0)
        return 0;
    RA_TRY(ra_os_mkdir(path, 0755, err));
    if (!store->options.durable)
        return 0;
    char parent[MAX_DATA_DIR_BYTES + 4];
    snprintf(parent, sizeof parent, "%s/..", path);
    return ra_os_sync_dir(parent, err);
}

// Makes the data directory and those above it that are missing.
static int make_directories(const ra_store *store, ra_error *err) {
    const char *path = store->options.data_dir;
    size_t n = strlen(path);
    if (n == 0 || n > MAX_DATA_DIR_BYTES)
        RA_FAIL(err, INVALID_ARGUMENT, "the path of the data directory has %zu bytes; 1 to %d fit",
                n, MAX_DATA_DIR_BYTES);
    char part[MAX_DATA_DIR_BYTES + 1];
    for (size_t i = 1; i < n; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        RA_TRY(make_directory(store, part, err));
    }
    return make_directory(store, path, err);
}

static int check_access(const char *path, ra_error *err) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        RA_FAIL(err, IO_ERROR, "data directory %s: %s", path, strerror(ENOTDIR));
    if (access(path, R_OK | W_OK | X_OK) != 0)
        RA_FAIL(err, PERMISSION_DENIED, "data directory %s: %s", path, strerror(errno));
    return 0;
}

static int find_data_dir(ra_store *store, ra_error *err) {
    const char *given = store->options.data_dir;
    RA_TRY(make_directories(store, err));
    char absolute[PATH_MAX];
    if (!realpath(given, absolute))
        RA_FAIL(err, IO_ERROR, "data directory %s: %s", given, strerror(errno));
    if (strlen(absolute) > MAX_DATA_DIR_BYTES)
        RA_FAIL(err, INVALID_ARGUMENT, "the path of the data directory is too long: %s", absolute);
    store->data_dir = ra_strdup(absolute);
    if (!store->data_dir)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the data directory");
    store->options.data_dir = store->data_dir;
    return check_access(store->data_dir, err);
}

// Makes data_dir/.remote-arrow/`name`; `*out` (may be NULL) is for ra_free.
static int make_inside(ra_store *store, const char *name, char **out, ra_error *err) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.remote-arrow/%s", store->data_dir, name);
    RA_TRY(ra_os_mkdir(path, 0755, err));
    if (!out)
        return 0;
    *out = ra_strdup(path);
    if (!*out)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the data directory");
    return 0;
}

static int lock_data_dir(ra_store *store, ra_error *err) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.remote-arrow/lock", store->data_dir);
    return ra_lock_take(path, store->data_dir, &store->lock_fd, err);
}

// New directories must survive a crash before what is put in them.
static int sync_directories(ra_store *store, ra_error *err) {
    if (!store->options.durable)
        return 0;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.remote-arrow", store->data_dir);
    RA_TRY(ra_os_sync_dir(path, err));
    return ra_os_sync_dir(store->data_dir, err);
}

static int open_parts(ra_store *store, ra_error *err) {
    RA_TRY(find_data_dir(store, err));
    RA_TRY(make_inside(store, "", NULL, err));
    RA_TRY(lock_data_dir(store, err));
    RA_TRY(make_inside(store, "segments", &store->segments_dir, err));
    RA_TRY(make_inside(store, "tmp", &store->tmp_dir, err));
    RA_TRY(make_inside(store, "aside", NULL, err));
    RA_TRY(check_access(store->segments_dir, err));
    RA_TRY(sync_directories(store, err));
    RA_TRY(ra_segment_cache_new(MAX_OPEN_SEGMENTS, &store->cache, err));
    RA_TRY(ra_files_new(&store->files, err));
    return ra_catalog_open(store, err);
}

static void free_store(ra_store *store) {
    ra_segment_cache_free(store->cache);
    ra_files_free(store->files);
    ra_os_close(store->lock_fd);
    ra_free(store->data_dir);
    ra_free(store->segments_dir);
    ra_free(store->tmp_dir);
    ra_free(store);
}

int ra_store_open(const ra_store_options *options, ra_store **out, ra_error *err) {
    *out = NULL;
    ra_store *store = ra_calloc(1, sizeof *store);
    if (!store)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the store");
    store->options = *options;
    if (store->options.keep_versions == 0)
        store->options.keep_versions = RA_KEEP_VERSIONS;
    if (store->options.compact_parts == 0)
        store->options.compact_parts = RA_COMPACT_PARTS;
    store->lock_fd = -1;
    int rc = open_parts(store, err);
    if (rc != 0) {
        free_store(store);
        return rc;
    }
    *out = store;
    return 0;
}

void ra_store_close(ra_store *store) {
    if (!store)
        return;
    ra_catalog_close(store->catalog);
    ra_assert(atomic_load(&store->n_segments) == 0 && atomic_load(&store->spool_bytes) == 0);
    free_store(store);
}

bool ra_store_find_file(ra_store *store, ra_str name, ra_file_mark *out) {
    return ra_files_find(store->files, name, out);
}

void ra_store_sync_failed(ra_store *store, const ra_error *why) {
    if (!atomic_exchange(&store->sync_failed, true))
        ra_log(RA_LOG_ERROR, "store", "read-only from now on, since a sync failed: %s",
               why->message);
}

int ra_store_check_writable(ra_store *store, ra_error *err) {
    if (store->options.read_only)
        RA_FAIL(err, READ_ONLY, "the server is read-only");
    if (atomic_load(&store->sync_failed))
        RA_FAIL(err, UNAVAILABLE, "the store is read-only after a failed fsync");
    return 0;
}

void ra_store_get_status(ra_store *store, ra_store_status *out) {
    ra_snapshot *snapshot = ra_store_snapshot(store);
    *out = (ra_store_status){
        .n_flights = snapshot->state.n_flights,
        .n_segments = atomic_load(&store->n_segments),
        .segment_bytes = atomic_load(&store->segment_bytes),
        .spool_bytes = atomic_load(&store->spool_bytes),
        .open_segments = atomic_load(&store->open_segments),
        .read_only = store->options.read_only || atomic_load(&store->sync_failed)};
    ra_snapshot_unref(snapshot);
}
