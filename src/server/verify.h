// --verify: checks a data directory instead of serving it.
#ifndef RA_SERVER_VERIFY_H
#define RA_SERVER_VERIFY_H

#include "server/options.h"

// Prints a line for each damage and a summary on stdout. The exit code: 0 all right, 1 something is
// damaged, 2 it cannot be checked (a line on stderr says why).
int ra_verify(const ra_options *options);

#endif
