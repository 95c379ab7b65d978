#include "store/transaction.h"

#include "base/os.h"
#include "store/changes.h"
#include "store/rows.h"

bool ra_request_is_lazy(ra_request *request, const ra_state *state) {
    const ra_change *change = &request->change;
    if (change->change != RA_CHANGE_PUBLISH || change->kind != RA_KIND_RESULT ||
        change->name.len > 0)
        return false;
    const ra_flight *same =
        change->has_command_key ? ra_state_find_command(state, change->command_key) : NULL;
    request->remakes = same && ra_version_is_failed(ra_flight_newest(same));
    return !request->remakes;
}

// Makes room for one more item of `item_bytes` in `*items`.
static int grow(void **items, int n, int *capacity, size_t item_bytes, ra_error *err) {
    if (n < *capacity)
        return 0;
    int larger = *capacity ? 2 * *capacity : 8;
    void *moved = ra_realloc(*items, (size_t)larger * item_bytes);
    if (!moved)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a change of the catalog");
    *items = moved;
    *capacity = larger;
    return 0;
}

int ra_transaction_count(ra_transaction *t, ra_content *content, int delta, bool write,
                         ra_error *err) {
    RA_TRY(grow((void **)&t->effects, t->n_effects, &t->effect_capacity, sizeof *t->effects, err));
    ra_effect *effect = &t->effects[t->n_effects++];
    *effect = (ra_effect){ra_content_ref(content), delta, 0};
    for (; effect->n_parts < content->n_parts; effect->n_parts++) {
        ra_segment *segment = content->parts[effect->n_parts].segment;
        if (write && delta > 0 && segment->n_uses == 0)
            RA_TRY(ra_rows_insert_segment(t->sql, segment, err));
        if (write && delta < 0 && segment->n_uses == 1)
            RA_TRY(ra_rows_delete_segment(t->sql, segment, err));
        segment->n_uses += delta;
        ra_assert(segment->n_uses >= 0);
    }
    return 0;
}

// Takes back effects and events from the given numbers on.
static void undo(ra_transaction *t, int n_effects, int n_events) {
    while (t->n_effects > n_effects) {
        ra_effect *effect = &t->effects[--t->n_effects];
        for (int i = 0; i < effect->n_parts; i++)
            effect->content->parts[i].segment->n_uses -= effect->delta;
        ra_content_unref(effect->content);
    }
    t->n_events = n_events;
}

int ra_transaction_event(ra_transaction *t, ra_event_kind kind, const ra_flight *flight,
                         ra_error *err) {
    RA_TRY(grow((void **)&t->events, t->n_events, &t->event_capacity, sizeof *t->events, err));
    ra_event *event = &t->events[t->n_events++];
    *event = (ra_event){.sequence = ++t->state.sequence,
                        .kind = kind,
                        .flight_id = flight ? flight->id : -1,
                        .version = flight ? ra_flight_newest(flight)->number : 0,
                        .time_ns = ra_os_wall_ns()};
    if (flight && flight->n_names > 0 && flight->names[0].len < sizeof event->name)
        memcpy(event->name, flight->names[0].data, flight->names[0].len);
    return 0;
}

int64_t ra_transaction_give_id(ra_transaction *t) {
    if (t->state.next_id == t->state.reserved_id) {
        ra_assert(t->sql);
        t->state.reserved_id += RA_ID_BLOCK;
    }
    return t->state.next_id++;
}

static bool keeps_version(const ra_flight *new, const ra_version *version) {
    for (int i = 0; new &&i < new->n_versions; i++) {
        if (new->versions[i] == version)
            return true;
    }
    return false;
}

int ra_transaction_put(ra_transaction *t, const ra_flight *old, ra_flight *new, ra_error *err) {
    bool written = old && !ra_id_tree_get(&t->state.unwritten, old->row);
    if (old && !written)
        RA_TRY(ra_id_tree_set(&t->state.unwritten, old->row, NULL, err));
    for (int i = 0; old && i < old->n_versions; i++) {
        if (!keeps_version(new, old->versions[i]))
            RA_TRY(ra_request_release(t->request, old->versions[i]->content, err));
    }
    if (!old && ra_request_is_lazy(t->request, &t->state))
        RA_TRY(ra_id_tree_set(&t->state.unwritten, new->row, new, err));
    else
        RA_TRY(ra_rows_write(t, written ? old : NULL, new, err));
    return ra_state_put(&t->state, old, new, err);
}

static int write_unwritten(ra_transaction *t, ra_error *err) {
    int64_t row = 0;
    for (ra_flight *flight; (flight = ra_id_tree_next(&t->state.unwritten, &row)); row++)
        RA_TRY(ra_rows_write(t, NULL, flight, err));
    ra_id_tree_fini(&t->state.unwritten);
    return 0;
}

static void init(ra_transaction *t, ra_catalog *catalog, ra_sql *sql) {
    *t = (ra_transaction){.catalog = catalog, .sql = sql};
    t->state = ra_state_share(&catalog->snapshot->state);
}

static void fini(ra_transaction *t) {
    ra_state_fini(&t->state);
    undo(t, 0, 0);
    ra_free(t->effects);
    ra_free(t->events);
}

int ra_transaction_begin(ra_transaction *t, ra_catalog *catalog, ra_commit_mode mode,
                         ra_error *err) {
    if (mode == RA_COMMIT_MEMORY) {
        init(t, catalog, NULL);
        return 0;
    }
    ra_sql_sync sync = mode == RA_COMMIT_DURABLE ? RA_SQL_DURABLE : RA_SQL_RELAXED;
    RA_TRY(ra_sql_begin(catalog->sql, sync, err));
    init(t, catalog, catalog->sql);
    if (!t->state.unwritten.root || write_unwritten(t, err) == 0)
        return 0;
    // A delete must do without them on a full disk.
    fini(t);
    ra_sql_rollback(catalog->sql);
    RA_TRY(ra_sql_begin(catalog->sql, sync, err));
    init(t, catalog, catalog->sql);
    return 0;
}

static int run_change(ra_transaction *t, ra_request *request, ra_error *err) {
    RA_TRY(ra_store_check_writable(t->catalog->store, err));
    if (!t->sql)
        return ra_change_run(t, request, err);
    RA_TRY(ra_sql_run(t->sql, RA_SQL_SAVEPOINT, NULL, 0, err));
    RA_TRY(ra_change_run(t, request, err));
    return ra_sql_run(t->sql, RA_SQL_RELEASE, NULL, 0, err);
}

int ra_transaction_run(ra_transaction *t, ra_request *request, ra_error *err) {
    ra_state before = ra_state_share(&t->state);
    int n_effects = t->n_effects, n_events = t->n_events;
    t->request = request;
    ra_error_init(&request->result.err);
    int rc = run_change(t, request, &request->result.err);
    t->request = NULL;
    if (rc == 0) {
        ra_state_fini(&before);
        return 0;
    }
    ra_request_forget(request);
    undo(t, n_effects, n_events);
    ra_state_fini(&t->state);
    t->state = before;
    if (!t->sql)
        return 0;
    ra_error ignored;
    if (ra_sql_in_transaction(t->sql) && ra_sql_run(t->sql, RA_SQL_UNDO, NULL, 0, &ignored) == 0 &&
        ra_sql_run(t->sql, RA_SQL_RELEASE, NULL, 0, &ignored) == 0)
        return 0;
    *err = request->result.err;
    return rc;
}

// What is committed becomes visible. Cannot fail.
static void apply(ra_transaction *t, ra_snapshot *snapshot) {
    ra_catalog *catalog = t->catalog;
    for (int i = 0; i < t->n_effects; i++) {
        const ra_content *content = t->effects[i].content;
        for (int j = 0; j < content->n_parts; j++) {
            ra_segment *segment = content->parts[j].segment;
            if (segment->n_uses > 0)
                ra_segment_adopt(segment);
            else
                ra_segment_orphan(segment);
        }
    }
    ra_event_log_append(&catalog->events, t->events, t->n_events);
    pthread_mutex_lock(&catalog->snapshot_lock);
    ra_snapshot *old = catalog->snapshot;
    catalog->snapshot = snapshot;
    pthread_mutex_unlock(&catalog->snapshot_lock);
    for (int i = 0; i < t->n_effects; i++)
        ra_content_unref(t->effects[i].content);
    t->n_effects = 0;
    if (atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1)
        ra_snapshot_free(old);
    if (t->n_events > 0)
        ra_event_log_wake(&catalog->events);
}

static int write_commit(ra_transaction *t, const ra_state *state, bool clean_stop, ra_error *err) {
    RA_TRY(RA_SQL_RUN(t->sql, err, UPDATE_META, ra_sql_int(clean_stop), ra_sql_int(state->next_id),
                      ra_sql_int(state->reserved_id), ra_sql_int(state->sequence)));
    return ra_sql_commit(t->sql, err);
}

int ra_transaction_commit(ra_transaction *t, bool clean_stop, ra_error *err) {
    ra_snapshot *snapshot;
    ra_state state = t->state;
    t->state = (ra_state){0};
    int rc = ra_snapshot_new(t->catalog, &state, &snapshot, err);
    if (rc == 0 && t->sql) {
        rc = write_commit(t, &snapshot->state, clean_stop, err);
        if (rc != 0)
            ra_snapshot_free(snapshot);
    }
    if (rc != 0) {
        ra_transaction_abort(t);
        return rc;
    }
    apply(t, snapshot);
    fini(t);
    return 0;
}

void ra_transaction_abort(ra_transaction *t) {
    if (t->sql)
        ra_sql_rollback(t->sql);
    fini(t);
}
