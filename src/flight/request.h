// Small requests: reading one message of a call, and answering with one.
#ifndef RA_FLIGHT_REQUEST_H
#define RA_FLIGHT_REQUEST_H

#include "flight/app.h"

// Reads field `number` (bytes) of a message; an absent field is empty. MALFORMED_REQUEST.
RA_MUST int ra_request_field(ra_str message, uint32_t number, ra_str *out, ra_error *err);

// Sends one message (copied).
void ra_reply_send(ra_call *call, const ra_bytes *message);
// Sends a message whose field `number` is `value`: Result{body=1}, SchemaResult{schema=1} …
RA_MUST int ra_reply_send_field(ra_call *call, uint32_t number, ra_str value, ra_error *err);
// Ends the call with OK, or with the error when rc != 0.
void ra_reply_end(ra_call *call, int rc, const ra_error *err);

#endif
