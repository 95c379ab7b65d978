#include <fcntl.h>

#include "base/log.h"
#include "base/os.h"
#include "store/catalog.h"

// Enough for the log pages of a delete when nothing else is free.
enum { RESERVE_BYTES = 4 * 1024 * 1024 };

static int open_reserve(ra_catalog *catalog, int *fd, ra_error *err) {
    return ra_os_open(catalog->reserve_path, O_RDWR | O_CREAT, 0644, fd, err);
}

void ra_reserve_make(ra_catalog *catalog) {
    int fd;
    ra_error err;
    int rc = open_reserve(catalog, &fd, &err);
    if (rc == 0) {
        rc = ra_os_allocate(fd, 0, RESERVE_BYTES, &err);
        ra_os_close(fd);
    }
    if (rc != 0)
        ra_log(RA_LOG_WARNING, "store", "no reserve for deletes on a full disk: %s", err.message);
}

int ra_reserve_release(ra_catalog *catalog, ra_error *err) {
    int fd;
    RA_TRY(open_reserve(catalog, &fd, err));
    int rc = ra_os_truncate(fd, 0, err);
    ra_os_close(fd);
    return rc;
}
