#include "store/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "store/record.h"

ra_state ra_state_share(const ra_state *state) {
    ra_state copy = *state;
    copy.flights = ra_id_tree_share(&state->flights);
    copy.names = ra_key_map_share(&state->names);
    copy.commands = ra_key_map_share(&state->commands);
    copy.hidden = ra_id_tree_share(&state->hidden);
    copy.hidden_names = ra_key_map_share(&state->hidden_names);
    copy.unwritten = ra_id_tree_share(&state->unwritten);
    return copy;
}

void ra_state_fini(ra_state *state) {
    ra_id_tree_fini(&state->flights);
    ra_key_map_fini(&state->names);
    ra_key_map_fini(&state->commands);
    ra_id_tree_fini(&state->hidden);
    ra_key_map_fini(&state->hidden_names);
    ra_id_tree_fini(&state->unwritten);
}

// 128 bits with a secret seed stand for the name; who finds a Flight compares the name itself.
static ra_key name_key(const ra_state *state, ra_str name) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(name.data, name.len, state->name_seed);
    ra_key key;
    memcpy(key.bytes, &hash.low64, 8);
    memcpy(key.bytes + 8, &hash.high64, 8);
    return key;
}

static ra_key command_key(const uint8_t *bytes) {
    ra_key key;
    memcpy(key.bytes, bytes, sizeof key.bytes);
    return key;
}

static bool has_command(const ra_flight *flight, const uint8_t *key) {
    return flight && flight->has_command_key &&
           memcmp(flight->command_key, key, sizeof flight->command_key) == 0;
}

static int put_command(ra_state *state, const ra_flight *old, const ra_flight *new, ra_error *err) {
    if (old && old->has_command_key && !has_command(new, old->command_key))
        RA_TRY(ra_key_map_remove(&state->commands, command_key(old->command_key), err));
    if (new &&new->has_command_key && !has_command(old, new->command_key))
        RA_TRY(ra_key_map_set(&state->commands, command_key(new->command_key), new->id, err));
    return 0;
}

int ra_state_put(ra_state *state, const ra_flight *old, ra_flight *new, ra_error *err) {
    ra_assert(old || new);
    ra_assert(!old || !new || (old->id == new->id && old->row == new->row));
    for (int i = 0; old && i < old->n_names; i++) {
        if (!new || !ra_flight_has_name(new, old->names[i]))
            RA_TRY(ra_key_map_remove(&state->names, name_key(state, old->names[i]), err));
    }
    for (int i = 0; new &&i < new->n_names; i++) {
        if (!old || !ra_flight_has_name(old, new->names[i]))
            RA_TRY(ra_key_map_set(&state->names, name_key(state, new->names[i]), new->id, err));
    }
    RA_TRY(put_command(state, old, new, err));
    state->n_flights += (new != NULL) - (old != NULL);
    return ra_id_tree_set(&state->flights, new ? new->id : old->id, new, err);
}

int ra_state_add_hidden(ra_state *state, ra_flight *flight, ra_error *err) {
    for (int i = 0; i < flight->n_names; i++)
        RA_TRY(ra_key_map_set(&state->hidden_names, name_key(state, flight->names[i]), flight->row,
                              err));
    return ra_id_tree_set(&state->hidden, flight->row, flight, err);
}

int ra_state_unhide(ra_state *state, ra_flight *flight, ra_error *err) {
    for (int i = 0; i < flight->n_names; i++)
        RA_TRY(ra_key_map_remove(&state->hidden_names, name_key(state, flight->names[i]), err));
    return ra_id_tree_set(&state->hidden, flight->row, NULL, err);
}

ra_flight *ra_state_find(const ra_state *state, ra_str name) {
    int64_t id = ra_key_map_get(&state->names, name_key(state, name));
    ra_flight *flight = ra_id_tree_get(&state->flights, id);
    return flight && ra_flight_has_name(flight, name) ? flight : NULL;
}

ra_flight *ra_state_find_hidden(const ra_state *state, ra_str name) {
    int64_t row = ra_key_map_get(&state->hidden_names, name_key(state, name));
    ra_flight *flight = ra_id_tree_get(&state->hidden, row);
    return flight && ra_flight_has_name(flight, name) ? flight : NULL;
}

ra_flight *ra_state_find_command(const ra_state *state, const uint8_t *key) {
    int64_t id = ra_key_map_get(&state->commands, command_key(key));
    return ra_id_tree_get(&state->flights, id);
}

int ra_state_get(const ra_state *state, int64_t id, ra_flight **out, ra_error *err) {
    *out = ra_id_tree_get(&state->flights, id);
    if (*out)
        return 0;
    int rc;
    if (id >= 0 && id < state->next_id)
        rc = ra_error_set(err, RA_REASON_FLIGHT_DELETED, "Flight %" PRId64 " was deleted", id);
    else
        rc = ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND, "Flight %" PRId64 " does not exist", id);
    if (err)
        err->flight = id;
    return rc;
}

static int add_segments(const ra_flight *flight, ra_bytes *out, ra_error *err) {
    for (int i = 0; i < flight->n_versions; i++) {
        const ra_content *content = flight->versions[i]->content;
        for (int j = 0; j < content->n_parts; j++) {
            const ra_segment *segment = content->parts[j].segment;
            RA_TRY(ra_bytes_append(out, &segment, sizeof segment, err));
        }
    }
    return 0;
}

static int compare_addresses(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

int ra_state_list_segments(const ra_state *state, ra_bytes *out, ra_error *err) {
    const ra_id_tree *trees[] = {&state->flights, &state->hidden};
    for (int i = 0; i < 2; i++) {
        int64_t at = 0;
        for (ra_flight *flight; (flight = ra_id_tree_next(trees[i], &at)); at++)
            if (!ra_id_tree_get(&state->unwritten, flight->row))
                RA_TRY(add_segments(flight, out, err));
    }
    uintptr_t *list = (uintptr_t *)(void *)out->data;
    size_t n = out->len / sizeof *list, n_kept = 0;
    if (n > 0)
        qsort(list, n, sizeof *list, compare_addresses);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || list[i] != list[i - 1])
            list[n_kept++] = list[i];
    out->len = n_kept * sizeof *list;
    return 0;
}
