#include "store/catalog_copy.h"

#include <limits.h>

#include "base/os.h"

// About 2 ms. A request that is undone makes SQLite begin anew, so that each step is twice the one
// before: at last one step is enough.
enum { FIRST_STEP_PAGES = 256, LAST_STEP_PAGES = 1 << 24 };

static int copy_some(ra_catalog *catalog, ra_catalog_copy *copy, bool *done) {
    ra_error *err = &copy->err, ignored;
    if (!copy->sql)
        RA_TRY(ra_sql_copy_begin(catalog->sql, copy->path, &copy->sql, err));
    // Results that cannot be written now are not in the copy.
    if (catalog->snapshot->state.unwritten.root)
        (void)!ra_catalog_write_unwritten(catalog, &ignored);
    RA_TRY(ra_sql_copy_step(copy->sql, copy->n_pages, done, err));
    if (copy->n_pages < LAST_STEP_PAGES)
        copy->n_pages *= 2;
    return 0;
}

void ra_catalog_copy_step(ra_catalog *catalog, ra_catalog_copy *copy) {
    bool done = false;
    int rc = copy_some(catalog, copy, &done);
    if (rc == 0 && !done)
        return;
    ra_sql_copy_end(copy->sql);
    if (done)
        copy->snapshot = ra_store_snapshot(catalog->store);
    pthread_mutex_lock(&catalog->lock);
    catalog->copy = NULL;
    copy->is_done = true;
    pthread_cond_signal(&copy->done);
    pthread_mutex_unlock(&catalog->lock);
}

int ra_catalog_copy_make(ra_catalog *catalog, const char *path, ra_snapshot **snapshot,
                         ra_error *err) {
    *snapshot = NULL;
    ra_catalog_copy copy = {.path = path, .n_pages = FIRST_STEP_PAGES};
    ra_error_init(&copy.err);
    pthread_cond_init(&copy.done, NULL);
    pthread_mutex_lock(&catalog->lock);
    bool is_busy = catalog->copy != NULL;
    if (!is_busy) {
        catalog->copy = &copy;
        pthread_cond_signal(&catalog->wake);
        while (!copy.is_done)
            pthread_cond_wait(&copy.done, &catalog->lock);
    }
    pthread_mutex_unlock(&catalog->lock);
    pthread_cond_destroy(&copy.done);
    if (is_busy)
        RA_FAIL(err, UNAVAILABLE, "another backup is being made");
    *snapshot = copy.snapshot;
    if (copy.err.code != RA_OK && err)
        *err = copy.err;
    return (int)copy.err.code;
}
