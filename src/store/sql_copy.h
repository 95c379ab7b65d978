// Copying the catalog's database while it is in use.
#ifndef RA_STORE_SQL_COPY_H
#define RA_STORE_SQL_COPY_H

#include "store/sql.h"

typedef struct ra_sql_copy ra_sql_copy;

// Begins a copy into the new file `path` (absolute). What `from` commits meanwhile goes into the
// copy as well. All of it on the thread of `from`. IO_ERROR, DISK_FULL, OUT_OF_MEMORY.
RA_MUST int ra_sql_copy_begin(ra_sql *from, const char *path, ra_sql_copy **out, ra_error *err);
// Copies up to `n_pages` pages. `*done`: the copy is what `from` is at this moment, until that
// commits again; it is not synced.
RA_MUST int ra_sql_copy_step(ra_sql_copy *copy, int n_pages, bool *done, ra_error *err);
// Ends it, done or not. NULL is allowed.
void ra_sql_copy_end(ra_sql_copy *copy);

#endif
