// What a worker tries in its sandbox, each in a process of its own.
#include "sql/worker/sandbox.h"
#include "base/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_FD = 4, MEMORY_MB = 64, DONE = 10, REFUSED = 11, NO_SANDBOX = 12 };

static char folder[64];
static char file_path[96];
static char other_path[96];

static bool open_it(const char *path, int flags) {
    return open(path, flags, 0600) >= 0;
}

static bool try_write_elsewhere(void) {
    return open_it(other_path, O_WRONLY);
}
static bool try_create(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/new", folder);
    return open_it(path, O_WRONLY | O_CREAT);
}
static bool try_read_elsewhere(void) {
    return open_it("/etc/passwd", O_RDONLY);
}
static bool try_list(void) {
    return open_it(folder, O_RDONLY | O_DIRECTORY);
}
static bool try_truncate(void) {
    return truncate(other_path, 0) == 0;
}
static bool try_unlink(void) {
    return unlink(other_path) == 0;
}
static bool try_rename(void) {
    return rename(file_path, other_path) == 0;
}
static bool try_chmod(void) {
    return fchmod(FILE_FD, 0777) == 0;
}
static bool try_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}
static bool try_unix_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}
static bool try_exec(void) {
    char *argv[] = {"true", NULL}, *none[] = {NULL};
    execve("/bin/true", argv, none);
    return false;  // a process that runs another program ends with its exit code
}
static bool try_fork(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}
static bool try_clone3(void) {
    return syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS;
}
static bool try_kill(void) {
    return kill(getppid(), 0) == 0;
}
static bool try_trace(void) {
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}
static bool try_memory(void) {
    void *memory = malloc((size_t)2 << 30);
    return memory != NULL;
}
static bool try_raise_limit(void) {
    struct {
        uint64_t now;
        uint64_t most;
    } none = {UINT64_MAX, UINT64_MAX};
    return syscall(SYS_prlimit64, 0, 2, &none, NULL) == 0;
}
static bool try_write_own_file(void) {
    return open_it("/proc/self/fd/4", O_RDWR) && write(FILE_FD, "x", 1) == 1;
}
static bool try_read_own_file(void) {
    return open_it("/proc/self/fd/4", O_RDONLY);
}
static void *nothing(void *argument) {
    return argument;
}
static bool try_thread(void) {
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

// The exit code of a process that does this in a sandbox.
static int code_of(bool (*action)(void), bool writes) {
    pid_t pid = fork();
    if (pid == 0) {
        ra_error err;
        int file = open(file_path, writes ? O_RDWR : O_RDONLY);
        if (dup2(file, FILE_FD) != FILE_FD ||
            ra_sandbox_enter(FILE_FD, writes, (int64_t)MEMORY_MB << 20, &err) != 0)
            _exit(NO_SANDBOX);
        _exit(action() ? DONE : REFUSED);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has_landlock(void) {
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static void forbidden_calls_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool (*action)(void);
        bool by_landlock;
    } cases[] = {{"write elsewhere", try_write_elsewhere, true},
                 {"create", try_create, true},
                 {"read elsewhere", try_read_elsewhere, true},
                 {"list", try_list, true},
                 {"truncate", try_truncate, false},
                 {"unlink", try_unlink, false},
                 {"rename", try_rename, false},
                 {"chmod", try_chmod, false},
                 {"socket", try_socket, false},
                 {"unix socket", try_unix_socket, false},
                 {"exec", try_exec, false},
                 {"fork", try_fork, false},
                 {"clone3", try_clone3, false},
                 {"kill", try_kill, false},
                 {"trace", try_trace, false},
                 {"memory", try_memory, false},
                 {"raise a limit", try_raise_limit, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].by_landlock && !has_landlock())
            continue;
        for (int writes = 0; writes < 2; writes++)
            if (code_of(cases[i].action, writes) != REFUSED)
                fail_msg("%s is not refused", cases[i].name);
    }
}

static void its_own_file_is_allowed(void **state) {
    (void)state;
    assert_int_equal(code_of(try_write_own_file, true), DONE);
    assert_int_equal(code_of(try_read_own_file, true), DONE);
    assert_int_equal(code_of(try_read_own_file, false), DONE);
    assert_int_equal(code_of(try_thread, true), DONE);
    if (has_landlock())
        assert_int_equal(code_of(try_write_own_file, false), REFUSED);
}

static void make_file(char *path, size_t bytes, const char *name) {
    snprintf(path, bytes, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("some bytes", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_files(void **state) {
    (void)state;
    strcpy(folder, "/tmp/sandbox-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    make_file(file_path, sizeof file_path, "file");
    make_file(other_path, sizeof other_path, "other");
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    unlink(file_path);
    unlink(other_path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(forbidden_calls_are_refused),
                                       cmocka_unit_test(its_own_file_is_allowed)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
