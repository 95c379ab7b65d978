// What a segment file has around its messages: an Arrow IPC file's head, prefixes and footer.
#ifndef RA_STORE_SEGMENT_FRAME_H
#define RA_STORE_SEGMENT_FRAME_H

#include "store/segment.h"

enum { RA_SEGMENT_PREFIX_BYTES = 8, RA_SEGMENT_ALIGNMENT = 64 };

// The prefix at `position` of a message whose flatbuffer has `message_bytes`: marker and padded
// length, so that what follows is aligned.
void ra_segment_print_prefix(int64_t position, int64_t message_bytes,
                             uint8_t prefix[RA_SEGMENT_PREFIX_BYTES]);
// Appends what a file begins with, up to its first message: magic and schema. OUT_OF_MEMORY, LIMIT.
RA_MUST int ra_segment_encode_head(const ra_schema *schema, ra_bytes *out, ra_error *err);
// Appends what follows the last message: end of stream and footer. OUT_OF_MEMORY, LIMIT.
RA_MUST int ra_segment_encode_tail(const ra_schema *schema, const ra_segment_entry *dictionaries,
                                   int n_dictionaries, const ra_segment_entry *batches,
                                   int n_batches, ra_bytes *out, ra_error *err);

#endif
