// A message over the batch limit on its way in: written to an unlinked file part by part, then read
// through a mapping, so that it never lies in the heap. Its bytes count in the store's status until
// the file is gone.
#ifndef RA_STORE_SPOOL_H
#define RA_STORE_SPOOL_H

#include "base/blob.h"
#include "base/bytes.h"
#include "store/content.h"

typedef struct {
    ra_store *store;
    int fd;         // -1: closed
    int64_t start;  // of the message in the file
    int64_t end;
} ra_spool;

void ra_spool_init(ra_spool *spool, ra_store *store);
// Closes the file, if it is open, and drops what was written.
void ra_spool_fini(ra_spool *spool);
static inline bool ra_spool_is_open(const ra_spool *spool) {
    return spool->fd >= 0;
}

// Opens the file, which has no name. The byte `aligned_offset` of the message will be 64-byte
// aligned. DISK_FULL, IO_ERROR. Worker.
RA_MUST int ra_spool_open(ra_spool *spool, size_t aligned_offset, ra_error *err);
// Appends a part to the open spool. DISK_FULL with sizes when it does not fit or would use the
// reserve, IO_ERROR; then the spool is closed. Worker.
RA_MUST int ra_spool_append(ra_spool *spool, ra_str part, ra_error *err);
// The whole message as a blob over a mapping; the spool is closed and ready for the next one.
// IO_ERROR, OUT_OF_MEMORY; the message is gone then. Worker.
RA_MUST int ra_spool_take(ra_spool *spool, ra_blob **out, ra_error *err);

#endif
