// Threads that run tasks, and strands: queues whose tasks run one at a time, in order.
//
// A pool starts threads as they are needed, up to its limit, so that a long task never keeps a
// short one waiting while the limit is not reached. Tasks are embedded in the caller's objects.
#ifndef RA_BASE_WORKERS_H
#define RA_BASE_WORKERS_H

#include <stdbool.h>

#include "base/error.h"

typedef struct ra_workers ra_workers;

// A task is owned by whoever embeds it; it must live until `run` was called. `run` may free it.
typedef struct ra_task {
    void (*run)(struct ra_task *task);
    struct ra_task *next;
} ra_task;

// A pool of up to `max_threads` threads named `name` (at most 15 bytes).
RA_MUST int ra_workers_new(const char *name, int max_threads, ra_workers **out, ra_error *err);
// Runs what is queued, then ends the threads.
void ra_workers_free(ra_workers *workers);
// Queues a task; any thread.
void ra_workers_submit(ra_workers *workers, ra_task *task);

typedef struct ra_strand ra_strand;

// A strand on a pool. Free only after its last task has run (from within that task is allowed).
RA_MUST int ra_strand_new(ra_workers *workers, ra_strand **out, ra_error *err);
void ra_strand_free(ra_strand *strand);
void ra_strand_submit(ra_strand *strand, ra_task *task);

// Calls body(context, i) for 0 <= i < n, on the calling thread and idle threads of the pool;
// returns when all have returned.
void ra_parallel_for(ra_workers *workers, int n, void (*body)(void *context, int i), void *context);

#endif
