// A persistent map from numbers (ids, rows) to Flights: copies share all but the changed path, so a
// snapshot of 10^5 Flights costs a pointer and a change a few nodes.
#ifndef RA_STORE_ID_TREE_H
#define RA_STORE_ID_TREE_H

#include "store/store.h"

typedef struct ra_id_node ra_id_node;

// A value; {0} is the empty tree. Owns a reference to its root.
typedef struct {
    ra_id_node *root;
    int height;  // levels below the root
} ra_id_tree;

// Another owner of the same tree. Changing one does not change the other.
ra_id_tree ra_id_tree_share(const ra_id_tree *tree);
void ra_id_tree_fini(ra_id_tree *tree);

// Puts `flight` (a reference is added) at `id` >= 0, or removes what is there when it is NULL.
// OUT_OF_MEMORY leaves the tree as it was. Not while another thread uses the same `tree`; those
// that share its nodes may be in use.
RA_MUST int ra_id_tree_set(ra_id_tree *tree, int64_t id, ra_flight *flight, ra_error *err);

ra_flight *ra_id_tree_get(const ra_id_tree *tree, int64_t id);  // borrowed, NULL when absent
// The first entry at or after `*id`, whose number `*id` becomes; NULL at the end. Borrowed.
ra_flight *ra_id_tree_next(const ra_id_tree *tree, int64_t *id);
int64_t ra_id_tree_last(const ra_id_tree *tree);  // highest number, -1 when empty

#endif
