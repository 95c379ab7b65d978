// The Arrow IPC stream between server and worker.
#ifndef RA_SQL_WORKER_STREAM_H
#define RA_SQL_WORKER_STREAM_H

#include "arrow/ipc_reader.h"

// Opens the stream that the server sends. A stream that ends without an end mark was cut: IO_ERROR.
// What the reader holds goes with the process.
RA_MUST int ra_stream_open(ra_ipc_reader *out, ra_error *err);

#endif
