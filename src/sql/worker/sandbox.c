#include "sql/worker/sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_SECONDS = 3600 };
// DuckDB's own code and buffers beyond what it counts, and the batches of the stream.
static const int64_t extra_bytes = INT64_C(512) << 20;

static const int denied[] = {SCMP_SYS(socket),
                             SCMP_SYS(socketpair),
                             SCMP_SYS(connect),
                             SCMP_SYS(bind),
                             SCMP_SYS(listen),
                             SCMP_SYS(accept),
                             SCMP_SYS(accept4),
                             SCMP_SYS(execve),
                             SCMP_SYS(execveat),
                             SCMP_SYS(fork),
                             SCMP_SYS(vfork),
                             SCMP_SYS(ptrace),
                             SCMP_SYS(process_vm_readv),
                             SCMP_SYS(process_vm_writev),
                             SCMP_SYS(pidfd_open),
                             SCMP_SYS(pidfd_getfd),
                             SCMP_SYS(kill),
                             SCMP_SYS(tkill),
                             SCMP_SYS(bpf),
                             SCMP_SYS(perf_event_open),
                             SCMP_SYS(io_uring_setup),
                             SCMP_SYS(unshare),
                             SCMP_SYS(setns),
                             SCMP_SYS(mount),
                             SCMP_SYS(umount2),
                             SCMP_SYS(chroot),
                             SCMP_SYS(pivot_root),
                             SCMP_SYS(keyctl),
                             SCMP_SYS(add_key),
                             SCMP_SYS(open_by_handle_at),
                             SCMP_SYS(unlink),
                             SCMP_SYS(unlinkat),
                             SCMP_SYS(rename),
                             SCMP_SYS(renameat),
                             SCMP_SYS(renameat2),
                             SCMP_SYS(mkdir),
                             SCMP_SYS(mkdirat),
                             SCMP_SYS(link),
                             SCMP_SYS(linkat),
                             SCMP_SYS(symlink),
                             SCMP_SYS(symlinkat),
                             SCMP_SYS(mknod),
                             SCMP_SYS(mknodat),
                             SCMP_SYS(truncate),
                             SCMP_SYS(chmod),
                             SCMP_SYS(fchmod),
                             SCMP_SYS(fchmodat),
                             SCMP_SYS(chown),
                             SCMP_SYS(fchown),
                             SCMP_SYS(lchown),
                             SCMP_SYS(fchownat),
                             SCMP_SYS(setxattr),
                             SCMP_SYS(fsetxattr),
                             SCMP_SYS(lsetxattr),
                             SCMP_SYS(utimensat),
                             SCMP_SYS(shmget),
                             SCMP_SYS(msgget),
                             SCMP_SYS(semget),
                             SCMP_SYS(rt_sigqueueinfo),
                             SCMP_SYS(pidfd_send_signal),
                             SCMP_SYS(init_module),
                             SCMP_SYS(finit_module),
                             SCMP_SYS(kexec_load),
                             SCMP_SYS(reboot),
                             SCMP_SYS(settimeofday),
                             SCMP_SYS(clock_settime),
                             SCMP_SYS(userfaultfd),
                             SCMP_SYS(prlimit64),
                             SCMP_SYS(setrlimit)};

static int limit(__rlimit_resource_t resource, rlim_t most, ra_error *err) {
    struct rlimit both = {most, most};
    if (setrlimit(resource, &both) != 0)
        RA_FAIL(err, UNAVAILABLE, "a limit of the SQL worker cannot be set: %s", strerror(errno));
    return 0;
}

// A kernel without Landlock leaves open to seccomp and to DuckDB's own allowed_paths.
static int allow_one_file(int file_fd, bool writes, ra_error *err) {
    struct landlock_ruleset_attr handled = {.handled_access_fs =
                                                (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
        return 0;
    struct landlock_path_beneath_attr file = {
        .allowed_access =
            LANDLOCK_ACCESS_FS_READ_FILE | (writes ? LANDLOCK_ACCESS_FS_WRITE_FILE : 0u),
        .parent_fd = file_fd};
    if (rules < 0 ||
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &file, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        RA_FAIL(err, UNAVAILABLE, "Landlock refuses the rules of the SQL worker: %s",
                strerror(errno));
    close(rules);
    return 0;
}

static int deny_calls(ra_error *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof denied / sizeof *denied && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
    // Threads, but no processes. What clone3 is asked for no filter sees: libc takes clone without
    // it.
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        RA_FAIL(err, UNAVAILABLE, "there is no seccomp for the SQL worker: %s", strerror(-rc));
    return 0;
}

// What a thread gives up holds for that thread and those that it starts.
static int check_one_thread(ra_error *err) {
    struct stat tasks;
    if (stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink != 3)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker has threads outside of its sandbox");
    return 0;
}

int ra_sandbox_enter(int file_fd, bool writes, int64_t memory_bytes, ra_error *err) {
    RA_TRY(check_one_thread(err));
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        RA_FAIL(err, UNAVAILABLE, "the SQL worker cannot give up its rights: %s", strerror(errno));
    RA_TRY(limit(RLIMIT_DATA, (rlim_t)(memory_bytes + extra_bytes), err));
    RA_TRY(limit(RLIMIT_CPU, CPU_SECONDS, err));
    RA_TRY(limit(RLIMIT_CORE, 0, err));
    RA_TRY(allow_one_file(file_fd, writes, err));
    return deny_calls(err);
}
