#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/checked.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Arrow buffers are read in place");

static _Atomic(ra_os_gate_fn) gate_fn;
static _Atomic(void *)
    gate_context;  // of the last gate, also when that is gone: a call may be in it

void ra_os_set_gate(ra_os_gate_fn gate, void *context) {
    if (gate)
        atomic_store(&gate_context, context);
    atomic_store(&gate_fn, gate);
}

static int pass_gate(const ra_os_event *event) {
    ra_os_gate_fn gate = atomic_load_explicit(&gate_fn, memory_order_acquire);
    return gate ? gate(atomic_load_explicit(&gate_context, memory_order_relaxed), event) : 0;
}

static bool may_allocate(size_t bytes) {
    if (!atomic_load_explicit(&gate_fn, memory_order_relaxed))
        return true;
    ra_os_event event = {.call = RA_OS_ALLOC, .fd = -1, .bytes = (int64_t)bytes};
    return pass_gate(&event) == 0;
}

void *ra_malloc(size_t bytes) {
    return may_allocate(bytes) ? malloc(bytes ? bytes : 1) : NULL;
}

void *ra_calloc(size_t count, size_t bytes) {
    return may_allocate(bytes) ? calloc(count ? count : 1, bytes ? bytes : 1) : NULL;
}

void *ra_realloc(void *p, size_t bytes) {
    return may_allocate(bytes) ? realloc(p, bytes ? bytes : 1) : NULL;
}

void *ra_aligned_alloc(size_t alignment, size_t bytes) {
    size_t rounded = (size_t)ra_round_up((int64_t)bytes, (int64_t)alignment);
    return may_allocate(bytes) ? aligned_alloc(alignment, rounded ? rounded : alignment) : NULL;
}

char *ra_strdup(const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = ra_malloc(n);
    return copy ? memcpy(copy, text, n) : NULL;
}

void ra_free(void *p) {
    free(p);
}

static int fail_call(ra_error *err, int code, const char *what, const char *path) {
    ra_reason reason = code == ENOSPC || code == EDQUOT ? RA_REASON_DISK_FULL : RA_REASON_IO_ERROR;
    char text[128];
    const char *words = strerror_r(code, text, sizeof text);
    if (path)
        return ra_error_set(err, reason, "%s %s: %s", what, path, words);
    return ra_error_set(err, reason, "%s: %s", what, words);
}

int ra_os_open(const char *path, int flags, mode_t mode, int *fd, ra_error *err) {
    ra_os_event event = {.call = RA_OS_OPEN, .fd = -1, .path = path, .bytes = flags};
    int code = pass_gate(&event);
    if (code == 0) {
        do
            *fd = open(path, flags | O_CLOEXEC, mode);
        while (*fd < 0 && errno == EINTR);
        if (*fd >= 0)
            return 0;
        code = errno;
    }
    *fd = -1;
    return fail_call(err, code, "open", path);
}

void ra_os_close(int fd) {
    if (fd >= 0)
        close(fd);
}

int ra_os_pread(int fd, void *data, size_t bytes, int64_t offset, ra_error *err) {
    ra_os_event event = {.call = RA_OS_READ, .fd = fd, .offset = offset, .bytes = (int64_t)bytes};
    int code = pass_gate(&event);
    uint8_t *at = data;
    while (code == 0 && bytes > 0) {
        ssize_t n = pread(fd, at, bytes, offset);
        if (n == 0)
            RA_FAIL(err, IO_ERROR, "read: file ends %zu bytes early", bytes);
        if (n > 0) {
            at += n;
            offset += n;
            bytes -= (size_t)n;
        } else if (errno != EINTR) {
            code = errno;
        }
    }
    return code ? fail_call(err, code, "read", NULL) : 0;
}

int ra_os_pwrite(int fd, const void *data, size_t bytes, int64_t offset, ra_error *err) {
    struct iovec iov = {(void *)(uintptr_t)data, bytes};
    return ra_os_pwritev(fd, &iov, 1, offset, err);
}

// Writes a window of at most IOV_MAX entries, `skip` bytes of the first one already written.
static ssize_t write_window(int fd, const struct iovec *iov, int n_iov, size_t skip,
                            int64_t offset) {
    struct iovec window[64];
    int n = n_iov < 64 ? n_iov : 64;
    memcpy(window, iov, (size_t)n * sizeof *iov);
    window[0].iov_base = (uint8_t *)window[0].iov_base + skip;
    window[0].iov_len -= skip;
    return pwritev(fd, window, n, offset);
}

int ra_os_pwritev(int fd, const struct iovec *iov, int n_iov, int64_t offset, ra_error *err) {
    ra_os_event event = {
        .call = RA_OS_WRITE, .fd = fd, .iov = iov, .n_iov = n_iov, .offset = offset};
    for (int i = 0; i < n_iov; i++)
        event.bytes += (int64_t)iov[i].iov_len;
    int code = pass_gate(&event);
    size_t skip = 0;
    while (code == 0) {
        while (n_iov > 0 && skip >= iov[0].iov_len) {
            skip -= iov[0].iov_len;
            iov++;
            n_iov--;
        }
        if (n_iov == 0)
            return 0;
        ssize_t n = write_window(fd, iov, n_iov, skip, offset);
        if (n >= 0) {
            skip += (size_t)n;
            offset += n;
        } else if (errno != EINTR) {
            code = errno;
        }
    }
    return fail_call(err, code, "write", NULL);
}

int ra_os_allocate(int fd, int64_t offset, int64_t bytes, ra_error *err) {
    ra_os_event event = {.call = RA_OS_ALLOCATE, .fd = fd, .offset = offset, .bytes = bytes};
    int code = pass_gate(&event);
    while (code == 0) {
        if (fallocate(fd, 0, offset, bytes) == 0)
            return 0;
        if (errno == EOPNOTSUPP || errno == ENOSYS)
            return 0;
        if (errno != EINTR)
            code = errno;
    }
    return fail_call(err, code, "allocate", NULL);
}

int ra_os_truncate(int fd, int64_t bytes, ra_error *err) {
    ra_os_event event = {.call = RA_OS_TRUNCATE, .fd = fd, .bytes = bytes};
    int code = pass_gate(&event);
    if (code == 0 && ftruncate(fd, bytes) != 0)
        code = errno;
    return code ? fail_call(err, code, "truncate", NULL) : 0;
}

int ra_os_sync(int fd, ra_error *err) {
    ra_os_event event = {.call = RA_OS_SYNC, .fd = fd};
    int code = pass_gate(&event);
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    return code ? fail_call(err, code, "fsync", NULL) : 0;
}

int ra_os_sync_dir(const char *path, ra_error *err) {
    ra_os_event event = {.call = RA_OS_SYNC_DIR, .fd = -1, .path = path};
    int code = pass_gate(&event);
    if (code)
        return fail_call(err, code, "fsync", path);
    int fd;
    RA_TRY(ra_os_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, err));
    if (fsync(fd) != 0)
        code = errno;
    ra_os_close(fd);
    return code ? fail_call(err, code, "fsync", path) : 0;
}

int ra_os_rename(const char *from, const char *to, ra_error *err) {
    ra_os_event event = {.call = RA_OS_RENAME, .fd = -1, .path = from, .new_path = to};
    int code = pass_gate(&event);
    if (code == 0 && rename(from, to) != 0)
        code = errno;
    return code ? fail_call(err, code, "rename", from) : 0;
}

int ra_os_rename_new(const char *from, const char *to, ra_error *err) {
    ra_os_event event = {.call = RA_OS_RENAME, .fd = -1, .path = from, .new_path = to};
    int code = pass_gate(&event);
    if (code == 0 && renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        code = errno;
    if (code == EEXIST)
        RA_FAIL(err, INVALID_ARGUMENT, "%s exists", to);
    return code ? fail_call(err, code, "rename", from) : 0;
}

static bool is_link_impossible(int code) {
    return code == EXDEV || code == EPERM || code == EMLINK || code == EOPNOTSUPP || code == ENOSYS;
}

int ra_os_link(const char *from, const char *to, bool *linked, ra_error *err) {
    ra_os_event event = {.call = RA_OS_LINK, .fd = -1, .path = from, .new_path = to};
    int code = pass_gate(&event);
    *linked = code == 0 && link(from, to) == 0;
    if (code == 0 && !*linked && !is_link_impossible(errno))
        code = errno;
    return code ? fail_call(err, code, "link", from) : 0;
}

// Copies through memory. 0, or an errno.
static int copy_by_hand(int from, int to, int64_t offset, int64_t bytes) {
    enum { CHUNK_BYTES = 64 * 1024 };
    uint8_t chunk[CHUNK_BYTES];
    while (bytes > 0) {
        size_t wanted = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
        ssize_t n = pread(from, chunk, wanted, offset);
        if (n == 0)
            return EIO;  // the file is shorter than it was said to be
        ssize_t written = n > 0 ? pwrite(to, chunk, (size_t)n, offset) : -1;
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            offset += written;
            bytes -= written;
        }
    }
    return 0;
}

// What copy_file_range says where it cannot work: old kernels, two file systems, special files.
static bool is_range_copy_impossible(int code) {
    return code == EXDEV || code == EINVAL || code == ENOSYS || code == EOPNOTSUPP || code == EPERM;
}

int ra_os_copy(int from, int to, int64_t offset, int64_t bytes, ra_error *err) {
    ra_os_event event = {.call = RA_OS_COPY, .fd = to, .offset = offset, .bytes = bytes};
    int code = pass_gate(&event);
    while (code == 0 && bytes > 0) {
        off_t from_at = offset, to_at = offset;
        ssize_t n = copy_file_range(from, &from_at, to, &to_at, (size_t)bytes, 0);
        if (n > 0) {
            offset += n;
            bytes -= n;
        } else if (n == 0 || is_range_copy_impossible(errno)) {
            code = copy_by_hand(from, to, offset, bytes);
            bytes = 0;
        } else if (errno != EINTR) {
            code = errno;
        }
    }
    return code ? fail_call(err, code, "copy", NULL) : 0;
}

static int remove_visited(const char *path, const struct stat *about, int kind, struct FTW *at) {
    (void)about, (void)kind, (void)at;
    return remove(path);
}

int ra_os_remove_tree(const char *path, ra_error *err) {
    enum { OPEN_FOLDERS = 16 };
    if (nftw(path, remove_visited, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return fail_call(err, errno, "remove", path);
    return 0;
}

int ra_os_unlink(const char *path, ra_error *err) {
    ra_os_event event = {.call = RA_OS_UNLINK, .fd = -1, .path = path};
    int code = pass_gate(&event);
    if (code == 0 && unlink(path) != 0 && errno != ENOENT)
        code = errno;
    return code ? fail_call(err, code, "unlink", path) : 0;
}

int ra_os_mkdir(const char *path, mode_t mode, ra_error *err) {
    ra_os_event event = {.call = RA_OS_MKDIR, .fd = -1, .path = path};
    int code = pass_gate(&event);
    if (code == 0 && mkdir(path, mode) != 0 && errno != EEXIST)
        code = errno;
    return code ? fail_call(err, code, "mkdir", path) : 0;
}

int ra_os_map(int fd, size_t bytes, const uint8_t **data, ra_error *err) {
    ra_assert(bytes > 0);
    ra_os_event event = {.call = RA_OS_MAP, .fd = fd, .bytes = (int64_t)bytes};
    int code = pass_gate(&event);
    void *p = NULL;
    if (code == 0) {
        p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            code = errno;
    }
    if (code) {
        *data = NULL;
        return fail_call(err, code, "map", NULL);
    }
    *data = p;
    return 0;
}

void ra_os_unmap(const void *data, size_t bytes) {
    if (data)
        munmap((void *)(uintptr_t)data, bytes);
}

static _Thread_local bool is_nonblocking;

void ra_os_thread_set_nonblocking(void) {
    is_nonblocking = true;
}

bool ra_os_thread_is_nonblocking(void) {
    return is_nonblocking;
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t ra_os_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t ra_os_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

void ra_os_random(void *data, size_t bytes) {
    uint8_t *at = data;
    while (bytes > 0) {
        ssize_t n = getrandom(at, bytes, 0);
        ra_assert(n > 0 || errno == EINTR);
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
}

static int64_t find_memory_bytes(const ra_cgroup *group) {
    int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    int64_t machine = pages > 0 ? pages * page_bytes : INT64_C(1) << 30;
    return group->memory_bytes < machine ? group->memory_bytes : machine;
}

static int find_cores(const ra_cgroup *group) {
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (group->cores < cores)
        cores = (int)group->cores;
    return cores > 0 ? cores : 1;
}

// What the process may use: asked for by every parallel loop, so the files are read once.
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;
static int64_t machine_memory_bytes;
static int machine_cores;

static void find_machine(void) {
    ra_cgroup group = ra_cgroup_read("/sys/fs/cgroup", "/proc/self/cgroup");
    machine_memory_bytes = find_memory_bytes(&group);
    machine_cores = find_cores(&group);
}

int64_t ra_os_memory_bytes(void) {
    pthread_once(&machine_once, find_machine);
    return machine_memory_bytes;
}

int ra_os_cores(void) {
    pthread_once(&machine_once, find_machine);
    return machine_cores;
}

int ra_os_disk(const char *path, int64_t *free_bytes, int64_t *total_bytes, ra_error *err) {
    struct statvfs fs;
    if (statvfs(path, &fs) != 0)
        return fail_call(err, errno, "statvfs", path);
    *free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    *total_bytes = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    return 0;
}
