#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/os.h"
#include "store/disk.h"

int ra_spool_new(ra_store *store, int *fd, ra_error *err) {
    *fd = -1;
    RA_TRY(ra_store_check_disk(store, 0, err));
    uint64_t id;
    ra_os_random(&id, sizeof id);
    char path[RA_SEGMENT_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%016" PRIx64 ".spool", store->tmp_dir, id);
    int rc = ra_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, fd, err);
    if (rc != 0)
        return ra_store_word_disk_full(store, 0, rc, err);
    rc = ra_os_unlink(path, err);
    if (rc != 0) {
        ra_os_close(*fd);
        *fd = -1;
    }
    return rc;
}
