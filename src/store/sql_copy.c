#include "store/sql_copy.h"

#include "base/os.h"
#include "store/sqlite_vfs.h"

struct ra_sql_copy {
    sqlite3_vfs *vfs;
    sqlite3 *db;
    sqlite3_backup *backup;
};

static int fail_copy(int code, ra_error *err) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            RA_FAIL(err, DISK_FULL, "no room for a copy of the catalog");
        case SQLITE_NOMEM:
            RA_FAIL(err, OUT_OF_MEMORY, "no memory to copy the catalog");
        default:
            RA_FAIL(err, IO_ERROR, "the catalog cannot be copied: %s (%d)", sqlite3_errstr(code),
                    code);
    }
}

// A copy that is not finished is thrown away: it needs no journal.
static int begin(ra_sql_copy *copy, ra_sql *from, const char *path, ra_error *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    RA_TRY(ra_sqlite_vfs_new(NULL, &copy->vfs, err));
    int code = sqlite3_open_v2(path, &copy->db, flags, copy->vfs->zName);
    if (code == SQLITE_OK)
        code = sqlite3_exec(copy->db,
                            "PRAGMA locking_mode=EXCLUSIVE;"
                            "PRAGMA journal_mode=OFF;"
                            "PRAGMA synchronous=OFF",
                            NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return fail_copy(code, err);
    copy->backup = sqlite3_backup_init(copy->db, "main", ra_sql_connection(from), "main");
    return copy->backup ? 0 : fail_copy(sqlite3_errcode(copy->db), err);
}

int ra_sql_copy_begin(ra_sql *from, const char *path, ra_sql_copy **out, ra_error *err) {
    ra_sql_copy *copy = *out = ra_calloc(1, sizeof *copy);
    if (!copy)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to copy the catalog");
    int rc = begin(copy, from, path, err);
    if (rc != 0) {
        ra_sql_copy_end(copy);
        *out = NULL;
    }
    return rc;
}

int ra_sql_copy_step(ra_sql_copy *copy, int n_pages, bool *done, ra_error *err) {
    int code = sqlite3_backup_step(copy->backup, n_pages);
    *done = code == SQLITE_DONE;
    return code == SQLITE_DONE || code == SQLITE_OK ? 0 : fail_copy(code, err);
}

void ra_sql_copy_end(ra_sql_copy *copy) {
    if (!copy)
        return;
    if (copy->backup)
        (void)sqlite3_backup_finish(copy->backup);
    int code = sqlite3_close(copy->db);
    ra_assert(code == SQLITE_OK);
    ra_sqlite_vfs_free(copy->vfs);
    ra_free(copy);
}
