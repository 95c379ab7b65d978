// Finds the results whose time is over. They are deleted by ordinary requests, so that rows, events
// and files go the one way all deletes go.
#include "base/os.h"
#include "store/catalog.h"

#define SECONDS INT64_C(1000000000)

enum { MAX_LOOKS_AT_ONCE = 10000 };

int64_t ra_flight_expires_ns(const ra_flight *flight) {
    int64_t ttl_ns = ra_flight_newest(flight)->content->store->options.result_ttl_ns;
    int64_t expires_ns;
    if (ttl_ns == 0 || flight->kind != RA_KIND_RESULT || flight->n_names > 0 ||
        __builtin_add_overflow(atomic_load(flight->last_used_ns), ttl_ns, &expires_ns))
        return INT64_MAX;
    return expires_ns;
}

// Whoever reads or computes with a version has a reference of it; old snapshots have records that
// have one, too, but not for long.
static bool is_in_use(const ra_flight *flight) {
    for (int i = 0; i < flight->n_versions; i++) {
        if (atomic_load(&flight->versions[i]->refs) > 1)
            return true;
    }
    return false;
}

bool ra_janitor_is_expired(const ra_flight *flight) {
    return ra_os_wall_ns() >= ra_flight_expires_ns(flight) && !is_in_use(flight);
}

// A tenth of the time to live, within a tenth of a second and a minute.
int64_t ra_janitor_next_due(const ra_catalog *catalog, int64_t now_ns) {
    int64_t period_ns = catalog->store->options.result_ttl_ns / 10;
    if (catalog->store->options.result_ttl_ns == 0)
        return INT64_MAX;
    if (period_ns > 60 * SECONDS)
        period_ns = 60 * SECONDS;
    if (period_ns < SECONDS / 10)
        period_ns = SECONDS / 10;
    return now_ns + period_ns;
}

void ra_janitor_run(ra_catalog *catalog, int64_t now_ns,
                    void (*expire)(ra_catalog *catalog, const ra_flight *flight)) {
    const ra_state *state = &catalog->snapshot->state;
    ra_error err;
    bool ended = ra_store_check_writable(catalog->store, &err) != 0;
    for (int n = 0; !ended && n < MAX_LOOKS_AT_ONCE; n++, catalog->next_expiry_id++) {
        ra_flight *flight = ra_id_tree_next(&state->flights, &catalog->next_expiry_id);
        ended = !flight;
        if (ended)
            break;
        if (ra_flight_expires_ns(flight) == INT64_MAX)
            continue;
        if (is_in_use(flight))
            ra_flight_touch(flight);
        else if (ra_janitor_is_expired(flight))
            expire(catalog, flight);
    }
    catalog->expiry_due_ns = ended ? ra_janitor_next_due(catalog, now_ns) : now_ns;
    if (ended)
        catalog->next_expiry_id = 0;
}
