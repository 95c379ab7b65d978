// Connections that begin with HTTP/1 (see ra_guest in wire/server.h).
#ifndef RA_WIRE_GUEST_H
#define RA_WIRE_GUEST_H

#include "wire/listen.h"
#include "wire/server.h"

// Whether the first bytes of a connection, be it one, may be those of an HTTP/1 request. A lone
// "P" may begin POST, and the HTTP/2 preface as well.
bool ra_guest_is_http1(const uint8_t *data, size_t bytes);
// Gives a connection to ra_wire_options.on_http1. False without memory: it stays the caller's.
bool ra_guest_send_on(ra_wire *wire, int fd, const ra_peer *peer);

#endif
