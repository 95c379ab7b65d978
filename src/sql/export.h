// Writes a version's rows to a file at the top of the data directory: Parquet and CSV by a worker
// process, Arrow by the store.
#ifndef RA_SQL_EXPORT_H
#define RA_SQL_EXPORT_H

#include <stdatomic.h>

#include "sql/format.h"
#include "store/store.h"

typedef struct {
    const char *data_dir;
    ra_content *content;
    const char *file;  // a plain name
    ra_format format;
    bool replace;
    ra_budget *budget;
    const atomic_bool *cancelled;
} ra_export;

typedef struct {
    int64_t n_rows;
    int64_t n_bytes;
} ra_export_result;

// Refuses names that are not plain: separators, a leading dot, control characters, over 255 bytes.
// INVALID_ARGUMENT.
RA_MUST int ra_export_check_name(ra_str file, ra_error *err);
// Refuses tables whose values the file would not give back, naming column and type; with `lossy`
// only those of which it holds nothing; none for Arrow. NOT_IMPLEMENTED, INVALID_ARGUMENT for names
// that differ only in case. Job thread: tables are wide.
RA_MUST int ra_export_check_schema(const ra_schema *schema, ra_format format, bool lossy,
                                   ra_error *err);
// Writes, syncs and renames; after a failure nothing is left. A file
// that exists is INVALID_ARGUMENT. DISK_FULL, IO_ERROR, UNAVAILABLE (no worker, failed fsync),
// CANCELLED, LIMIT (Arrow: dictionaries), OUT_OF_MEMORY, DATA_LOSS. Job thread.
RA_MUST int ra_export_run(const ra_export *export, ra_export_result *out, ra_error *err);

#endif
