#include "arrow/utf8_map.h"

#include "base/checked.h"
#include "base/os.h"
#include "base/utf8.h"

// Bytes that belong to no valid character are bad. A range is valid when it has no bad byte and no
// character hangs over its ends.
typedef struct {
    ra_span bytes;
    uint64_t *bad;         // a bit a byte; NULL when there is no bad byte
    uint32_t *next_dirty;  // for each word of `bad`, the first word from there on with a bit set
} buffer_map;

struct ra_utf8_map {
    int n;
    buffer_map buffers[];
};

static void mark_bad(buffer_map *map) {
    const uint8_t *data = map->bytes.data;
    int64_t n = map->bytes.bytes, at = 0;
    while (at < n) {
        at += (int64_t)ra_utf8_valid_prefix(data + at, (size_t)(n - at));
        if (at < n) {
            map->bad[at / 64] |= UINT64_C(1) << (at % 64);
            at++;
        }
    }
    int64_t n_words = n / 64 + 1;
    uint32_t next = (uint32_t)n_words;
    for (int64_t word = n_words - 1; word >= 0; word--) {
        if (map->bad[word])
            next = (uint32_t)word;
        map->next_dirty[word] = next;
    }
}

static int read_buffer(buffer_map *map, ra_span bytes, ra_error *err) {
    map->bytes = bytes;
    if (bytes.bytes == 0 || ra_utf8_is_valid(bytes.data, (size_t)bytes.bytes))
        return 0;
    // Views reach the first 2^32 bytes only, so 32 bits are enough to number words.
    if (map->bytes.bytes > UINT32_MAX)
        map->bytes.bytes = UINT32_MAX;
    size_t n_words = (size_t)map->bytes.bytes / 64 + 1;
    map->bad = ra_calloc(n_words, sizeof *map->bad);
    map->next_dirty = ra_calloc(n_words, sizeof *map->next_dirty);
    if (!map->bad || !map->next_dirty)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to check the UTF-8 of views");
    mark_bad(map);
    return 0;
}

int ra_utf8_map_new(const ra_span *buffers, int n, ra_utf8_map **out, ra_error *err) {
    *out = NULL;
    ra_utf8_map *map = ra_calloc(1, sizeof *map + (size_t)n * sizeof map->buffers[0]);
    if (!map)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to check the UTF-8 of views");
    map->n = n;
    for (int i = 0; i < n; i++) {
        int rc = read_buffer(&map->buffers[i], buffers[i], err);
        if (rc != 0) {
            ra_utf8_map_free(map);
            return rc;
        }
    }
    *out = map;
    return 0;
}

void ra_utf8_map_free(ra_utf8_map *map) {
    if (!map)
        return;
    for (int i = 0; i < map->n; i++) {
        ra_free(map->buffers[i].bad);
        ra_free(map->buffers[i].next_dirty);
    }
    ra_free(map);
}

static bool has_bad(const buffer_map *map, int64_t from, int64_t to) {
    if (!map->bad)
        return false;
    int64_t word = from / 64;
    uint64_t bits = map->bad[word] >> (from % 64);
    if (bits)
        return from + __builtin_ctzll(bits) < to;
    int64_t n_words = map->bytes.bytes / 64 + 1;
    int64_t next = word + 1 < n_words ? map->next_dirty[word + 1] : n_words;
    return next < n_words && next * 64 + __builtin_ctzll(map->bad[next]) < to;
}

static bool is_continuation(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

bool ra_utf8_map_is_valid(const ra_utf8_map *map, int buffer, int64_t from, int64_t bytes) {
    const buffer_map *m = &map->buffers[buffer];
    int64_t to = from + bytes;
    if (bytes == 0)
        return true;
    if (has_bad(m, from, to) || is_continuation(m->bytes.data[from]))
        return false;
    // A good continuation byte behind the range belongs to a character that the range cuts; a bad
    // one belongs to none.
    return to >= m->bytes.bytes || !is_continuation(m->bytes.data[to]) || has_bad(m, to, to + 1);
}
