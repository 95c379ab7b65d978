#include "store/changes.h"

// Forgets a Flight whose rows go with the tables or are deleted by the caller.
static int forget(ra_transaction *t, const ra_flight *flight, ra_error *err) {
    bool written = !ra_id_tree_get(&t->state.unwritten, flight->row);
    for (int i = 0; i < flight->n_versions; i++) {
        ra_content *content = flight->versions[i]->content;
        RA_TRY(ra_request_release(t->request, content, err));
        if (written)
            RA_TRY(ra_transaction_count(t, content, -1, false, err));
    }
    return 0;
}

static int forget_all(ra_transaction *t, const ra_id_tree *flights, ra_error *err) {
    int64_t at = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(flights, &at)); at++)
        RA_TRY(forget(t, flight, err));
    return 0;
}

// Deleting whole tables writes next to nothing, which matters on a full disk.
static int delete_everything(ra_transaction *t, ra_error *err) {
    static const ra_sql_id all[] = {RA_SQL_DELETE_ALL_FLIGHTS, RA_SQL_DELETE_ALL_NAMES,
                                    RA_SQL_DELETE_ALL_VERSIONS, RA_SQL_DELETE_ALL_SEGMENTS,
                                    RA_SQL_DELETE_ALL_APP_METADATA};
    RA_TRY(forget_all(t, &t->state.flights, err));
    RA_TRY(forget_all(t, &t->state.hidden, err));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        RA_TRY(ra_sql_run(t->sql, all[i], NULL, 0, err));
    ra_id_tree_fini(&t->state.hidden);
    ra_key_map_fini(&t->state.hidden_names);
    return 0;
}

static int delete_results(ra_transaction *t, ra_error *err) {
    int64_t id = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&t->state.flights, &id)); id++) {
        if (flight->kind == RA_KIND_RESULT)
            RA_TRY(ra_transaction_put(t, flight, NULL, err));
    }
    return 0;
}

static int hide_datasets(ra_transaction *t, ra_error *err) {
    int64_t id = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&t->state.flights, &id)); id++)
        RA_TRY(ra_state_add_hidden(&t->state, flight, err));
    return ra_sql_run(t->sql, RA_SQL_HIDE_DATASETS, NULL, 0, err);
}

int ra_change_clear(ra_transaction *t, ra_request *request, ra_error *err) {
    if (request->change.results_only) {
        RA_TRY(delete_results(t, err));
        return ra_transaction_event(t, RA_EVENT_CLEARED, NULL, err);
    }
    if (request->change.purge) {
        RA_TRY(delete_everything(t, err));
    } else {
        RA_TRY(delete_results(t, err));
        RA_TRY(hide_datasets(t, err));
    }
    ra_id_tree_fini(&t->state.flights);
    ra_id_tree_fini(&t->state.unwritten);
    ra_key_map_fini(&t->state.names);
    ra_key_map_fini(&t->state.commands);
    t->state.n_flights = 0;
    t->state.next_id = 0;
    t->state.reserved_id = 0;
    return ra_transaction_event(t, RA_EVENT_CLEARED, NULL, err);
}
