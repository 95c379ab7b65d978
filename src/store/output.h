// A file that is written from start to end (a temporary one is made when memory no longer holds it)
// in pieces of whole 2 MiB, where the page cache can use huge pages; blocks are allocated ahead,
// dirty pages of durable files are written back early.
#ifndef RA_STORE_OUTPUT_H
#define RA_STORE_OUTPUT_H

#include <sys/uio.h>

#include "store/content.h"

enum { RA_OUTPUT_MAX_PENDING = 62 };

typedef struct {
    ra_store *store;
    ra_write_kind kind;
    int fd;                      // -1: not made yet
    const char *path;            // of a temporary file that is not made yet
    int64_t position;            // what was appended so far
    int64_t written_bytes;       // of it, what is in the file
    int64_t allocated_bytes;     // blocks reserved ahead; 0 for small files
    int64_t counted_bytes;       // in the store, for its quota
    int64_t written_back_bytes;  // write-back was started up to here
    uint8_t *memory;             // of `tail` and `small`
    size_t tail_bytes;           // behind what is written: waits until a 2 MiB piece is complete
    size_t small_bytes;          // small pieces, copied
    struct iovec pending[RA_OUTPUT_MAX_PENDING];  // behind the tail, some of it in `small`
    int n_pending;
} ra_output;

// Makes the file at `path`, which must not exist; a temporary one later, if it outgrows memory:
// then `path` must stay. On failure there is nothing to clean up.
RA_MUST int ra_output_open(ra_output *output, ra_store *store, ra_write_kind kind, const char *path,
                           ra_error *err);
// Appends bytes; large ones are only referenced until ra_output_settle. DISK_FULL with sizes.
RA_MUST int ra_output_append(ra_output *output, const void *data, size_t bytes, ra_error *err);
// Appends zeros up to a position that is a multiple of 64.
RA_MUST int ra_output_pad(ra_output *output, ra_error *err);
// Ends a message: what the caller passed may go afterwards.
RA_MUST int ra_output_settle(ra_output *output, ra_error *err);
// Writes what is left and gives back what was allocated too much. The descriptor stays open. A
// temporary file that was never made stays in memory: ra_output_take_memory.
RA_MUST int ra_output_finish(ra_output *output, ra_error *err);
// All bytes of a finished output without a file: 64-byte aligned, for ra_free, charged to the
// store's budget (`position` bytes) until the caller releases that.
RA_MUST int ra_output_take_memory(ra_output *output, uint8_t **out, ra_error *err);
// Closes the descriptor and frees the memory; the file stays.
void ra_output_close(ra_output *output);

#endif
