// Connections that begin with HTTP/1: they leave the wire and stay counted until they end.
#include <string.h>
#include <sys/socket.h>

#include "base/os.h"
#include "wire/connection.h"

struct ra_guest {
    ra_wire *wire;
    ra_peer peer;
};

bool ra_guest_is_http1(const uint8_t *data, size_t bytes) {
    static const char *const methods[] = {"GET ",    "HEAD ",    "POST ",  "PUT ",    "PATCH ",
                                          "DELETE ", "OPTIONS ", "TRACE ", "CONNECT "};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (bytes > 0 && memcmp(data, methods[i], n < bytes ? n : bytes) == 0)
            return true;
    }
    return false;
}

bool ra_guest_send_on(ra_wire *wire, int fd, const ra_peer *peer) {
    ra_guest *guest = ra_malloc(sizeof *guest);
    if (!guest)
        return false;
    *guest = (ra_guest){.wire = wire, .peer = *peer};
    wire->options.on_http1(wire->options.context, fd, guest);
    return true;
}

void ra_guest_leave(ra_guest *guest) {
    ra_doors_leave(&guest->wire->doors, &guest->peer);
    ra_wire_count(&guest->wire->counters.connections, -1);
    ra_free(guest);
}
