#include "base/blob.h"

#include "base/os.h"

enum { ALIGNMENT = 64 };

typedef struct {
    ra_blob blob;
    void (*release_owner)(void *owner);
} wrapped_blob;

static void release_own(ra_blob *blob) {
    ra_free(blob->data);
    ra_free(blob);
}

static void release_wrapped(ra_blob *blob) {
    wrapped_blob *wrapped = (wrapped_blob *)blob;
    wrapped->release_owner(blob->owner);
    ra_free(wrapped);
}

int ra_blob_take(uint8_t *data, size_t bytes, ra_blob **out, ra_error *err) {
    ra_blob *blob = *out = ra_malloc(sizeof *blob);
    if (!blob) {
        ra_free(data);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer");
    }
    *blob = (ra_blob){.data = data, .bytes = bytes, .release = release_own};
    atomic_init(&blob->refs, 1);
    return 0;
}

int ra_blob_new(size_t bytes, ra_blob **out, ra_error *err) {
    *out = NULL;
    uint8_t *data = ra_aligned_alloc(ALIGNMENT, bytes);
    if (!data)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer of %zu bytes", bytes);
    return ra_blob_take(data, bytes, out, err);
}

int ra_blob_wrap(const uint8_t *data, size_t bytes, void (*release)(void *owner), void *owner,
                 ra_blob **out, ra_error *err) {
    *out = NULL;
    wrapped_blob *wrapped = ra_malloc(sizeof *wrapped);
    if (!wrapped)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer");
    wrapped->blob = (ra_blob){.data = (uint8_t *)(uintptr_t)data,
                              .bytes = bytes,
                              .release = release_wrapped,
                              .owner = owner};
    wrapped->release_owner = release;
    atomic_init(&wrapped->blob.refs, 1);
    *out = &wrapped->blob;
    return 0;
}

ra_blob *ra_blob_ref(ra_blob *blob) {
    int before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return blob;
}

void ra_blob_unref(ra_blob *blob) {
    if (!blob)
        return;
    int before = atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before == 1)
        blob->release(blob);
}
