#include "sql/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arrow/ipc.h"
#include "base/file_name.h"
#include "base/os.h"
#include "sql/worker/protocol.h"

enum { WINDOW_BYTES = 4 * 1024 * 1024, POLL_MS = 100, FIRST_FREE_FD = 10 };

typedef struct {
    const ra_export *export;
    pid_t pid;
    int input;   // to the worker
    int answer;  // from it
} job;

int ra_export_check_name(ra_str file, ra_error *err) {
    return ra_file_name_check(file, "a file", err);
}

static bool is_kept(const ra_field *field, bool is_csv) {
    switch (field->type) {
        case RA_TYPE_BOOL:
        case RA_TYPE_INT8:
        case RA_TYPE_INT16:
        case RA_TYPE_INT32:
        case RA_TYPE_INT64:
        case RA_TYPE_UINT8:
        case RA_TYPE_UINT16:
        case RA_TYPE_UINT32:
        case RA_TYPE_UINT64:
        case RA_TYPE_FLOAT:
        case RA_TYPE_DOUBLE:
        case RA_TYPE_UTF8:
        case RA_TYPE_LARGE_UTF8:
        case RA_TYPE_DATE32:
            return !field->is_dictionary;
        case RA_TYPE_BINARY:
        case RA_TYPE_LARGE_BINARY:
            return !field->is_dictionary && !is_csv;
        case RA_TYPE_TIMESTAMP:
            return !field->is_dictionary && field->unit == RA_UNIT_MICRO && !field->has_timezone;
        default:
            return false;
    }
}

static int fail_type(const ra_field *field, bool is_csv, ra_error *err) {
    ra_bytes type;
    ra_bytes_init(&type, RA_ERROR_SUBJECT_BYTES);
    ra_type_print(field, &type);
    ra_error_set(err, RA_REASON_NOT_IMPLEMENTED, "column '%.*s': %s does not keep %.*s",
                 RA_STR_ARG(field->name), is_csv ? "CSV" : "an exported Parquet file",
                 RA_STR_ARG(ra_bytes_str(&type)));
    ra_error_set_subject(err, "column", field->name.data, field->name.len);
    ra_bytes_fini(&type);
    return RA_UNIMPLEMENTED;
}

static int compare_names(const void *a, const void *b) {
    ra_str x = (*(const ra_field *const *)a)->name, y = (*(const ra_field *const *)b)->name;
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    return strncasecmp(x.data, y.data, x.len);
}

// To DuckDB names that differ only in case are one.
static int check_names(const ra_schema *schema, ra_error *err) {
    size_t n = (size_t)schema->n_fields;
    const ra_field **sorted = ra_malloc(n * sizeof(const ra_field *));
    if (!sorted)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to compare %zu names", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &schema->fields[i];
    qsort(sorted, n, sizeof(const ra_field *), compare_names);
    int rc = 0;
    for (size_t i = 1; i < n && rc == 0; i++)
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0)
            rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT,
                              "columns '%.*s' and '%.*s' have the same name for the file",
                              RA_STR_ARG(sorted[i - 1]->name), RA_STR_ARG(sorted[i]->name));
    ra_free(sorted);
    return rc;
}

int ra_export_check_schema(const ra_schema *schema, bool is_csv, ra_error *err) {
    if (schema->n_fields == 0)
        RA_FAIL(err, NOT_IMPLEMENTED, "a table without columns cannot be exported");
    for (int i = 0; i < schema->n_fields; i++) {
        const ra_field *field = &schema->fields[i];
        if (!is_kept(field, is_csv))
            return fail_type(field, is_csv, err);
        if (field->name.len == 0 || memchr(field->name.data, 0, field->name.len))
            RA_FAIL(err, INVALID_ARGUMENT, "column %d has a name that a file cannot have", i);
    }
    return check_names(schema, err);
}

static int fail_cancelled(ra_error *err) {
    RA_FAIL(err, CANCELLED, "the caller is gone");
}

// Waits until the descriptor is ready; CANCELLED meanwhile.
static int wait_for(const job *j, int fd, short events, ra_error *err) {
    struct pollfd poll_fd = {.fd = fd, .events = events};
    while (!atomic_load(j->export->cancelled)) {
        int n = poll(&poll_fd, 1, POLL_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            RA_FAIL(err, IO_ERROR, "poll: %s", strerror(errno));
    }
    return fail_cancelled(err);
}

// A worker that does not listen any more has an answer, or is dead: that is told later.
static int send_all(const job *j, const void *data, int64_t bytes, bool *gone, ra_error *err) {
    for (int64_t done = 0; done < bytes && !*gone;) {
        ssize_t n = send(j->input, (const char *)data + done, (size_t)(bytes - done),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            done += n;
        else if (errno == EAGAIN)
            RA_TRY(wait_for(j, j->input, POLLOUT, err));
        else if (errno != EINTR)
            *gone = true;
    }
    return 0;
}

static int send_message(const job *j, const ra_out_message *message, bool *gone, ra_error *err) {
    int64_t padded = (message->header.bytes + 7) & ~(int64_t)7;
    int32_t prefix[2] = {-1, (int32_t)padded};
    RA_TRY(send_all(j, prefix, sizeof prefix, gone, err));
    RA_TRY(send_all(j, message->header.data, message->header.bytes, gone, err));
    RA_TRY(send_all(j, ra_zero_bytes, padded - message->header.bytes, gone, err));
    int64_t sent = 0;
    for (int i = 0; i < message->n_body; i++) {
        RA_TRY(send_all(j, message->body[i].data, message->body[i].bytes, gone, err));
        sent += message->body[i].bytes;
    }
    for (int64_t more; sent < message->body_bytes; sent += more) {
        more = message->body_bytes - sent < 64 ? message->body_bytes - sent : 64;
        RA_TRY(send_all(j, ra_zero_bytes, more, gone, err));
    }
    return 0;
}

static int send_messages(const job *j, ra_cursor *cursor, ra_error *err) {
    static const int32_t end[2] = {-1, 0};
    const ra_blob *schema = j->export->content->framed_schema;
    bool gone = false;
    RA_TRY(send_all(j, schema->data, (int64_t)schema->bytes, &gone, err));
    while (!ra_cursor_at_end(cursor) && !gone) {
        RA_TRY(ra_cursor_prepare(cursor, WINDOW_BYTES, err));
        while (!gone && !ra_cursor_at_end(cursor) && ra_cursor_is_ready(cursor)) {
            ra_out_message message;
            RA_TRY(ra_cursor_next(cursor, &message, err));
            int rc = send_message(j, &message, &gone, err);
            ra_out_message_fini(&message);
            RA_TRY(rc);
        }
    }
    return send_all(j, end, sizeof end, &gone, err);
}

static int read_answer(const job *j, int64_t *n_rows, ra_error *err) {
    ra_sql_answer answer;
    RA_TRY(wait_for(j, j->answer, POLLIN, err));
    if (read(j->answer, &answer, sizeof answer) != (ssize_t)sizeof answer)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker was ended before the file was written");
    answer.message[sizeof answer.message - 1] = 0;
    if (answer.reason > 0 && answer.reason < RA_N_REASONS)
        return ra_error_set(err, (ra_reason)answer.reason, "%s", answer.message);
    *n_rows = answer.n_rows;
    if (answer.n_rows != j->export->content->n_rows)
        RA_FAIL(err, INTERNAL, "the SQL worker wrote %" PRId64 " rows", answer.n_rows);
    return 0;
}

static int spawn(job *j, const int fds[3], ra_error *err) {
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "remote-arrow-sql");
    path[n > 0 ? n : 0] = 0;
    char *end = strrchr(path, '/');
    if (!end)
        RA_FAIL(err, UNAVAILABLE, "the folder of the SQL worker cannot be found");
    strcpy(end + 1, "remote-arrow-sql");
    char *argv[] = {path, j->export->is_csv ? "csv" : "parquet", NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, fds[i], RA_SQL_INPUT_FD + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, RA_SQL_ANSWER_FD + 1);
    int rc = posix_spawn(&j->pid, path, &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker %s cannot be started: %s", path, strerror(rc));
    return 0;
}

static int feed(const job *j, int64_t *n_rows, ra_error *err) {
    ra_cursor *cursor;
    RA_TRY(ra_cursor_new(j->export->content, 0, &cursor, err));
    int rc = send_messages(j, cursor, err);
    ra_cursor_free(cursor);
    return rc == 0 ? read_answer(j, n_rows, err) : rc;
}

// Descriptors above those that the worker inherits, so that none is overwritten before it is moved.
static int raise_fd(int fd) {
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    close(fd);
    return raised;
}

static int run_worker(const ra_export *export, int file, int64_t *n_rows, ra_error *err) {
    int input[2], answer[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0)
        RA_FAIL(err, LIMIT, "no descriptors for a SQL worker");
    if (pipe2(answer, O_CLOEXEC) != 0) {
        close(input[0]);
        close(input[1]);
        RA_FAIL(err, LIMIT, "no descriptors for a SQL worker");
    }
    job j = {.export = export, .input = input[0], .answer = answer[0]};
    int fds[3] = {raise_fd(input[1]), file, raise_fd(answer[1])};
    int rc = spawn(&j, fds, err);
    close(fds[0]);
    close(fds[2]);
    if (rc == 0) {
        rc = feed(&j, n_rows, err);
        if (rc != 0)
            kill(j.pid, SIGKILL);
        while (waitpid(j.pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close(j.input);
    close(j.answer);
    return rc;
}

// A plain name in a folder that is open: no link or `..` can lead elsewhere (crash rule 7).
static int place(const ra_export *export, const char *temporary, ra_error *err) {
    int folder;
    RA_TRY(ra_os_open(export->data_dir, O_RDONLY | O_DIRECTORY, 0, &folder, err));
    int rc = renameat2(AT_FDCWD, temporary, folder, export->file,
                       export->replace ? 0 : RENAME_NOREPLACE);
    int why = errno;
    ra_os_close(folder);
    if (rc == 0)
        return ra_os_sync_dir(export->data_dir, err);
    if (why == EEXIST)
        RA_FAIL(err, INVALID_ARGUMENT,
                "the file '%s' exists; \"if_exists\": \"replace\" would replace it", export->file);
    RA_FAIL(err, IO_ERROR, "the file '%s' cannot be put in place: %s", export->file, strerror(why));
}

int ra_export_run(const ra_export *export, int64_t *n_rows, int64_t *n_bytes, ra_error *err) {
    char temporary[PATH_MAX];
    uint64_t random;
    int opened, file = -1;
    struct stat about = {0};
    ra_os_random(&random, sizeof random);
    snprintf(temporary, sizeof temporary, "%s/.remote-arrow/tmp/%016" PRIx64 ".export",
             export->data_dir, random);
    RA_TRY(ra_os_open(temporary, O_RDWR | O_CREAT | O_EXCL, 0644, &opened, err));
    file = raise_fd(opened);
    int rc = run_worker(export, file, n_rows, err);
    if (rc == 0)
        rc = ra_os_sync(file, err);
    if (rc == 0 && fstat(file, &about) == 0)
        *n_bytes = about.st_size;
    ra_os_close(file);
    if (rc == 0 && atomic_load(export->cancelled))
        rc = fail_cancelled(err);
    if (rc == 0)
        rc = place(export, temporary, err);
    ra_error ignored;
    if (rc != 0 && ra_os_unlink(temporary, &ignored) != 0)
        ra_error_prefix(err, "a temporary file is left");
    return rc;
}
