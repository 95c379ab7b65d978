#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_name.h"
#include "base/log.h"
#include "base/os.h"
#include "store/catalog_copy.h"

// A backup that is being made is a folder of this prefix and a random number, locked.
#define PARTIAL ".partial-"

enum {
    PATH_BYTES = PATH_MAX + NAME_MAX + 64,
    MAX_FOLDER_BYTES = 3000,
    COPY_BYTES = 64 * 1024 * 1024,
    LIST_CEILING = INT32_MAX
};

typedef struct {
    ra_store *store;
    const atomic_bool *cancelled;
    char partial[PATH_BYTES];
    ra_bytes segments;  // ra_state_list_segments
    size_t n_held;      // of them, from the first on; what comes before `n_done` no longer
    size_t n_done;
    ra_backup *result;
} backup;

static int fail_cancelled(ra_error *err) {
    RA_FAIL(err, CANCELLED, "the caller is gone");
}

// The files.

static int64_t count_flights(const ra_state *state) {
    int64_t at = 0, n = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&state->flights, &at)); at++)
        n += !ra_id_tree_get(&state->unwritten, flight->row);
    return n;
}

static int copy_bytes(const backup *b, int from, int to, int64_t bytes, ra_error *err) {
    for (int64_t at = 0; at < bytes; at += COPY_BYTES) {
        if (atomic_load(b->cancelled))
            return fail_cancelled(err);
        RA_TRY(ra_os_copy(from, to, at, bytes - at < COPY_BYTES ? bytes - at : COPY_BYTES, err));
    }
    return ra_os_sync(to, err);
}

static int copy_file(const backup *b, const char *from, const char *to, int64_t bytes,
                     ra_error *err) {
    int in, out;
    RA_TRY(ra_os_open(from, O_RDONLY, 0, &in, err));
    int rc = ra_os_open(to, O_WRONLY | O_CREAT | O_EXCL, 0644, &out, err);
    if (rc == 0)
        rc = copy_bytes(b, in, out, bytes, err);
    ra_os_close(out);
    ra_os_close(in);
    return rc;
}

static int sync_file(const char *path, ra_error *err) {
    int fd;
    RA_TRY(ra_os_open(path, O_RDONLY, 0, &fd, err));
    int rc = ra_os_sync(fd, err);
    ra_os_close(fd);
    return rc;
}

static int place_file(const backup *b, const ra_segment *segment, const char *from, ra_error *err) {
    char to[PATH_BYTES + 64];
    bool linked;
    snprintf(to, sizeof to, "%s/.remote-arrow/segments/%016" PRIx64 ".arrow", b->partial,
             segment->id);
    RA_TRY(ra_os_link(from, to, &linked, err));
    if (!linked)
        return copy_file(b, from, to, segment->file_bytes, err);
    b->result->linked_bytes += segment->file_bytes;
    return atomic_load(&segment->synced) ? 0 : sync_file(to, err);
}

static int add_file(const backup *b, const ra_segment *segment, ra_error *err) {
    char from[RA_SEGMENT_PATH_BYTES];
    if (atomic_load(b->cancelled))
        return fail_cancelled(err);
    ra_segment_print_path(b->store, segment->id, true, from);
    if (access(from, F_OK) != 0 && errno == ENOENT) {
        b->result->n_missing++;
        return 0;
    }
    RA_TRY(place_file(b, segment, from, err));
    b->result->n_files++;
    b->result->n_bytes += segment->file_bytes;
    return 0;
}

static ra_segment *segment_at(const backup *b, size_t i) {
    return ((ra_segment *const *)(const void *)b->segments.data)[i];
}

// The list is not held for longer than this: its files are, each until it has been placed, so that
// those of Flights that are deleted meanwhile go one by one.
static int hold_files(backup *b, const ra_snapshot *snapshot, ra_error *err) {
    b->result->n_flights = count_flights(&snapshot->state);
    RA_TRY(ra_state_list_segments(&snapshot->state, &b->segments, err));
    for (size_t n = b->segments.len / sizeof(ra_segment *); b->n_held < n; b->n_held++)
        ra_segment_hold(ra_segment_ref(segment_at(b, b->n_held)));
    return 0;
}

static int add_files(backup *b, ra_error *err) {
    int rc = 0;
    for (; rc == 0 && b->n_done < b->n_held; b->n_done++) {
        rc = add_file(b, segment_at(b, b->n_done), err);
        ra_segment_drop_hold(segment_at(b, b->n_done));
    }
    return rc;
}

// The folder.

static int make_folders(const backup *b, ra_error *err) {
    static const char *const folders[] = {"/.remote-arrow", "/.remote-arrow/segments"};
    char path[PATH_BYTES + 64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%s", b->partial, folders[i]);
        RA_TRY(ra_os_mkdir(path, 0755, err));
    }
    return 0;
}

static int sync_folders(const backup *b, ra_error *err) {
    static const char *const folders[] = {"/.remote-arrow/segments", "/.remote-arrow", ""};
    char path[PATH_BYTES + 64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%s", b->partial, folders[i]);
        RA_TRY(ra_os_sync_dir(path, err));
    }
    return 0;
}

static int fill(backup *b, ra_error *err) {
    char catalog[PATH_BYTES + 64];
    ra_snapshot *snapshot;
    RA_TRY(make_folders(b, err));
    snprintf(catalog, sizeof catalog, "%s/.remote-arrow/catalog.db", b->partial);
    RA_TRY(ra_catalog_copy_make(b->store->catalog, catalog, &snapshot, err));
    int rc = hold_files(b, snapshot, err);
    ra_snapshot_unref(snapshot);
    RA_TRY(rc);
    RA_TRY(add_files(b, err));
    RA_TRY(sync_file(catalog, err));
    return sync_folders(b, err);
}

// The lock tells others that the folder is not a leftover.
static int make_partial(backup *b, const char *folder, int *lock, ra_error *err) {
    uint64_t random;
    ra_os_random(&random, sizeof random);
    snprintf(b->partial, sizeof b->partial, "%s/" PARTIAL "%016" PRIx64, folder, random);
    RA_TRY(ra_os_mkdir(b->partial, 0755, err));
    RA_TRY(ra_os_open(b->partial, O_RDONLY | O_DIRECTORY, 0, lock, err));
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0)
        RA_FAIL(err, IO_ERROR, "lock %s: %s", b->partial, strerror(errno));
    return 0;
}

// Gives the folder its name. From then on `*at` is where it is.
static int place(const backup *b, const char *folder, const char *final, const char **at,
                 ra_error *err) {
    RA_TRY(ra_os_rename_new(b->partial, final, err));
    *at = final;
    return ra_os_sync_dir(folder, err);
}

static int make(backup *b, const char *folder, const char *final, ra_error *err) {
    int lock = -1;
    const char *at = b->partial;
    int rc = make_partial(b, folder, &lock, err);
    if (rc == 0)
        rc = fill(b, err);
    if (rc == 0)
        rc = place(b, folder, final, &at, err);
    ra_error why;
    if (rc != 0 && access(at, F_OK) == 0 && ra_os_remove_tree(at, &why) != 0)
        ra_log(RA_LOG_WARNING, "store", "an unfinished backup is left: %s", why.message);
    ra_os_close(lock);
    return rc;
}

int ra_backup_make(ra_store *store, const char *folder, ra_str name, const atomic_bool *cancelled,
                   ra_backup *out, ra_error *err) {
    char final[PATH_BYTES];
    struct stat there;
    *out = (ra_backup){0};
    RA_TRY(ra_file_name_check(name, "a backup", err));
    snprintf(final, sizeof final, "%s/%.*s", folder, (int)name.len, name.data);
    if (lstat(final, &there) == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "the backup '%.*s' exists", RA_STR_ARG(name));
    backup b = {.store = store, .cancelled = cancelled, .result = out};
    ra_bytes_init(&b.segments, LIST_CEILING);
    int rc = make(&b, folder, final, err);
    while (b.n_done < b.n_held)
        ra_segment_drop_hold(segment_at(&b, b.n_done++));
    ra_bytes_fini(&b.segments);
    if (rc != 0)
        ra_error_prefix(err, "backup '%.*s'", RA_STR_ARG(name));
    return rc;
}

// Removes a folder that nobody is filling.
static void remove_partial(const char *folder, const char *name) {
    char path[PATH_BYTES];
    ra_error why;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
        if (ra_os_remove_tree(path, &why) == 0)
            ra_log(RA_LOG_WARNING, "store", "an unfinished backup was removed: %s", path);
        else
            ra_log(RA_LOG_WARNING, "store", "an unfinished backup is left: %s", why.message);
    }
    ra_os_close(lock);
}

static int clean(const char *folder, ra_error *err) {
    DIR *stream = opendir(folder);
    if (!stream || access(folder, W_OK | X_OK) != 0) {
        int code = errno;
        if (stream)
            closedir(stream);
        RA_FAIL(err, INVALID_ARGUMENT, "--backup-dir %s: %s", folder, strerror(code));
    }
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (strncmp(entry->d_name, PARTIAL, sizeof PARTIAL - 1) == 0)
            remove_partial(folder, entry->d_name);
    closedir(stream);
    return 0;
}

int ra_backup_open_folder(const char *folder, char **out, ra_error *err) {
    char absolute[PATH_MAX];
    *out = NULL;
    if (!realpath(folder, absolute))
        RA_FAIL(err, INVALID_ARGUMENT, "--backup-dir %s: %s", folder, strerror(errno));
    if (strlen(absolute) > MAX_FOLDER_BYTES)
        RA_FAIL(err, INVALID_ARGUMENT, "--backup-dir: the path is too long");
    RA_TRY(clean(absolute, err));
    *out = ra_strdup(absolute);
    if (!*out)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a path");
    return 0;
}
