// FlightDescriptors and tickets: what a client names, and what it means here.
#ifndef RA_FLIGHT_DESCRIPTOR_H
#define RA_FLIGHT_DESCRIPTOR_H

#include "base/bytes.h"
#include "store/store.h"

typedef enum {
    RA_NAMED_BY_NAME,     // PATH [name] or [name, "@VERSION"]
    RA_NAMED_BY_ID,       // PATH ["#3"] or ["#3", "@VERSION"]
    RA_NAMED_BY_COMMAND,  // CMD: JSON or legacy
    RA_NAMED_BY_TICKET    // a ticket of ours
} ra_named_by;

typedef struct {
    ra_named_by by;
    ra_str name;
    int64_t id;
    int64_t version;  // 0 = the newest
    uint8_t uid[16];  // tickets
    ra_str command;
    ra_str encoded;  // the descriptor's bytes as the client sent them
} ra_target;

// Reads a FlightDescriptor; `out` points into `message`. INVALID_ARGUMENT, MALFORMED_REQUEST.
RA_MUST int ra_descriptor_read(ra_str message, ra_target *out, ra_error *err);
// Reads what a ticket holds (not the Ticket message): one of ours, or a command.
RA_MUST int ra_ticket_read(ra_str ticket, ra_target *out, ra_error *err);

// Reads a text of 1 to 18 decimal digits and nothing else.
bool ra_number_read(ra_str text, int64_t *out);

// Finds the version that a target other than a command names (references). A ticket whose uid is
// not the Flight's any more is FLIGHT_NOT_FOUND.
RA_MUST int ra_target_find(ra_store *store, const ra_target *target, ra_flight **flight,
                           ra_version **version, ra_error *err);

// The ticket of a version: 'F', format 1, uid, id, version number.
enum { RA_TICKET_BYTES = 34 };
void ra_ticket_write(const ra_version *version, uint8_t out[RA_TICKET_BYTES]);

#endif
