#include "flight/action_job.h"

#include "base/os.h"

static void worked(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    ra_action_job *job = action->job;
    ra_error err;
    ra_turn_give(&job->turn);
    if (call && job->err.code != RA_OK)
        ra_call_finish(call, &job->err);
    else if (call && job->answer(call, job, &err) != 0)
        ra_call_finish(call, &err);
    ra_action_unref(action);
}

static void run(ra_task *task) {
    ra_action_job *job = (ra_action_job *)((char *)task - offsetof(ra_action_job, task));
    atomic_store(&job->action->run_ns, ra_os_now_ns());
    if (job->work(job, &job->err) != 0)
        ra_assert(job->err.code != RA_OK);
    ra_action_post(job->action, worked);
}

static void submit(ra_action_job *job) {
    ra_action_ref(job->action);
    job->task.run = run;
    ra_workers_submit(job->action->app->jobs, &job->task);
}

static void turn_came(ra_call *call, ra_post *post) {
    ra_action_job *job = (ra_action_job *)((char *)post - offsetof(ra_action_job, turn.post));
    if (call)
        submit(job);
    else
        ra_turn_give(&job->turn);
    ra_action_unref(job->action);
}

int ra_action_job_start(ra_call *call, ra_action_call *action, ra_action_job *job, ra_error *err) {
    bool now;
    job->action = action;
    action->job = job;
    ra_error_init(&job->err);
    RA_TRY(ra_turn_take(call, &job->turn, turn_came, &now, err));
    if (now)
        submit(job);
    else
        ra_action_ref(action);
    return 0;
}

void ra_action_job_end(ra_action_job *job) {
    atomic_store(&job->cancelled, true);
    if (ra_turn_leave(&job->turn))
        ra_action_unref(job->action);
}
