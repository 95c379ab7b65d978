#include "store/spool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/os.h"
#include "store/disk.h"

enum { ALIGNMENT = 64 };

// What the file takes, counted in the store from its making until nothing refers to it any more.
static void count_bytes(ra_store *store, int64_t bytes) {
    atomic_fetch_add_explicit(&store->spool_bytes, bytes, memory_order_relaxed);
}

void ra_spool_init(ra_spool *spool, ra_store *store) {
    *spool = (ra_spool){.store = store, .fd = -1};
}

void ra_spool_fini(ra_spool *spool) {
    ra_os_close(spool->fd);
    count_bytes(spool->store, -spool->end);
    ra_spool_init(spool, spool->store);
}

static int make_file(ra_store *store, int *fd, ra_error *err) {
    uint64_t id;
    ra_os_random(&id, sizeof id);
    char path[RA_SEGMENT_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%016" PRIx64 ".spool", store->tmp_dir, id);
    int rc = ra_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, fd, err);
    if (rc != 0)
        return ra_store_word_disk_full(store, 0, rc, err);
    return ra_os_unlink(path, err);
}

int ra_spool_open(ra_spool *spool, size_t aligned_offset, ra_error *err) {
    ra_assert(spool->fd < 0);
    int rc = make_file(spool->store, &spool->fd, err);
    if (rc != 0) {
        ra_spool_fini(spool);
        return rc;
    }
    spool->start = spool->end = (int64_t)((ALIGNMENT - aligned_offset % ALIGNMENT) % ALIGNMENT);
    count_bytes(spool->store, spool->end);
    return 0;
}

// Allocating first makes a full disk an error before anything is written.
static int write_part(ra_spool *spool, ra_str part, ra_error *err) {
    int64_t bytes = (int64_t)part.len;
    RA_TRY(ra_store_check_disk(spool->store, bytes, err));
    int rc = ra_os_allocate(spool->fd, spool->end, bytes, err);
    if (rc == 0)
        rc = ra_os_pwrite(spool->fd, part.data, part.len, spool->end, err);
    if (rc != 0)
        return ra_store_word_disk_full(spool->store, bytes, rc, err);
    spool->end += bytes;
    count_bytes(spool->store, bytes);
    return 0;
}

int ra_spool_append(ra_spool *spool, ra_str part, ra_error *err) {
    ra_assert(spool->fd >= 0);
    if (part.len == 0)
        return 0;
    int rc = write_part(spool, part, err);
    if (rc != 0)
        ra_spool_fini(spool);
    return rc;
}

typedef struct {
    ra_store *store;
    const uint8_t *map;
    size_t bytes;
} spool_map;

static void release_map(void *owner) {
    spool_map *held = owner;
    ra_os_unmap(held->map, held->bytes);
    count_bytes(held->store, -(int64_t)held->bytes);
    ra_free(held);
}

static int map_file(ra_spool *spool, ra_blob **out, ra_error *err) {
    spool_map *held = ra_malloc(sizeof *held);
    if (!held)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a large message");
    *held = (spool_map){.store = spool->store, .bytes = (size_t)spool->end};
    int rc = ra_os_map(spool->fd, held->bytes, &held->map, err);
    if (rc != 0) {
        ra_free(held);
        return rc;
    }
    size_t start = (size_t)spool->start;
    rc = ra_blob_wrap(held->map + start, held->bytes - start, release_map, held, out, err);
    if (rc != 0) {
        ra_os_unmap(held->map, held->bytes);
        ra_free(held);
        return rc;
    }
    // The mapping keeps the file, and its bytes stay counted.
    ra_os_close(spool->fd);
    ra_spool_init(spool, spool->store);
    return 0;
}

int ra_spool_take(ra_spool *spool, ra_blob **out, ra_error *err) {
    ra_assert(spool->end > spool->start);
    *out = NULL;
    int rc = map_file(spool, out, err);
    if (rc != 0)
        ra_spool_fini(spool);
    return rc;
}
