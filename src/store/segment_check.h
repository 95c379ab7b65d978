// Checking every byte of a segment's file that is in use.
#ifndef RA_STORE_SEGMENT_CHECK_H
#define RA_STORE_SEGMENT_CHECK_H

#include "store/segment.h"

// Checks the size of the file, the checksums of all messages, that each batch can be decoded, and
// what lies around the messages: head, prefixes and footer. DATA_LOSS naming the file and what is
// wrong with it first; OUT_OF_MEMORY, IO_ERROR. Not on I/O threads.
RA_MUST int ra_segment_check(ra_segment *segment, ra_error *err);

#endif
