#include "flight/spool.h"

#include "base/os.h"
#include "flight/flight_data.h"

enum { BODY_ALIGNMENT = 64 };

void ra_spool_init(ra_spool *spool, ra_store *store) {
    *spool = (ra_spool){.store = store, .fd = -1};
}

void ra_spool_fini(ra_spool *spool) {
    ra_os_close(spool->fd);
    ra_spool_init(spool, spool->store);
}

int ra_spool_append(ra_spool *spool, ra_str part, ra_error *err) {
    if (spool->fd < 0) {
        RA_TRY(ra_spool_new(spool->store, &spool->fd, err));
        size_t body = ra_flight_data_body_start(part);
        spool->start = spool->end =
            (int64_t)((BODY_ALIGNMENT - body % BODY_ALIGNMENT) % BODY_ALIGNMENT);
    }
    RA_TRY(ra_os_allocate(spool->fd, spool->end, (int64_t)part.len, err));
    RA_TRY(ra_os_pwrite(spool->fd, part.data, part.len, spool->end, err));
    spool->end += (int64_t)part.len;
    return 0;
}

typedef struct {
    const uint8_t *map;
    size_t bytes;
} spool_map;

static void release_map(void *owner) {
    spool_map *held = owner;
    ra_os_unmap(held->map, held->bytes);
    ra_free(held);
}

int ra_spool_take(ra_spool *spool, ra_blob **out, ra_error *err) {
    ra_assert(spool->fd >= 0);
    *out = NULL;
    spool_map *held = ra_malloc(sizeof *held);
    if (!held)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a large message");
    held->bytes = (size_t)spool->end;
    int rc = ra_os_map(spool->fd, held->bytes, &held->map, err);
    if (rc == 0) {
        size_t start = (size_t)spool->start;
        rc = ra_blob_wrap(held->map + start, held->bytes - start, release_map, held, out, err);
        if (rc != 0)
            ra_os_unmap(held->map, held->bytes);
    }
    if (rc != 0)
        ra_free(held);
    ra_spool_fini(spool);
    return rc;
}
