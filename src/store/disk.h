// The disk of a store: room, and the words of what went wrong.
#ifndef RA_STORE_DISK_H
#define RA_STORE_DISK_H

#include "store/internal.h"

// What counts for the quota: all files of tables, also those being written or without a name.
int64_t ra_store_disk_bytes(ra_store *store);
// Like ra_store_check_disk for a result, which may use half of the reserve: uploads are refused
// first. The quota is the same.
RA_MUST int ra_store_check_disk_for_result(ra_store *store, int64_t bytes, ra_error *err);
// Gives a DISK_FULL that a file call found, with `bytes` wanted, the sizes of the file system;
// other errors stay. Returns `rc`, the code of the error.
int ra_store_word_disk_full(ra_store *store, int64_t bytes, int rc, ra_error *err);

#endif
