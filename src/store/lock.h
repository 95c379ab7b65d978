// One server for a data directory.
#ifndef RA_STORE_LOCK_H
#define RA_STORE_LOCK_H

#include "base/error.h"

// Takes the lock file `path` for this process, until the descriptor is closed; its text is our
// process id. Fails with UNAVAILABLE naming `data_dir` and the process that has it, IO_ERROR.
RA_MUST int ra_lock_take(const char *path, const char *data_dir, int *fd, ra_error *err);

#endif
