// Backups: a copy of the whole store, made while it is in use, that a server can be started on.
#ifndef RA_STORE_BACKUP_H
#define RA_STORE_BACKUP_H

#include "store/store.h"

typedef struct {
    int64_t n_flights;
    int64_t n_files;       // of tables
    int64_t n_bytes;       // of these
    int64_t n_missing;     // files that the store has lost: not among those above
    int64_t linked_bytes;  // of n_bytes, those that are the store's own files under a further name
} ra_backup;

// At start: finds `folder`, where backups go, as an absolute path (for ra_free) and removes what
// unfinished ones left there. INVALID_ARGUMENT when it is no folder to write to; OUT_OF_MEMORY.
RA_MUST int ra_backup_open_folder(const char *folder, char **out, ra_error *err);

// Makes the backup `folder`/`name`: the list as it is at one moment and the files of its tables,
// linked where that can be, else copied; all synced. Nothing of that name is there before, and
// nothing is left of it on failure. INVALID_ARGUMENT (name, exists), UNAVAILABLE (another one is
// being made), CANCELLED, DISK_FULL, IO_ERROR, OUT_OF_MEMORY. Job thread.
RA_MUST int ra_backup_make(ra_store *store, const char *folder, ra_str name,
                           const atomic_bool *cancelled, ra_backup *out, ra_error *err);

#endif
