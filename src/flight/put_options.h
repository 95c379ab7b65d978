// Where an upload goes and what happens when its name is taken.
#ifndef RA_FLIGHT_PUT_OPTIONS_H
#define RA_FLIGHT_PUT_OPTIONS_H

#include "base/bytes.h"
#include "store/store.h"

typedef struct {
    ra_bytes name;  // empty: an unnamed dataset
    ra_if_exists if_exists;
    int64_t if_version;  // -1 = any
} ra_put_options;

void ra_put_options_init(ra_put_options *options);
void ra_put_options_fini(ra_put_options *options);

// From a descriptor: PATH [name] with the header remote-arrow-if-exists (may be empty), or CMD
// {"put": {"name", "if_exists", "if_version"}}. INVALID_ARGUMENT, MALFORMED_REQUEST.
RA_MUST int ra_put_options_read(ra_put_options *options, ra_str descriptor, ra_str if_exists_header,
                                ra_error *err);
// Fails early with what the commit would find: FLIGHT_EXISTS, VERSION_CONFLICT, FLIGHT_NOT_FOUND.
RA_MUST int ra_put_options_check(const ra_put_options *options, ra_store *store, ra_error *err);

#endif
