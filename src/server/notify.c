#include "server/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"

enum { TEXT_BYTES = 1024, SEND_TIMEOUT_S = 1 };

// The address of the manager's socket; 0 bytes: there is none.
static socklen_t find_address(struct sockaddr_un *address) {
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof address->sun_path || (name[0] != '/' && name[0] != '@'))
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, n);
    bool is_abstract = name[0] == '@';
    if (is_abstract)
        address->sun_path[0] = 0;
    // The length of an abstract name counts; a path ends with its zero byte.
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + !is_abstract);
}

static bool send_text(const struct sockaddr_un *address, socklen_t length, const char *text,
                      size_t bytes) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    ssize_t n = sendto(fd, text, bytes, MSG_NOSIGNAL, (const struct sockaddr *)address, length);
    int code = errno;
    close(fd);
    errno = code;
    return n == (ssize_t)bytes;
}

void ra_notify(const char *fmt, ...) {
    struct sockaddr_un address;
    socklen_t length = find_address(&address);
    if (length == 0)
        return;
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ra_assert(n > 0 && (size_t)n < sizeof text);
    if (!send_text(&address, length, text, (size_t)n))
        ra_log(RA_LOG_WARNING, "server", "the service manager cannot be told: %s", strerror(errno));
}

void ra_notify_reloading(void) {
    ra_notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=reading tokens and log level",
              ra_os_now_ns() / 1000);
}

void ra_notify_stopping(int64_t at_most_ms) {
    ra_notify("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\nSTATUS=stopping: running calls may end",
              at_most_ms * 1000);
}
