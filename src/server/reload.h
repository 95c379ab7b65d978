// What SIGHUP reads again: tokens and the log level.
#ifndef RA_SERVER_RELOAD_H
#define RA_SERVER_RELOAD_H

#include "server/options.h"
#include "wire/server.h"

// Sets log level and format: the level of --log-level-file if that file is there, else --log-level.
// On failure nothing is changed. IO_ERROR; INVALID_ARGUMENT when the file holds no level.
RA_MUST int ra_reload_log(const ra_options *options, ra_error *err);

// Reads both again and logs what came of it. Each that cannot be read stays as it was; false then.
// One thread at a time; not on I/O threads.
bool ra_reload(const ra_options *options, ra_wire *wire);

#endif
