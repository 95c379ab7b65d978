#include "base/arena.h"

#include "base/checked.h"
#include "base/os.h"

enum { BLOCK_BYTES = 4096, ALIGNMENT = 16 };

struct ra_arena_block {
    ra_arena_block *next;
    size_t capacity;
    _Alignas(ALIGNMENT) uint8_t data[];
};

void ra_arena_init(ra_arena *arena, size_t ceiling) {
    *arena = (ra_arena){.ceiling = ceiling};
}

void ra_arena_fini(ra_arena *arena) {
    ra_arena_block *block = arena->blocks;
    while (block) {
        ra_arena_block *next = block->next;
        ra_free(block);
        block = next;
    }
    ra_arena_init(arena, arena->ceiling);
}

static ra_arena_block *add_block(ra_arena *arena, size_t need) {
    size_t capacity = need > BLOCK_BYTES ? need : BLOCK_BYTES, total;
    if (!ra_add_size(arena->total_bytes, capacity, &total) || total > arena->ceiling) {
        capacity = need;
        if (!ra_add_size(arena->total_bytes, need, &total) || total > arena->ceiling)
            return NULL;
    }
    ra_arena_block *block = ra_malloc(sizeof *block + capacity);
    if (!block)
        return NULL;
    block->next = arena->blocks;
    block->capacity = capacity;
    arena->blocks = block;
    arena->total_bytes = total;
    arena->used_bytes = 0;
    return block;
}

void *ra_arena_alloc(ra_arena *arena, size_t count, size_t bytes) {
    size_t need;
    if (!ra_mul_size(count, bytes, &need) || !ra_add_size(need, ALIGNMENT - 1, &need))
        return NULL;
    need &= ~(size_t)(ALIGNMENT - 1);
    ra_arena_block *block = arena->blocks;
    if (!block || block->capacity - arena->used_bytes < need)
        block = add_block(arena, need);
    if (!block)
        return NULL;
    void *p = block->data + arena->used_bytes;
    arena->used_bytes += need;
    memset(p, 0, need);
    return p;
}

ra_str ra_arena_str(ra_arena *arena, ra_str text) {
    char *copy = ra_arena_alloc(arena, text.len + 1, 1);
    if (!copy)
        return (ra_str){NULL, 0};
    if (text.len)
        memcpy(copy, text.data, text.len);
    return (ra_str){copy, text.len};
}
