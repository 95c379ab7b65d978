// Sending a content on a call, batch by batch, as fast as the peer takes it: DoGet and DoExchange.
#ifndef RA_FLIGHT_SENDER_H
#define RA_FLIGHT_SENDER_H

#include "flight/app.h"

typedef struct ra_sender ra_sender;

// Sends the schema message and what there is room for. A content of a Flight (`flight` may be NULL)
// is accounted to it, named after it in errors, and described in the trailer. The content is
// referenced. On failure, `*out` is NULL and the caller ends the call. I/O thread.
RA_MUST int ra_sender_start(ra_call *call, const ra_flight *flight, const ra_version *version,
                            ra_content *content, ra_sender **out, ra_error *err);
// Sends what there is room for; finishes the call after the last batch or a fault. From on_output.
void ra_sender_pump(ra_sender *sender, ra_call *call);
// From on_end; NULL is allowed.
void ra_sender_end(ra_sender *sender);

#endif
