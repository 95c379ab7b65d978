// What a job does: run the plan, publish its end.
#include <inttypes.h>

#include "base/log.h"
#include "query/job.h"
#include "query/run.h"

enum { QUERY_SHARE = 4 };  // a query may have a quarter of the memory budget

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

// A name that is taken, or a version that is not the newest any more, before the work is done
// rather than after it. The store decides in the end.
static int check_name(const ra_job *job, ra_error *err) {
    const ra_plan *plan = job->plan;
    if (plan->name.len == 0)
        return 0;
    ra_snapshot *snapshot = ra_store_snapshot(job->engine->options.store);
    const ra_flight *flight = ra_snapshot_find(snapshot, plan->name);
    int rc = 0;
    if (flight && plan->if_exists == RA_IF_EXISTS_ERROR) {
        rc = ra_error_set(err, RA_REASON_FLIGHT_EXISTS, "Flight '%.*s' exists (id %" PRId64 ")",
                          RA_STR_ARG(plan->name), flight->id);
        ra_error_set_subject(err, "name", plan->name.data, plan->name.len);
    } else if (flight && plan->if_version >= 0 &&
               ra_flight_newest(flight)->number != plan->if_version) {
        rc = ra_error_set(err, RA_REASON_VERSION_CONFLICT,
                          "Flight '%.*s' (id %" PRId64 ") is at version %" PRId64 ", not %" PRId64,
                          RA_STR_ARG(plan->name), flight->id, ra_flight_newest(flight)->number,
                          plan->if_version);
    }
    if (rc != 0)
        err->flight = flight->id;
    ra_snapshot_unref(snapshot);
    return rc;
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
    RA_TRY(check_name(job, err));
    int64_t limit = options->budget ? options->budget->limit_bytes / QUERY_SHARE : INT64_MAX;
    ra_budget_init(&job->budget, options->budget, "query", limit);
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
