// Sending a content on a call, batch by batch, as fast as the peer takes it: DoGet and DoExchange.
#ifndef RA_FLIGHT_SENDER_H
#define RA_FLIGHT_SENDER_H

#include "flight/app.h"

typedef struct ra_sender ra_sender;

// Begins with the schema message. `label` names the Flight in errors ("Flight 3"). The content is
// referenced. I/O thread.
RA_MUST int ra_sender_new(ra_call *call, ra_content *content, const char *label, ra_sender **out,
                          ra_error *err);
// Sends what there is room for; finishes the call after the last batch or a fault. From on_output
// and after ra_sender_new.
void ra_sender_pump(ra_sender *sender, ra_call *call);
// From on_end; NULL is allowed.
void ra_sender_end(ra_sender *sender);

#endif
