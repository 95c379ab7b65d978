// The doors of the server: its listening sockets, and how many connections come from where.
#ifndef RA_WIRE_LISTEN_H
#define RA_WIRE_LISTEN_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

enum { RA_MAX_DOORS = 8, RA_PEER_NAME_BYTES = 64, RA_CONGESTION_BYTES = 17 };

// Who is at the other end of a connection.
typedef struct {
    char name[RA_PEER_NAME_BYTES];  // "127.0.0.1:4711", "[::1]:4711" or "unix"
    bool is_unix;
    bool is_local;  // loopback or Unix socket
    uint8_t address[16];
} ra_peer;

typedef struct {
    uint8_t address[16];
    int count;
} ra_address_count;

typedef struct {
    int fds[RA_MAX_DOORS];
    int n_fds;
    int port;                              // 0: no TCP
    const char *socket_path;               // to unlink; NULL: none
    char congestion[RA_CONGESTION_BYTES];  // control for peers that are not local: the machine's
    pthread_mutex_t lock;                  // guards what follows
    int max_connections;
    int max_per_address;
    int n_connections;
    ra_address_count *addresses;  // of remote peers that are connected; max_connections entries
    int n_addresses;
} ra_doors;

// Binds and listens; `host` "localhost" takes both loopback addresses with the same port. Fails
// with UNAVAILABLE naming the address and the cause, and leaves nothing open.
RA_MUST int ra_doors_open(ra_doors *doors, const char *host, int port, const char *socket_path,
                          int max_connections, int max_per_address, ra_error *err);
// New connections are refused from now on; the descriptors stay valid. While other threads accept.
void ra_doors_shut(ra_doors *doors);
// Closes the sockets, removes the path and frees the table.
void ra_doors_close(ra_doors *doors);

// Takes one connection, non-blocking and set up for low latency, into `*fd` and `*peer`. Returns 0,
// EAGAIN when there is none, or the errno of a lack of descriptors. A connection over the limits is
// closed and counted in `*n_shed`. Any thread.
int ra_doors_accept(ra_doors *doors, int door_fd, int *fd, ra_peer *peer, int *n_shed);
// A connection that was taken has been closed. Any thread.
void ra_doors_leave(ra_doors *doors, const ra_peer *peer);

#endif
