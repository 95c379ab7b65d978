// A client: what the Flight calls keep for a connection beyond its calls. Of its I/O thread.
//
// Its turns: a client may have so many jobs running at a time (limits.def), counted until they have
// really ended, not until their calls have: who starts runs and resets the calls at once gains
// nothing. Further ones wait in order.
#ifndef RA_FLIGHT_CLIENT_H
#define RA_FLIGHT_CLIENT_H

#include "flight/app.h"

typedef struct ra_client ra_client;

// Embedded in what wants to run a job, zeroed at first.
typedef struct ra_turn {
    ra_client *client;  // a reference while it is waiting or taken
    struct ra_turn *next;
    bool is_waiting;
    ra_post post;  // says that it has come
} ra_turn;

// Takes a turn for a call. `*now` tells whether it is there at once; otherwise `come` is posted to
// the call when it is (with NULL if the call has ended meanwhile), unless ra_turn_leave came
// before. OUT_OF_MEMORY.
RA_MUST int ra_turn_take(ra_call *call, ra_turn *turn, void (*come)(ra_call *call, ra_post *post),
                         bool *now, ra_error *err);
// Leaves the queue; true: it was waiting, and `come` will not be posted.
bool ra_turn_leave(ra_turn *turn);
// Gives a turn back that was taken, or has come: the next one's comes. Does nothing if there is
// none.
void ra_turn_give(ra_turn *turn);

// The list of the client's polled runs (polled.h). OUT_OF_MEMORY.
typedef struct ra_polled ra_polled;
RA_MUST int ra_client_polled(ra_call *call, ra_polled ***list, ra_error *err);

// For ra_wire_options: the connection is gone, and all its calls have ended. Jobs that still run
// keep what they need.
void ra_client_on_connection_end(void *context, void *state);

#endif
