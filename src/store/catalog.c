#include "store/catalog.h"
#include "store/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/os.h"
#include "base/thread.h"
#include "store/catalog_copy.h"
#include "store/catalog_load.h"
#include "store/catalog_schema.h"
#include "store/compaction.h"
#include "store/record.h"
#include "store/recovery.h"
#include "store/transaction.h"

#define MILLISECONDS INT64_C(1000000)
#define SECONDS (1000 * MILLISECONDS)

enum { MAX_USES_AT_ONCE = 1000, MAX_HELPERS = 2 };

static void queue_init(ra_request_queue *queue) {
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_push(ra_request_queue *queue, ra_request *request) {
    request->next = NULL;
    *queue->tail = request;
    queue->tail = &request->next;
}

static ra_request *queue_pop(ra_request_queue *queue) {
    ra_request *request = queue->head;
    if (request) {
        queue->head = request->next;
        if (!queue->head)
            queue->tail = &queue->head;
    }
    return request;
}

static void come_back(ra_request *request) {
    ra_catalog *catalog = request->catalog;
    pthread_mutex_lock(&catalog->lock);
    catalog->n_away--;
    queue_push(&catalog->queue, request);
    pthread_cond_signal(&catalog->wake);
    pthread_mutex_unlock(&catalog->lock);
}

static void work_away(ra_task *task) {
    ra_request *request = (ra_request *)task;
    ra_request_work(request);
    come_back(request);
}

// Files are synced and removed on a helper thread; the request comes back to the queue.
static void send_away(ra_request *request) {
    ra_catalog *catalog = request->catalog;
    pthread_mutex_lock(&catalog->lock);
    catalog->n_away++;
    pthread_mutex_unlock(&catalog->lock);
    request->task.run = work_away;
    ra_workers_submit(catalog->helpers, &request->task);
}

// The content goes first: its last reference, and with it the file of a refused upload, is the
// caller's to drop.
static void answer(ra_request *request) {
    ra_content_unref(request->change.content);
    request->change.content = NULL;
    ra_change_result result = request->result;
    request->result.flight = NULL;
    request->result.version = NULL;
    request->done(request->context, &result);
    ra_request_free(request);
}

static void forget_answer(void *context, ra_change_result *result) {
    (void)context;
    (void)result;
}

// Asks for a change that nobody waits for. Without memory for it there will be another occasion.
static void ask_myself(ra_catalog *catalog, const ra_change *change, ra_change_done done) {
    ra_error ignored;
    ra_request *request;
    if (ra_request_new(catalog, change, done, catalog, &request, &ignored) != 0)
        return done(catalog, &(ra_change_result){.err = ignored});
    pthread_mutex_lock(&catalog->lock);
    queue_push(&catalog->queue, request);
    pthread_mutex_unlock(&catalog->lock);
}

static void consider_compaction(ra_catalog *catalog, ra_flight *flight, ra_version *version);

// Appends came meanwhile: there may be enough to go on.
static void compaction_done(void *context, ra_change_result *result) {
    ra_catalog *catalog = context;
    catalog->compacting = false;
    bool is_vain =
        result->err.code == RA_OK ? result->reused : result->err.reason == RA_REASON_LIMIT;
    if (is_vain)
        catalog->vain[catalog->n_vain++ % RA_VAIN_COMPACTIONS] = catalog->compaction;
    if (result->err.code != RA_OK)
        ra_log(RA_LOG_WARNING, "store", "the parts of a table were not merged: %s",
               result->err.message);
    else if (!result->reused)
        consider_compaction(catalog, result->flight, result->version);
    ra_flight_unref(result->flight);
    ra_version_unref(result->version);
}

// What could not be merged is tried again when there are twice as many parts: else each append
// would write them all anew.
static bool was_in_vain(const ra_catalog *catalog, int64_t flight_id, int n_parts) {
    for (int i = 0; i < RA_VAIN_COMPACTIONS; i++) {
        const ra_compaction_try *vain = &catalog->vain[i];
        if (vain->flight_id == flight_id && n_parts >= vain->n_parts && n_parts / 2 < vain->n_parts)
            return true;
    }
    return false;
}

static void consider_compaction(ra_catalog *catalog, ra_flight *flight, ra_version *version) {
    int first;
    if (catalog->compacting || ra_version_is_failed(version) ||
        was_in_vain(catalog, flight->id, version->content->n_parts) ||
        !ra_compaction_find(version->content, &first))
        return;
    ra_change change = {.change = RA_CHANGE_COMPACT,
                        .flight_id = flight->id,
                        .kind = flight->kind,
                        .content = version->content};
    catalog->compacting = true;
    catalog->compaction = (ra_compaction_try){flight->id, version->content->n_parts};
    ask_myself(catalog, &change, compaction_done);
}

static void finish_request(ra_request *request) {
    request->answered = true;
    if (request->file && request->result.err.code == RA_OK) {
        ra_files_put(request->catalog->store->files, request->file);
        request->file = NULL;
    }
    ra_audit_log(request);
    const ra_change_result *result = &request->result;
    bool is_append = request->change.change == RA_CHANGE_PUBLISH &&
                     request->change.if_exists == RA_IF_EXISTS_APPEND;
    if (is_append && result->err.code == RA_OK)
        consider_compaction(request->catalog, result->flight, result->version);
    if (request->n_released > 0)
        send_away(request);
    else
        answer(request);
}

static ra_commit_mode mode_of(const ra_catalog *catalog, const ra_request_queue *group) {
    const ra_state *state = &catalog->snapshot->state;
    int64_t n_ids = 0;
    ra_commit_mode mode = RA_COMMIT_MEMORY;
    for (ra_request *r = group->head; r; r = r->next) {
        n_ids += r->change.change == RA_CHANGE_PUBLISH;
        if (r->change.change == RA_CHANGE_LEGACY_COMMAND && mode == RA_COMMIT_MEMORY)
            mode = RA_COMMIT_RELAXED;
        else if (r->change.change != RA_CHANGE_LEGACY_COMMAND && !ra_request_is_lazy(r, state))
            mode = RA_COMMIT_DURABLE;
    }
    return state->reserved_id - state->next_id < n_ids ? RA_COMMIT_DURABLE : mode;
}

// Runs the requests in one transaction. On failure none of them happened.
static int attempt(ra_catalog *catalog, const ra_request_queue *group, ra_error *err) {
    ra_transaction t;
    RA_TRY(ra_transaction_begin(&t, catalog, mode_of(catalog, group), err));
    for (ra_request *r = group->head; r; r = r->next) {
        int rc = ra_transaction_run(&t, r, err);
        if (rc != 0) {
            ra_transaction_abort(&t);
            return rc;
        }
    }
    return ra_transaction_commit(&t, false, err);
}

static void forget_results(const ra_request_queue *group) {
    for (ra_request *r = group->head; r; r = r->next)
        ra_request_forget(r);
}

// One request alone: its failure is its own. A delete on a full disk gets the reserve.
static void run_alone(ra_catalog *catalog, ra_request *request) {
    ra_request_queue group;
    queue_init(&group);
    queue_push(&group, request);
    ra_error err;
    int rc = attempt(catalog, &group, &err);
    bool frees =
        request->change.change == RA_CHANGE_DELETE || request->change.change == RA_CHANGE_CLEAR;
    ra_error ignored;
    if (rc != 0 && frees && err.reason == RA_REASON_DISK_FULL &&
        ra_reserve_release(catalog, &ignored) == 0) {
        forget_results(&group);
        rc = attempt(catalog, &group, &err);
        catalog->reserve_released = true;
    }
    if (rc != 0) {
        forget_results(&group);
        request->result.err = err;
    }
    finish_request(request);
}

static void run_group(ra_catalog *catalog, ra_request_queue *group) {
    ra_error err;
    bool single = !group->head->next;
    bool done = !single && attempt(catalog, group, &err) == 0;
    if (!single && !done)
        forget_results(group);
    for (ra_request *r; (r = queue_pop(group));) {
        if (done)
            finish_request(r);
        else
            run_alone(catalog, r);
    }
}

// What can run now, of the requests that were queued; others are answered or sent away.
static void run_requests(ra_catalog *catalog, ra_request_queue *taken) {
    ra_request_queue group;
    queue_init(&group);
    for (ra_request *r; (r = queue_pop(taken));) {
        if (r->answered || r->result.err.code != 0)
            answer(r);
        else if (ra_request_needs_work(r, &catalog->snapshot->state))
            send_away(r);
        else
            queue_push(&group, r);
    }
    if (group.head)
        run_group(catalog, &group);
}

int ra_catalog_write_unwritten(ra_catalog *catalog, ra_error *err) {
    RA_TRY(ra_store_check_writable(catalog->store, err));
    ra_transaction t;
    RA_TRY(ra_transaction_begin(&t, catalog, RA_COMMIT_RELAXED, err));
    return ra_transaction_commit(&t, false, err);
}

static void flush(ra_catalog *catalog, int64_t now_ns) {
    ra_error err;
    bool failed = ra_catalog_write_unwritten(catalog, &err) != 0;
    if (failed && !catalog->flush_failing)
        ra_log(RA_LOG_WARNING, "store", "results are not yet in the catalog: %s", err.message);
    catalog->flush_failing = failed || catalog->snapshot->state.unwritten.root;
    catalog->flush_due_ns = catalog->flush_failing ? now_ns + SECONDS : 0;
}

// Writes up to MAX_USES_AT_ONCE times of last use, from Flight `*id` on, which moves on; -1 at the
// end of the list.
static int write_uses(ra_catalog *catalog, int64_t *id, ra_error *err) {
    const ra_state *state = &catalog->snapshot->state;
    RA_TRY(ra_sql_begin(catalog->sql, RA_SQL_RELAXED, err));
    int rc = 0;
    ra_flight *flight = NULL;
    for (int n = 0; rc == 0 && n < MAX_USES_AT_ONCE; ++*id) {
        flight = ra_id_tree_next(&state->flights, id);
        if (!flight)
            break;
        int64_t used_ns = ra_flight_take_use(flight);
        if (used_ns < 0)
            continue;
        n++;
        rc =
            RA_SQL_RUN(catalog->sql, err, UPDATE_USE, ra_sql_int(flight->row), ra_sql_int(used_ns));
        if (rc != 0)
            ra_flight_untake_use(flight);
    }
    if (!flight)
        *id = -1;
    if (rc == 0)
        return ra_sql_commit(catalog->sql, err);
    ra_sql_rollback(catalog->sql);
    return rc;
}

static void write_some_uses(ra_catalog *catalog, int64_t now_ns) {
    ra_error err;
    if (ra_store_check_writable(catalog->store, &err) != 0 ||
        write_uses(catalog, &catalog->next_use_id, &err) != 0)
        catalog->next_use_id = -1;
    catalog->use_due_ns = catalog->next_use_id < 0 ? now_ns + 60 * SECONDS : now_ns;
    if (catalog->next_use_id < 0)
        catalog->next_use_id = 0;
}

// The reserve is made again once the files are gone that the delete was about.
static void restore_reserve(ra_catalog *catalog) {
    pthread_mutex_lock(&catalog->lock);
    bool wait = catalog->n_away > 0;
    pthread_mutex_unlock(&catalog->lock);
    if (wait)
        return;
    catalog->reserve_released = false;
    ra_reserve_make(catalog);
}

static void expire(ra_catalog *catalog, const ra_flight *flight) {
    ra_change change = {.change = RA_CHANGE_DELETE,
                        .flight_id = flight->id,
                        .if_expired = true,
                        .caller = RA_STR("server")};
    ask_myself(catalog, &change, forget_answer);
}

// What is due besides requests.
static void keep_up(ra_catalog *catalog, bool stopping) {
    int64_t now_ns = ra_os_now_ns();
    if (catalog->reserve_released)
        restore_reserve(catalog);
    if (catalog->snapshot->state.unwritten.root && catalog->flush_due_ns == 0)
        catalog->flush_due_ns = now_ns + 50 * MILLISECONDS;
    if (catalog->flush_due_ns != 0 && now_ns >= catalog->flush_due_ns)
        flush(catalog, now_ns);
    if (now_ns >= catalog->use_due_ns)
        write_some_uses(catalog, now_ns);
    if (now_ns >= catalog->expiry_due_ns && !stopping)
        ra_janitor_run(catalog, now_ns, expire);
}

// Waits until there is a request, a dead snapshot or something due. The lock is held.
static void wait_for_work(ra_catalog *catalog) {
    int64_t due_ns = catalog->use_due_ns;
    if (catalog->flush_due_ns != 0 && catalog->flush_due_ns < due_ns)
        due_ns = catalog->flush_due_ns;
    if (catalog->expiry_due_ns < due_ns)
        due_ns = catalog->expiry_due_ns;
    struct timespec until = {due_ns / SECONDS, due_ns % SECONDS};
    catalog->is_idle = !catalog->queue.head && catalog->n_away == 0;
    if (catalog->is_idle)
        pthread_cond_broadcast(&catalog->settled);
    while (!catalog->queue.head && !catalog->dead && !catalog->stopping && !catalog->copy) {
        if (pthread_cond_timedwait(&catalog->wake, &catalog->lock, &until) == ETIMEDOUT)
            return;
    }
    // With requests away and nothing else to do, their return is what to wait for.
    while (catalog->stopping && !catalog->queue.head && !catalog->dead && catalog->n_away > 0)
        pthread_cond_wait(&catalog->wake, &catalog->lock);
}

static void free_dead(ra_snapshot *dead) {
    while (dead) {
        ra_snapshot *next = dead->next;
        ra_snapshot_free(dead);
        dead = next;
    }
}

static void *catalog_main(void *arg) {
    ra_catalog *catalog = arg;
    bool stop = false;
    while (!stop) {
        pthread_mutex_lock(&catalog->lock);
        wait_for_work(catalog);
        catalog->is_idle = false;
        ra_request_queue taken;
        queue_init(&taken);
        for (ra_request *r; (r = queue_pop(&catalog->queue));)
            queue_push(&taken, r);
        ra_snapshot *dead = catalog->dead;
        catalog->dead = NULL;
        ra_catalog_copy *copy = catalog->copy;
        bool stopping = catalog->stopping;
        stop = stopping && !taken.head && catalog->n_away == 0;
        pthread_mutex_unlock(&catalog->lock);
        free_dead(dead);
        run_requests(catalog, &taken);
        keep_up(catalog, stopping);
        if (copy)
            ra_catalog_copy_step(catalog, copy);
    }
    return NULL;
}

// What the next start relies on; if it fails, that start goes by the reserved ids.
static int write_clean_stop(ra_catalog *catalog, ra_error *err) {
    RA_TRY(ra_store_check_writable(catalog->store, err));
    for (int64_t id = 0; id >= 0;)
        RA_TRY(write_uses(catalog, &id, err));
    ra_transaction t;
    RA_TRY(ra_transaction_begin(&t, catalog, RA_COMMIT_DURABLE, err));
    return ra_transaction_commit(&t, true, err);
}

static int open_database(ra_catalog *catalog, ra_error *err) {
    ra_store *store = catalog->store;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/.remote-arrow/reserve", store->data_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        RA_FAIL(err, INVALID_ARGUMENT, "the path of the data directory is too long");
    catalog->reserve_path = ra_strdup(path);
    if (!catalog->reserve_path)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the catalog");
    snprintf(path, sizeof path, "%s/.remote-arrow/catalog.db", store->data_dir);
    RA_TRY(ra_sql_open(store, path, &catalog->sql, err));
    RA_TRY(ra_catalog_check_schema(catalog->sql, store->data_dir, err));
    return ra_sql_prepare(catalog->sql, err);
}

static int load(ra_catalog *catalog, ra_error *err) {
    RA_TRY(ra_recovery_clean_tmp(catalog->store, err));
    ra_state state;
    RA_TRY(ra_catalog_load(catalog, &state, err));
    int64_t sequence = state.sequence;
    RA_TRY(ra_snapshot_new(catalog, &state, &catalog->snapshot, err));
    return ra_event_log_init(&catalog->events, sequence, err);
}

static void free_catalog(ra_catalog *catalog) {
    catalog->store->file_workers = NULL;
    if (catalog->helpers)
        ra_workers_free(catalog->helpers);
    free_dead(catalog->dead);
    if (catalog->snapshot)
        ra_snapshot_free(catalog->snapshot);
    ra_sql_close(catalog->sql);
    ra_event_log_fini(&catalog->events);
    ra_free(catalog->reserve_path);
    pthread_mutex_destroy(&catalog->lock);
    pthread_mutex_destroy(&catalog->snapshot_lock);
    pthread_cond_destroy(&catalog->wake);
    pthread_cond_destroy(&catalog->settled);
    ra_free(catalog);
}

int ra_catalog_open(ra_store *store, ra_error *err) {
    ra_catalog *catalog = ra_calloc(1, sizeof *catalog);
    if (!catalog)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to open the catalog");
    catalog->store = store;
    queue_init(&catalog->queue);
    pthread_mutex_init(&catalog->lock, NULL);
    pthread_mutex_init(&catalog->snapshot_lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&catalog->wake, &attributes);
    pthread_cond_init(&catalog->settled, NULL);
    pthread_condattr_destroy(&attributes);
    catalog->use_due_ns = ra_os_now_ns() + 60 * SECONDS;
    catalog->expiry_due_ns = ra_janitor_next_due(catalog, ra_os_now_ns());
    store->catalog = catalog;
    int rc = open_database(catalog, err);
    if (rc == 0)
        rc = load(catalog, err);
    if (rc == 0) {
        ra_reserve_make(catalog);
        rc = ra_workers_new("catalog-files", MAX_HELPERS, &catalog->helpers, err);
    }
    store->file_workers = catalog->helpers;
    if (rc == 0)
        rc = ra_thread_start(&catalog->thread, "catalog", catalog_main, catalog)
                 ? 0
                 : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "cannot start the catalog thread");
    if (rc != 0) {
        store->catalog = NULL;
        free_catalog(catalog);
    }
    return rc;
}

void ra_catalog_close(ra_catalog *catalog) {
    if (!catalog)
        return;
    pthread_mutex_lock(&catalog->lock);
    catalog->stopping = true;
    pthread_cond_signal(&catalog->wake);
    pthread_mutex_unlock(&catalog->lock);
    pthread_join(catalog->thread, NULL);
    ra_error err;
    if (!catalog->store->options.read_only && write_clean_stop(catalog, &err) != 0)
        ra_log(RA_LOG_WARNING, "store", "the clean stop could not be noted: %s", err.message);
    ra_assert(atomic_load(&catalog->snapshot->refs) == 1);
    free_catalog(catalog);
}

void ra_store_settle(ra_store *store) {
    ra_catalog *catalog = store->catalog;
    pthread_mutex_lock(&catalog->lock);
    while (catalog->queue.head || !catalog->is_idle)
        pthread_cond_wait(&catalog->settled, &catalog->lock);
    pthread_mutex_unlock(&catalog->lock);
}

int ra_store_change(ra_store *store, const ra_change *change, ra_change_done done, void *context,
                    ra_error *err) {
    ra_catalog *catalog = store->catalog;
    ra_request *request;
    RA_TRY(ra_request_new(catalog, change, done, context, &request, err));
    pthread_mutex_lock(&catalog->lock);
    ra_assert(!catalog->stopping);
    queue_push(&catalog->queue, request);
    pthread_cond_signal(&catalog->wake);
    pthread_mutex_unlock(&catalog->lock);
    return 0;
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    ra_change_result *result;
} change_waiter;

static void wake_waiter(void *context, ra_change_result *result) {
    change_waiter *waiter = context;
    pthread_mutex_lock(&waiter->lock);
    *waiter->result = *result;
    waiter->done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->lock);
}

int ra_store_change_wait(ra_store *store, const ra_change *change, ra_change_result *result,
                         ra_error *err) {
    change_waiter waiter = {.result = result};
    memset(result, 0, sizeof *result);
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.wake, NULL);
    int rc = ra_store_change(store, change, wake_waiter, &waiter, err);
    if (rc == 0) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.done)
            pthread_cond_wait(&waiter.wake, &waiter.lock);
        pthread_mutex_unlock(&waiter.lock);
        rc = (int)result->err.code;
        if (rc != 0 && err)
            *err = result->err;
    }
    pthread_cond_destroy(&waiter.wake);
    pthread_mutex_destroy(&waiter.lock);
    return rc;
}
