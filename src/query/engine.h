// Commands: read, bound to versions, run once for all who ask, published.
#ifndef RA_QUERY_ENGINE_H
#define RA_QUERY_ENGINE_H

#include "base/budget.h"
#include "base/workers.h"
#include "store/store.h"

typedef struct ra_engine ra_engine;
typedef struct {
    ra_store *store;
    ra_workers *jobs;     // one thread a running job
    ra_workers *morsels;  // shared by the jobs' parallel loops
    ra_budget *budget;
} ra_engine_options;
RA_MUST int ra_engine_new(const ra_engine_options *options, ra_engine **out, ra_error *err);
void ra_engine_free(ra_engine *engine);  // no job may be left
int ra_engine_jobs(ra_engine *engine);   // that run or wait for a thread; any thread

// A command, checked and bound: inputs pinned to versions, defaults filled in, spelling normalised.
typedef struct ra_plan ra_plan;
// From JSON ('{') or the legacy form (a digit). Reads the snapshot only: quick, any thread, but for
// commands over 64 KiB call it on a worker. MALFORMED_REQUEST (with position), UNKNOWN_METHOD,
// FLIGHT_NOT_FOUND, COLUMN_NOT_FOUND, KEY_ERROR, TYPE_ERROR … as table_methods.md words them.
RA_MUST int ra_plan_new(ra_engine *engine, ra_str command, ra_plan **out, ra_error *err);
ra_plan *ra_plan_ref(ra_plan *plan);
void ra_plan_unref(ra_plan *plan);
ra_str ra_plan_canonical(const ra_plan *plan);   // canonical JSON, `as` not in it
ra_schema *ra_plan_schema(const ra_plan *plan);  // of the result; borrowed
bool ra_plan_is_published(const ra_plan *plan);
bool ra_plan_has_stream(const ra_plan *plan);  // has a {"stream": true} argument
bool ra_plan_is_legacy(const ra_plan *plan);
// The Flight that already answers it (a reference), or NULL: unnamed published plans only.
ra_flight *ra_plan_find(ra_engine *engine, const ra_plan *plan, ra_version **version);

// What a run gave: `flight` is NULL when it was not published. References for the callee.
typedef struct {
    ra_error err;
    int64_t started_ns;  // monotonic: when a thread began with it
    ra_flight *flight;
    ra_version *version;
    ra_content *content;
} ra_outcome;
void ra_outcome_fini(ra_outcome *outcome);

// A waiter for a run. Equal shareable plans that are asked for at the same time share one job.
typedef struct ra_waiter ra_waiter;
typedef void (*ra_outcome_fn)(void *context, ra_outcome *outcome);
// Starts or joins the run; done(context, outcome) is called exactly once, on any thread, unless
// ra_waiter_leave says that it will not be. `stream` is the streamed argument (one or more columns;
// the first counts), NULL without one; `caller` goes into the Flight's record.
RA_MUST int ra_engine_run(ra_engine *engine, ra_plan *plan, ra_content *stream, ra_str caller,
                          ra_outcome_fn done, void *context, ra_waiter **out, ra_error *err);
// Leaves a run whose answer is no longer wanted; the caller may not use the waiter afterwards.
// While others wait for the run, it is theirs: true, and `done` will not be called. The last one to
// leave cancels the run: false, and `done` is called when the run has really ended, with whatever
// came of it. After `done` was called: false.
bool ra_waiter_leave(ra_waiter *waiter);

#endif
