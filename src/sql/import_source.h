// Where an import's Arrow stream comes from: the file itself, or a worker that reads it.
#ifndef RA_SQL_IMPORT_SOURCE_H
#define RA_SQL_IMPORT_SOURCE_H

#include "arrow/ipc_reader.h"
#include "sql/import_file.h"

// Reads all batches of the stream into a content that will be a dataset. As ra_import_file fails.
RA_MUST int ra_import_rows(const ra_import *import, ra_ipc_source source, ra_content **out,
                           ra_error *err);
// A body from `source->read`, in memory if it is small, else in a file without a name.
RA_MUST int ra_import_body(const ra_import *import, const ra_ipc_source *source, int64_t bytes,
                           ra_blob **out, ra_error *err);

// The rows of an Arrow file, or of a stream in a file.
RA_MUST int ra_import_arrow(const ra_import *import, ra_content **out, ra_error *err);
// The rows of a Parquet or CSV file, by a worker.
RA_MUST int ra_import_by_worker(const ra_import *import, ra_content **out, ra_error *err);

#endif
