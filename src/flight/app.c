#include "flight/app.h"

#include <string.h>

const ra_method *const ra_flight_methods[] = {
    &ra_method_handshake,        &ra_method_list_flights, &ra_method_get_flight_info,
    &ra_method_poll_flight_info, &ra_method_get_schema,   &ra_method_do_get,
    &ra_method_do_put,           &ra_method_do_exchange,  &ra_method_do_action,
    &ra_method_list_actions};
const int ra_n_flight_methods = sizeof ra_flight_methods / sizeof *ra_flight_methods;

ra_str ra_app_caller(const ra_call *call, char buffer[RA_CALLER_BYTES]) {
    ra_str named = ra_call_header(call, "remote-arrow-client");
    if (named.data && named.len > 0 && named.len < RA_CALLER_BYTES)
        return named;
    const char *peer = ra_call_peer(call), *port = strrchr(peer, ':');
    size_t n = port ? (size_t)(port - peer) : strlen(peer);
    if (n >= RA_CALLER_BYTES)
        n = RA_CALLER_BYTES - 1;
    memcpy(buffer, peer, n);
    buffer[n] = 0;
    return (ra_str){buffer, n};
}

const char *ra_app_why_not_ready(ra_app *app) {
    ra_store_status status;
    if (atomic_load(&app->draining))
        return "the server is stopping";
    ra_store_get_status(app->store, &status);
    return status.read_only && !app->read_only ? "the store is read-only after a failed fsync"
                                               : NULL;
}
