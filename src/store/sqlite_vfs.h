// SQLite's files and memory through base/os.h, so that tests can fail and record them.
#ifndef RA_STORE_SQLITE_VFS_H
#define RA_STORE_SQLITE_VFS_H

#include <sqlite3.h>

#include "store/internal.h"

// Makes SQLite take its memory from ra_malloc; once a process, before any other use of SQLite.
void ra_sqlite_init(void);

// What SQLite must leave free at the end of the database's pages: there lies a checksum of the
// page, or 0 when another program wrote it, which then is not checked.
enum { RA_PAGE_CHECKSUM_BYTES = 8 };

// A file system for the database of one store (NULL: for a copy of one): plain files without locks,
// since the store has its directory to itself. A failed fsync makes the store read-only; a page
// that is not as it was written is SQLITE_IOERR_DATA. To be unregistered and freed after the
// connection is closed. OUT_OF_MEMORY.
RA_MUST int ra_sqlite_vfs_new(ra_store *store, sqlite3_vfs **out, ra_error *err);
// Whether a page of a database file, read at `offset`, is as it was written.
enum { RA_PAGE_BYTES = 4096 };
bool ra_sqlite_page_is_whole(const void *page, int64_t offset);
void ra_sqlite_vfs_free(sqlite3_vfs *vfs);  // NULL is allowed

#endif
