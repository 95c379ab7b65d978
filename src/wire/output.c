#include "wire/output.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/os.h"

enum { FIRST_CAPACITY = 16, MAX_IOVECS = 64, CHUNK_BYTES = 4096 };

static ra_out_piece *piece_at(const ra_out_queue *queue, uint32_t i) {
    return &queue->ring[(queue->head + i) & (queue->capacity - 1)];
}

void ra_out_clear(ra_out_queue *queue) {
    for (uint32_t i = 0; i < queue->count; i++)
        ra_blob_unref(piece_at(queue, i)->owner);
    queue->head = queue->count = 0;
    queue->bytes = queue->data_bytes = 0;
    queue->in_frame = false;
}

void ra_out_fini(ra_out_queue *queue) {
    ra_out_clear(queue);
    ra_free(queue->ring);
    *queue = (ra_out_queue){0};
}

int ra_out_reserve(ra_out_queue *queue, uint32_t more, ra_error *err) {
    ra_assert(more < 1u << 30 && queue->count < 1u << 30);
    uint32_t need = queue->count + more;
    if (need <= queue->capacity)
        return 0;
    uint32_t capacity = queue->capacity ? queue->capacity : FIRST_CAPACITY;
    while (capacity < need)
        capacity *= 2;
    ra_out_piece *ring = ra_malloc(capacity * sizeof *ring);
    if (!ring)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the output queue");
    for (uint32_t i = 0; i < queue->count; i++)
        ring[i] = *piece_at(queue, i);
    ra_free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
    return 0;
}

static void count_piece(ra_out_queue *queue, const ra_out_piece *piece) {
    queue->count++;
    queue->bytes += piece->bytes;
    if (piece->flags & RA_OUT_DATA)
        queue->data_bytes += piece->bytes;
}

// Whether a frame lies right behind the one that was pushed last: small frames in scratch do, and
// go out as one piece.
static bool extends_last(const ra_out_queue *queue, const ra_out_piece *piece) {
    if (queue->count == 0 || piece->flags != RA_OUT_ENDS_FRAME || !piece->owner)
        return false;
    const ra_out_piece *last = piece_at(queue, queue->count - 1);
    return last->flags == piece->flags && last->owner == piece->owner &&
           last->data + last->bytes == piece->data;
}

void ra_out_push(ra_out_queue *queue, ra_out_piece piece) {
    ra_assert(queue->count < queue->capacity);
    if (extends_last(queue, &piece)) {
        piece_at(queue, queue->count - 1)->bytes += piece.bytes;
        queue->bytes += piece.bytes;
        ra_blob_unref(piece.owner);
        return;
    }
    *piece_at(queue, queue->count) = piece;
    count_piece(queue, &piece);
}

void ra_out_truncate(ra_out_queue *queue, uint32_t count) {
    while (queue->count > count) {
        ra_out_piece *piece = piece_at(queue, --queue->count);
        queue->bytes -= piece->bytes;
        if (piece->flags & RA_OUT_DATA)
            queue->data_bytes -= piece->bytes;
        ra_blob_unref(piece->owner);
    }
}

void ra_out_push_urgent(ra_out_queue *queue, ra_out_piece piece) {
    ra_assert(queue->count < queue->capacity);
    bool in_frame = queue->in_frame;
    uint32_t ahead = 0;
    while (ahead < queue->count && (in_frame || !(piece_at(queue, ahead)->flags & RA_OUT_DATA)))
        in_frame = !(piece_at(queue, ahead++)->flags & RA_OUT_ENDS_FRAME);
    if (ahead == queue->count) {
        ra_out_push(queue, piece);
        return;
    }
    queue->head = (queue->head - 1) & (queue->capacity - 1);
    for (uint32_t i = 0; i < ahead; i++)
        *piece_at(queue, i) = *piece_at(queue, i + 1);
    *piece_at(queue, ahead) = piece;
    count_piece(queue, &piece);
}

uint32_t ra_out_pieces_in(const ra_out_queue *queue, size_t bytes) {
    uint32_t n = 0;
    for (size_t seen = 0; n < queue->count && seen < bytes; n++)
        seen += piece_at(queue, n)->bytes;
    return n;
}

// Drops `bytes` from the front piece; the last byte drops the piece.
static void drop_front(ra_out_queue *queue, size_t bytes) {
    ra_out_piece *piece = piece_at(queue, 0);
    queue->bytes -= bytes;
    if (piece->flags & RA_OUT_DATA)
        queue->data_bytes -= bytes;
    queue->in_frame = true;
    if (bytes < piece->bytes) {
        piece->data += bytes;
        piece->offset += (int64_t)bytes;
        piece->bytes -= bytes;
        return;
    }
    queue->in_frame = !(piece->flags & RA_OUT_ENDS_FRAME);
    ra_blob_unref(piece->owner);
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
}

void ra_out_move_frame(ra_out_queue *from, ra_out_queue *to, size_t bytes) {
    ra_assert(bytes <= from->bytes);
    while (bytes > 0) {
        ra_out_piece part = *piece_at(from, 0);
        if (part.bytes > bytes)
            part.bytes = bytes;
        bytes -= part.bytes;
        part.flags = (uint8_t)(RA_OUT_DATA | (bytes == 0 ? RA_OUT_ENDS_FRAME : 0));
        if (part.owner)
            ra_blob_ref(part.owner);
        ra_out_push(to, part);
        drop_front(from, part.bytes);
    }
}

static bool goes_by_sendfile(const ra_out_queue *queue, const ra_out_piece *piece) {
    if (piece->fd < 0 || queue->sendfile_min_bytes == 0)
        return false;
    return piece->flags & RA_OUT_BY_FILE || piece->bytes >= queue->sendfile_min_bytes;
}

static ssize_t send_file(ra_out_piece *piece, int fd, size_t max_bytes, size_t *given) {
    off_t offset = piece->offset;
    piece->flags |= RA_OUT_BY_FILE;
    *given = piece->bytes < max_bytes ? piece->bytes : max_bytes;
    return sendfile(fd, piece->fd, &offset, *given);
}

static ssize_t send_memory(const ra_out_queue *queue, int fd, size_t max_bytes, size_t *given) {
    struct iovec iov[MAX_IOVECS];
    int n = 0, flags = MSG_NOSIGNAL;
    *given = 0;
    for (uint32_t i = 0; i < queue->count && n < MAX_IOVECS && *given < max_bytes; i++) {
        const ra_out_piece *piece = piece_at(queue, i);
        if (goes_by_sendfile(queue, piece)) {
            flags |= MSG_MORE;
            break;
        }
        iov[n++] = (struct iovec){(void *)(uintptr_t)piece->data, piece->bytes};
        *given += piece->bytes;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    return sendmsg(fd, &message, flags);
}

ra_out_result ra_out_send(ra_out_queue *queue, int fd, size_t max_bytes, size_t *sent_bytes) {
    ra_assert(queue->count > 0);
    size_t given;
    ssize_t n;
    do
        n = goes_by_sendfile(queue, piece_at(queue, 0))
                ? send_file(piece_at(queue, 0), fd, max_bytes, &given)
                : send_memory(queue, fd, max_bytes, &given);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? RA_OUT_BLOCKED : RA_OUT_FAILED;
    if (n == 0 && given > 0)
        return RA_OUT_FAILED;  // a file that ends before its range
    *sent_bytes += (size_t)n;
    for (size_t left = (size_t)n; left > 0;) {
        size_t front = piece_at(queue, 0)->bytes, drop = front < left ? front : left;
        drop_front(queue, drop);
        left -= drop;
    }
    return (size_t)n < given ? RA_OUT_BLOCKED : RA_OUT_SENT;
}

void ra_out_scratch_fini(ra_out_scratch *scratch) {
    ra_blob_unref(scratch->chunk);
    *scratch = (ra_out_scratch){0};
}

int ra_out_scratch_alloc(ra_out_scratch *scratch, size_t bytes, uint8_t **to, ra_out_piece *out,
                         ra_error *err) {
    *out = (ra_out_piece){.bytes = bytes, .fd = -1};
    if (bytes > CHUNK_BYTES / 2) {
        RA_TRY(ra_blob_new(bytes, &out->owner, err));
        *to = out->owner->data;
        out->data = *to;
        return 0;
    }
    // With one reference left, ours, every piece of the chunk has been sent.
    if (scratch->chunk && atomic_load_explicit(&scratch->chunk->refs, memory_order_acquire) == 1)
        scratch->used = 0;
    if (!scratch->chunk || CHUNK_BYTES - scratch->used < bytes) {
        ra_out_scratch_fini(scratch);
        RA_TRY(ra_blob_new(CHUNK_BYTES, &scratch->chunk, err));
    }
    *to = scratch->chunk->data + scratch->used;
    out->data = *to;
    out->owner = ra_blob_ref(scratch->chunk);
    scratch->used += bytes;
    return 0;
}
