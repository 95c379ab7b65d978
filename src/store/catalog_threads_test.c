#include "store/testing_store.h"

enum { N_THREADS = 6, N_ROUNDS = 25 };

typedef struct {
    testing_store *t;
    int number;
} worker;

static void assert_name(testing_store *t, const char *name, int64_t id) {
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    testing_check(ra_store_find(t->store, ra_str_of(name), 0, &flight, &version, &err), &err);
    if (flight->id != id)
        abort();
    ra_flight_touch(flight);
    ra_flight_unref(flight);
    ra_version_unref(version);
}

// What is acknowledged is seen at once, whatever the others do.
static void *upload_and_delete(void *arg) {
    worker *w = arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d-%d", w->number, i);
        int64_t id = testing_upload(w->t, name, i, 10, RA_IF_EXISTS_ERROR);
        assert_name(w->t, name, id);
        int64_t result = testing_result(w->t, i, 10);
        if (!testing_is_there(w->t, result))
            abort();
        testing_upload(w->t, name, i, 3, RA_IF_EXISTS_APPEND);
        if (i % 3 == 0)
            testing_simple_change(w->t, RA_CHANGE_KEEP, result);
        if (i % 2 == 0)
            continue;
        testing_simple_change(w->t, RA_CHANGE_DELETE, id);
        if (testing_is_there(w->t, id) || testing_find(w->t, name) >= 0)
            abort();
    }
    return NULL;
}

static void *read_lists(void *arg) {
    worker *w = arg;
    int64_t sequence = 0;
    for (int i = 0; i < 40 * N_ROUNDS; i++) {
        ra_snapshot *snapshot = ra_store_snapshot(w->t->store);
        if (ra_snapshot_sequence(snapshot) < sequence)
            abort();
        sequence = ra_snapshot_sequence(snapshot);
        for (int64_t id = 0; id < ra_snapshot_count(snapshot); id++) {
            ra_flight *flight = ra_snapshot_get(snapshot, id);
            if (flight && (flight->id != id || ra_flight_newest(flight)->content->n_rows < 10))
                abort();
        }
        ra_snapshot_unref(snapshot);
    }
    return NULL;
}

static void count_wake(void *context) {
    atomic_fetch_add((atomic_int *)context, 1);
}

static void many_threads_see_their_own_changes_and_whole_lists(void **state) {
    testing_store *t = *state;
    ra_error err;
    pthread_t threads[N_THREADS];
    worker workers[N_THREADS];
    atomic_int n_wakes = 0;
    int64_t subscription;
    testing_check(ra_store_subscribe(t->store, count_wake, &n_wakes, &subscription, &err), &err);
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){t, i};
        int rc =
            pthread_create(&threads[i], NULL, i < 2 ? read_lists : upload_and_delete, &workers[i]);
        assert_int_equal(rc, 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    ra_store_unsubscribe(t->store, subscription);
    int woken = atomic_load(&n_wakes);
    assert_true(woken > 0);
    testing_upload(t, "last", 0, 10, RA_IF_EXISTS_ERROR);
    assert_int_equal(atomic_load(&n_wakes), woken);

    int64_t n = testing_count(t);
    assert_int_equal(n, (N_THREADS - 2) * N_ROUNDS * 2 + 1);
    ra_store_status before, after;
    ra_store_get_status(t->store, &before);
    assert_int_equal(before.n_flights, n - (N_THREADS - 2) * (N_ROUNDS / 2));
    testing_reopen(t);
    ra_store_get_status(t->store, &after);
    assert_int_equal(after.n_flights, before.n_flights);
    assert_int_equal(after.n_segments, before.n_segments);
    assert_int_equal(testing_count(t), n);
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int n_left;
    int64_t ids[200];
} collector;

static void collect(void *context, ra_change_result *result) {
    collector *c = context;
    pthread_mutex_lock(&c->lock);
    if (result->err.code != 0)
        abort();
    c->ids[--c->n_left] = result->flight->id;
    ra_flight_unref(result->flight);
    ra_version_unref(result->version);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void queued_uploads_are_answered_in_order(void **state) {
    testing_store *t = *state;
    ra_error err;
    collector c = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    c.n_left = 200;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_DURABLE);
    ra_change change = testing_publish("", RA_KIND_DATASET, content);
    for (int i = 0; i < 200; i++)
        testing_check(ra_store_change(t->store, &change, collect, &c, &err), &err);
    ra_content_unref(content);
    pthread_mutex_lock(&c.lock);
    while (c.n_left > 0)
        pthread_cond_wait(&c.wake, &c.lock);
    pthread_mutex_unlock(&c.lock);
    for (int i = 0; i < 200; i++)
        assert_int_equal(c.ids[i], 199 - i);
    assert_int_equal(testing_count_files(t, "segments"), 1);
}

// Keeps the catalog thread busy until it is let go, so that what is queued meanwhile is one group.
typedef struct {
    pthread_mutex_t lock;
} brake;

static void hold(void *context, ra_change_result *result) {
    brake *b = context;
    if (result->err.code == 0)
        abort();
    pthread_mutex_lock(&b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void pull(testing_store *t, brake *b) {
    ra_error err;
    *b = (brake){.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_mutex_lock(&b->lock);
    ra_change change = {.change = RA_CHANGE_DELETE, .flight_id = -1};
    testing_check(ra_store_change(t->store, &change, hold, b, &err), &err);
}

typedef struct {
    atomic_int code;  // -1 until answered
    int64_t id;
} outcome;

static void note(void *context, ra_change_result *result) {
    outcome *o = context;
    o->id = result->flight ? result->flight->id : -1;
    ra_flight_unref(result->flight);
    ra_version_unref(result->version);
    atomic_store(&o->code, (int)result->err.code);
}

static void queue(testing_store *t, const ra_change *change, outcome *o) {
    ra_error err;
    atomic_store(&o->code, -1);
    testing_check(ra_store_change(t->store, change, note, o, &err), &err);
}

static void await(outcome *o) {
    while (atomic_load(&o->code) < 0)
        usleep(1000);
}

static void changes_of_one_group_see_each_other_and_fail_alone(void **state) {
    testing_store *t = *state;
    brake b;
    outcome o[6];
    ra_content *result = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_content *rows = testing_content(t, 10, 10, RA_WRITE_DURABLE);
    pull(t, &b);
    ra_change change = testing_publish("r", RA_KIND_RESULT, result);
    queue(t, &change, &o[0]);
    queue(t, &change, &o[1]);
    change = testing_publish("r", RA_KIND_DATASET, rows);
    change.if_exists = RA_IF_EXISTS_APPEND;
    queue(t, &change, &o[2]);
    change = testing_publish("", RA_KIND_RESULT, rows);
    queue(t, &change, &o[3]);
    change = (ra_change){.change = RA_CHANGE_DELETE, .flight_id = 1};
    queue(t, &change, &o[4]);
    queue(t, &change, &o[5]);
    pthread_mutex_unlock(&b.lock);
    for (int i = 0; i < 6; i++)
        await(&o[i]);
    const int codes[] = {0, RA_EXISTS, 0, 0, 0, RA_NOT_FOUND};
    for (int i = 0; i < 6; i++)
        assert_int_equal(o[i].code, codes[i]);
    assert_int_equal(o[2].id, o[0].id);
    assert_int_equal(o[3].id, 1);
    // An acknowledged upload is on disk, with what it was appended to.
    assert_true(atomic_load(&result->parts[0].segment->synced));
    ra_content_unref(result);
    ra_content_unref(rows);
    testing_reopen(t);
    testing_assert_rows(t, 0, 0, 20);
    assert_int_equal(testing_count(t), 1);
}

typedef struct {
    ra_task task;
    testing_store *t;
    int64_t id;
    atomic_int *n_left;
} deletion;

static void delete_one(ra_task *task) {
    deletion *d = (deletion *)task;
    testing_simple_change(d->t, RA_CHANGE_DELETE, d->id);
    atomic_fetch_sub(d->n_left, 1);
}

static void all_workers_may_wait_for_deletes(void **state) {
    testing_store *t = *state;
    deletion deletions[16];
    atomic_int n_left = 16;
    for (int i = 0; i < 16; i++)
        testing_upload(t, "", i, 10, RA_IF_EXISTS_ERROR);
    for (int i = 0; i < 16; i++) {
        deletions[i] = (deletion){{delete_one, NULL}, t, i, &n_left};
        ra_workers_submit(t->workers, &deletions[i].task);
    }
    while (atomic_load(&n_left) > 0)
        usleep(1000);
    assert_int_equal(testing_count(t), 0);
    assert_int_equal(testing_count_files(t, "segments"), 0);
}

static void a_close_answers_what_is_queued(void **state) {
    testing_store *t = *state;
    ra_error err;
    collector c = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    c.n_left = 20;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    for (int i = 0; i < 20; i++) {
        change.kind = i % 2 ? RA_KIND_DATASET : RA_KIND_RESULT;
        testing_check(ra_store_change(t->store, &change, collect, &c, &err), &err);
    }
    ra_content_unref(content);
    testing_reopen(t);
    assert_int_equal(c.n_left, 0);
    assert_int_equal(testing_count(t), 20);
}

static void old_events_are_reported_lost(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    for (int i = 0; i < 4100; i++)
        testing_change(t, &change);
    ra_content_unref(content);
    bool lost;
    ra_event events[2];
    assert_int_equal(ra_store_events(t->store, 3, events, 2, &lost), 2);
    assert_true(lost);
    assert_int_equal(events[0].sequence, 5);
    assert_int_equal(ra_store_events(t->store, 4, events, 2, &lost), 2);
    assert_false(lost);
    assert_int_equal(ra_store_events(t->store, 4099, events, 2, &lost), 1);
    assert_int_equal(events[0].flight_id, 4099);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(many_threads_see_their_own_changes_and_whole_lists),
        testing_unit(queued_uploads_are_answered_in_order),
        testing_unit(changes_of_one_group_see_each_other_and_fail_alone),
        testing_unit(all_workers_may_wait_for_deletes),
        testing_unit(a_close_answers_what_is_queued),
        testing_unit(old_events_are_reported_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
