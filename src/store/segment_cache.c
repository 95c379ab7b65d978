#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "store/internal.h"
#include "store/mapped_io.h"

// A list of the open segments, the one used last at the head. Lock order: the cache's lock, then a
// segment's by trylock only; nobody takes the cache's lock while holding a segment's.
struct ra_segment_cache {
    pthread_mutex_t lock;
    int max_open;
    int n_open;
    ra_segment *newest;
    ra_segment *oldest;
};

int ra_segment_cache_new(int max_open, ra_segment_cache **out, ra_error *err) {
    ra_segment_cache *cache = *out = ra_calloc(1, sizeof *cache);
    if (!cache)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the cache of open segments");
    pthread_mutex_init(&cache->lock, NULL);
    cache->max_open = max_open;
    ra_mapped_io_install();
    return 0;
}

void ra_segment_cache_free(ra_segment_cache *cache) {
    if (!cache)
        return;
    ra_assert(cache->n_open == 0);
    pthread_mutex_destroy(&cache->lock);
    ra_free(cache);
}

static void unlink_segment(ra_segment_cache *cache, ra_segment *segment) {
    if (segment->newer)
        segment->newer->older = segment->older;
    else
        cache->newest = segment->older;
    if (segment->older)
        segment->older->newer = segment->newer;
    else
        cache->oldest = segment->newer;
    segment->newer = segment->older = NULL;
    segment->is_listed = false;
    cache->n_open--;
}

static void link_segment(ra_segment_cache *cache, ra_segment *segment) {
    segment->newer = NULL;
    segment->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = segment;
    else
        cache->oldest = segment;
    cache->newest = segment;
    segment->is_listed = true;
    cache->n_open++;
}

// What a segment no longer needs, to be closed outside the locks.
typedef struct {
    const uint8_t *map;
    int64_t bytes;
    int fd;
} closed_file;

// Takes mapping and descriptor from a segment that only contents hold.
static bool take_unused(ra_segment *segment, closed_file *out) {
    if (pthread_mutex_trylock(&segment->lock) != 0)
        return false;
    bool unused =
        segment->n_holds > 0 && atomic_load(&segment->refs) == segment->n_holds && segment->map;
    if (unused) {
        *out = (closed_file){segment->map, segment->file_bytes, segment->fd};
        __atomic_store_n(&segment->map, NULL, __ATOMIC_RELAXED);
        segment->fd = -1;
        atomic_fetch_sub(&segment->store->open_segments, 1);
    }
    pthread_mutex_unlock(&segment->lock);
    return unused;
}

enum { MAX_CLOSED_AT_ONCE = 8 };

// Closes what was used longest ago while too many are open. One in use is moved to the head, so
// that the next call does not look at it again.
static int take_surplus(ra_segment_cache *cache, closed_file closed[MAX_CLOSED_AT_ONCE]) {
    int n = 0;
    for (int looked = 0; looked < 2 * MAX_CLOSED_AT_ONCE; looked++) {
        ra_segment *segment = cache->oldest;
        if (n == MAX_CLOSED_AT_ONCE || cache->n_open <= cache->max_open || !segment)
            break;
        bool took = take_unused(segment, &closed[n]);
        unlink_segment(cache, segment);
        if (took)
            n++;
        else
            link_segment(cache, segment);
    }
    return n;
}

void ra_segment_cache_touch(ra_segment_cache *cache, ra_segment *segment) {
    closed_file closed[MAX_CLOSED_AT_ONCE];
    pthread_mutex_lock(&cache->lock);
    if (segment->is_listed && cache->newest != segment)
        unlink_segment(cache, segment);
    if (!segment->is_listed)
        link_segment(cache, segment);
    // An I/O thread finds segments open; who opened the one too many closes another.
    int n = ra_os_thread_is_nonblocking() ? 0 : take_surplus(cache, closed);
    pthread_mutex_unlock(&cache->lock);
    for (int i = 0; i < n; i++) {
        ra_os_unmap(closed[i].map, (size_t)closed[i].bytes);
        ra_os_close(closed[i].fd);
    }
}

void ra_segment_cache_remove(ra_segment_cache *cache, ra_segment *segment) {
    pthread_mutex_lock(&cache->lock);
    if (segment->is_listed)
        unlink_segment(cache, segment);
    pthread_mutex_unlock(&cache->lock);
}

static int fail_open(ra_segment *segment, const char *path, int rc, ra_error *err) {
    if (access(path, F_OK) == 0)
        return rc;
    ra_segment_note_damage(segment);
    RA_FAIL(err, DATA_LOSS, "%s is missing", path);
}

static int map_file(ra_segment *segment, int fd, const char *path, const uint8_t **map,
                    ra_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size < segment->file_bytes) {
        ra_segment_note_damage(segment);
        RA_FAIL(err, DATA_LOSS, "%s has %" PRId64 " of %" PRId64 " bytes", path,
                (int64_t)st.st_size, segment->file_bytes);
    }
    return ra_os_map(fd, (size_t)segment->file_bytes, map, err);
}

// With the segment's lock held.
static int open_file(ra_segment *segment, ra_error *err) {
    char path[RA_SEGMENT_PATH_BYTES];
    ra_segment_print_path(segment->store, segment->id, segment->placed, path);
    int fd;
    int rc = ra_os_open(path, O_RDONLY, 0, &fd, err);
    if (rc != 0)
        return fail_open(segment, path, rc, err);
    const uint8_t *map;
    rc = map_file(segment, fd, path, &map, err);
    if (rc != 0) {
        ra_os_close(fd);
        return rc;
    }
    segment->fd = fd;
    __atomic_store_n(&segment->map, map, __ATOMIC_RELAXED);
    atomic_fetch_add(&segment->store->open_segments, 1);
    return 0;
}

bool ra_segment_is_resident(const ra_segment *segment, int64_t offset, int64_t bytes) {
    // Should the cache close it meanwhile, the question is asked of other memory, which is
    // harmless.
    const uint8_t *map = __atomic_load_n(&segment->map, __ATOMIC_RELAXED);
    if (segment->in_memory)
        return true;
    return map && ra_mapped_io_is_resident(map + offset, (size_t)bytes);
}

int ra_segment_use(ra_segment *segment, ra_error *err) {
    pthread_mutex_lock(&segment->lock);
    int rc = segment->map ? 0 : open_file(segment, err);
    if (rc == 0)
        ra_segment_ref(segment);
    pthread_mutex_unlock(&segment->lock);
    if (rc == 0 && !segment->in_memory)
        ra_segment_cache_touch(segment->store->cache, segment);
    return rc;
}
