// What the parts of the store share. Nobody outside src/store includes this.
#ifndef RA_STORE_INTERNAL_H
#define RA_STORE_INTERNAL_H

#include <stdatomic.h>

#include "store/segment.h"
#include "store/store.h"

typedef struct ra_catalog ra_catalog;
typedef struct ra_files ra_files;

struct ra_store {
    ra_store_options options;
    char *data_dir;      // absolute
    char *segments_dir;  // data_dir/.remote-arrow/segments
    char *tmp_dir;       // data_dir/.remote-arrow/tmp: removed at start
    int lock_fd;
    ra_segment_cache *cache;
    ra_workers *file_workers;  // sync and remove files; NULL before the catalog is open
    ra_catalog *catalog;
    ra_files *files;
    atomic_bool sync_failed;          // crash rule 2: read-only from then on
    atomic_int_least64_t n_segments;  // live ra_segments, for leak checks
    atomic_int_least64_t segment_bytes;
    atomic_int_least64_t memory_bytes;   // of segment_bytes, those without a file
    atomic_int_least64_t writing_bytes;  // of files that will be segments
    atomic_int_least64_t open_segments;
    atomic_int_least64_t n_damaged_segments;
    atomic_int_least64_t
        spool_bytes;  // of large messages on their way in; their files have no name
};

// Notes a failed fsync: the store is read-only from now on; logs it once.
void ra_store_sync_failed(ra_store *store, const ra_error *why);

#endif
