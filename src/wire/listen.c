#include "wire/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os.h"

enum { BACKLOG = 1024, PORT_TRIES = 16 };

static int fail(ra_error *err, int code, const char *address, int port) {
    char text[128];
    const char *words = strerror_r(code, text, sizeof text);
    if (port < 0)
        RA_FAIL(err, UNAVAILABLE, "cannot listen on %s: %s", address, words);
    RA_FAIL(err, UNAVAILABLE, "cannot listen on %s port %d: %s", address, port, words);
}

// Loopback needs no pacing. A connection that has begun with BBR keeps being paced whatever it is
// told later (server CPU of a download 0.14 instead of 0.10 s/GB), so the doors must have another
// congestion control when they accept. An unprivileged process may not have cubic.
static void take_unpaced(int fd) {
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

// A listening socket in `*fd`, or an errno.
static int listen_on(const struct sockaddr *address, socklen_t length, int *fd) {
    int one = 1;
    *fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return errno;
    if (address->sa_family != AF_UNIX)
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->sa_family == AF_INET6)
        setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (address->sa_family != AF_UNIX)
        take_unpaced(*fd);
    if (bind(*fd, address, length) == 0 && listen(*fd, BACKLOG) == 0)
        return 0;
    int code = errno;
    close(*fd);
    *fd = -1;
    return code;
}

static int port_of(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

// Whether this machine has no such address at all: no reason to refuse to start on the others.
static bool is_absent(int code) {
    return code == EADDRNOTAVAIL || code == EAFNOSUPPORT;
}

// Listens on both loopback addresses with one port, or on the one that exists. Returns an errno.
static int listen_on_loopback(ra_doors *doors, int port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int code = listen_on((struct sockaddr *)&v4, sizeof v4, &doors->fds[doors->n_fds]);
    if (code == 0) {
        doors->port = port_of(doors->fds[doors->n_fds]);
        doors->n_fds++;
    } else if (!is_absent(code)) {
        return code;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)(doors->n_fds ? doors->port : port)),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    code = listen_on((struct sockaddr *)&v6, sizeof v6, &doors->fds[doors->n_fds]);
    if (code == 0) {
        doors->port = port_of(doors->fds[doors->n_fds]);
        doors->n_fds++;
    }
    return is_absent(code) && doors->n_fds > 0 ? 0 : code;
}

static void close_sockets(ra_doors *doors) {
    for (int i = 0; i < doors->n_fds; i++)
        close(doors->fds[i]);
    doors->n_fds = 0;
}

// With a port of the system's choice the second address may have it taken: then try another.
static int open_loopback(ra_doors *doors, int port, ra_error *err) {
    int code = 0;
    for (int i = 0; i < (port == 0 ? PORT_TRIES : 1); i++) {
        code = listen_on_loopback(doors, port);
        if (code == 0)
            return 0;
        close_sockets(doors);
    }
    return fail(err, code, "localhost", port);
}

static int open_host(ra_doors *doors, const char *host, int port, ra_error *err) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list;
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0)
        RA_FAIL(err, UNAVAILABLE, "cannot listen on %s: %s", host, gai_strerror(code));
    code = EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a && doors->n_fds < RA_MAX_DOORS - 1; a = a->ai_next) {
        if (doors->port && doors->n_fds > 0 && port == 0)
            break;  // one address is enough when the port is not known before
        code = listen_on(a->ai_addr, a->ai_addrlen, &doors->fds[doors->n_fds]);
        if (code == 0)
            doors->port = port_of(doors->fds[doors->n_fds++]);
        else if (!is_absent(code))
            break;
    }
    freeaddrinfo(list);
    if (doors->n_fds == 0 || (code != 0 && !is_absent(code))) {
        close_sockets(doors);
        return fail(err, code, host, port);
    }
    return 0;
}

// Whether nobody answers at a path: what a server that was killed left behind.
static bool is_abandoned(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int open_unix(ra_doors *doors, const char *path, ra_error *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        RA_FAIL(err, UNAVAILABLE, "cannot listen on %s: a socket path has at most %zu bytes", path,
                sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int *fd = &doors->fds[doors->n_fds];
    int code = listen_on((struct sockaddr *)&address, sizeof address, fd);
    if (code == EADDRINUSE && is_abandoned(&address)) {
        unlink(path);
        code = listen_on((struct sockaddr *)&address, sizeof address, fd);
    }
    if (code != 0)
        return fail(err, code, path, -1);
    doors->n_fds++;
    doors->socket_path = path;
    return 0;
}

// What a socket of this machine has at first. An empty name is refused when it is set: no harm.
static void get_congestion(char name[RA_CONGESTION_BYTES]) {
    socklen_t length = RA_CONGESTION_BYTES - 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) != 0)
        name[0] = '\0';
    close(fd);
}

int ra_doors_open(ra_doors *doors, const char *host, int port, const char *socket_path,
                  int max_connections, int max_per_address, ra_error *err) {
    *doors = (ra_doors){.max_connections = max_connections, .max_per_address = max_per_address};
    doors->addresses = ra_calloc((size_t)max_connections, sizeof *doors->addresses);
    if (!doors->addresses)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the table of connections");
    pthread_mutex_init(&doors->lock, NULL);
    get_congestion(doors->congestion);
    int rc = 0;
    if (host)
        rc = strcmp(host, "localhost") == 0 ? open_loopback(doors, port, err)
                                            : open_host(doors, host, port, err);
    if (rc == 0 && socket_path)
        rc = open_unix(doors, socket_path, err);
    if (rc != 0)
        ra_doors_close(doors);
    return rc;
}

static void remove_path(ra_doors *doors) {
    if (doors->socket_path)
        unlink(doors->socket_path);
    doors->socket_path = NULL;
}

void ra_doors_shut(ra_doors *doors) {
    for (int i = 0; i < doors->n_fds; i++)
        shutdown(doors->fds[i], SHUT_RDWR);
    remove_path(doors);
}

void ra_doors_close(ra_doors *doors) {
    close_sockets(doors);
    remove_path(doors);
    ra_free(doors->addresses);
    pthread_mutex_destroy(&doors->lock);
}

static void describe_peer(const struct sockaddr_storage *address, ra_peer *peer) {
    char text[INET6_ADDRSTRLEN] = "";
    *peer = (ra_peer){0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        snprintf(peer->name, sizeof peer->name, "%s:%d", text, ntohs(v4->sin_port));
        peer->is_local = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
        memcpy(peer->address, &v4->sin_addr, sizeof v4->sin_addr);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        snprintf(peer->name, sizeof peer->name, "[%s]:%d", text, ntohs(v6->sin6_port));
        peer->is_local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        memcpy(peer->address, &v6->sin6_addr, sizeof v6->sin6_addr);
    } else {
        snprintf(peer->name, sizeof peer->name, "unix");
        peer->is_unix = peer->is_local = true;
    }
}

// Counts a connection in; false when it is one too many.
static bool enter(ra_doors *doors, const ra_peer *peer) {
    pthread_mutex_lock(&doors->lock);
    bool ok = doors->n_connections < doors->max_connections;
    if (ok && !peer->is_local) {
        int i = 0;
        while (i < doors->n_addresses &&
               memcmp(doors->addresses[i].address, peer->address, sizeof peer->address) != 0)
            i++;
        if (i == doors->n_addresses) {
            doors->n_addresses++;
            memcpy(doors->addresses[i].address, peer->address, sizeof peer->address);
            doors->addresses[i].count = 0;
        }
        ok = doors->addresses[i].count < doors->max_per_address;
        doors->addresses[i].count += ok;
    }
    doors->n_connections += ok;
    pthread_mutex_unlock(&doors->lock);
    return ok;
}

void ra_doors_leave(ra_doors *doors, const ra_peer *peer) {
    pthread_mutex_lock(&doors->lock);
    doors->n_connections--;
    for (int i = 0; i < doors->n_addresses && !peer->is_local; i++) {
        ra_address_count *entry = &doors->addresses[i];
        if (memcmp(entry->address, peer->address, sizeof peer->address) != 0)
            continue;
        if (--entry->count == 0)
            *entry = doors->addresses[--doors->n_addresses];
        break;
    }
    pthread_mutex_unlock(&doors->lock);
}

static void set_up_tcp(const ra_doors *doors, int fd, bool is_local) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (is_local)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, doors->congestion,
               (socklen_t)strlen(doors->congestion));
}

// Whether accept failed because of the connection that it found, not because of us.
static bool is_failure_of_peer(int code) {
    return code == EINTR || code == ECONNABORTED || code == EPROTO || code == EPERM ||
           code == ENETDOWN || code == ENOPROTOOPT || code == EHOSTDOWN || code == ENONET ||
           code == EHOSTUNREACH || code == EOPNOTSUPP || code == ENETUNREACH;
}

int ra_doors_accept(ra_doors *doors, int door_fd, int *fd, ra_peer *peer, int *n_shed) {
    *n_shed = 0;
    for (;;) {
        struct sockaddr_storage address = {0};
        socklen_t length = sizeof address;
        *fd = accept4(door_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (*fd < 0 && is_failure_of_peer(errno))
            continue;
        if (*fd < 0)
            return errno == EWOULDBLOCK ? EAGAIN : errno;
        describe_peer(&address, peer);
        if (enter(doors, peer)) {
            if (!peer->is_unix)
                set_up_tcp(doors, *fd, peer->is_local);
            return 0;
        }
        close(*fd);
        (*n_shed)++;
    }
}
