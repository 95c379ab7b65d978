#include "wire/silence.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { MS_PER_S = 1000, PROBES = 8 };

static int seconds(int64_t ms) {
    return ms < MS_PER_S ? 1 : (int)(ms / MS_PER_S);
}

void ra_silence_watch(int fd, int64_t silence_ms) {
    int one = 1, idle_s = seconds(silence_ms / 3), probes = PROBES;
    int interval_s = seconds((silence_ms - silence_ms / 3) / PROBES);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

// TCP_USER_TIMEOUT would also end connections whose peer lives but has closed its window, as that
// of a program that pauses.
bool ra_silence_is_over(int fd, int64_t silence_ms) {
    struct tcp_info info = {0};
    socklen_t bytes = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0)
        return false;
    return info.tcpi_last_ack_recv > silence_ms && info.tcpi_last_data_recv > silence_ms;
}
