// Memory of output buffers that is used again for the next batch while its pages are still there:
// a fresh page costs about as much as gathering into it.
#ifndef RA_COMPUTE_POOL_H
#define RA_COMPUTE_POOL_H

#include "base/blob.h"

typedef struct ra_buffer_pool ra_buffer_pool;

RA_MUST int ra_buffer_pool_new(ra_buffer_pool **out, ra_error *err);
// Frees what is not in use; blobs that are still in use free their memory themselves later.
void ra_buffer_pool_free(ra_buffer_pool *pool);  // NULL is allowed

// A blob of at least `bytes`, not cleared, 64-byte aligned, one reference; its memory comes back
// with the last reference. Small ones, and all without a pool (NULL), are not pooled. Any thread.
RA_MUST int ra_buffer_pool_get(ra_buffer_pool *pool, int64_t bytes, ra_blob **out, ra_error *err);

#endif
