// The running server: what is opened at start and closed in the opposite order.
#ifndef RA_SERVER_SERVER_H
#define RA_SERVER_SERVER_H

#include "flight/app.h"
#include "server/options.h"

typedef struct ra_server ra_server;

// Opens the store, starts engine and wire. `stop` is called (any thread) when a client asks for
// shutdown. Fails in one line: port in use, directory locked, not writable …
RA_MUST int ra_server_start(const ra_options *options, void (*stop)(void *context), void *context,
                            ra_server **out, ra_error *err);
int ra_server_port(const ra_server *server);
// Reads tokens and log level again (server/reload.h). One thread.
void ra_server_reload(ra_server *server);
// Takes no more calls and lets running ones finish, until the drain timeout.
void ra_server_drain(ra_server *server);
// Ends the calls that run; a drain that goes on in another thread returns soon.
void ra_server_close_all(ra_server *server);
// After a drain: ends jobs and threads, closes everything.
void ra_server_free(ra_server *server);

#endif
