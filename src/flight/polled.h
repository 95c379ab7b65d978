// Polled runs: what PollFlightInfo has started goes on between the polls of a client, for a bounded
// time after each (limits.def). They belong to the connection, and end with it. I/O thread.
#ifndef RA_FLIGHT_POLLED_H
#define RA_FLIGHT_POLLED_H

#include "flight/client.h"
#include "flight/command.h"

// Keeps a command (taken) for polls of the same text; ends it if there is no memory for that. Over
// the limit of kept runs the one polled longest ago is given up.
void ra_polled_keep(ra_call *call, ra_str text, ra_command *command);
// The kept command of that text, which is the caller's then; NULL if there is none.
ra_command *ra_polled_take(ra_call *call, ra_str text);
// When the last poll's answer says that the run is given up, in nanoseconds of the wall clock.
int64_t ra_polled_until_ns(const ra_call *call);
// The connection is gone.
void ra_polled_end_all(ra_polled **list);

#endif
