// What the server counts, as OpenMetrics text.
#ifndef RA_SERVER_METRICS_H
#define RA_SERVER_METRICS_H

#include "flight/app.h"

// Appends the text, "# EOF" at its end. Reads /proc and asks the file system: not on I/O threads.
// LIMIT, OUT_OF_MEMORY.
RA_MUST int ra_metrics_write(ra_app *app, ra_bytes *out, ra_error *err);

#endif
