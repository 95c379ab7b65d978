// The tables of the catalog.
#ifndef RA_STORE_CATALOG_SCHEMA_H
#define RA_STORE_CATALOG_SCHEMA_H

#include "store/sql.h"

// Makes the tables of a new catalog, checks the format of an old one. UNAVAILABLE naming both
// formats when it is newer than ours.
RA_MUST int ra_catalog_check_schema(ra_sql *sql, const char *data_dir, ra_error *err);

#endif
