#include "query/job.h"

#include "base/os.h"

#define RA_JOB_BIT(name) (1u << RA_JOB_##name)

static const unsigned legal_predecessors[RA_N_JOB_STATES] = {
#define RA_JOB_STATE(name, from, text) [RA_JOB_##name] = (from),
#include "query/job_states.def"
#undef RA_JOB_STATE
};

// The only place where a job's state changes; the engine's lock is held.
static void set_state(ra_job *job, ra_job_state state) {
    ra_assert(legal_predecessors[state] & (1u << job->state));
    job->state = state;
}

static void unlink_job(ra_job *job) {
    if (!job->is_joinable)
        return;
    ra_job **at = &job->engine->joinable;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->is_joinable = false;
}

static void free_job(ra_job *job) {
    ra_plan_unref(job->plan);
    ra_content_unref(job->stream);
    ra_free((char *)job->caller.data);
    ra_free(job);
}

static void unref_waiter(ra_waiter *waiter) {
    pthread_mutex_lock(&waiter->engine->lock);
    bool last = --waiter->refs == 0;
    pthread_mutex_unlock(&waiter->engine->lock);
    if (!last)
        return;
    ra_plan_unref(waiter->plan);
    ra_free(waiter);
}

void ra_outcome_fini(ra_outcome *outcome) {
    if (outcome->flight)
        ra_flight_unref(outcome->flight);
    if (outcome->version)
        ra_version_unref(outcome->version);
    ra_content_unref(outcome->content);
    outcome->flight = NULL;
    outcome->version = NULL;
    outcome->content = NULL;
}

static void deliver(ra_waiter *waiter, const ra_outcome *outcome) {
    ra_outcome own = *outcome;
    if (own.flight) {
        ra_plan_remember_legacy(waiter->plan, own.flight);
        ra_flight_ref(own.flight);
    }
    if (own.version)
        ra_version_ref(own.version);
    if (own.content)
        ra_content_ref(own.content);
    waiter->done(waiter->context, &own);
    unref_waiter(waiter);
}

// From here on nobody can join, and who waits will be called.
static ra_waiter *end_job(ra_job *job, const ra_outcome *outcome) {
    ra_engine *engine = job->engine;
    pthread_mutex_lock(&engine->lock);
    unlink_job(job);
    ra_waiter *waiters = job->waiters;
    job->waiters = NULL;
    set_state(job, job->cancelled      ? RA_JOB_CANCELLED
                   : outcome->err.code ? RA_JOB_FAILED
                                       : RA_JOB_DONE);
    for (ra_waiter *w = waiters; w; w = w->next)
        w->job = NULL;
    pthread_mutex_unlock(&engine->lock);
    return waiters;
}

static bool begin_job(ra_job *job) {
    pthread_mutex_lock(&job->engine->lock);
    bool wanted = !job->cancelled;
    if (wanted)
        set_state(job, RA_JOB_RUNNING);
    pthread_mutex_unlock(&job->engine->lock);
    return wanted;
}

static void run_job(ra_task *task) {
    ra_job *job = (ra_job *)task;
    ra_engine *engine = job->engine;
    ra_outcome outcome = {0};
    int64_t started_ns = ra_os_now_ns();
    if (begin_job(job))
        ra_job_execute(job, &outcome);
    else
        ra_error_set(&outcome.err, RA_REASON_CANCELLED, "nobody waits for the answer any more");
    outcome.started_ns = started_ns;
    ra_waiter *waiter = end_job(job, &outcome);
    while (waiter) {
        ra_waiter *next = waiter->next;
        deliver(waiter, &outcome);
        waiter = next;
    }
    ra_outcome_fini(&outcome);
    free_job(job);
    pthread_mutex_lock(&engine->lock);
    engine->n_jobs--;
    pthread_mutex_unlock(&engine->lock);
}

static int new_job(ra_engine *engine, ra_plan *plan, ra_content *stream, ra_str caller,
                   ra_job **out, ra_error *err) {
    ra_job *job = ra_calloc(1, sizeof *job);
    char *name = ra_malloc(caller.len);
    if (!job || !name) {
        ra_free(job);
        ra_free(name);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a job");
    }
    if (caller.len > 0)
        memcpy(name, caller.data, caller.len);
    *job = (ra_job){.task = {.run = run_job},
                    .engine = engine,
                    .plan = ra_plan_ref(plan),
                    .stream = stream ? ra_content_ref(stream) : NULL,
                    .caller = {name, caller.len},
                    .state = RA_JOB_QUEUED};
    *out = job;
    return 0;
}

static void add_waiter(ra_job *job, ra_waiter *waiter) {
    waiter->job = job;
    waiter->next = job->waiters;
    job->waiters = waiter;
}

static bool join_job(ra_engine *engine, ra_waiter *waiter) {
    const ra_plan *plan = waiter->plan;
    for (ra_job *job = engine->joinable; job; job = job->next) {
        if (memcmp(job->plan->key, plan->key, sizeof plan->key) == 0 &&
            job->plan->publish == plan->publish) {
            add_waiter(job, waiter);
            return true;
        }
    }
    return false;
}

static int new_waiter(ra_engine *engine, ra_plan *plan, ra_outcome_fn done, void *context,
                      ra_waiter **out, ra_error *err) {
    ra_waiter *waiter = *out = ra_calloc(1, sizeof *waiter);
    if (!waiter)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a job");
    waiter->engine = engine;
    waiter->plan = ra_plan_ref(plan);
    waiter->done = done;
    waiter->context = context;
    waiter->refs = 2;
    return 0;
}

// Joins a job that runs already, or starts `job`; returns whether `job` is used.
static bool start_or_join(ra_engine *engine, ra_job *job, ra_waiter *waiter) {
    bool shareable = ra_plan_is_shareable(waiter->plan);
    pthread_mutex_lock(&engine->lock);
    bool joined = shareable && join_job(engine, waiter);
    if (!joined) {
        add_waiter(job, waiter);
        engine->n_jobs++;
        job->is_joinable = shareable;
        if (shareable) {
            job->next = engine->joinable;
            engine->joinable = job;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return !joined;
}

int ra_engine_run(ra_engine *engine, ra_plan *plan, ra_content *stream, ra_str caller,
                  ra_outcome_fn done, void *context, ra_waiter **out, ra_error *err) {
    ra_job *job;
    *out = NULL;
    if (plan->has_stream && !stream)
        RA_FAIL(err, INVALID_ARGUMENT,
                "an argument of the command is streamed: send it with DoExchange");
    if (!plan->has_stream && stream)
        RA_FAIL(err, INVALID_ARGUMENT, "the command has no {\"stream\": true} argument");
    RA_TRY(new_job(engine, plan, stream, caller, &job, err));
    int rc = new_waiter(engine, plan, done, context, out, err);
    if (rc == 0 && start_or_join(engine, job, *out))
        ra_workers_submit(engine->options.jobs, &job->task);
    else
        free_job(job);
    return rc;
}

static void detach(ra_waiter *waiter) {
    ra_waiter **at = &waiter->job->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    waiter->job = NULL;
    waiter->refs--;
}

// The last waiter stays with its job, to be told when that has ended; nobody can join it then.
bool ra_waiter_leave(ra_waiter *waiter) {
    pthread_mutex_lock(&waiter->engine->lock);
    ra_job *job = waiter->job;
    bool left = job && (job->waiters != waiter || waiter->next);
    if (left) {
        detach(waiter);
    } else if (job) {
        atomic_store(&job->cancelled, true);
        unlink_job(job);
    }
    pthread_mutex_unlock(&waiter->engine->lock);
    unref_waiter(waiter);
    return left;
}
