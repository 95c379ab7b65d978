// Checking a data directory that no server uses, without a change of it.
#ifndef RA_STORE_VERIFY_H
#define RA_STORE_VERIFY_H

#include "store/store.h"

typedef struct {
    int64_t n_flights;
    int64_t n_versions;
    int64_t n_files;
    int64_t n_bytes;
    int64_t n_damages;  // lines that were said
} ra_verification;

// Checks the catalog (each page's checksum, SQLite's integrity check, what loading checks) and the
// files of all tables: checksums, structure, and the bytes around the messages. `say` gets a line
// for each damage; what can be checked in spite of it is. SQLite works on a copy of the catalog in
// TMPDIR. Fails when it cannot be checked: UNAVAILABLE (in use, newer format), INVALID_ARGUMENT (no
// data directory), IO_ERROR, DISK_FULL, OUT_OF_MEMORY.
RA_MUST int ra_store_verify(const char *data_dir, ra_budget *budget,
                            void (*say)(void *context, const char *line), void *context,
                            ra_verification *out, ra_error *err);

#endif
