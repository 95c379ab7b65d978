#include "store/key_map.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"

// A hash trie: each level looks at 5 more bits of the key; a leaf stands as high as its key is
// alone. Nodes are never changed once another node or map refers to them.
enum { BITS = 5, FANOUT = 1 << BITS, MAX_LEVEL = 25 };

struct ra_key_node {
    atomic_int refs;
    uint32_t used;  // branches: bit i = there is a child for these 5 bits; 0 = a leaf
    int64_t value;  // leaves
    ra_key key;
    struct ra_key_node *children[];
};

static int bits_of(ra_key key, int level) {
    int at = level * BITS;
    uint64_t low = ra_load_u64(key.bytes), high = ra_load_u64(key.bytes + 8);
    if (at >= 64)
        return (int)(high >> (at - 64)) & (FANOUT - 1);
    uint64_t word = low >> at;
    if (at > 64 - BITS)
        word |= high << (64 - at);
    return (int)word & (FANOUT - 1);
}

static int place_of(uint32_t used, int bit) {
    return __builtin_popcount(used & ((UINT32_C(1) << bit) - 1));
}

static bool has(const ra_key_node *node, int bit) {
    return (node->used >> bit) & 1;
}

static ra_key_node *node_ref(ra_key_node *node) {
    if (node)
        atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

static void node_unref(ra_key_node *node) {
    if (!node || atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) > 1)
        return;
    int n = __builtin_popcount(node->used);
    for (int i = 0; i < n; i++)
        node_unref(node->children[i]);
    ra_free(node);
}

static ra_key_node *node_new(uint32_t used) {
    size_t n = (size_t)__builtin_popcount(used);
    ra_key_node *node = ra_calloc(1, sizeof *node + n * sizeof *node->children);
    if (node) {
        atomic_init(&node->refs, 1);
        node->used = used;
    }
    return node;
}

static ra_key_node *leaf_new(ra_key key, int64_t value) {
    ra_key_node *leaf = node_new(0);
    if (leaf) {
        leaf->key = key;
        leaf->value = value;
    }
    return leaf;
}

// A copy of the branch with `child` (taken in any case) at `bit`, or without anything there when
// it is NULL. NULL: no memory.
static ra_key_node *branch_with(const ra_key_node *branch, int bit, ra_key_node *child) {
    uint32_t mask = UINT32_C(1) << bit;
    ra_key_node *copy = node_new(child ? branch->used | mask : branch->used & ~mask);
    if (!copy) {
        node_unref(child);
        return NULL;
    }
    const uint32_t others = branch->used & ~mask;
    for (int i = 0; i < FANOUT; i++) {
        if ((others >> i) & 1)
            copy->children[place_of(copy->used, i)] =
                node_ref(branch->children[place_of(branch->used, i)]);
    }
    if (child)
        copy->children[place_of(copy->used, bit)] = child;
    return copy;
}

// A branch, and branches below while the keys agree, that holds both leaves (taken in any case).
static ra_key_node *branch_of_two(ra_key_node *a, ra_key_node *b, int level) {
    ra_assert(level <= MAX_LEVEL);
    int bit_a = bits_of(a->key, level), bit_b = bits_of(b->key, level);
    ra_key_node *branch = node_new((UINT32_C(1) << bit_a) | (UINT32_C(1) << bit_b));
    if (!branch) {
        node_unref(a);
        node_unref(b);
        return NULL;
    }
    if (bit_a != bit_b) {
        branch->children[bit_a > bit_b] = a;
        branch->children[bit_b > bit_a] = b;
        return branch;
    }
    branch->children[0] = branch_of_two(a, b, level + 1);
    if (branch->children[0])
        return branch;
    node_unref(branch);
    return NULL;
}

// `node` (borrowed) with `leaf` (taken in any case) in it; NULL: no memory.
static ra_key_node *with_leaf(ra_key_node *node, ra_key_node *leaf, int level) {
    if (!node)
        return leaf;
    if (node->used == 0) {
        if (memcmp(&node->key, &leaf->key, sizeof leaf->key) == 0)
            return leaf;
        return branch_of_two(node_ref(node), leaf, level);
    }
    int bit = bits_of(leaf->key, level);
    ra_key_node *below = has(node, bit) ? node->children[place_of(node->used, bit)] : NULL;
    ra_key_node *child = with_leaf(below, leaf, level + 1);
    return child ? branch_with(node, bit, child) : NULL;
}

// `node` (borrowed) without `key`, which is in it. Sets `*ok` false when there is no memory.
static ra_key_node *without_key(ra_key_node *node, ra_key key, int level, bool *ok) {
    if (node->used == 0)
        return NULL;
    int bit = bits_of(key, level), place = place_of(node->used, bit);
    ra_key_node *child = without_key(node->children[place], key, level + 1, ok);
    if (!*ok)
        return NULL;
    int n = __builtin_popcount(node->used);
    if (!child && n == 1)
        return NULL;
    // A leaf alone in its branch moves up.
    if (!child && n == 2 && node->children[1 - place]->used == 0)
        return node_ref(node->children[1 - place]);
    if (child && n == 1 && child->used == 0)
        return child;
    ra_key_node *copy = branch_with(node, bit, child);
    *ok = copy != NULL;
    return copy;
}

ra_key_map ra_key_map_share(const ra_key_map *map) {
    return (ra_key_map){node_ref(map->root)};
}

void ra_key_map_fini(ra_key_map *map) {
    node_unref(map->root);
    map->root = NULL;
}

int ra_key_map_set(ra_key_map *map, ra_key key, int64_t value, ra_error *err) {
    ra_assert(value >= 0);
    ra_key_node *leaf = leaf_new(key, value);
    ra_key_node *root = leaf ? with_leaf(map->root, leaf, 0) : NULL;
    if (!root)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of names");
    node_unref(map->root);
    map->root = root;
    return 0;
}

int ra_key_map_remove(ra_key_map *map, ra_key key, ra_error *err) {
    if (ra_key_map_get(map, key) < 0)
        return 0;
    bool ok = true;
    ra_key_node *root = without_key(map->root, key, 0, &ok);
    if (!ok)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of names");
    node_unref(map->root);
    map->root = root;
    return 0;
}

int64_t ra_key_map_get(const ra_key_map *map, ra_key key) {
    const ra_key_node *node = map->root;
    for (int level = 0; node && node->used != 0; level++) {
        int bit = bits_of(key, level);
        node = has(node, bit) ? node->children[place_of(node->used, bit)] : NULL;
    }
    return node && memcmp(&node->key, &key, sizeof key) == 0 ? node->value : -1;
}
