// Jobs: one run of a plan, for all who wait for it.
#ifndef RA_QUERY_JOB_H
#define RA_QUERY_JOB_H

#include <pthread.h>

#include "query/plan.h"

typedef enum {
#define RA_JOB_STATE(name, from, text) RA_JOB_##name,
#include "query/job_states.def"
#undef RA_JOB_STATE
    RA_N_JOB_STATES
} ra_job_state;

typedef struct ra_job {
    ra_task task;  // on the engine's job threads
    ra_engine *engine;
    ra_plan *plan;       // a reference
    ra_content *stream;  // a reference, or NULL
    ra_str caller;       // own memory
    ra_budget budget;    // of the kernels and writers
    atomic_bool cancelled;
    ra_job_state state;  // this and below under the engine's lock
    ra_waiter *waiters;
    struct ra_job *next;  // jobs that can be joined
    bool is_joinable;
} ra_job;

struct ra_engine {
    ra_engine_options options;
    pthread_mutex_t lock;
    ra_job *joinable;  // queued or running jobs of shareable plans
    int n_jobs;
};

struct ra_waiter {
    ra_engine *engine;
    ra_plan *plan;  // a reference: as this one asked
    ra_job *job;    // NULL from the moment that `done` is certain to be called
    ra_waiter *next;
    ra_outcome_fn done;
    void *context;
    int refs;  // of the asker and of the job
};

// Carries out the plan and publishes: what the waiters get. Job thread.
void ra_job_execute(ra_job *job, ra_outcome *outcome);

// Remembers a legacy command for a Flight that it found and that has none yet; does not wait.
void ra_plan_remember_legacy(const ra_plan *plan, const ra_flight *flight);

#endif
