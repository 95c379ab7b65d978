// Queues of pieces to send: memory or file ranges, each with a reference to what keeps it alive.
// A call queues its messages, its connection the frames made of them.
#ifndef RA_WIRE_OUTPUT_H
#define RA_WIRE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"

typedef enum {
    RA_OUT_DATA = 1,        // belongs to a DATA frame
    RA_OUT_ENDS_FRAME = 2,  // other frames may follow
    RA_OUT_BY_FILE = 4      // the rest of a piece of which sendfile took a part
} ra_out_flag;

typedef struct {
    const uint8_t *data;
    size_t bytes;
    int64_t offset;  // of data[0] in fd
    ra_blob *owner;  // a reference of the piece's own; NULL: static memory
    int fd;          // -1: memory only
    uint8_t flags;   // ra_out_flag
} ra_out_piece;

typedef struct {
    ra_out_piece *ring;
    uint32_t capacity;  // a power of two, or 0
    uint32_t head;
    uint32_t count;
    size_t bytes;
    size_t data_bytes;          // of them in pieces flagged DATA
    bool in_frame;              // the front is in the middle of a frame
    size_t sendfile_min_bytes;  // file ranges from this size go out by sendfile; 0: none do
} ra_out_queue;

// All zeros is an empty queue. Drops what is queued and frees the ring.
void ra_out_fini(ra_out_queue *queue);
// Drops what is queued.
void ra_out_clear(ra_out_queue *queue);
// Room for `more` pieces, so that as many pushes cannot fail. OUT_OF_MEMORY.
RA_MUST int ra_out_reserve(ra_out_queue *queue, uint32_t more, ra_error *err);
// Appends a piece and takes its reference; room must have been reserved.
void ra_out_push(ra_out_queue *queue, ra_out_piece piece);
// Drops the pieces that were pushed last until `count` are left.
void ra_out_truncate(ra_out_queue *queue, uint32_t count);
// Puts a whole frame ahead of the first DATA frame that has not begun (G-30); room must have been
// reserved. Other frames keep their order: SETTINGS come first on a connection.
void ra_out_push_urgent(ra_out_queue *queue, ra_out_piece piece);

// Pieces that moving `bytes` from the front takes.
uint32_t ra_out_pieces_in(const ra_out_queue *queue, size_t bytes);
// Moves `bytes` (at most what is queued) from the front of one queue to the end of another as DATA
// of one frame. `to` must have room for ra_out_pieces_in of them.
void ra_out_move_frame(ra_out_queue *from, ra_out_queue *to, size_t bytes);

typedef enum { RA_OUT_SENT, RA_OUT_BLOCKED, RA_OUT_FAILED } ra_out_result;
// Sends about `max_bytes` from the front with one system call and drops what was sent, counting it
// in `*sent_bytes`. BLOCKED: the socket took less than it was given. FAILED: the peer is gone.
ra_out_result ra_out_send(ra_out_queue *queue, int fd, size_t max_bytes, size_t *sent_bytes);

// Small pieces are copied into chunks that are reused once all of their bytes are sent.
typedef struct {
    ra_blob *chunk;
    size_t used;
} ra_out_scratch;

void ra_out_scratch_fini(ra_out_scratch *scratch);
// Room for `bytes` that live as long as the piece: a memory piece to be filled through the pointer.
// OUT_OF_MEMORY.
RA_MUST int ra_out_scratch_alloc(ra_out_scratch *scratch, size_t bytes, uint8_t **to,
                                 ra_out_piece *out, ra_error *err);

#endif
