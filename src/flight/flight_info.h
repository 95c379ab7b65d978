// FlightInfo and its JSON: how a Flight is described to clients (design.md §4 "Descriptors").
#ifndef RA_FLIGHT_FLIGHT_INFO_H
#define RA_FLIGHT_FLIGHT_INFO_H

#include "flight/app.h"
#include "flight/command.h"
#include "flight/descriptor.h"

enum { RA_TRAILER_JSON_BYTES = 4096 };

// "ready", or "failed" when a file of the version is known to be missing or damaged.
const char *ra_version_state(const ra_version *version);

// Appends the JSON of app_metadata: id, uid, version, kind, names, times, state, kept and, if asked
// for, the lineage. Pure ASCII.
RA_MUST int ra_flight_json(const ra_flight *flight, const ra_version *version, bool with_lineage,
                           ra_bytes *out, ra_error *err);

// Appends the FlightInfo of a version. `descriptor` is echoed; NULL makes the one that lists show.
RA_MUST int ra_flight_info_write(const ra_call *call, const ra_flight *flight,
                                 const ra_version *version, const ra_str *descriptor, ra_bytes *out,
                                 ra_error *err);
// Appends the FlightInfo of a number whose Flight is gone: CMD `DELETED`, an empty schema.
RA_MUST int ra_flight_info_write_tombstone(int64_t id, ra_bytes *out, ra_error *err);
// Appends the FlightInfo of a command that publishes nothing: the ticket is the command.
// MESSAGE_TOO_LARGE when it is too long for that.
RA_MUST int ra_flight_info_write_unpublished(const ra_call *call, const ra_plan *plan,
                                             ra_str command, ra_str descriptor, ra_bytes *out,
                                             ra_error *err);

// Either of the two, for what a command or a look-up answered.
RA_MUST int ra_flight_info_write_answer(const ra_call *call, ra_str descriptor, ra_str command,
                                        const ra_answer *answer, ra_bytes *out, ra_error *err);

// The Location that this client should use, or empty when there is none to tell.
RA_MUST int ra_flight_location(const ra_call *call, ra_bytes *out, ra_error *err);

// How errors name a Flight: "Flight 3 ('taxi')".
enum { RA_FLIGHT_LABEL_BYTES = 320 };
void ra_flight_label(const ra_flight *flight, char out[RA_FLIGHT_LABEL_BYTES]);

// Adds the trailer `remote-arrow-flight`; leaves it out when it cannot be made (what it describes
// is committed already).
void ra_flight_trailer(ra_call *call, const ra_flight *flight, const ra_version *version);

#endif
