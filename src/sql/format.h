// The formats of files.
#ifndef RA_SQL_FORMAT_H
#define RA_SQL_FORMAT_H

#include "base/bytes.h"

typedef enum { RA_FORMAT_PARQUET, RA_FORMAT_CSV, RA_FORMAT_ARROW, RA_N_FORMATS } ra_format;

// "parquet", "csv", "arrow": also the suffix.
const char *ra_format_name(ra_format format);
// Finds a name; false when there is none such.
bool ra_format_read(ra_str name, ra_format *out);
// Finds the format by the suffix of a file's name.
bool ra_format_of_file(ra_str file, ra_format *out);

#endif
