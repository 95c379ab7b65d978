// A message over the batch limit on its way in: written to an unlinked file part by part, then read
// through a mapping, so that it never lies in the heap.
#ifndef RA_FLIGHT_SPOOL_H
#define RA_FLIGHT_SPOOL_H

#include "base/blob.h"
#include "base/bytes.h"
#include "store/content.h"

typedef struct {
    ra_store *store;
    int fd;         // -1: closed
    int64_t start;  // of the message in the file, such that its body is 64-byte aligned
    int64_t end;
} ra_spool;

void ra_spool_init(ra_spool *spool, ra_store *store);
void ra_spool_fini(ra_spool *spool);
static inline bool ra_spool_is_open(const ra_spool *spool) {
    return spool->fd >= 0;
}

// Appends a part; the first one opens the file. DISK_FULL, IO_ERROR. Worker.
RA_MUST int ra_spool_append(ra_spool *spool, ra_str part, ra_error *err);
// The whole message as a blob over a mapping; the spool is closed and ready for the next one.
RA_MUST int ra_spool_take(ra_spool *spool, ra_blob **out, ra_error *err);

#endif
