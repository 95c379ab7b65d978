#include "store/id_tree.h"

#include "base/os.h"

enum { BITS = 6, FANOUT = 1 << BITS, MAX_HEIGHT = 10 };

struct ra_id_node {
    atomic_int refs;
    int n_used;
    void *slots[FANOUT];  // nodes; Flights at height 0
};

static void *slot_ref(void *slot, int height) {
    if (slot && height == 0)
        ra_flight_ref(slot);
    else if (slot)
        atomic_fetch_add_explicit(&((ra_id_node *)slot)->refs, 1, memory_order_relaxed);
    return slot;
}

static void node_unref(ra_id_node *node, int height) {
    if (!node || atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < FANOUT; i++) {
        if (height > 0)
            node_unref(node->slots[i], height - 1);
        else if (node->slots[i])
            ra_flight_unref(node->slots[i]);
    }
    ra_free(node);
}

static ra_id_node *node_new(void) {
    ra_id_node *node = ra_calloc(1, sizeof *node);
    if (node)
        atomic_init(&node->refs, 1);
    return node;
}

// Makes `*at` a node that only this tree refers to. A node with one reference is ours alone: its
// parent was made ours before.
static bool own_node(ra_id_node **at, int height) {
    ra_id_node *node = *at;
    if (node && atomic_load_explicit(&node->refs, memory_order_acquire) == 1)
        return true;
    ra_id_node *mine = node_new();
    if (!mine)
        return false;
    if (node) {
        mine->n_used = node->n_used;
        for (int i = 0; i < FANOUT; i++)
            mine->slots[i] = slot_ref(node->slots[i], height);
        node_unref(node, height);
    }
    *at = mine;
    return true;
}

static int slot_of(int64_t id, int height) {
    return (int)(id >> (BITS * height)) & (FANOUT - 1);
}

static bool fits(const ra_id_tree *tree, int64_t id) {
    return tree->height >= MAX_HEIGHT || id >> (BITS * (tree->height + 1)) == 0;
}

ra_id_tree ra_id_tree_share(const ra_id_tree *tree) {
    if (tree->root)
        atomic_fetch_add_explicit(&tree->root->refs, 1, memory_order_relaxed);
    return *tree;
}

void ra_id_tree_fini(ra_id_tree *tree) {
    node_unref(tree->root, tree->height);
    *tree = (ra_id_tree){0};
}

// Adds levels above the root until `id` fits.
static bool grow(ra_id_tree *tree, int64_t id) {
    while (!fits(tree, id)) {
        if (tree->root) {
            ra_id_node *top = node_new();
            if (!top)
                return false;
            top->slots[0] = tree->root;
            top->n_used = 1;
            tree->root = top;
        }
        tree->height++;
    }
    return true;
}

static bool insert(ra_id_tree *tree, int64_t id, ra_flight *flight) {
    if (!grow(tree, id) || !own_node(&tree->root, tree->height))
        return false;
    ra_id_node *node = tree->root;
    for (int height = tree->height; height > 0; height--) {
        ra_id_node **slot = (ra_id_node **)&node->slots[slot_of(id, height)];
        bool fresh = *slot == NULL;
        if (!own_node(slot, height - 1))
            return false;
        node->n_used += fresh;
        node = *slot;
    }
    void **slot = &node->slots[slot_of(id, 0)];
    if (*slot)
        ra_flight_unref(*slot);
    else
        node->n_used++;
    *slot = ra_flight_ref(flight);
    return true;
}

// Drops the nodes on the way to `id` that hold nothing; all of them are ours.
static bool prune(ra_id_node **at, int64_t id, int height) {
    ra_id_node *node = *at;
    if (!node)
        return true;
    void **slot = &node->slots[slot_of(id, height)];
    if (height > 0 && *slot && prune((ra_id_node **)slot, id, height - 1))
        node->n_used--;
    if (node->n_used > 0)
        return false;
    node_unref(node, height);
    *at = NULL;
    return true;
}

static bool take_out(ra_id_tree *tree, int64_t id) {
    if (!own_node(&tree->root, tree->height))
        return false;
    ra_id_node *node = tree->root;
    for (int height = tree->height; height > 0; height--) {
        ra_id_node **slot = (ra_id_node **)&node->slots[slot_of(id, height)];
        if (!own_node(slot, height - 1))
            return false;
        node = *slot;
    }
    void **slot = &node->slots[slot_of(id, 0)];
    ra_flight_unref(*slot);
    *slot = NULL;
    node->n_used--;
    if (prune(&tree->root, id, tree->height))
        tree->height = 0;
    return true;
}

int ra_id_tree_set(ra_id_tree *tree, int64_t id, ra_flight *flight, ra_error *err) {
    ra_assert(id >= 0);
    if (!flight && !ra_id_tree_get(tree, id))
        return 0;
    if (flight ? insert(tree, id, flight) : take_out(tree, id))
        return 0;
    if (tree->root)
        (void)prune(&tree->root, id, tree->height);
    if (!tree->root)
        tree->height = 0;
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of Flights");
}

ra_flight *ra_id_tree_get(const ra_id_tree *tree, int64_t id) {
    if (id < 0 || !tree->root || !fits(tree, id))
        return NULL;
    const ra_id_node *node = tree->root;
    for (int height = tree->height; node && height > 0; height--)
        node = node->slots[slot_of(id, height)];
    return node ? node->slots[slot_of(id, 0)] : NULL;
}

static ra_flight *next_below(const ra_id_node *node, int height, int64_t *id) {
    for (int i = slot_of(*id, height); i < FANOUT; i++) {
        if (node->slots[i]) {
            if (height == 0)
                return node->slots[i];
            ra_flight *flight = next_below(node->slots[i], height - 1, id);
            if (flight)
                return flight;
        } else {
            int shift = BITS * height;
            *id = ((*id >> shift) + 1) << shift;
        }
    }
    return NULL;
}

ra_flight *ra_id_tree_next(const ra_id_tree *tree, int64_t *id) {
    if (*id < 0)
        *id = 0;
    if (!tree->root || !fits(tree, *id))
        return NULL;
    return next_below(tree->root, tree->height, id);
}

int64_t ra_id_tree_last(const ra_id_tree *tree) {
    int64_t id = 0;
    const ra_id_node *node = tree->root;
    if (!node)
        return -1;
    for (int height = tree->height; height >= 0; height--) {
        int i = FANOUT - 1;
        while (!node->slots[i])
            i--;
        id = (id << BITS) | i;
        node = node->slots[i];
    }
    return id;
}
