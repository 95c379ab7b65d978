#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool ra_thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg) {
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own_faults / sizeof own_faults[0]; i++)
        sigdelset(&blocked, own_faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int code = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        pthread_setname_np(*out, name);
    errno = code;
    return code == 0;
}

// struct sched_attr, first version; glibc has no declaration and the kernel's collides with its
// own.
typedef struct {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
} sched_attributes;

void ra_thread_set_slice(int64_t slice_ns) {
    sched_attributes attributes = {.size = sizeof attributes,
                                   .policy = SCHED_OTHER,
                                   .nice = getpriority(PRIO_PROCESS, 0),
                                   .runtime_ns = (uint64_t)slice_ns};
    long rc = syscall(SYS_sched_setattr, 0, &attributes, 0);
    (void)rc;
}
