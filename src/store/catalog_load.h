// Reading the catalog at start.
#ifndef RA_STORE_CATALOG_LOAD_H
#define RA_STORE_CATALOG_LOAD_H

#include "store/catalog.h"

// Builds the state from the tables and the files: gives hidden datasets ids again, drops results
// whose files did not survive, and marks that the server runs (no clean stop). `*state` is the
// caller's, empty on failure. DATA_LOSS, IO_ERROR, DISK_FULL, OUT_OF_MEMORY.
RA_MUST int ra_catalog_load(ra_catalog *catalog, ra_state *state, ra_error *err);
// The same without a change of anything: results whose files did not survive are there, as lost.
// Nothing but `store` and `sql` of the catalog is used. DATA_LOSS, IO_ERROR, OUT_OF_MEMORY.
RA_MUST int ra_catalog_look(ra_catalog *catalog, ra_state *state, ra_error *err);

#endif
