// Growable bytes with a ceiling, and borrowed strings.
#ifndef RA_BASE_BYTES_H
#define RA_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

// Borrowed text or bytes; not NUL-terminated, may hold NUL.
typedef struct {
    const char *data;
    size_t len;
} ra_str;

#define RA_STR(literal) ((ra_str){(literal), sizeof(literal) - 1})
#define RA_STR_ARG(s) \
    (int)((s).len > 200 ? 200 : (s).len), (s).data  // for "%.*s"; cuts at 200 bytes

static inline ra_str ra_str_of(const char *text) {
    return (ra_str){text, strlen(text)};
}
static inline bool ra_str_eq(ra_str a, ra_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

typedef struct {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t ceiling;  // bytes this may never exceed
} ra_bytes;

// Empty, with a ceiling in bytes; allocates nothing.
void ra_bytes_init(ra_bytes *b, size_t ceiling);
void ra_bytes_fini(ra_bytes *b);
static inline void ra_bytes_clear(ra_bytes *b) {
    b->len = 0;
}

// Makes room for `more` bytes after `len`. Fails with LIMIT over the ceiling, OUT_OF_MEMORY.
RA_MUST int ra_bytes_reserve(ra_bytes *b, size_t more, ra_error *err);
RA_MUST int ra_bytes_append(ra_bytes *b, const void *data, size_t bytes, ra_error *err);
RA_MUST int ra_bytes_append_zeros(ra_bytes *b, size_t bytes, ra_error *err);
RA_MUST int ra_bytes_printf(ra_bytes *b, ra_error *err, const char *fmt, ...) RA_PRINTF(3, 4);

// Moves the contents out: `b` is empty afterwards; the caller frees the pointer with ra_free.
uint8_t *ra_bytes_take(ra_bytes *b);
// The contents and the ceiling of `b`, which is empty afterwards and keeps its ceiling.
static inline ra_bytes ra_bytes_move(ra_bytes *b) {
    ra_bytes moved = *b;
    *b = (ra_bytes){.ceiling = b->ceiling};
    return moved;
}

static inline ra_str ra_bytes_str(const ra_bytes *b) {
    return (ra_str){(const char *)b->data, b->len};
}

#endif
