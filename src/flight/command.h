// Running a command for a call: planned, answered from what is published, or run by the engine; the
// answer comes back on the call's I/O thread.
#ifndef RA_FLIGHT_COMMAND_H
#define RA_FLIGHT_COMMAND_H

#include "flight/app.h"

typedef struct ra_command ra_command;

typedef enum {
    RA_COMMAND_PLAN,              // only plan it
    RA_COMMAND_RUN_IF_PUBLISHED,  // run it if its result becomes a Flight; otherwise only plan it
    RA_COMMAND_RUN
} ra_command_mode;

// What came of it. `err.code` RA_OK: `plan` is set; after a run `content` is, and `flight` and
// `version` too if it was published. All borrowed from the command.
typedef struct {
    const ra_error *err;
    ra_plan *plan;
    ra_flight *flight;
    ra_version *version;
    ra_content *content;
} ra_answer;

// Called once on the I/O thread, unless the call ended before; perhaps from within
// ra_command_start. `owner` is what was passed to ra_command_start.
typedef void (*ra_command_done)(ra_call *call, void *owner, const ra_answer *answer);

// Starts a command; its text is copied. A run begins when it is the client's turn (client.h). On
// failure `done` is not called and `*out` is NULL.
RA_MUST int ra_command_start(ra_call *call, ra_str text, ra_command_mode mode, ra_command_done done,
                             void *owner, ra_command **out, ra_error *err);
// Gives the command up: leaves the queue of those that wait for a turn, or its run. A run that
// nobody else waits for keeps its client's turn until it has really ended; one that goes on for
// others counts for them, and the turn is free at once. NULL is allowed. I/O thread.
void ra_command_end(ra_command *command);

// For a call that ends without the answer: the command is not given up, but goes on for the client
// until ra_command_adopt or ra_command_end. Only once it has been planned. I/O thread.
void ra_command_keep(ra_command *command);
// Lets another call of the same connection have a kept command: `done` is called for it, with
// `owner`, perhaps from within this function. I/O thread.
void ra_command_adopt(ra_command *command, ra_call *call, void *owner);
bool ra_command_is_planned(const ra_command *command);
bool ra_command_is_answered(const ra_command *command);

// The same for a plan that is made already, with its streamed argument (NULL if it takes none).
// Both are referenced. I/O thread.
RA_MUST int ra_command_start_plan(ra_call *call, ra_plan *plan, ra_content *stream,
                                  ra_command_done done, void *owner, ra_command **out,
                                  ra_error *err);

#endif
