#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/os.h"

static int say_who(int fd, const char *data_dir, ra_error *err) {
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    int pid = 0;
    if (n > 0)
        sscanf(text, "%d", &pid);
    if (pid > 0)
        RA_FAIL(err, UNAVAILABLE, "data directory %s is in use by another server (process %d)",
                data_dir, pid);
    RA_FAIL(err, UNAVAILABLE, "data directory %s is in use by another server", data_dir);
}

static int write_pid(int fd, ra_error *err) {
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    RA_TRY(ra_os_truncate(fd, 0, err));
    return ra_os_pwrite(fd, text, (size_t)n, 0, err);
}

int ra_lock_take(const char *path, const char *data_dir, int *fd, ra_error *err) {
    RA_TRY(ra_os_open(path, O_RDWR | O_CREAT, 0644, fd, err));
    int rc = 0;
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            rc = say_who(*fd, data_dir, err);
        else
            rc = ra_error_set(err, RA_REASON_IO_ERROR, "lock %s: %s", path, strerror(errno));
    } else {
        ra_error ignored;  // the text only helps who finds the directory locked
        (void)!write_pid(*fd, &ignored);
    }
    if (rc) {
        ra_os_close(*fd);
        *fd = -1;
    }
    return rc;
}
