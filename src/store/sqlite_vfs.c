#include "store/sqlite_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/os.h"
#include "store/xxh3.h"

enum { MAX_PATH = 4096, SECTOR_BYTES = 4096, NAME_BYTES = 40 };

static void *memory_alloc(int bytes) {
    return ra_malloc((size_t)bytes);
}

static void *memory_realloc(void *p, int bytes) {
    return ra_realloc(p, (size_t)bytes);
}

static int memory_size(void *p) {
    return p ? (int)malloc_usable_size(p) : 0;
}

static int memory_round_up(int bytes) {
    return (bytes + 7) & ~7;
}

static int memory_init(void *context) {
    (void)context;
    return SQLITE_OK;
}

static void memory_fini(void *context) {
    (void)context;
}

static void configure_once(void) {
    static const sqlite3_mem_methods methods = {
        memory_alloc,    ra_free,     memory_realloc, memory_size,
        memory_round_up, memory_init, memory_fini,    NULL};
    // Each refuses only when SQLite is in use already; then it keeps its own memory.
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
}

void ra_sqlite_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_once);
}

typedef struct {
    sqlite3_file base;
    ra_store *store;
    int fd;
    int64_t file_bytes;  // nobody else changes it
    bool is_database;    // its pages end with their checksum (the log has its own)
    bool sync_dir;       // new: its directory has to be synced with it
    const char *path;    // SQLite's, until the file is closed
} vfs_file;

// A store's file system and its name.
typedef struct {
    sqlite3_vfs vfs;
    char name[NAME_BYTES];
} store_vfs;

static int file_close(sqlite3_file *base) {
    vfs_file *file = (vfs_file *)base;
    ra_os_close(file->fd);
    file->fd = -1;
    return SQLITE_OK;
}

static bool is_page(const vfs_file *file, int bytes, int64_t offset) {
    return file->is_database && bytes == RA_PAGE_BYTES && offset % RA_PAGE_BYTES == 0;
}

// Never 0, which stands for a page that another program wrote.
static uint64_t hash_page(const void *page, int64_t offset) {
    uint64_t hash =
        XXH3_64bits_withSeed(page, RA_PAGE_BYTES - RA_PAGE_CHECKSUM_BYTES, (XXH64_hash_t)offset);
    return hash ? hash : 1;
}

bool ra_sqlite_page_is_whole(const void *page, int64_t offset) {
    uint64_t stored;
    memcpy(&stored, (const char *)page + RA_PAGE_BYTES - sizeof stored, sizeof stored);
    return stored == 0 || stored == hash_page(page, offset);
}

static int file_read(sqlite3_file *base, void *data, int bytes, sqlite3_int64 offset) {
    vfs_file *file = (vfs_file *)base;
    int64_t there = file->file_bytes - offset;
    int64_t wanted = there < 0 ? 0 : there < bytes ? there : bytes;
    ra_error err;
    if (wanted > 0 && ra_os_pread(file->fd, data, (size_t)wanted, offset, &err) != 0)
        return SQLITE_IOERR_READ;
    if (wanted == bytes)
        return is_page(file, bytes, offset) && !ra_sqlite_page_is_whole(data, offset)
                   ? SQLITE_IOERR_DATA
                   : SQLITE_OK;
    memset((char *)data + wanted, 0, (size_t)(bytes - wanted));
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *data, int bytes, sqlite3_int64 offset) {
    vfs_file *file = (vfs_file *)base;
    char page[RA_PAGE_BYTES];
    if (is_page(file, bytes, offset)) {
        uint64_t hash = hash_page(data, offset);
        memcpy(page, data, RA_PAGE_BYTES - sizeof hash);
        memcpy(page + RA_PAGE_BYTES - sizeof hash, &hash, sizeof hash);
        data = page;
    }
    ra_error err;
    if (ra_os_pwrite(file->fd, data, (size_t)bytes, offset, &err) != 0)
        return err.reason == RA_REASON_DISK_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    if (offset + bytes > file->file_bytes)
        file->file_bytes = offset + bytes;
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 bytes) {
    vfs_file *file = (vfs_file *)base;
    ra_error err;
    if (ra_os_truncate(file->fd, bytes, &err) != 0)
        return SQLITE_IOERR_TRUNCATE;
    file->file_bytes = bytes;
    return SQLITE_OK;
}

static int sync_dir_of(const char *path, ra_error *err) {
    char dir[MAX_PATH];
    const char *slash = strrchr(path, '/');
    ra_assert(slash && slash - path < MAX_PATH);
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    return ra_os_sync_dir(dir, err);
}

static void note_failed_sync(ra_store *store, const ra_error *why) {
    if (store)
        ra_store_sync_failed(store, why);
}

static int file_sync(sqlite3_file *base, int flags) {
    (void)flags;
    vfs_file *file = (vfs_file *)base;
    ra_error err;
    int rc = ra_os_sync(file->fd, &err);
    if (rc == 0 && file->sync_dir)
        rc = sync_dir_of(file->path, &err);
    if (rc != 0) {
        note_failed_sync(file->store, &err);
        return SQLITE_IOERR_FSYNC;
    }
    file->sync_dir = false;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *bytes) {
    *bytes = ((vfs_file *)base)->file_bytes;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level) {
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *base, int *locked) {
    (void)base;
    *locked = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg) {
    (void)base;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector_bytes(sqlite3_file *base) {
    (void)base;
    return SECTOR_BYTES;
}

static int file_traits(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods file_methods = {.iVersion = 1,
                                                .xClose = file_close,
                                                .xRead = file_read,
                                                .xWrite = file_write,
                                                .xTruncate = file_truncate,
                                                .xSync = file_sync,
                                                .xFileSize = file_size,
                                                .xLock = file_lock,
                                                .xUnlock = file_lock,
                                                .xCheckReservedLock = file_check_lock,
                                                .xFileControl = file_control,
                                                .xSectorSize = file_sector_bytes,
                                                .xDeviceCharacteristics = file_traits};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                    int *out_flags) {
    vfs_file *file = (vfs_file *)base;
    memset(file, 0, sizeof *file);
    file->fd = -1;
    if (!path)
        return SQLITE_CANTOPEN;  // temporary files stay in memory
    struct stat st;
    bool is_new = stat(path, &st) != 0;
    int mode = flags & SQLITE_OPEN_READONLY ? O_RDONLY : O_RDWR;
    if (flags & SQLITE_OPEN_CREATE)
        mode |= O_CREAT;
    ra_error err;
    if (ra_os_open(path, mode, 0644, &file->fd, &err) != 0)
        return err.reason == RA_REASON_DISK_FULL ? SQLITE_FULL : SQLITE_CANTOPEN;
    if (fstat(file->fd, &st) != 0) {
        ra_os_close(file->fd);
        return SQLITE_IOERR_FSTAT;
    }
    file->base.pMethods = &file_methods;
    file->store = vfs->pAppData;
    file->file_bytes = st.st_size;
    file->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    file->sync_dir = is_new;
    file->path = path;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir) {
    ra_error err;
    if (ra_os_unlink(path, &err) != 0)
        return SQLITE_IOERR_DELETE;
    if (sync_dir && sync_dir_of(path, &err) != 0) {
        note_failed_sync(vfs->pAppData, &err);
        return SQLITE_IOERR_DIR_FSYNC;
    }
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
    (void)vfs;
    struct stat st;
    if (flags == SQLITE_ACCESS_EXISTS)
        *out = stat(path, &st) == 0 && st.st_size > 0;
    else
        *out = access(path, R_OK | W_OK) == 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int bytes, char *out) {
    (void)vfs;
    int n = snprintf(out, (size_t)bytes, "%s", path);
    return n >= 0 && n < bytes ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_random(sqlite3_vfs *vfs, int bytes, char *out) {
    (void)vfs;
    ra_os_random(out, (size_t)bytes);
    return bytes;
}

static int vfs_sleep(sqlite3_vfs *vfs, int micros) {
    (void)vfs;
    usleep((useconds_t)micros);
    return micros;
}

// Milliseconds since noon of 24 November 4714 BC, as SQLite counts.
static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out) {
    (void)vfs;
    *out = INT64_C(210866760000000) + ra_os_wall_ns() / 1000000;
    return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *out) {
    sqlite3_int64 ms;
    vfs_time_ms(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int bytes, char *out) {
    (void)vfs;
    (void)bytes;
    (void)out;
    return 0;
}

int ra_sqlite_vfs_new(ra_store *store, sqlite3_vfs **out, ra_error *err) {
    *out = NULL;
    store_vfs *own = ra_calloc(1, sizeof *own);
    if (!own)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the catalog");
    snprintf(own->name, sizeof own->name, "store-%p", (void *)own);
    own->vfs = (sqlite3_vfs){.iVersion = 2,
                             .szOsFile = sizeof(vfs_file),
                             .mxPathname = MAX_PATH,
                             .zName = own->name,
                             .pAppData = store,
                             .xOpen = vfs_open,
                             .xDelete = vfs_delete,
                             .xAccess = vfs_access,
                             .xFullPathname = vfs_full_path,
                             .xRandomness = vfs_random,
                             .xSleep = vfs_sleep,
                             .xCurrentTime = vfs_time_days,
                             .xGetLastError = vfs_last_error,
                             .xCurrentTimeInt64 = vfs_time_ms};
    if (sqlite3_vfs_register(&own->vfs, 0) != SQLITE_OK) {
        ra_free(own);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the catalog");
    }
    *out = &own->vfs;
    return 0;
}

void ra_sqlite_vfs_free(sqlite3_vfs *vfs) {
    if (!vfs)
        return;
    sqlite3_vfs_unregister(vfs);
    ra_free(vfs);
}
