// Reading an IPC stream message by message from where its bytes come from.
#ifndef RA_ARROW_IPC_READER_H
#define RA_ARROW_IPC_READER_H

#include "arrow/ipc.h"

// Where bytes come from. Each function gives all that was asked for, or fails.
typedef struct {
    int (*read)(void *context, void *data, size_t bytes, ra_error *err);
    // A body of more than 0 bytes, a reference; its size is a claim.
    int (*read_body)(void *context, int64_t bytes, ra_blob **out, ra_error *err);
    // Whether nothing follows; NULL: the stream has an end mark.
    bool (*at_end)(void *context);
    void *context;
} ra_ipc_source;

typedef struct {
    ra_ipc_source source;
    ra_budget *budget;
    ra_ipc_decoder *decoder;
} ra_ipc_reader;

// Reads the schema. Messages and what they are decoded to are charged to `budget` (may be NULL). MALFORMED_ARROW, OUT_OF_MEMORY,
// what the source fails with; then there is nothing to free.
RA_MUST int ra_ipc_reader_open(ra_ipc_source source, ra_budget *budget, ra_ipc_reader *out,
                               ra_error *err);
void ra_ipc_reader_close(ra_ipc_reader *reader);
// The next batch, checked, a reference; NULL at the end.
RA_MUST int ra_ipc_reader_next(ra_ipc_reader *reader, ra_batch **out, ra_error *err);

#endif
