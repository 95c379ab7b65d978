#include <inttypes.h>

#include "store/store.h"

int ra_if_exists_read(ra_str word, ra_if_exists *out, ra_error *err) {
    static const char *const words[] = {[RA_IF_EXISTS_ERROR] = "error",
                                        [RA_IF_EXISTS_REPLACE] = "replace",
                                        [RA_IF_EXISTS_APPEND] = "append",
                                        [RA_IF_EXISTS_REUSE] = "reuse"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ra_str_eq(word, ra_str_of(words[i]))) {
            *out = (ra_if_exists)i;
            return 0;
        }
    RA_FAIL(err, INVALID_ARGUMENT,
            "\"if_exists\" is \"error\", \"replace\", \"append\" or \"reuse\", not '%.*s'",
            RA_STR_ARG(word));
}

static int name_subject(ra_error *err, ra_str name, const ra_flight *flight, int rc) {
    ra_error_set_subject(err, "name", name.data, name.len);
    if (flight)
        err->flight = flight->id;
    return rc;
}

int ra_flight_fail_exists(const ra_flight *flight, ra_str name, const char *why, ra_error *err) {
    int rc = ra_error_set(err, RA_REASON_FLIGHT_EXISTS, "Flight '%.*s' exists (id %" PRId64 ")%s",
                          RA_STR_ARG(name), flight->id, why);
    return name_subject(err, name, flight, rc);
}

int ra_if_exists_check(ra_str name, const ra_flight *flight, ra_if_exists if_exists,
                       int64_t if_version, ra_error *err) {
    if (name.len == 0 && (if_exists != RA_IF_EXISTS_ERROR || if_version >= 0))
        RA_FAIL(err, INVALID_ARGUMENT, "\"if_exists\" and \"if_version\" need a name");
    if (flight && if_exists == RA_IF_EXISTS_ERROR)
        return ra_flight_fail_exists(flight, name, "", err);
    int64_t newest = flight ? ra_flight_newest(flight)->number : 0;
    if (if_version < 0 || newest == if_version)
        return 0;
    int rc = flight ? ra_error_set(err, RA_REASON_VERSION_CONFLICT,
                                   "Flight '%.*s' (id %" PRId64 ") is at version %" PRId64
                                   ", not %" PRId64,
                                   RA_STR_ARG(name), flight->id, newest, if_version)
                    : ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND,
                                   "Flight '%.*s' does not exist; version %" PRId64 " was required",
                                   RA_STR_ARG(name), if_version);
    return name_subject(err, name, flight, rc);
}

int ra_store_check_publish(ra_store *store, ra_str name, ra_if_exists if_exists, int64_t if_version,
                           ra_error *err) {
    ra_snapshot *snapshot = ra_store_snapshot(store);
    const ra_flight *flight = name.len > 0 ? ra_snapshot_find(snapshot, name) : NULL;
    int rc = ra_if_exists_check(name, flight, if_exists, if_version, err);
    ra_snapshot_unref(snapshot);
    return rc;
}
