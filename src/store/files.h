// What the catalog remembers of the files at the top of the data directory, in memory, by name.
#ifndef RA_STORE_FILES_H
#define RA_STORE_FILES_H

#include "store/store.h"

typedef struct ra_files ra_files;

typedef struct ra_file_entry {
    struct ra_file_entry *next;
    ra_file_mark mark;
    ra_str name;  // behind the entry
} ra_file_entry;

RA_MUST int ra_files_new(ra_files **out, ra_error *err);
void ra_files_free(ra_files *files);  // NULL is allowed

// An entry for ra_files_put or ra_free. OUT_OF_MEMORY.
RA_MUST int ra_file_entry_new(ra_str name, const ra_file_mark *mark, ra_file_entry **out,
                              ra_error *err);
// Takes the entry, in the place of an older one. Any thread.
void ra_files_put(ra_files *files, ra_file_entry *entry);
// False when there is none of that name. Any thread.
bool ra_files_find(ra_files *files, ra_str name, ra_file_mark *out);

#endif
