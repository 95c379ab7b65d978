// Skipping valid UTF-8 64 bytes at a time, where the processor can.
#ifndef RA_BASE_UTF8_SIMD_H
#define RA_BASE_UTF8_SIMD_H

#include <stddef.h>
#include <stdint.h>

// Bytes of a valid prefix of `text` that ends between two characters; less than the longest one by
// up to 66 bytes. 0 for short texts and other processors.
size_t ra_utf8_skip_blocks(const uint8_t *text, size_t n);

#endif
