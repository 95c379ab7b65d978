// The list of Flights as a value: what a snapshot shows and what a transaction changes. Copying one
// is a few reference counts; the copy can be changed and dropped without touching the original.
#ifndef RA_STORE_STATE_H
#define RA_STORE_STATE_H

#include "store/id_tree.h"
#include "store/key_map.h"
#include "store/store.h"

typedef struct {
    ra_id_tree flights;       // by id
    ra_key_map names;         // hash of the name → id
    ra_key_map commands;      // command key → id
    ra_id_tree hidden;        // datasets after `clear`, by row: on disk until the next start
    ra_key_map hidden_names;  // hash of the name → row
    ra_id_tree unwritten;     // results that have no row in the catalog yet, by row
    int64_t n_flights;
    int64_t next_id;
    int64_t reserved_id;  // ids below it are reserved on disk
    int64_t next_row;
    int64_t sequence;    // of the newest event
    uint64_t name_seed;  // of the hashes of names
} ra_state;

ra_state ra_state_share(const ra_state *state);
void ra_state_fini(ra_state *state);

// Replaces `old` by `new` (same id and row), adds `new` when `old` is NULL, removes `old` when
// `new` is NULL: in the list and in the maps of names and commands. OUT_OF_MEMORY leaves the state
// between both: drop it.
RA_MUST int ra_state_put(ra_state *state, const ra_flight *old, ra_flight *new, ra_error *err);
// Remembers a dataset as hidden (whether it is in the list is the caller's), and forgets it.
// OUT_OF_MEMORY as above.
RA_MUST int ra_state_add_hidden(ra_state *state, ra_flight *flight, ra_error *err);
RA_MUST int ra_state_unhide(ra_state *state, ra_flight *flight, ra_error *err);

ra_flight *ra_state_find(const ra_state *state, ra_str name);                 // borrowed or NULL
ra_flight *ra_state_find_hidden(const ra_state *state, ra_str name);          // borrowed or NULL
ra_flight *ra_state_find_command(const ra_state *state, const uint8_t *key);  // borrowed or NULL

// Appends the segments (const ra_segment *, by address, each once) that the Flights with rows in
// the catalog refer to, hidden ones included. OUT_OF_MEMORY, LIMIT.
RA_MUST int ra_state_list_segments(const ra_state *state, ra_bytes *out, ra_error *err);

// The Flight `id`, borrowed. FLIGHT_NOT_FOUND when there never was one, FLIGHT_DELETED.
RA_MUST int ra_state_get(const ra_state *state, int64_t id, ra_flight **out, ra_error *err);

#endif
