// A worker process from the server's side: remote-arrow-sql with one file and one stream.
#ifndef RA_SQL_PROCESS_H
#define RA_SQL_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/budget.h"
#include "sql/worker/protocol.h"

typedef struct {
    pid_t pid;
    int stream;  // a socket, of tables
    int answer;
    const atomic_bool *cancelled;
    int64_t stall_ms;  // how long it may leave us waiting
    ra_budget *budget;
    int64_t charged_bytes;
} ra_sql_process;

// Starts a worker that may use `file` and a quarter of the budget's limit, at most 1 GiB, which is
// charged as long as it runs: `words` (NULL-terminated) follow that number in its arguments.
// `cancelled` outlives it. What waits for a worker that does nothing for minutes fails.
// UNAVAILABLE, OUT_OF_MEMORY, LIMIT (descriptors). Not on I/O threads, nor what follows.
RA_MUST int ra_sql_process_start(ra_sql_process *out, ra_budget *budget, const char *const *words,
                                 int file, const atomic_bool *cancelled, ra_error *err);
// Sends all bytes. A worker that does not listen any more has an answer, or is dead: `*gone`, and
// no error. CANCELLED, UNAVAILABLE, IO_ERROR.
RA_MUST int ra_sql_process_send(const ra_sql_process *process, const void *data, int64_t bytes,
                                bool *gone, ra_error *err);
// Receives exactly so many bytes; `*end` when the worker closed the stream before the first one.
// CANCELLED, UNAVAILABLE, IO_ERROR.
RA_MUST int ra_sql_process_receive(const ra_sql_process *process, void *data, int64_t bytes,
                                   bool *end, ra_error *err);
// Takes no more of what it sends, for which it would wait for ever.
void ra_sql_process_hang_up(const ra_sql_process *process);
// Waits for the worker's answer; its failure becomes ours. UNAVAILABLE when it ended without one.
RA_MUST int ra_sql_process_finish(const ra_sql_process *process, int64_t *n_rows, ra_error *err);
// Ends the worker, if it has not yet ended, and gives back what it had.
void ra_sql_process_end(ra_sql_process *process);

// A duplicate of a descriptor, which is closed, above those that a worker inherits, so that none is
// overwritten before it is moved; -1 when there is none left.
int ra_sql_raise_fd(int fd);

#endif
