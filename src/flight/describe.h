// GetFlightInfo, PollFlightInfo and GetSchema: three answers about what a descriptor names.
#ifndef RA_FLIGHT_DESCRIBE_H
#define RA_FLIGHT_DESCRIBE_H

#include "flight/command.h"
#include "flight/descriptor.h"

// Appends the reply for a version (or, with `answer->version` NULL, for an unpublished plan).
// `command` is the text of a CMD descriptor.
typedef int (*ra_describe_fn)(const ra_call *call, ra_str descriptor, ra_str command,
                              const ra_answer *answer, ra_bytes *out, ra_error *err);

// The request is a FlightDescriptor: finds or runs what it names, replies with `describe`'s message
// and ends the call. From on_message; the message is taken.
void ra_describe_on_message(ra_call *call, ra_bytes *message, ra_command_mode mode,
                            ra_describe_fn describe);
void ra_describe_on_end(ra_call *call, bool cancelled);

#endif
