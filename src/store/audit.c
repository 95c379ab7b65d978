#include "store/audit.h"

#include <inttypes.h>

#include "base/log.h"

static const char *const verbs[] = {
    [RA_CHANGE_PUBLISH] = "publish", [RA_CHANGE_DELETE] = "delete", [RA_CHANGE_RENAME] = "rename",
    [RA_CHANGE_KEEP] = "keep",       [RA_CHANGE_UNKEEP] = "unkeep", [RA_CHANGE_CLEAR] = "clear"};

static bool has_changed_something(const ra_request *request) {
    return request->result.err.code == RA_OK && !request->result.reused &&
           request->change.change != RA_CHANGE_LEGACY_COMMAND &&
           request->change.change != RA_CHANGE_COMPACT && request->change.change != RA_CHANGE_FILE;
}

void ra_audit_log(const ra_request *request) {
    if (!has_changed_something(request) || !ra_log_enabled(RA_LOG_INFO))
        return;
    const ra_change *change = &request->change;
    const ra_change_result *result = &request->result;
    const char *verb = change->if_expired ? "expire" : verbs[change->change];
    if (change->change == RA_CHANGE_CLEAR) {
        ra_log(RA_LOG_INFO, "audit", "change=%s by=%.*s what=%s purge=%s", verb,
               RA_STR_ARG(change->caller), change->results_only ? "results" : "all",
               change->purge ? "yes" : "no");
        return;
    }
    if (!result->flight) {
        ra_log(RA_LOG_INFO, "audit", "change=%s by=%.*s flight=%" PRId64, verb,
               RA_STR_ARG(change->caller), change->flight_id);
        return;
    }
    const ra_flight *flight = result->flight;
    ra_str name = flight->n_names ? flight->names[0] : (ra_str){0};
    ra_log(RA_LOG_INFO, "audit",
           "change=%s by=%.*s flight=%" PRId64 " version=%" PRId64 " name=\"%.*s\"", verb,
           RA_STR_ARG(change->caller), flight->id, result->version->number, RA_STR_ARG(name));
}
