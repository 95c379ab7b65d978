// A bare HTTP/2 client for measuring servers: costs next to nothing, checks next to nothing.
//
//   bare_client get PORT TICKET_HEX            one DoGet; prints "BYTES SECONDS"
//   bare_client calls PORT NAME N SECONDS      GetFlightInfo by path name on N connections, each
//                                              one call after the other; prints "CALLS SECONDS"
//
// It announces the largest windows and frames, decodes no headers (a call that ends without a
// message counts as failed) and receives into one buffer. Not for hostile servers.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_HEADER = 9,
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    END_STREAM = 1,
    ACK = 1,
    END_HEADERS = 4,
    MAX_CONNECTIONS = 1024,
    RECEIVE_BYTES = 1 << 20,
};

typedef struct {
    int fd;
    uint32_t stream;
    uint8_t header[FRAME_HEADER];
    int header_bytes;       // of `header` received
    uint32_t payload_left;  // of the frame that is being received
    uint8_t ping[8];
    int ping_bytes;
    int64_t data_bytes;  // of the call
    bool call_ended;
} connection;

static uint8_t receive_buffer[RECEIVE_BYTES];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void send_all(int fd, const uint8_t *data, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        data += n;
        bytes -= (size_t)n;
    }
}

static uint8_t *put_u32(uint8_t *at, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

static uint8_t *put_frame(uint8_t *at, size_t length, int type, int flags, uint32_t stream) {
    at = put_u32(at, (uint32_t)length << 8 | (uint32_t)type);
    *at++ = (uint8_t)flags;
    return put_u32(at, stream);
}

static uint8_t *put_setting(uint8_t *at, int id, uint32_t value) {
    *at++ = 0;
    *at++ = (uint8_t)id;
    return put_u32(at, value);
}

// A literal header without indexing; name and value shorter than 127 bytes.
static uint8_t *put_header(uint8_t *at, const char *name, const char *value) {
    *at++ = 0;
    *at++ = (uint8_t)strlen(name);
    at = (uint8_t *)stpcpy((char *)at, name);
    *at++ = (uint8_t)strlen(value);
    return (uint8_t *)stpcpy((char *)at, value);
}

static void open_connection(connection *c, int port) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    *c = (connection){.fd = socket(AF_INET, SOCK_STREAM, 0), .stream = 1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint8_t out[128], *at = out;
    memcpy(at, preface, sizeof preface - 1);
    at = put_frame(at + sizeof preface - 1, 24, SETTINGS, 0, 0);
    at = put_setting(at, 1, 0);           // header table
    at = put_setting(at, 2, 0);           // no push
    at = put_setting(at, 4, 0x7fffffff);  // window of a stream
    at = put_setting(at, 5, 0xffffff);    // frame
    at = put_frame(at, 4, 8, 0, 0);       // WINDOW_UPDATE of the connection
    at = put_u32(at, 0x7fffffff - 65535);
    send_all(c->fd, out, (size_t)(at - out));
}

// Sends a call of one request message; the connection must have none open.
static void start_call(connection *c, const char *method, const uint8_t *message, size_t bytes) {
    uint8_t block[512], out[2048], *at = block;
    char path[128];
    snprintf(path, sizeof path, "/arrow.flight.protocol.FlightService/%s", method);
    at = put_header(at, ":method", "POST");
    at = put_header(at, ":scheme", "http");
    at = put_header(at, ":path", path);
    at = put_header(at, ":authority", "localhost");
    at = put_header(at, "te", "trailers");
    at = put_header(at, "content-type", "application/grpc");
    size_t block_bytes = (size_t)(at - block);
    at = put_frame(out, block_bytes, HEADERS, END_HEADERS, c->stream);
    memcpy(at, block, block_bytes);
    at = put_frame(at + block_bytes, 5 + bytes, DATA, END_STREAM, c->stream);
    *at++ = 0;
    at = put_u32(at, (uint32_t)bytes);
    memcpy(at, message, bytes);
    c->data_bytes = 0;
    c->call_ended = false;
    send_all(c->fd, out, (size_t)(at + bytes - out));
}

static void answer_frame(connection *c) {
    int type = c->header[3], flags = c->header[4];
    uint8_t out[FRAME_HEADER + 8];
    if (type == RST_STREAM && !c->call_ended) {
        fprintf(stderr, "the stream was reset\n");
        exit(1);
    } else if (type == GOAWAY) {
        fprintf(stderr, "the server goes away\n");
        exit(1);
    } else if (type == SETTINGS && !(flags & ACK)) {
        put_frame(out, 0, SETTINGS, ACK, 0);
        send_all(c->fd, out, FRAME_HEADER);
    } else if (type == PING && !(flags & ACK)) {
        memcpy(put_frame(out, 8, PING, ACK, 0), c->ping, 8);
        send_all(c->fd, out, sizeof out);
    } else if ((type == DATA || type == HEADERS) && flags & END_STREAM) {
        c->call_ended = true;
    }
}

// Goes through received bytes: counts DATA, answers what must be answered.
static void take_bytes(connection *c, const uint8_t *data, size_t bytes) {
    while (bytes > 0) {
        if (c->header_bytes < FRAME_HEADER) {
            c->header[c->header_bytes++] = *data++;
            bytes--;
            if (c->header_bytes < FRAME_HEADER)
                continue;
            c->payload_left = (uint32_t)(c->header[0] << 16 | c->header[1] << 8 | c->header[2]);
            c->ping_bytes = 0;
        } else {
            size_t n = bytes < c->payload_left ? bytes : c->payload_left;
            if (c->header[3] == DATA)
                c->data_bytes += (int64_t)n;
            for (size_t i = 0; c->header[3] == PING && i < n && c->ping_bytes < 8; i++)
                c->ping[c->ping_bytes++] = data[i];
            data += n;
            bytes -= n;
            c->payload_left -= (uint32_t)n;
        }
        if (c->payload_left == 0) {
            c->header_bytes = 0;
            answer_frame(c);
        }
    }
}

static void receive(connection *c) {
    ssize_t n = recv(c->fd, receive_buffer, sizeof receive_buffer, 0);
    if (n <= 0)
        die("recv");
    take_bytes(c, receive_buffer, (size_t)n);
}

static size_t parse_hex(const char *hex, uint8_t *out, size_t room) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n && i < room; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            die("ticket");
        out[i] = (uint8_t)byte;
    }
    return n < room ? n : room;
}

static int get(int port, const char *ticket_hex) {
    uint8_t message[122] = {0x0a};
    size_t n = parse_hex(ticket_hex, message + 2, sizeof message - 2);
    message[1] = (uint8_t)n;
    connection c;
    open_connection(&c, port);
    double start = now();
    start_call(&c, "DoGet", message, n + 2);
    while (!c.call_ended)
        receive(&c);
    printf("%lld %.6f\n", (long long)c.data_bytes, now() - start);
    close(c.fd);
    return 0;
}

static int calls(int port, const char *name, int n, double seconds) {
    static connection all[MAX_CONNECTIONS];
    static struct pollfd fds[MAX_CONNECTIONS];
    uint8_t message[130] = {0x08, 1, 0x1a, (uint8_t)strlen(name)};
    size_t bytes = 4 + strlen(name);
    if (n < 1 || n > MAX_CONNECTIONS || strlen(name) > 100)
        return 2;
    memcpy(message + 4, name, strlen(name));
    for (int i = 0; i < n; i++) {
        open_connection(&all[i], port);
        fds[i] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
        start_call(&all[i], "GetFlightInfo", message, bytes);
    }
    int64_t n_calls = 0;
    double start = now();
    while (now() - start < seconds) {
        if (poll(fds, (nfds_t)n, 1000) < 0)
            die("poll");
        for (int i = 0; i < n; i++) {
            if (!fds[i].revents)
                continue;
            receive(&all[i]);
            if (!all[i].call_ended)
                continue;
            if (all[i].data_bytes == 0) {
                fprintf(stderr, "a call failed\n");
                return 1;
            }
            n_calls++;
            all[i].stream += 2;
            start_call(&all[i], "GetFlightInfo", message, bytes);
        }
    }
    printf("%lld %.6f\n", (long long)n_calls, now() - start);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "get") == 0)
        return get(atoi(argv[2]), argv[3]);
    if (argc == 6 && strcmp(argv[1], "calls") == 0)
        return calls(atoi(argv[2]), argv[3], atoi(argv[4]), atof(argv[5]));
    fprintf(stderr, "usage: bare_client get PORT TICKET_HEX | calls PORT NAME N SECONDS\n");
    return 2;
}
