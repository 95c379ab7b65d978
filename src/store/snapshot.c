#include <inttypes.h>
#include <stdio.h>

#include "base/os.h"
#include "store/catalog.h"

int ra_snapshot_new(ra_catalog *catalog, ra_state *state, ra_snapshot **out, ra_error *err) {
    ra_snapshot *snapshot = *out = ra_malloc(sizeof *snapshot);
    if (!snapshot) {
        ra_state_fini(state);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of Flights");
    }
    atomic_init(&snapshot->refs, 1);
    snapshot->catalog = catalog;
    snapshot->count = ra_id_tree_last(&state->flights) + 1;
    snapshot->state = *state;
    snapshot->next = NULL;
    return 0;
}

void ra_snapshot_free(ra_snapshot *snapshot) {
    ra_state_fini(&snapshot->state);
    ra_free(snapshot);
}

ra_snapshot *ra_store_snapshot(ra_store *store) {
    ra_catalog *catalog = store->catalog;
    pthread_mutex_lock(&catalog->snapshot_lock);
    ra_snapshot *snapshot = catalog->snapshot;
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&catalog->snapshot_lock);
    return snapshot;
}

// The last reference is often a reader's that must not block, and freeing may take a while: it is
// left to the catalog thread.
void ra_snapshot_unref(ra_snapshot *snapshot) {
    if (!snapshot)
        return;
    int before = atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before > 1)
        return;
    ra_catalog *catalog = snapshot->catalog;
    pthread_mutex_lock(&catalog->lock);
    snapshot->next = catalog->dead;
    catalog->dead = snapshot;
    pthread_cond_signal(&catalog->wake);
    pthread_mutex_unlock(&catalog->lock);
}

int64_t ra_snapshot_count(const ra_snapshot *snapshot) {
    return snapshot->count;
}

ra_flight *ra_snapshot_get(const ra_snapshot *snapshot, int64_t id) {
    return ra_id_tree_get(&snapshot->state.flights, id);
}

ra_flight *ra_snapshot_find(const ra_snapshot *snapshot, ra_str name) {
    return ra_state_find(&snapshot->state, name);
}

ra_flight *ra_snapshot_find_command(const ra_snapshot *snapshot, const uint8_t key[16]) {
    return ra_state_find_command(&snapshot->state, key);
}

int64_t ra_snapshot_sequence(const ra_snapshot *snapshot) {
    return snapshot->state.sequence;
}

// How messages call a Flight: "Flight 3 'taxi'", or "Flight 3".
static void print_flight(const ra_flight *flight, char *text, size_t bytes) {
    if (flight->n_names > 0)
        snprintf(text, bytes, "Flight %" PRId64 " '%.*s'", flight->id,
                 RA_STR_ARG(flight->names[0]));
    else
        snprintf(text, bytes, "Flight %" PRId64, flight->id);
}

static int pick_version(const ra_flight *flight, int64_t number, ra_version **out, ra_error *err) {
    char text[300];
    print_flight(flight, text, sizeof text);
    *out = number == 0 ? ra_flight_newest(flight) : NULL;
    for (int i = 0; i < flight->n_versions; i++) {
        if (flight->versions[i]->number == number)
            *out = flight->versions[i];
    }
    if (*out)
        return 0;
    int rc = ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND,
                          "%s has no version %" PRId64 "; there are %" PRId64 " to %" PRId64, text,
                          number, flight->versions[0]->number, ra_flight_newest(flight)->number);
    if (err)
        err->flight = flight->id;
    return rc;
}

int ra_version_check_lost(const ra_flight *flight, const ra_version *version, ra_error *err) {
    if (!version->is_lost)
        return 0;
    char text[300];
    print_flight(flight, text, sizeof text);
    int rc = ra_error_set(err, RA_REASON_DATA_LOSS,
                          "%s: a file of version %" PRId64 " is missing or damaged", text,
                          version->number);
    if (err)
        err->flight = flight->id;
    return rc;
}

static int take_version(ra_flight *found, int64_t number, ra_flight **flight, ra_version **out,
                        ra_error *err) {
    ra_version *version;
    RA_TRY(pick_version(found, number, &version, err));
    *flight = ra_flight_ref(found);
    *out = ra_version_ref(version);
    return 0;
}

int ra_store_get(ra_store *store, int64_t id, int64_t version, ra_flight **flight, ra_version **out,
                 ra_error *err) {
    *flight = NULL;
    *out = NULL;
    ra_snapshot *snapshot = ra_store_snapshot(store);
    ra_flight *found;
    int rc = ra_state_get(&snapshot->state, id, &found, err);
    if (rc == 0)
        rc = take_version(found, version, flight, out, err);
    ra_snapshot_unref(snapshot);
    return rc;
}

int ra_store_find(ra_store *store, ra_str name, int64_t version, ra_flight **flight,
                  ra_version **out, ra_error *err) {
    *flight = NULL;
    *out = NULL;
    ra_snapshot *snapshot = ra_store_snapshot(store);
    ra_flight *found = ra_state_find(&snapshot->state, name);
    int rc;
    if (found) {
        rc = take_version(found, version, flight, out, err);
    } else {
        rc = ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND, "Flight '%.*s' does not exist",
                          RA_STR_ARG(name));
        ra_error_set_subject(err, "name", name.data, name.len);
    }
    ra_snapshot_unref(snapshot);
    return rc;
}
