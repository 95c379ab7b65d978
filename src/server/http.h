// HTTP/1.1 on the server's port: /livez, /readyz and /metrics, on a thread of its own.
#ifndef RA_SERVER_HTTP_H
#define RA_SERVER_HTTP_H

#include "flight/app.h"

typedef struct ra_http ra_http;

// Starts the thread. `app` outlives it. UNAVAILABLE, OUT_OF_MEMORY.
RA_MUST int ra_http_start(ra_app *app, ra_http **out, ra_error *err);
// Takes a connection from the wire. Those that are there longest give way when there are too many.
// Any thread, does not block.
void ra_http_take(ra_http *http, int fd, ra_guest *guest);
// Closes all connections, ends the thread. The wire hands over none any more. NULL is allowed.
void ra_http_free(ra_http *http);

#endif
