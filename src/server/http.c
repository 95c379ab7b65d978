#include "server/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os.h"
#include "server/metrics.h"

enum {
    MAX_GUESTS = 128,        // a further connection ends the oldest
    MAX_CONNECTIONS = 4096,  // those that are ending included: a burst comes faster than they go
    // Never reached: version 0.9.75 locks itself up when a connection is one too many.
    LIBRARY_CONNECTIONS = 65536,
    TIMEOUT_S = 10,  // without a byte
    MEMORY_BYTES = 16 * 1024,
    METRICS_CEILING = 1024 * 1024
};

typedef struct {
    int fd;
    uint64_t number;  // in the order of arrival
    ra_guest *guest;
} guest_entry;

struct ra_http {
    ra_app *app;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;  // guards what follows
    guest_entry guests[MAX_CONNECTIONS];
    int n_guests;
    uint64_t n_taken;
};

static guest_entry *oldest(ra_http *http) {
    guest_entry *found = http->guests;
    for (int i = 1; i < http->n_guests; i++)
        if (http->guests[i].number < found->number)
            found = &http->guests[i];
    return found;
}

// Forgets the connection of a descriptor. The lock is held.
static void forget(ra_http *http, int fd) {
    for (int i = 0; i < http->n_guests; i++) {
        if (http->guests[i].fd != fd)
            continue;
        ra_guest_leave(http->guests[i].guest);
        http->guests[i] = http->guests[--http->n_guests];
        return;
    }
}

// Forgets a connection that the library refused and closed, whose descriptor may be another's now.
static void forget_refused(ra_http *http, const ra_guest *guest) {
    pthread_mutex_lock(&http->lock);
    for (int i = 0; i < http->n_guests; i++) {
        if (http->guests[i].guest == guest) {
            http->guests[i].fd = -1;
            forget(http, -1);
        }
    }
    pthread_mutex_unlock(&http->lock);
}

// The library is about to close a connection, whose descriptor is valid until this returns.
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code) {
    (void)state;
    ra_http *http = context;
    if (code != MHD_CONNECTION_NOTIFY_CLOSED)
        return;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_mutex_lock(&http->lock);
    forget(http, info->connect_fd);
    pthread_mutex_unlock(&http->lock);
}

void ra_http_take(ra_http *http, int fd, ra_guest *guest) {
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t length = sizeof address;
    (void)getpeername(fd, (struct sockaddr *)&address, &length);
    pthread_mutex_lock(&http->lock);
    forget(http, fd);  // a connection that the library closed before it began
    bool has_room = http->n_guests < MAX_CONNECTIONS;
    if (has_room)
        http->guests[http->n_guests++] = (guest_entry){fd, http->n_taken++, guest};
    if (http->n_guests > MAX_GUESTS) {
        guest_entry *entry = oldest(http);
        shutdown(entry->fd, SHUT_RDWR);
        entry->number = http->n_taken++;  // its end is near: the next time it is another's turn
    }
    pthread_mutex_unlock(&http->lock);
    if (!has_room) {
        ra_guest_leave(guest);
        close(fd);
        return;
    }
    if (MHD_add_connection(http->daemon, fd, (struct sockaddr *)&address, length) != MHD_YES)
        forget_refused(http, guest);
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              ra_str text) {
    struct MHD_Response *response = MHD_create_response_from_buffer(
        text.len, (void *)(uintptr_t)text.data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") ==
                    MHD_YES
            ? MHD_YES
            : MHD_NO;
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
                                   const char *words) {
    char line[128];
    int n = snprintf(line, sizeof line, "%s\n", words);
    return answer(connection, status, "text/plain; charset=utf-8", (ra_str){line, (size_t)n});
}

static bool may_read_metrics(const ra_http *http, struct MHD_Connection *connection) {
    static const char scheme[] = "Bearer ";
    if (!http->app->has_tokens)
        return true;
    const char *given =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    return given && strncasecmp(given, scheme, sizeof scheme - 1) == 0 &&
           ra_wire_token_is_valid(http->app->wire, ra_str_of(given + sizeof scheme - 1));
}

static enum MHD_Result answer_metrics(ra_http *http, struct MHD_Connection *connection) {
    if (!may_read_metrics(http, connection))
        return answer_text(connection, MHD_HTTP_UNAUTHORIZED, "this server needs a token");
    ra_bytes text;
    ra_error err;
    ra_bytes_init(&text, METRICS_CEILING);
    enum MHD_Result result =
        ra_metrics_write(http->app, &text, &err) == 0
            ? answer(connection, MHD_HTTP_OK,
                     "application/openmetrics-text; version=1.0.0; charset=utf-8",
                     ra_bytes_str(&text))
            : answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, err.message);
    ra_bytes_fini(&text);
    return result;
}

static enum MHD_Result answer_request(ra_http *http, struct MHD_Connection *connection,
                                      const char *url, const char *method) {
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only");
    if (strcmp(url, "/livez") == 0)
        return answer_text(connection, MHD_HTTP_OK, "ok");
    if (strcmp(url, "/readyz") == 0) {
        const char *why = ra_app_why_not_ready(http->app);
        return answer_text(connection, why ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                           why ? why : "ok");
    }
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(http, connection);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there are /livez, /readyz and /metrics");
}

static bool has_body(struct MHD_Connection *connection) {
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (length && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                       MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

// Called when the headers are there, and again when the request is complete. A connection is kept
// for further requests only if it is answered the second time.
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **state) {
    static char is_begun;  // its address only
    (void)version, (void)body, (void)body_bytes;
    bool is_complete = *state != NULL;
    *state = &is_begun;
    // Answered at once, so that the body is never read.
    if (!is_complete && has_body(connection))
        return answer_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "no request has a body here");
    return is_complete ? answer_request(context, connection, url, method) : MHD_YES;
}

int ra_http_start(ra_app *app, ra_http **out, ra_error *err) {
    ra_http *http = *out = ra_calloc(1, sizeof *http);
    if (!http)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for HTTP/1.1");
    http->app = app;
    pthread_mutex_init(&http->lock, NULL);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC, 0, NULL, NULL,
        on_request, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)LIBRARY_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    if (http->daemon)
        return 0;
    ra_http_free(http);
    *out = NULL;
    RA_FAIL(err, UNAVAILABLE, "cannot start HTTP/1.1");
}

void ra_http_free(ra_http *http) {
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    while (http->n_guests > 0)
        forget(http, http->guests[0].fd);
    pthread_mutex_destroy(&http->lock);
    ra_free(http);
}
