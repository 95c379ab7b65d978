// What the service manager is told (systemd's notification protocol), when there is one.
#ifndef RA_SERVER_NOTIFY_H
#define RA_SERVER_NOTIFY_H

#include <stdint.h>

#include "base/error.h"

// Sends assignments ("READY=1\nSTATUS=…"), at most 1 KiB, as one datagram to the Unix socket that
// NOTIFY_SOCKET names: a path, or '@' and an abstract name. Without the variable it does nothing; a
// failure is logged. Waits at most a second for a full socket. Not on I/O threads.
void ra_notify(const char *fmt, ...) RA_PRINTF(1, 2);
// A reload has begun; READY=1 ends it.
void ra_notify_reloading(void);
// The server stops, and may take so long.
void ra_notify_stopping(int64_t at_most_ms);

#endif
