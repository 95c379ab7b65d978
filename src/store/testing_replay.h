// For tests only: records what a store does to its files, through the gate of base/os.h, and makes
// the directory that a crash leaves behind.
//
// Two kinds of crash. After a killed process, all operations up to some moment are there, the last
// write perhaps in part. After a power loss, of what was not yet synced any part may be missing: of
// a file's bytes what was not followed by a sync of the file, of a directory's entries (files made,
// renamed into it or removed) what was not followed by a sync of the directory. A rename is whole
// or not there. A fault of these helpers ends the test program.
#ifndef RA_STORE_TESTING_REPLAY_H
#define RA_STORE_TESTING_REPLAY_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrow/testing_random.h"
#include "base/os.h"

enum { REPLAY_PATH_BYTES = 96, REPLAY_SECTOR_BYTES = 512, REPLAY_DIRECTORY = -1 };

typedef enum {
    REPLAY_CREATE,
    REPLAY_MKDIR,
    REPLAY_RENAME,
    REPLAY_UNLINK,
    REPLAY_WRITE,
    REPLAY_EXTEND,
    REPLAY_TRUNCATE,
    REPLAY_SYNC,
    REPLAY_SYNC_DIR
} replay_kind;

// Paths are relative to the root of the recording, "" is the root.
typedef struct {
    replay_kind kind;
    int file;                          // its number; of renames and unlinks the file meant
    char path[REPLAY_PATH_BYTES];      // of operations on entries, and of a directory synced
    char new_path[REPLAY_PATH_BYTES];  // of renames
    int64_t offset;
    int64_t bytes;      // of a write; the size for EXTEND and TRUNCATE
    uint8_t *data;      // of a write
    int durable_after;  // the number of the sync that covers it, INT_MAX for none
} replay_operation;

typedef struct {
    uint8_t *data;
    int64_t stored;  // bytes in `data`; those behind are zeros
    int64_t bytes;
} replay_file;

typedef struct {
    char path[REPLAY_PATH_BYTES];
    int file;  // or REPLAY_DIRECTORY
} replay_entry;

// What a root holds. Directories stand before what is in them.
typedef struct {
    int n_files;
    replay_file *files;  // by number, also those without an entry
    int n_entries;
    int entry_capacity;
    replay_entry *entries;
} replay_image;

typedef struct {
    pthread_mutex_t lock;
    const char *root;
    replay_image base;   // what was there before
    replay_image names;  // what is there now, without bytes
    int n;
    int capacity;
    replay_operation *operations;
} replay_recording;

static inline void replay_check(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "testing_replay: %s\n", what);
        abort();
    }
}

static inline void *replay_grow(void *items, int *capacity, int n, size_t item_bytes) {
    if (n < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 64;
    items = realloc(items, (size_t)*capacity * item_bytes);
    replay_check(items != NULL, "no memory");
    return items;
}

static inline void replay_image_fini(replay_image *image) {
    for (int i = 0; i < image->n_files; i++)
        free(image->files[i].data);
    free(image->files);
    free(image->entries);
    *image = (replay_image){0};
}

static inline void replay_need_file(replay_image *image, int file) {
    if (file < image->n_files)
        return;
    image->files = realloc(image->files, (size_t)(file + 1) * sizeof *image->files);
    replay_check(image->files != NULL, "no memory");
    for (; image->n_files <= file; image->n_files++)
        image->files[image->n_files] = (replay_file){0};
}

static inline replay_entry *replay_find(const replay_image *image, const char *path) {
    for (int i = 0; i < image->n_entries; i++) {
        if (strcmp(image->entries[i].path, path) == 0)
            return &image->entries[i];
    }
    return NULL;
}

static inline void replay_put_entry(replay_image *image, const char *path, int file) {
    if (file != REPLAY_DIRECTORY)
        replay_need_file(image, file);
    replay_entry *entry = replay_find(image, path);
    if (!entry) {
        image->entries = replay_grow(image->entries, &image->entry_capacity, image->n_entries,
                                     sizeof *image->entries);
        entry = &image->entries[image->n_entries++];
        snprintf(entry->path, sizeof entry->path, "%s", path);
    }
    entry->file = file;
}

static inline void replay_remove_entry(replay_image *image, const char *path, int file) {
    replay_entry *entry = replay_find(image, path);
    if (!entry || entry->file != file)
        return;
    size_t behind = (size_t)(image->entries + image->n_entries - (entry + 1));
    memmove(entry, entry + 1, behind * sizeof *entry);
    image->n_entries--;
}

static inline replay_image replay_copy(const replay_image *from, bool with_bytes) {
    replay_image to = {0};
    for (int i = 0; i < from->n_entries; i++) {
        const replay_entry *entry = &from->entries[i];
        replay_put_entry(&to, entry->path, entry->file);
        if (entry->file == REPLAY_DIRECTORY || !with_bytes)
            continue;
        replay_file *file = &to.files[entry->file];
        *file = from->files[entry->file];
        file->data = malloc((size_t)file->stored + 1);
        replay_check(file->data != NULL, "no memory");
        if (file->stored > 0)
            memcpy(file->data, from->files[entry->file].data, (size_t)file->stored);
    }
    return to;
}

static inline void replay_store(replay_image *image, int number, int64_t offset,
                                const uint8_t *data, int64_t bytes) {
    replay_need_file(image, number);
    replay_file *file = &image->files[number];
    if (offset + bytes > file->stored) {
        file->data = realloc(file->data, (size_t)(offset + bytes));
        replay_check(file->data != NULL, "no memory");
        memset(file->data + file->stored, 0, (size_t)(offset + bytes - file->stored));
        file->stored = offset + bytes;
    }
    memcpy(file->data + offset, data, (size_t)bytes);
    file->bytes = file->bytes < file->stored ? file->stored : file->bytes;
}

static inline void replay_resize(replay_image *image, int number, int64_t bytes, bool shrink) {
    replay_need_file(image, number);
    replay_file *file = &image->files[number];
    if (bytes < file->bytes && !shrink)
        return;
    file->bytes = bytes;
    if (file->stored > bytes)
        file->stored = bytes;
}

static inline void replay_apply(replay_image *image, const replay_operation *op) {
    switch (op->kind) {
        case REPLAY_CREATE:
            replay_put_entry(image, op->path, op->file);
            break;
        case REPLAY_MKDIR:
            replay_put_entry(image, op->path, REPLAY_DIRECTORY);
            break;
        case REPLAY_RENAME:
            replay_remove_entry(image, op->path, op->file);
            replay_put_entry(image, op->new_path, op->file);
            break;
        case REPLAY_UNLINK:
            replay_remove_entry(image, op->path, op->file);
            break;
        case REPLAY_WRITE:
            replay_store(image, op->file, op->offset, op->data, op->bytes);
            break;
        case REPLAY_EXTEND:
            replay_resize(image, op->file, op->bytes, false);
            break;
        case REPLAY_TRUNCATE:
            replay_resize(image, op->file, op->bytes, true);
            break;
        case REPLAY_SYNC:
        case REPLAY_SYNC_DIR:
            break;
    }
}

// Half of a write's bytes, the size it gives the file without its bytes, or any of its sectors.
static inline void replay_apply_torn(replay_image *image, const replay_operation *op,
                                     testing_rng *rng) {
    int64_t end = op->offset + op->bytes;
    switch (testing_below(rng, 4)) {
        case 0:
            replay_store(image, op->file, op->offset, op->data, op->bytes / 2);
            return;
        case 1:
            replay_resize(image, op->file, end, false);
            return;
        default:
            break;
    }
    for (int64_t at = op->offset; at < end;) {
        int64_t next = (at / REPLAY_SECTOR_BYTES + 1) * REPLAY_SECTOR_BYTES;
        next = next < end ? next : end;
        if (testing_one_in(rng, 2))
            replay_store(image, op->file, at, op->data + (at - op->offset), next - at);
        at = next;
    }
}

// The part of `path` behind the root; false when it is elsewhere.
static inline bool replay_relative(const replay_recording *r, const char *path, char *out) {
    size_t n = strlen(r->root);
    if (strncmp(path, r->root, n) != 0 || (path[n] != 0 && path[n] != '/'))
        return false;
    int length = snprintf(out, REPLAY_PATH_BYTES, "%s", path[n] ? path + n + 1 : "");
    replay_check(length < REPLAY_PATH_BYTES, "a path is too long");
    if (length > 0 && out[length - 1] == '/')
        out[length - 1] = 0;
    return true;
}

// The number of the open file `fd`; false when it is elsewhere or has no name any more.
static inline bool replay_file_of(const replay_recording *r, int fd, int *file) {
    char link[64], path[PATH_MAX + 1], relative[REPLAY_PATH_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX);
    replay_check(n > 0, "an unknown descriptor");
    path[n] = 0;
    if (!replay_relative(r, path, relative))
        return false;
    const replay_entry *entry = replay_find(&r->names, relative);
    if (!entry)
        return false;
    *file = entry->file;
    return true;
}

static inline void replay_push(replay_recording *r, const replay_operation *op) {
    r->operations = replay_grow(r->operations, &r->capacity, r->n, sizeof *r->operations);
    r->operations[r->n++] = *op;
    if (op->kind <= REPLAY_UNLINK)
        replay_apply(&r->names, op);
}

static inline void replay_note_path(replay_recording *r, const ra_os_event *event) {
    replay_operation op = {.file = REPLAY_DIRECTORY};
    char real[PATH_MAX];
    const char *path = event->path;
    if (event->call == RA_OS_SYNC_DIR)
        path = realpath(path, real);
    if (!path || !replay_relative(r, path, op.path))
        return;
    const replay_entry *entry = replay_find(&r->names, op.path);
    if (event->call == RA_OS_OPEN) {
        replay_check((event->bytes & O_TRUNC) == 0, "a file is truncated as it is opened");
        if (entry || (event->bytes & O_CREAT) == 0)
            return;
        op.kind = REPLAY_CREATE;
        op.file = r->names.n_files;
    } else if (event->call == RA_OS_MKDIR) {
        if (entry)
            return;
        op.kind = REPLAY_MKDIR;
    } else if (event->call == RA_OS_SYNC_DIR) {
        op.kind = REPLAY_SYNC_DIR;
    } else {
        if (!entry)
            return;
        op.file = entry->file;
        op.kind = event->call == RA_OS_RENAME ? REPLAY_RENAME : REPLAY_UNLINK;
        if (event->new_path && !replay_relative(r, event->new_path, op.new_path))
            return;
    }
    replay_push(r, &op);
}

static inline void replay_note_file(replay_recording *r, const ra_os_event *event) {
    replay_operation op = {.offset = event->offset, .bytes = event->bytes};
    if (!replay_file_of(r, event->fd, &op.file))
        return;
    op.kind = REPLAY_WRITE;
    if (event->call == RA_OS_SYNC)
        op.kind = REPLAY_SYNC;
    if (event->call == RA_OS_TRUNCATE)
        op.kind = REPLAY_TRUNCATE;
    if (event->call == RA_OS_ALLOCATE) {
        op.kind = REPLAY_EXTEND;
        op.bytes += event->offset;
    }
    if (op.kind == REPLAY_WRITE) {
        uint8_t *at = op.data = malloc((size_t)op.bytes + 1);
        replay_check(at != NULL, "no memory");
        for (int i = 0; i < event->n_iov; i++) {
            memcpy(at, event->iov[i].iov_base, event->iov[i].iov_len);
            at += event->iov[i].iov_len;
        }
    }
    replay_push(r, &op);
}

static inline int replay_gate(void *context, const ra_os_event *event) {
    replay_recording *r = context;
    if (event->call == RA_OS_ALLOC || event->call == RA_OS_READ || event->call == RA_OS_MAP)
        return 0;
    pthread_mutex_lock(&r->lock);
    if (event->path)
        replay_note_path(r, event);
    else
        replay_note_file(r, event);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

// Records from now on what happens below `root`, which holds what `base` does (NULL: nothing).
static inline void replay_begin(replay_recording *r, const char *root, const replay_image *base) {
    *r = (replay_recording){.root = root};
    pthread_mutex_init(&r->lock, NULL);
    if (base) {
        r->base = replay_copy(base, true);
        r->names = replay_copy(base, false);
    }
    ra_os_set_gate(replay_gate, r);
}

static inline int replay_count(replay_recording *r) {
    pthread_mutex_lock(&r->lock);
    int n = r->n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static inline bool replay_covers(const replay_operation *sync, const replay_operation *op) {
    if (op->kind >= REPLAY_WRITE)
        return sync->kind == REPLAY_SYNC && sync->file == op->file;
    const char *path = op->kind == REPLAY_RENAME ? op->new_path : op->path;
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return sync->kind == REPLAY_SYNC_DIR && strlen(sync->path) == n &&
           memcmp(sync->path, path, n) == 0;
}

static inline void replay_end(replay_recording *r) {
    ra_os_set_gate(NULL, NULL);
    for (int i = 0; i < r->n; i++) {
        replay_operation *op = &r->operations[i];
        op->durable_after = INT_MAX;
        for (int j = i + 1; j < r->n && op->durable_after == INT_MAX; j++) {
            if (replay_covers(&r->operations[j], op))
                op->durable_after = j;
        }
    }
}

static inline void replay_fini(replay_recording *r) {
    for (int i = 0; i < r->n; i++)
        free(r->operations[i].data);
    free(r->operations);
    replay_image_fini(&r->base);
    replay_image_fini(&r->names);
    pthread_mutex_destroy(&r->lock);
}

// What a power loss after the first `n` operations leaves: each that is not synced is there in
// `keep` of 4 cases (0: never), writes perhaps in part.
static inline replay_image replay_power_loss(const replay_recording *r, int n, int keep,
                                             testing_rng *rng) {
    replay_image image = replay_copy(&r->base, true);
    for (int i = 0; i < n; i++) {
        const replay_operation *op = &r->operations[i];
        bool whole = op->durable_after < n || testing_below(rng, 4) < keep;
        if (whole)
            replay_apply(&image, op);
        else if (op->kind == REPLAY_WRITE && keep > 0)
            replay_apply_torn(&image, op, rng);
    }
    return image;
}

// Makes the files below `root`. What is in directories that are not there is lost with them.
static inline void replay_write(const replay_image *image, const char *root) {
    char path[PATH_MAX];
    for (int i = 0; i < image->n_entries; i++) {
        snprintf(path, sizeof path, "%s/%s", root, image->entries[i].path);
        if (image->entries[i].file == REPLAY_DIRECTORY)
            replay_check(mkdir(path, 0755) == 0 || errno == ENOENT, "cannot make a directory");
    }
    for (int i = 0; i < image->n_entries; i++) {
        if (image->entries[i].file == REPLAY_DIRECTORY)
            continue;
        const replay_file *file = &image->files[image->entries[i].file];
        snprintf(path, sizeof path, "%s/%s", root, image->entries[i].path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 && errno == ENOENT)
            continue;
        replay_check(fd >= 0, "cannot make a file");
        for (int64_t at = 0; at < file->stored;) {
            ssize_t done = write(fd, file->data + at, (size_t)(file->stored - at));
            replay_check(done > 0, "cannot write a file");
            at += done;
        }
        replay_check(ftruncate(fd, file->bytes) == 0, "cannot size a file");
        close(fd);
    }
}

#endif
