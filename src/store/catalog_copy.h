// A copy of the catalog, made by its thread a few pages at a time between other requests.
#ifndef RA_STORE_CATALOG_COPY_H
#define RA_STORE_CATALOG_COPY_H

#include "store/catalog.h"
#include "store/sql_copy.h"

typedef struct ra_catalog_copy {
    const char *path;
    ra_sql_copy *sql;
    int n_pages;   // of the next step
    bool is_done;  // under the catalog's lock
    pthread_cond_t done;
    ra_snapshot *snapshot;
    ra_error err;
} ra_catalog_copy;

// Copies the catalog into the new file `path` and waits for it. `*snapshot`, a reference, is the
// list at the moment of the copy: its files stay while it is held. Flights in `unwritten` of its
// state are not in the copy. The file is not synced. One copy at a time: UNAVAILABLE. IO_ERROR,
// DISK_FULL, OUT_OF_MEMORY. Any thread that may wait; the store stays open meanwhile.
RA_MUST int ra_catalog_copy_make(ra_catalog *catalog, const char *path, ra_snapshot **snapshot,
                                 ra_error *err);
// Goes on with the copy. Catalog thread.
void ra_catalog_copy_step(ra_catalog *catalog, ra_catalog_copy *copy);

#endif
