#include "sql/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 100, FIRST_FREE_FD = 10, MAX_WORDS = 4, BUDGET_SHARE = 4, STALL_MS = 300 * 1000 };
static const int64_t max_worker_bytes = INT64_C(1) << 30;

// Waits until the descriptor is ready. Without an end a worker that was stopped, or waits for its
// disk for ever, would hold up a job or all imports. What is counted is time spent awake.
static int wait_for(const ra_sql_process *process, int fd, short events, ra_error *err) {
    struct pollfd poll_fd = {.fd = fd, .events = events};
    for (int64_t waited_ms = 0; !atomic_load(process->cancelled); waited_ms += POLL_MS) {
        if (waited_ms >= process->stall_ms)
            RA_FAIL(err, UNAVAILABLE, "the SQL worker did nothing for %" PRId64 " seconds",
                    process->stall_ms / 1000);
        int n = poll(&poll_fd, 1, POLL_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            RA_FAIL(err, IO_ERROR, "poll: %s", strerror(errno));
    }
    RA_FAIL(err, CANCELLED, "the caller is gone");
}

int ra_sql_process_send(const ra_sql_process *process, const void *data, int64_t bytes, bool *gone,
                        ra_error *err) {
    for (int64_t done = 0; done < bytes && !*gone;) {
        ssize_t n = send(process->stream, (const char *)data + done, (size_t)(bytes - done),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            done += n;
        else if (errno == EAGAIN)
            RA_TRY(wait_for(process, process->stream, POLLOUT, err));
        else if (errno != EINTR)
            *gone = true;
    }
    return 0;
}

int ra_sql_process_receive(const ra_sql_process *process, void *data, int64_t bytes, bool *end,
                           ra_error *err) {
    *end = false;
    for (int64_t done = 0; done < bytes;) {
        ssize_t n =
            recv(process->stream, (char *)data + done, (size_t)(bytes - done), MSG_DONTWAIT);
        if (n > 0) {
            done += n;
        } else if (n < 0 && errno == EAGAIN) {
            RA_TRY(wait_for(process, process->stream, POLLIN, err));
        } else if (n == 0 || errno != EINTR) {
            *end = done == 0;
            if (*end)
                return 0;
            RA_FAIL(err, IO_ERROR, "the SQL worker's stream was cut");
        }
    }
    return 0;
}

void ra_sql_process_hang_up(const ra_sql_process *process) {
    (void)shutdown(process->stream, SHUT_RDWR);
}

int ra_sql_process_finish(const ra_sql_process *process, int64_t *n_rows, ra_error *err) {
    ra_sql_answer answer;
    RA_TRY(wait_for(process, process->answer, POLLIN, err));
    if (read(process->answer, &answer, sizeof answer) != (ssize_t)sizeof answer)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker was ended before the file was done");
    answer.message[sizeof answer.message - 1] = 0;
    if (answer.reason > 0 && answer.reason < RA_N_REASONS)
        return ra_error_set(err, (ra_reason)answer.reason, "%s", answer.message);
    *n_rows = answer.n_rows;
    return 0;
}

static int find_worker(char path[PATH_MAX], ra_error *err) {
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof "remote-arrow-sql");
    path[n > 0 ? n : 0] = 0;
    char *end = strrchr(path, '/');
    if (!end)
        RA_FAIL(err, UNAVAILABLE, "the folder of the SQL worker cannot be found");
    strcpy(end + 1, "remote-arrow-sql");
    return 0;
}

static int spawn(ra_sql_process *process, const char *const *words, const int fds[3],
                 ra_error *err) {
    char path[PATH_MAX], bytes[24], *argv[MAX_WORDS + 3] = {path, bytes};
    RA_TRY(find_worker(path, err));
    snprintf(bytes, sizeof bytes, "%" PRId64, process->charged_bytes);
    for (int i = 0; words[i]; i++) {
        ra_assert(i < MAX_WORDS);
        argv[2 + i] = (char *)(uintptr_t)words[i];
    }
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
        posix_spawn_file_actions_adddup2(&actions, fds[i], RA_SQL_STREAM_FD + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, RA_SQL_ANSWER_FD + 1);
    int rc = posix_spawn(&process->pid, path, &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker %s cannot be started: %s", path, strerror(rc));
    return 0;
}

int ra_sql_raise_fd(int fd) {
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    close(fd);
    return raised;
}

static int start(ra_sql_process *process, const char *const *words, int file, ra_error *err) {
    int stream[2], answer[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) != 0)
        RA_FAIL(err, UNAVAILABLE, "no descriptors for a SQL worker");
    if (pipe2(answer, O_CLOEXEC) != 0) {
        close(stream[0]);
        close(stream[1]);
        RA_FAIL(err, UNAVAILABLE, "no descriptors for a SQL worker");
    }
    process->stream = stream[0];
    process->answer = answer[0];
    int fds[3] = {ra_sql_raise_fd(stream[1]), file, ra_sql_raise_fd(answer[1])};
    int rc = spawn(process, words, fds, err);
    close(fds[0]);
    close(fds[2]);
    if (rc != 0) {
        close(process->stream);
        close(process->answer);
    }
    return rc;
}

int ra_sql_process_start(ra_sql_process *out, ra_budget *budget, const char *const *words, int file,
                         const atomic_bool *cancelled, ra_error *err) {
    int64_t bytes = budget->limit_bytes / BUDGET_SHARE;
    if (bytes > max_worker_bytes)
        bytes = max_worker_bytes;
    *out = (ra_sql_process){
        .cancelled = cancelled, .stall_ms = STALL_MS, .budget = budget, .charged_bytes = bytes};
    RA_TRY(ra_budget_charge(budget, bytes, err));
    int rc = start(out, words, file, err);
    if (rc != 0)
        ra_budget_release(budget, bytes);
    return rc;
}

void ra_sql_process_end(ra_sql_process *process) {
    kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(process->stream);
    close(process->answer);
    ra_budget_release(process->budget, process->charged_bytes);
}
