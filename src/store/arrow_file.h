// A content as one Arrow IPC file, as any reader of such files takes it.
#ifndef RA_STORE_ARROW_FILE_H
#define RA_STORE_ARROW_FILE_H

#include "store/segment.h"

// Writes all rows to a new file in tmp_dir, synced unless durability is none; `path`
// (RA_SEGMENT_PATH_BYTES) is its name, and the file is the caller's. On failure there is none. A
// file holds one dictionary a column: those that differ are unified, in memory charged to the
// store's budget. LIMIT naming a column whose index type is too narrow for that, CANCELLED,
// DISK_FULL with sizes, UNAVAILABLE (failed fsync), DATA_LOSS, OUT_OF_MEMORY. Job thread.
RA_MUST int ra_content_write_file(ra_content *content, const atomic_bool *cancelled, char *path,
                                  int64_t *n_bytes, ra_error *err);

#endif
