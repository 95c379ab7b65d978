// Making the immutable records of Flights and versions.
#ifndef RA_STORE_RECORD_H
#define RA_STORE_RECORD_H

#include "store/store.h"

// A record with copies of all that `from` holds: names, strings; references to its versions and to
// its `last_used_ns`, or a new one that starts at created_ns when that is NULL. One reference;
// `from` need not be a counted record and stays the caller's. OUT_OF_MEMORY.
RA_MUST int ra_flight_new(const ra_flight *from, ra_flight **out, ra_error *err);

// What a changed record starts from: the same fields, borrowed, without being counted.
ra_flight ra_flight_draft(const ra_flight *from);

// A version of the Flight `of`, of which only id and uid count; adds a reference to the content.
// OUT_OF_MEMORY.
RA_MUST int ra_version_new(const ra_flight *of, int64_t number, int64_t created_ns,
                           ra_content *content, ra_version **out, ra_error *err);

// The time of the last use when it differs from what was written last, and notes it as written;
// -1 otherwise. Catalog thread.
int64_t ra_flight_take_use(ra_flight *flight);
// What was taken could not be written.
void ra_flight_untake_use(ra_flight *flight);

// The time as the catalog has it. Before others see the Flight.
void ra_flight_set_use(ra_flight *flight, int64_t used_ns);

bool ra_flight_has_name(const ra_flight *flight, ra_str name);

#endif
