// The operating system as the rest of the server sees it: memory, files, clocks, random numbers.
//
// Every call passes one gate, `ra_os_gate`, so that a test can fail the n-th allocation or file
// call, or record what was written and in which order. Without a gate set the cost is one load.
#ifndef RA_BASE_OS_H
#define RA_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

typedef enum {
    RA_OS_ALLOC,
    RA_OS_OPEN,
    RA_OS_READ,
    RA_OS_WRITE,
    RA_OS_ALLOCATE,
    RA_OS_TRUNCATE,
    RA_OS_SYNC,
    RA_OS_SYNC_DIR,
    RA_OS_RENAME,
    RA_OS_UNLINK,
    RA_OS_MKDIR,
    RA_OS_MAP,
    RA_OS_LINK,
    RA_OS_COPY,
    RA_N_OS_CALLS
} ra_os_call;

// One call that is about to happen. `fd` is -1 and paths are NULL where they do not apply.
typedef struct {
    ra_os_call call;
    int fd;
    const char *path;
    const char *new_path;
    const struct iovec *iov;
    int n_iov;
    int64_t offset;
    int64_t bytes;
} ra_os_event;

// Returns 0 to let the call happen or an errno to fail it with. Called by any thread.
typedef int (*ra_os_gate_fn)(void *context, const ra_os_event *event);
// Sets the gate for the whole process (NULL removes it, with calls of other threads perhaps still
// in it, so that `context` outlives them). Any thread; no gate may be set on top of another.
void ra_os_set_gate(ra_os_gate_fn gate, void *context);

// Memory. NULL on failure; sizes of 0 are legal and give a unique pointer.
void *ra_malloc(size_t bytes);
void *ra_calloc(size_t count, size_t bytes);
void *ra_realloc(void *p, size_t bytes);
void *ra_aligned_alloc(size_t alignment, size_t bytes);
char *ra_strdup(const char *text);
void ra_free(void *p);

// Files. Each returns 0 or fails with IO_ERROR (DISK_FULL for ENOSPC and EDQUOT) naming the path.
// Reads and writes are complete or failed: short ones are continued, EINTR is repeated.
RA_MUST int ra_os_open(const char *path, int flags, mode_t mode, int *fd, ra_error *err);
void ra_os_close(int fd);
RA_MUST int ra_os_pread(int fd, void *data, size_t bytes, int64_t offset, ra_error *err);
RA_MUST int ra_os_pwrite(int fd, const void *data, size_t bytes, int64_t offset, ra_error *err);
RA_MUST int ra_os_pwritev(int fd, const struct iovec *iov, int n_iov, int64_t offset,
                          ra_error *err);
// Reserves blocks and extends the file. File systems without fallocate succeed without reserving.
RA_MUST int ra_os_allocate(int fd, int64_t offset, int64_t bytes, ra_error *err);
RA_MUST int ra_os_truncate(int fd, int64_t bytes, ra_error *err);
RA_MUST int ra_os_sync(int fd, ra_error *err);
RA_MUST int ra_os_sync_dir(const char *path, ra_error *err);
RA_MUST int ra_os_rename(const char *from, const char *to, ra_error *err);
// Fails with INVALID_ARGUMENT when there is something of that name already, be it an empty folder.
RA_MUST int ra_os_rename_new(const char *from, const char *to, ra_error *err);
// A further name for a file. `*linked` is false, without an error, where that cannot be: on another
// file system, on one without links, for another user's file.
RA_MUST int ra_os_link(const char *from, const char *to, bool *linked, ra_error *err);
// Copies bytes between files, by sharing blocks or within the kernel where that can be. Should be
// called with a few MiB at a time and whole blocks.
RA_MUST int ra_os_copy(int from, int to, int64_t offset, int64_t bytes, ra_error *err);
RA_MUST int ra_os_unlink(const char *path, ra_error *err);              // a missing file is success
RA_MUST int ra_os_mkdir(const char *path, mode_t mode, ra_error *err);  // an existing one too
// Removes a folder and what is in it, links not followed. Not gated.
RA_MUST int ra_os_remove_tree(const char *path, ra_error *err);
// Maps `bytes` (> 0) of `fd` from 0 for reading, shared.
RA_MUST int ra_os_map(int fd, size_t bytes, const uint8_t **data, ra_error *err);
void ra_os_unmap(const void *data, size_t bytes);

// Marks the calling thread as one that must never wait for a disk: what would, such as removing a
// file with the last reference to it, is then handed to another thread.
void ra_os_thread_set_nonblocking(void);
bool ra_os_thread_is_nonblocking(void);

// Clocks: monotonic and wall-clock nanoseconds.
int64_t ra_os_now_ns(void);
int64_t ra_os_wall_ns(void);

// Fills `data` with random bytes from the kernel; cannot fail after start.
void ra_os_random(void *data, size_t bytes);

// Found out at the first call, the same for the life of the process.
// Memory that this process may use: the limit of its cgroup (v2) or of one above, else the
// machine's.
int64_t ra_os_memory_bytes(void);
// Cores that this process may use, at least 1: affinity and the cgroup v2 quota.
int ra_os_cores(void);
// Bytes free (to us) and in all on the file system of `path`.
RA_MUST int ra_os_disk(const char *path, int64_t *free_bytes, int64_t *total_bytes, ra_error *err);

#endif
