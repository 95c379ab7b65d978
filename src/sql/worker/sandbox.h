// What the worker gives up before it sees data.
#ifndef RA_SQL_WORKER_SANDBOX_H
#define RA_SQL_WORKER_SANDBOX_H

#include "base/error.h"

// For the rest of the process: dies with its parent, may open no file but the one of `file_fd`, for
// writing only if it `writes` (where the kernel has Landlock), makes no sockets, runs no programs,
// looks into no other process, has limits of memory (`memory_bytes` and some more) and of CPU time.
// UNAVAILABLE when seccomp is not to be had. Before any thread.
RA_MUST int ra_sandbox_enter(int file_fd, bool writes, int64_t memory_bytes, ra_error *err);

#endif
