// Answers whether any range of given buffers is valid UTF-8, in constant time after one pass.
#ifndef RA_ARROW_UTF8_MAP_H
#define RA_ARROW_UTF8_MAP_H

#include "arrow/array.h"

typedef struct ra_utf8_map ra_utf8_map;

// Reads `n` buffers, which must stay as they are while the map is used. A buffer that is not wholly
// valid takes 3/16 of its bytes. OUT_OF_MEMORY.
RA_MUST int ra_utf8_map_new(const ra_span *buffers, int n, ra_utf8_map **out, ra_error *err);
void ra_utf8_map_free(ra_utf8_map *map);

// Whether bytes [from, from + bytes) of a buffer, which must be inside of it, are valid UTF-8.
bool ra_utf8_map_is_valid(const ra_utf8_map *map, int buffer, int64_t from, int64_t bytes);

#endif
