// One file as a dataset.
#ifndef RA_SQL_IMPORT_FILE_H
#define RA_SQL_IMPORT_FILE_H

#include <stdatomic.h>
#include <time.h>

#include "sql/format.h"
#include "store/store.h"

typedef struct {
    ra_store *store;
    ra_budget *budget;
    const atomic_bool *cancelled;
    ra_str name;  // of the file
    ra_format format;
    int fd;             // open for reading
    ra_file_mark mark;  // of the file as it is now; its hash is filled in
    bool is_known;      // `known` is what the catalog remembers
    ra_file_mark known;
} ra_import;

typedef struct {
    int64_t flight_id;  // -1: the bytes were known, nothing was imported
    int64_t version;
    int64_t n_rows;
} ra_import_result;

// Imports the file and remembers it, unless its bytes are those that are remembered. It becomes the
// dataset named by its stem, or the next version of that one if it came from this file; another
// Flight of that name is FLIGHT_EXISTS. MALFORMED_ARROW, NOT_IMPLEMENTED, INVALID_ARGUMENT,
// IO_ERROR (cut short; what DuckDB says), UNAVAILABLE (no worker, or the file has changed
// meanwhile), DISK_FULL, OUT_OF_MEMORY, LIMIT, CANCELLED. Not on I/O threads.
RA_MUST int ra_import_file(ra_import *import, ra_import_result *out, ra_error *err);

// When a file was last written, in nanoseconds since 1970; the nearest that there is for times of
// centuries that 64 bits do not reach.
int64_t ra_import_time_ns(const struct timespec *time);

// XXH3-128 of what lies in a file. IO_ERROR, CANCELLED. Not on I/O threads.
RA_MUST int ra_import_hash(int fd, const atomic_bool *cancelled, uint64_t hash[2], ra_error *err);

#endif
