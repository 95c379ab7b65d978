// The floor of sending: the same frames by the same system call as the server, and nothing else.
//
//   sendfile_floor FILE FRAME_BYTES sendfile|writev
//
// A child receives on a loopback connection and throws the bytes away; the parent sends the file in
// frames of FRAME_BYTES, each after a header of 9 bytes, by sendfile from the page cache or by
// writev from a mapping. Prints "BYTES SECONDS CPU_SECONDS", the CPU time being the sender's.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_HEADER = 9, RECEIVE_BYTES = 1 << 20 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e-6;
}

// Loopback pairs are paced by BBR; the server asks for cubic as well.
static void prefer_cubic(int fd) {
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) < 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void receive_all(const struct sockaddr_in *address) {
    static uint8_t buffer[RECEIVE_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        die("connect");
    while (recv(fd, buffer, sizeof buffer, 0) > 0) {
    }
    _exit(0);
}

static void send_by_sendfile(int out, int file, off_t offset, size_t bytes) {
    uint8_t header[FRAME_HEADER] = {0};
    if (send(out, header, sizeof header, MSG_MORE) != sizeof header)
        die("send");
    while (bytes > 0) {
        ssize_t n = sendfile(out, file, &offset, bytes);
        if (n <= 0)
            die("sendfile");
        bytes -= (size_t)n;
    }
}

static void send_by_writev(int out, uint8_t *data, size_t bytes) {
    uint8_t header[FRAME_HEADER] = {0};
    struct iovec pieces[2] = {{header, sizeof header}, {data, bytes}};
    int first = 0;
    while (first < 2) {
        ssize_t n = writev(out, pieces + first, 2 - first);
        if (n < 0)
            die("writev");
        while (first < 2 && (size_t)n >= pieces[first].iov_len)
            n -= (ssize_t)pieces[first++].iov_len;
        if (first < 2) {
            pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + n;
            pieces[first].iov_len -= (size_t)n;
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4 || atol(argv[2]) < 1) {
        fprintf(stderr, "usage: sendfile_floor FILE FRAME_BYTES sendfile|writev\n");
        return 2;
    }
    size_t frame = (size_t)atol(argv[2]);
    int by_sendfile = strcmp(argv[3], "sendfile") == 0;
    int file = open(argv[1], O_RDONLY);
    struct stat info;
    if (file < 0 || fstat(file, &info) < 0)
        die(argv[1]);
    size_t size = (size_t)info.st_size;
    uint8_t *data = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t address_bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (data == MAP_FAILED || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_bytes) < 0)
        die("listen");
    pid_t child = fork();
    if (child == 0)
        receive_all(&address);
    int out = accept(listener, NULL, NULL);
    if (child < 0 || out < 0)
        die("accept");
    prefer_cubic(out);
    double start = now(), cpu_start = cpu_seconds();
    for (size_t at = 0; at < size; at += frame) {
        size_t bytes = size - at < frame ? size - at : frame;
        if (by_sendfile)
            send_by_sendfile(out, file, (off_t)at, bytes);
        else
            send_by_writev(out, data + at, bytes);
    }
    close(out);
    double cpu = cpu_seconds() - cpu_start;
    waitpid(child, NULL, 0);
    printf("%zu %.6f %.6f\n", size, now() - start, cpu);
    return 0;
}
