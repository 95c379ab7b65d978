#include "store/recovery.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/os.h"

enum { PATH_BYTES = 4096 + 256, ASIDE_SECONDS = 24 * 3600 };

// Calls visit(context, dir, name) for each entry but . and .., until one fails.
typedef int (*visit_fn)(void *context, const char *dir, const char *name, ra_error *err);

static int walk(const char *dir, visit_fn visit, void *context, ra_error *err) {
    DIR *stream = opendir(dir);
    if (!stream)
        RA_FAIL(err, IO_ERROR, "open %s: %s", dir, strerror(errno));
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = visit(context, dir, entry->d_name, err);
    }
    if (rc == 0 && errno != 0)
        rc = ra_error_set(err, RA_REASON_IO_ERROR, "read %s: %s", dir, strerror(errno));
    closedir(stream);
    return rc;
}

// What cannot be removed is in nobody's way.
static int remove_entry(void *context, const char *dir, const char *name, ra_error *err) {
    (void)context;
    (void)err;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    ra_error why;
    if (ra_os_unlink(path, &why) != 0)
        ra_log(RA_LOG_WARNING, "store", "%s", why.message);
    return 0;
}

int ra_recovery_clean_tmp(ra_store *store, ra_error *err) {
    return walk(store->tmp_dir, remove_entry, NULL, err);
}

ra_found_segment *ra_recovery_find(ra_found_segment *found, int n, uint64_t id) {
    int low = 0, high = n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if ((int64_t)found[middle].segment->id < (int64_t)id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && found[low].segment->id == id ? &found[low] : NULL;
}

// "<16 hex digits>.arrow"
static bool read_segment_name(const char *name, uint64_t *id) {
    if (strlen(name) != 22 || strcmp(name + 16, ".arrow") != 0 ||
        strspn(name, "0123456789abcdef") != 16)
        return false;
    *id = strtoull(name, NULL, 16);
    return true;
}

typedef struct {
    ra_store *store;
    char aside_dir[PATH_BYTES];
    int64_t now_s;
    ra_found_segment *found;
    int n_found;
    int n_moved;
    bool only_looks;
} file_check;

static int set_aside(file_check *check, const char *path, const char *name, ra_error *err) {
    char to[2 * PATH_BYTES];
    snprintf(to, sizeof to, "%s/%" PRId64 "-%s", check->aside_dir, check->now_s, name);
    check->n_moved++;
    return ra_os_rename(path, to, err);
}

static int check_file(void *context, const char *dir, const char *name, ra_error *err) {
    file_check *check = context;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    uint64_t id;
    ra_found_segment *slot =
        read_segment_name(name, &id) ? ra_recovery_find(check->found, check->n_found, id) : NULL;
    if (!slot)
        return check->only_looks ? 0 : set_aside(check, path, name, err);
    struct stat st;
    if (stat(path, &st) != 0)
        RA_FAIL(err, IO_ERROR, "stat %s: %s", path, strerror(errno));
    slot->present = st.st_size == slot->segment->file_bytes;
    return 0;
}

// The name tells when a file was put aside: "<seconds>-<name>".
static int remove_old(void *context, const char *dir, const char *name, ra_error *err) {
    const file_check *check = context;
    char *end;
    long long since_s = strtoll(name, &end, 10);
    if (*end != '-' || check->now_s - since_s < ASIDE_SECONDS)
        return 0;
    return remove_entry(NULL, dir, name, err);
}

int ra_recovery_look_at_files(ra_store *store, ra_found_segment *found, int n, ra_error *err) {
    file_check check = {.store = store, .found = found, .n_found = n, .only_looks = true};
    return walk(store->segments_dir, check_file, &check, err);
}

int ra_recovery_check_files(ra_store *store, ra_found_segment *found, int n, ra_error *err) {
    file_check *check = ra_calloc(1, sizeof *check);
    if (!check)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to look at the files of the data directory");
    check->store = store;
    check->now_s = ra_os_wall_ns() / 1000000000;
    check->found = found;
    check->n_found = n;
    snprintf(check->aside_dir, sizeof check->aside_dir, "%s/.remote-arrow/aside", store->data_dir);
    int rc = walk(store->segments_dir, check_file, check, err);
    if (rc == 0)
        rc = walk(check->aside_dir, remove_old, check, err);
    if (check->n_moved > 0)
        ra_log(RA_LOG_WARNING, "store", "%d unknown files were moved to %s", check->n_moved,
               check->aside_dir);
    ra_free(check);
    return rc;
}
