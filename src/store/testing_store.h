// For tests only: a store in a directory of its own, and small tables for it. A fault of these
// helpers ends the test program.
#ifndef RA_STORE_TESTING_STORE_H
#define RA_STORE_TESTING_STORE_H

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/os.h"
#include "store/internal.h"

typedef struct {
    char dir[64];
    ra_budget budget;
    ra_workers *workers;
    ra_store *store;
    bool durable;
    bool read_only;
    int keep_versions;
    int compact_parts;
    int64_t result_ttl_ns;
    int64_t disk_quota_bytes;
} testing_store;

static inline void testing_check(int rc, const ra_error *err) {
    if (rc != 0) {
        fprintf(stderr, "testing_store: %s\n", err->message);
        abort();
    }
}

static inline int testing_try_open(testing_store *t, ra_error *err) {
    ra_store_options options = {.data_dir = t->dir,
                                .durable = t->durable,
                                .read_only = t->read_only,
                                .disk_reserve_bytes = 0,
                                .disk_quota_bytes = t->disk_quota_bytes,
                                .keep_versions = t->keep_versions,
                                .compact_parts = t->compact_parts,
                                .result_ttl_ns = t->result_ttl_ns,
                                .budget = &t->budget,
                                .workers = t->workers};
    return ra_store_open(&options, &t->store, err);
}

static inline void testing_open(testing_store *t) {
    ra_error err;
    testing_check(testing_try_open(t, &err), &err);
}

static inline void testing_close(testing_store *t) {
    ra_store_close(t->store);
    t->store = NULL;
}

static inline void testing_reopen(testing_store *t) {
    testing_close(t);
    testing_open(t);
}

// Without threads and an open store, so that a test can fork first.
static inline void testing_make_dir(testing_store *t) {
    *t = (testing_store){.durable = true};
    ra_log_set(RA_LOG_OFF, false);
    // In memory where that is possible: thousands of syncs.
    snprintf(t->dir, sizeof t->dir, "%s/store-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(t->dir))
        abort();
    ra_budget_init(&t->budget, NULL, "test", INT64_C(1) << 30);
}

static inline void testing_start(testing_store *t) {
    ra_error err;
    testing_check(ra_workers_new("test", 4, &t->workers, &err), &err);
    testing_open(t);
}

static inline int testing_remove_entry(const char *path, const struct stat *st, int kind,
                                       struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void testing_remove_tree(const char *path) {
    nftw(path, testing_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int testing_setup(void **state) {
    testing_store *t = malloc(sizeof *t);
    testing_make_dir(t);
    testing_start(t);
    *state = t;
    return 0;
}

static inline void testing_finish(testing_store *t) {
    if (t->store)
        testing_close(t);
    ra_workers_free(t->workers);
    ra_budget_fini(&t->budget);
    testing_remove_tree(t->dir);
}

static inline int testing_teardown(void **state) {
    testing_finish(*state);
    free(*state);
    return 0;
}

#define testing_unit(f) cmocka_unit_test_setup_teardown(f, testing_setup, testing_teardown)

// Files in data_dir/.remote-arrow/`folder`.
static inline int testing_count_files(const testing_store *t, const char *folder) {
    char path[256];
    snprintf(path, sizeof path, "%s/.remote-arrow/%s", t->dir, folder);
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static inline int testing_schema(const char *column, ra_schema **out, ra_error *err) {
    RA_TRY(ra_schema_new(1, out, err));
    (*out)->fields[0].name = ra_str_of(column);
    (*out)->fields[0].type = RA_TYPE_INT64;
    (*out)->fields[0].nullable = true;
    int rc = ra_schema_seal(*out, err);
    if (rc != 0)
        ra_schema_unref(*out);
    return rc;
}

static inline int testing_batch(ra_schema *schema, int64_t first, int64_t n_rows, ra_batch **out,
                                ra_error *err) {
    RA_TRY(ra_batch_new(schema, n_rows, out, err));
    uint8_t *data;
    int rc = ra_batch_alloc(*out, n_rows * 8, &data, err);
    if (rc != 0) {
        ra_batch_unref(*out);
        *out = NULL;
        return rc;
    }
    for (int64_t i = 0; i < n_rows; i++)
        ((int64_t *)(void *)data)[i] = first + i;
    (*out)->columns[0].buffers[0] = (ra_span){data, n_rows * 8};
    return 0;
}

// One batch of the numbers from `first` on in one int64 column (name: a literal).
static inline int testing_try_content(ra_store *store, const char *column, int64_t first,
                                      int64_t n_rows, ra_write_kind kind, const char *app_metadata,
                                      ra_content **out, ra_error *err) {
    ra_schema *schema;
    ra_batch *batch = NULL;
    ra_writer *writer = NULL;
    RA_TRY(testing_schema(column, &schema, err));
    ra_span extra = {(const uint8_t *)app_metadata, (int64_t)strlen(app_metadata)};
    int rc;
    RA_GOTO(testing_batch(schema, first, n_rows, &batch, err), done);
    RA_GOTO(ra_writer_new(store, schema, kind, &writer, err), done);
    RA_GOTO(ra_writer_add(writer, batch, extra, err), done);
    rc = ra_writer_finish(writer, out, err);
done:
    ra_writer_free(writer);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
    return rc;
}

static inline ra_content *testing_content(testing_store *t, int64_t first, int64_t n_rows,
                                          ra_write_kind kind) {
    ra_error err;
    ra_content *content;
    testing_check(testing_try_content(t->store, "n", first, n_rows, kind, "", &content, &err),
                  &err);
    return content;
}

// A change that publishes; the content is the caller's.
static inline ra_change testing_publish(const char *name, ra_kind kind, ra_content *content) {
    return (ra_change){.change = RA_CHANGE_PUBLISH,
                       .name = ra_str_of(name),
                       .if_version = -1,
                       .kind = kind,
                       .content = content,
                       .caller = RA_STR("tester")};
}

// Runs a change that has to work; gives the id of the Flight that came of it, or -1.
static inline int64_t testing_change(testing_store *t, const ra_change *change) {
    ra_error err;
    ra_change_result result;
    testing_check(ra_store_change_wait(t->store, change, &result, &err), &err);
    int64_t id = result.flight ? result.flight->id : -1;
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    return id;
}

// Runs a change that has to fail; gives the reason, and the message in `err`.
static inline ra_reason testing_refused(testing_store *t, const ra_change *change, ra_error *err) {
    ra_change_result result;
    int rc = ra_store_change_wait(t->store, change, &result, err);
    assert_int_not_equal(rc, 0);
    assert_null(result.flight);
    assert_null(result.version);
    return err->reason;
}

// Uploads rows first, first + 1 … under a name ("" for none); gives the id.
static inline int64_t testing_upload(testing_store *t, const char *name, int64_t first,
                                     int64_t n_rows, ra_if_exists if_exists) {
    ra_content *content = testing_content(t, first, n_rows, RA_WRITE_DURABLE);
    ra_change change = testing_publish(name, RA_KIND_DATASET, content);
    change.if_exists = if_exists;
    int64_t id = testing_change(t, &change);
    ra_content_unref(content);
    return id;
}

static inline int64_t testing_result(testing_store *t, int64_t first, int64_t n_rows) {
    ra_content *content = testing_content(t, first, n_rows, RA_WRITE_RESULT);
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    int64_t id = testing_change(t, &change);
    ra_content_unref(content);
    return id;
}

static inline void testing_simple_change(testing_store *t, ra_change_kind kind, int64_t id) {
    ra_change change = {.change = kind, .flight_id = id, .if_version = -1};
    testing_change(t, &change);
}

// Checks that the newest version of Flight `id` holds `n_rows` rows, the numbers from `first` on.
static inline void testing_assert_rows(testing_store *t, int64_t id, int64_t first,
                                       int64_t n_rows) {
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    testing_check(ra_store_get(t->store, id, 0, &flight, &version, &err), &err);
    ra_content *content = version->content;
    assert_int_equal(content->n_rows, n_rows);
    int64_t next = first;
    for (int64_t i = 0; i < content->n_batches; i++) {
        ra_batch *batch;
        testing_check(ra_content_batch(content, i, &batch, &err), &err);
        const int64_t *values = (const int64_t *)(const void *)batch->columns[0].buffers[0].data;
        for (int64_t j = 0; j < batch->n_rows; j++)
            assert_int_equal(values[j], next++);
        ra_batch_unref(batch);
    }
    assert_int_equal(next, first + n_rows);
    ra_flight_unref(flight);
    ra_version_unref(version);
}

static inline int64_t testing_find(testing_store *t, const char *name) {
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    ra_flight *flight = ra_snapshot_find(snapshot, ra_str_of(name));
    int64_t id = flight ? flight->id : -1;
    ra_snapshot_unref(snapshot);
    return id;
}

static inline bool testing_is_there(testing_store *t, int64_t id) {
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    bool there = ra_snapshot_get(snapshot, id) != NULL;
    ra_snapshot_unref(snapshot);
    return there;
}

static inline int64_t testing_count(testing_store *t) {
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    int64_t n = ra_snapshot_count(snapshot);
    ra_snapshot_unref(snapshot);
    return n;
}

#endif
