// Imports files that appear or change at the top of the data directory, each as the dataset named
// by the file's stem.
#ifndef RA_SQL_IMPORT_H
#define RA_SQL_IMPORT_H

#include "store/store.h"

typedef struct ra_importer ra_importer;

// Starts the thread, of low priority, which looks at the directory every second until stopped.
// What is borrowed outlives it. OUT_OF_MEMORY.
RA_MUST int ra_importer_start(ra_store *store, const char *data_dir, ra_budget *budget,
                              ra_importer **out, ra_error *err);
// Gives up what it is at and ends the thread. NULL is allowed.
void ra_importer_stop(ra_importer *importer);

#endif
