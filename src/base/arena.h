// An arena: many small allocations that live and die together.
#ifndef RA_BASE_ARENA_H
#define RA_BASE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/error.h"

typedef struct ra_arena_block ra_arena_block;

typedef struct {
    ra_arena_block *blocks;
    size_t used_bytes;  // of the newest block
    size_t total_bytes;
    size_t ceiling;
} ra_arena;

// Empty, with a ceiling for all its memory in bytes; allocates nothing.
void ra_arena_init(ra_arena *arena, size_t ceiling);
void ra_arena_fini(ra_arena *arena);

// `count` × `bytes` of zeroed memory aligned to 16, or NULL: no memory, overflow or over the
// ceiling.
void *ra_arena_alloc(ra_arena *arena, size_t count, size_t bytes);

// A copy of `text` with a NUL behind it; data == NULL on failure.
ra_str ra_arena_str(ra_arena *arena, ra_str text);

#endif
