// GetFlightInfo, PollFlightInfo and GetSchema: three answers about what a descriptor names.
#ifndef RA_FLIGHT_DESCRIBE_H
#define RA_FLIGHT_DESCRIBE_H

#include "flight/command.h"
#include "flight/descriptor.h"

// Appends the reply for a version (or, with `answer->version` NULL, for an unpublished plan).
// `command` is the text of a CMD descriptor.
typedef int (*ra_describe_fn)(const ra_call *call, ra_str descriptor, ra_str command,
                              const ra_answer *answer, ra_bytes *out, ra_error *err);

// A call that describes: the first member of its method's state.
typedef struct {
    ra_bytes request;
    ra_target target;  // points into `request`
    ra_describe_fn describe;
    ra_command *command;
} ra_describe_call;

// Reads the request, a FlightDescriptor, which is taken.
RA_MUST int ra_describe_read(ra_describe_call *state, ra_bytes *message, ra_describe_fn describe,
                             ra_error *err);
// Finds the version that the descriptor names, or starts its command; replies with `describe`'s
// message and ends the call, now or later. On failure the caller ends it.
RA_MUST int ra_describe_start(ra_call *call, ra_describe_call *state, ra_command_mode mode,
                              ra_error *err);
// The answer of a command; `owner` is the ra_describe_call.
void ra_describe_done(ra_call *call, void *owner, const ra_answer *answer);

// All of it, for methods without more: from on_message (the message is taken) and on_end.
void ra_describe_on_message(ra_call *call, ra_bytes *message, ra_command_mode mode,
                            ra_describe_fn describe);
void ra_describe_on_end(ra_call *call, bool cancelled);

#endif
