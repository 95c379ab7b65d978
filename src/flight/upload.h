// Receiving a table: the FlightData messages of a call, decoded, checked and written on a strand of
// workers, one at a time and in order. DoPut and the argument of DoExchange.
#ifndef RA_FLIGHT_UPLOAD_H
#define RA_FLIGHT_UPLOAD_H

#include "flight/app.h"
#include "flight/flight_data.h"

typedef struct ra_upload ra_upload;

// What the owner of an upload does; `owner` is its own object. All functions run on a worker; `free`
// perhaps on the thread that stops the server, after the workers have ended.
typedef struct {
    // Whether app_metadata is answered with PutResults (F-22), which only clients of DoPut expect.
    bool acknowledges;
    // The first message: reads its descriptor, refuses early what cannot succeed.
    int (*begin)(void *owner, const ra_flight_data *first, ra_error *err);
    // The client has half-closed and everything was right: takes the content with
    // ra_upload_finish_content.
    int (*complete)(void *owner, ra_upload *upload, ra_error *err);
    // The last reference to the upload is gone.
    void (*free)(void *owner);
} ra_upload_events;

// An upload of a call, with one reference that ra_upload_end gives back. Takes `owner` on success
// only. `kind`: how the segments are written. Errors of the strand end the call by themselves.
RA_MUST int ra_upload_new(ra_call *call, ra_write_kind kind, const ra_upload_events *events,
                          void *owner, ra_upload **out, ra_error *err);
void *ra_upload_owner(const ra_upload *upload);

// From the method's callbacks, on the I/O thread. The message is taken.
void ra_upload_on_message(ra_upload *upload, ra_call *call, ra_bytes *message, bool last);
void ra_upload_on_output(ra_upload *upload, ra_call *call);
void ra_upload_on_half_close(ra_upload *upload, ra_call *call);
// The call is over: what was received and not completed is dropped.
void ra_upload_end(ra_upload *upload);

// For owners that answer later: the upload (and the owner) stays until the reference is given back.
ra_upload *ra_upload_ref(ra_upload *upload);
void ra_upload_unref(ra_upload *upload);

// Worker, from `complete`: what was received. INVALID_ARGUMENT when there was no schema.
RA_MUST int ra_upload_finish_content(ra_upload *upload, ra_content **out, ra_error *err);
// Whether a schema has come; without one an exchange has no argument.
bool ra_upload_has_schema(const ra_upload *upload);

#endif
