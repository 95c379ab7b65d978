// Reference-counted memory that others point into: a message body, a mapping, a decompressed
// buffer.
#ifndef RA_BASE_BLOB_H
#define RA_BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct ra_blob {
    atomic_int refs;
    uint8_t *data;
    size_t bytes;
    void (*release)(struct ra_blob *blob);  // frees data, what `owner` stands for, and the blob
    void *owner;
} ra_blob;

// A blob of its own memory, 64-byte aligned and not cleared, with one reference.
RA_MUST int ra_blob_new(size_t bytes, ra_blob **out, ra_error *err);
// A blob around memory from ra_malloc, which it takes in any case.
RA_MUST int ra_blob_take(uint8_t *data, size_t bytes, ra_blob **out, ra_error *err);
// A blob around foreign memory: `release(owner)` is called when the last reference goes (not on
// failure).
RA_MUST int ra_blob_wrap(const uint8_t *data, size_t bytes, void (*release)(void *owner),
                         void *owner, ra_blob **out, ra_error *err);
ra_blob *ra_blob_ref(ra_blob *blob);
void ra_blob_unref(ra_blob *blob);  // NULL is allowed

#endif
