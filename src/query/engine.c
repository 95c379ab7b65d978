#include "query/engine.h"

#include <jansson.h>

#include "base/os.h"
#include "query/bind.h"
#include "query/canonical.h"
#include "query/command_tree.h"
#include "query/job.h"

int ra_engine_new(const ra_engine_options *options, ra_engine **out, ra_error *err) {
    json_set_alloc_funcs(ra_malloc, ra_free);
    ra_engine *engine = *out = ra_calloc(1, sizeof *engine);
    if (!engine)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the engine");
    engine->options = *options;
    pthread_mutex_init(&engine->lock, NULL);
    return 0;
}

void ra_engine_free(ra_engine *engine) {
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    ra_assert(engine->n_jobs == 0);
    pthread_mutex_unlock(&engine->lock);
    pthread_mutex_destroy(&engine->lock);
    ra_free(engine);
}

int ra_engine_jobs(ra_engine *engine) {
    pthread_mutex_lock(&engine->lock);
    int n = engine->n_jobs;
    pthread_mutex_unlock(&engine->lock);
    return n;
}

static int bind(ra_plan *plan, const ra_command_tree *command, ra_str text, ra_error *err) {
    ra_binder binder = {
        .store = plan->engine->options.store, .plan = plan, .is_legacy = command->is_legacy};
    binder.snapshot = ra_store_snapshot(binder.store);
    int rc = ra_bind_command(&binder, command, err);
    ra_snapshot_unref(binder.snapshot);
    if (rc == 0 && command->is_legacy)
        rc = ra_plan_copy(plan, text, &plan->legacy_text, err);
    return rc;
}

int ra_plan_new(ra_engine *engine, ra_str text, ra_plan **out, ra_error *err) {
    *out = NULL;
    ra_plan *plan = ra_calloc(1, sizeof *plan);
    if (!plan)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    plan->refs = 1;
    plan->engine = engine;
    plan->budget = engine->options.budget;
    ra_arena_init(&plan->arena, RA_MAX_PLAN_BYTES);
    ra_bytes_init(&plan->canonical, RA_MAX_CANONICAL_BYTES);
    ra_command_tree command;
    int rc = ra_command_tree_read(text, plan->budget, &command, err);
    if (rc == 0)
        rc = bind(plan, &command, text, err);
    if (rc == 0)
        rc = ra_plan_charge(plan, (int64_t)(plan->arena.total_bytes + plan->canonical.capacity),
                            err);
    ra_command_tree_fini(&command);
    if (rc != 0) {
        ra_plan_unref(plan);
        return rc;
    }
    ra_canonical_key(ra_bytes_str(&plan->canonical), plan->key);
    *out = plan;
    return 0;
}

ra_flight *ra_plan_find(ra_engine *engine, const ra_plan *plan, ra_version **version) {
    *version = NULL;
    if (!ra_plan_is_shareable(plan) || !plan->publish)
        return NULL;
    ra_snapshot *snapshot = ra_store_snapshot(engine->options.store);
    ra_flight *flight = ra_snapshot_find_command(snapshot, plan->key);
    // A result whose file is lost or damaged is made anew, as its next version.
    if (flight && ra_version_is_failed(ra_flight_newest(flight)))
        flight = NULL;
    if (flight) {
        ra_flight_ref(flight);
        *version = ra_version_ref(ra_flight_newest(flight));
        ra_flight_touch(flight);
        ra_plan_remember_legacy(plan, flight);
    }
    ra_snapshot_unref(snapshot);
    return flight;
}
