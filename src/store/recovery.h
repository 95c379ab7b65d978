// Files of the data directory at start: what a crash left behind, what is unknown, what is missing.
#ifndef RA_STORE_RECOVERY_H
#define RA_STORE_RECOVERY_H

#include "store/internal.h"

// A segment of the catalog and whether its file is there with all its bytes.
typedef struct {
    ra_segment *segment;  // a reference
    bool present;
} ra_found_segment;

// Removes what is in the temporary folder. IO_ERROR.
RA_MUST int ra_recovery_clean_tmp(ra_store *store, ra_error *err);

// Looks at the files among the segments: sets `present` of `found` (sorted by id as int64).
// IO_ERROR.
RA_MUST int ra_recovery_look_at_files(ra_store *store, ra_found_segment *found, int n,
                                      ra_error *err);
// The same; also moves files that nobody knows to the folder `aside`, and removes what was put
// there over a day ago.
RA_MUST int ra_recovery_check_files(ra_store *store, ra_found_segment *found, int n, ra_error *err);

// The place of a segment in `found`, NULL when it is not there.
ra_found_segment *ra_recovery_find(ra_found_segment *found, int n, uint64_t id);

#endif
