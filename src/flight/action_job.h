// Actions that a job thread works for: in the client's turn, answered on the I/O thread.
#ifndef RA_FLIGHT_ACTION_JOB_H
#define RA_FLIGHT_ACTION_JOB_H

#include "flight/action.h"
#include "flight/client.h"

// Embedded in the action's state, which the caller of ra_action_job_start has made.
typedef struct ra_action_job {
    ra_action_call *action;
    // Does it. Job thread.
    int (*work)(struct ra_action_job *job, ra_error *err);
    // Words the answer of work that was done, and ends the call. I/O thread.
    int (*answer)(ra_call *call, struct ra_action_job *job, ra_error *err);
    atomic_bool cancelled;  // the call has ended
    ra_error err;
    ra_turn turn;
    ra_task task;
} ra_action_job;

// Has `work` done when it is the client's turn. Both functions are set. Once an action.
// OUT_OF_MEMORY. I/O thread, as the next one.
RA_MUST int ra_action_job_start(ra_call *call, ra_action_call *action, ra_action_job *job,
                                ra_error *err);
// The call has ended: leaves the queue, or tells the job that nobody waits for it.
void ra_action_job_end(ra_action_job *job);

#endif
