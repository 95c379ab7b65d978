// For tests only: takes the place of libc's close in a program that includes it, and counts
// descriptors that were not open. What is closed twice may be somebody else's the second time.
#ifndef RA_BASE_TESTING_CLOSE_H
#define RA_BASE_TESTING_CLOSE_H

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int testing_n_bad_closes;

int close(int fd) {
    long rc = syscall(SYS_close, fd);
    if (rc != 0 && errno == EBADF)
        atomic_fetch_add(&testing_n_bad_closes, 1);
    return (int)rc;
}

#endif
