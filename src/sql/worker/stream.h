// The Arrow IPC stream that the server sends.
#ifndef RA_SQL_WORKER_STREAM_H
#define RA_SQL_WORKER_STREAM_H

#include "arrow/ipc.h"

typedef struct {
    int fd;
    ra_ipc_decoder *decoder;
} ra_stream;

// Reads the schema. MALFORMED_ARROW, IO_ERROR, OUT_OF_MEMORY. What it holds goes with the process.
RA_MUST int ra_stream_open(int fd, ra_stream *out, ra_error *err);
// The next batch, a reference, or NULL at the stream's end mark. A stream that ends without one was
// cut: IO_ERROR.
RA_MUST int ra_stream_next(ra_stream *stream, ra_batch **out, ra_error *err);

#endif
