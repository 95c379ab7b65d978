// A persistent map from 16-byte keys (hashes of names, command keys) to numbers. Like ra_id_tree:
// copies share what did not change.
#ifndef RA_STORE_KEY_MAP_H
#define RA_STORE_KEY_MAP_H

#include "base/error.h"

typedef struct {
    uint8_t bytes[16];
} ra_key;

typedef struct ra_key_node ra_key_node;

// A value; {0} is the empty map. Owns a reference to its root.
typedef struct {
    ra_key_node *root;
} ra_key_map;

ra_key_map ra_key_map_share(const ra_key_map *map);
void ra_key_map_fini(ra_key_map *map);

// Puts `value` (>= 0) at `key`. OUT_OF_MEMORY leaves the map as it was.
RA_MUST int ra_key_map_set(ra_key_map *map, ra_key key, int64_t value, ra_error *err);
// Removes `key` if it is there. OUT_OF_MEMORY leaves the map as it was.
RA_MUST int ra_key_map_remove(ra_key_map *map, ra_key key, ra_error *err);
int64_t ra_key_map_get(const ra_key_map *map, ra_key key);  // -1 when absent

#endif
