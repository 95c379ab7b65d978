// What a job does: run the plan, publish its end.
#include <inttypes.h>

#include "base/log.h"
#include "query/job.h"
#include "query/run.h"

static void ignore_result(void *context, ra_change_result *result) {
    (void)context;
    if (result->flight)
        ra_flight_unref(result->flight);
    if (result->version)
        ra_version_unref(result->version);
}

void ra_plan_remember_legacy(const ra_plan *plan, const ra_flight *flight) {
    if (plan->legacy_text.len == 0 || flight->legacy_command.len > 0)
        return;
    ra_error err;
    ra_change change = {.change = RA_CHANGE_LEGACY_COMMAND,
                        .flight_id = flight->id,
                        .legacy_command = plan->legacy_text};
    if (ra_store_change(plan->engine->options.store, &change, ignore_result, NULL, &err) != 0)
        ra_log(RA_LOG_DEBUG, "query", "legacy command not remembered: %s", err.message);
}

static int publish(const ra_job *job, ra_outcome *outcome, ra_error *err) {
    const ra_plan *plan = job->plan;
    ra_bytes lineage;
    ra_bytes_init(&lineage, 2 * RA_MAX_CANONICAL_BYTES);
    ra_change_result result;
    int rc = ra_plan_lineage(plan, &lineage, err);
    if (rc == 0) {
        ra_change change = {.change = RA_CHANGE_PUBLISH,
                            .name = plan->name,
                            .if_exists = plan->if_exists,
                            .if_version = plan->if_version,
                            .kind = RA_KIND_RESULT,
                            .content = outcome->content,
                            .caller = job->caller,
                            .lineage = ra_bytes_str(&lineage),
                            .legacy_command = plan->legacy_text,
                            .has_command_key = ra_plan_is_shareable(plan)};
        memcpy(change.command_key, plan->key, sizeof change.command_key);
        rc = ra_store_change_wait(job->engine->options.store, &change, &result, err);
    }
    ra_bytes_fini(&lineage);
    RA_TRY(rc);
    outcome->flight = result.flight;
    outcome->version = result.version;
    ra_content_unref(outcome->content);
    outcome->content = ra_content_ref(result.version->content);
    return 0;
}

static int run_plan(ra_job *job, ra_outcome *outcome, ra_error *err) {
    const ra_plan *plan = job->plan;
    const ra_engine_options *options = &job->engine->options;
    if (ra_plan_is_shareable(plan) && plan->publish) {
        outcome->flight = ra_plan_find(job->engine, plan, &outcome->version);
        if (outcome->flight) {
            outcome->content = ra_content_ref(outcome->version->content);
            return 0;
        }
    }
    // Before the work is done rather than after it; the commit decides in the end.
    RA_TRY(
        ra_store_check_publish(options->store, plan->name, plan->if_exists, plan->if_version, err));
    ra_budget_init_share(&job->budget, options->budget, "memory limit of a query");
    ra_run run = {.store = options->store,
                  .kind = plan->publish ? RA_WRITE_RESULT : RA_WRITE_TEMPORARY,
                  .compute = {.workers = options->morsels,
                              .budget = &job->budget,
                              .cancelled = &job->cancelled},
                  .stream = job->stream,
                  .flight = -1};
    int rc = ra_run_relation(&run, plan->root, &outcome->content, err);
    ra_budget_fini(&job->budget);
    if (rc == 0)
        rc = ra_compute_check_cancelled(&run.compute, err);
    if (rc == 0 && plan->publish)
        rc = publish(job, outcome, err);
    return rc;
}

void ra_job_execute(ra_job *job, ra_outcome *outcome) {
    ra_error err;
    ra_error_init(&err);
    memset(outcome, 0, sizeof *outcome);
    ra_error_init(&outcome->err);
    if (run_plan(job, outcome, &err) == 0)
        return;
    ra_outcome_fini(outcome);
    outcome->err = err;
}
