// gRPC messages out of a byte stream that was cut anywhere: one byte "compressed", four bytes
// length, payload. Limits are checked from the prefix, memory is taken as bytes arrive.
#ifndef RA_WIRE_GRPC_FRAME_H
#define RA_WIRE_GRPC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/bytes.h"

enum { RA_GRPC_PREFIX_BYTES = 5 };

typedef struct {
    size_t max_message_bytes;
    size_t part_bytes;  // 0: every message is one part
    ra_budget *budget;  // charged for `part`; NULL: nothing is charged
    uint8_t prefix[RA_GRPC_PREFIX_BYTES];
    uint8_t prefix_bytes;
    uint32_t left;            // payload of this message that is still to come
    uint64_t received_bytes;  // payload of all messages: what the peer has shown that it sends
    int64_t charged_bytes;    // for `part`
    ra_bytes part;
    bool is_compressed;  // set with the failure for a compressed message
} ra_deframer;

void ra_deframer_init(ra_deframer *d, size_t max_message_bytes, size_t part_bytes,
                      ra_budget *budget);
// Releases memory and charge.
void ra_deframer_fini(ra_deframer *d);

// Takes bytes from `*data` up to the end of a part or of the input. When `*complete`, d->part is a
// whole message or part of one (`*last` ends the message) and must be taken with
// ra_deframer_take before the next call. Fails with MESSAGE_TOO_LARGE, PROTOCOL (a flag that is no
// boolean), NOT_IMPLEMENTED (compressed), OUT_OF_MEMORY.
RA_MUST int ra_deframer_feed(ra_deframer *d, ra_str *data, bool *complete, bool *last,
                             ra_error *err);
// Moves the part out; what it was charged is returned and becomes the caller's to release.
ra_bytes ra_deframer_take(ra_deframer *d, int64_t *charged_bytes);

// Whether the input so far ends with a whole message (G-12).
static inline bool ra_deframer_is_between_messages(const ra_deframer *d) {
    return d->prefix_bytes == 0;
}

#endif
