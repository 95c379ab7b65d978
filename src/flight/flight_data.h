// The FlightData message (F-1, F-2, F-3).
#ifndef RA_FLIGHT_FLIGHT_DATA_H
#define RA_FLIGHT_FLIGHT_DATA_H

#include "arrow/array.h"
#include "base/bytes.h"
#include "store/content.h"
#include "wire/server.h"

typedef struct {
    bool has_descriptor;
    ra_str descriptor;
    ra_span header;  // bare flatbuffer; bytes == 0: none
    bool has_app_metadata;
    ra_span app_metadata;
    ra_span body;
} ra_flight_data;

// Reads a whole message; `out` points into it. MALFORMED_REQUEST.
RA_MUST int ra_flight_data_read(ra_str message, ra_flight_data *out, ra_error *err);

// Where the body begins in a message of which only the first bytes are there; 0 = not seen yet.
size_t ra_flight_data_body_start(ra_str beginning);

// Sends a schema message, or one with only app_metadata. Memory is copied. OUT_OF_MEMORY.
RA_MUST int ra_flight_data_send(ra_call *call, ra_span header, ra_span app_metadata, ra_error *err);
// Sends a message of a cursor, which is taken: its segment is held until the bytes are sent.
RA_MUST int ra_flight_data_send_message(ra_call *call, ra_out_message *message, ra_error *err);

#endif
