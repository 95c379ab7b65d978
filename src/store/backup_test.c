#include "store/backup.h"

#include <errno.h>

#include "store/testing_store.h"

// Fails the n-th file call, or allocation, once; counts syncs.
typedef struct {
    bool is_alloc;
    atomic_int n_syncs;
    atomic_int left;
    atomic_int n_failed;
} fault;

static int gate(void *context, const ra_os_event *event) {
    fault *f = context;
    atomic_fetch_add(&f->n_syncs, event->call == RA_OS_SYNC);
    if ((event->call == RA_OS_ALLOC) != f->is_alloc || event->call == RA_OS_READ)
        return 0;
    if (atomic_fetch_sub(&f->left, 1) != 0)
        return 0;
    atomic_fetch_add(&f->n_failed, 1);
    return f->is_alloc ? ENOMEM : ENOSPC;
}

static const atomic_bool nobody_cancels;

// Beside the store, where files can be linked, or elsewhere.
static void make_folder(const testing_store *t, bool is_beside, char path[64]) {
    const char *name = strrchr(t->dir, '/');
    snprintf(path, 64, "%.*s/backup-test-XXXXXX", is_beside ? (int)(name - t->dir) : 4,
             is_beside ? t->dir : "/tmp");
    assert_non_null(mkdtemp(path));
}

static int count_entries(const char *path) {
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return n;
}

static void fill(testing_store *t) {
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "a", 10, 10, RA_IF_EXISTS_APPEND);
    testing_upload(t, "b", 100, 10, RA_IF_EXISTS_ERROR);
    testing_result(t, 200, 5);
    testing_reopen(t);  // writes the result, which would be left out when it cannot be written now
}

// Opens a store on a backup, and finds what `fill` has made.
static void check_backup(const char *folder, const char *name) {
    testing_store copy = {.durable = true};
    snprintf(copy.dir, sizeof copy.dir, "%s/%s", folder, name);
    ra_budget_init(&copy.budget, NULL, "test", INT64_C(1) << 30);
    testing_start(&copy);
    assert_int_equal(testing_find(&copy, "a"), 0);
    assert_int_equal(testing_find(&copy, "b"), 1);
    testing_assert_rows(&copy, 0, 0, 20);
    testing_assert_rows(&copy, 1, 100, 10);
    testing_assert_rows(&copy, 2, 200, 5);
    assert_int_equal(testing_count_files(&copy, "aside"), 0);
    testing_finish(&copy);
}

// Makes a backup with the n-th call failing; whether it came to that.
static bool try_backup(testing_store *t, const char *folder, bool is_alloc, int n, int *n_failed) {
    fault f = {.is_alloc = is_alloc};
    atomic_init(&f.left, n);
    ra_backup made;
    ra_error err;
    ra_os_set_gate(gate, &f);
    int rc = ra_backup_make(t->store, folder, RA_STR("one"), &nobody_cancels, &made, &err);
    ra_os_set_gate(NULL, NULL);
    *n_failed += rc != 0;
    if (rc == 0)
        check_backup(folder, "one");
    assert_int_equal(count_entries(folder), 0);
    return atomic_load(&f.n_failed) > 0;
}

static void every_failure_leaves_nothing_and_the_next_backup_works(void **state) {
    testing_store *t = *state;
    fill(t);
    for (int variant = 0; variant < 4; variant++) {
        char folder[64];
        int n_failed = 0, n = 0;
        make_folder(t, variant & 1, folder);
        while (try_backup(t, folder, (variant & 2) != 0, n, &n_failed))
            n++;
        assert_true(n_failed > 5);
        assert_int_equal(rmdir(folder), 0);
    }
    // None of them made the store read-only, or lost it anything.
    testing_upload(t, "c", 0, 10, RA_IF_EXISTS_ERROR);
    testing_assert_rows(t, 0, 0, 20);
}

static int count_syncs(testing_store *t, const char *folder, const char *name, ra_backup *made) {
    fault f = {0};
    ra_error err;
    atomic_init(&f.left, -1);
    ra_os_set_gate(gate, &f);
    testing_check(ra_backup_make(t->store, folder, ra_str_of(name), &nobody_cancels, made, &err),
                  &err);
    ra_os_set_gate(NULL, NULL);
    return atomic_load(&f.n_syncs);
}

// Results are not synced when they are made, nor written to the catalog at once.
static void a_result_of_just_now_is_in_it_and_on_disk(void **state) {
    testing_store *t = *state;
    char folder[64];
    ra_backup made;
    make_folder(t, true, folder);
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    int before = count_syncs(t, folder, "before", &made);
    assert_int_equal(made.n_flights, 1);
    for (int i = 1; i <= 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "with-%d", i);
        testing_result(t, 100 * i, 10);
        assert_true(count_syncs(t, folder, name, &made) >= before + i);
        assert_int_equal(made.n_flights, 1 + i);
        assert_int_equal(made.n_files, 1 + i);
        assert_int_equal(made.linked_bytes, made.n_bytes);
    }
    testing_remove_tree(folder);
}

static void a_cancelled_backup_leaves_nothing(void **state) {
    testing_store *t = *state;
    char folder[64];
    make_folder(t, true, folder);
    fill(t);
    atomic_bool cancelled;
    atomic_init(&cancelled, true);
    ra_backup made;
    ra_error err;
    assert_int_equal(ra_backup_make(t->store, folder, RA_STR("one"), &cancelled, &made, &err),
                     RA_CANCELLED);
    assert_int_equal(rmdir(folder), 0);
}

static void a_lost_file_is_counted_and_the_rest_is_there(void **state) {
    testing_store *t = *state;
    char folder[64], path[RA_SEGMENT_PATH_BYTES];
    make_folder(t, true, folder);
    fill(t);
    ra_flight *flight;
    ra_version *version;
    ra_error err;
    testing_check(ra_store_get(t->store, 1, 0, &flight, &version, &err), &err);
    ra_segment_print_path(t->store, version->content->parts[0].segment->id, true, path);
    ra_flight_unref(flight);
    ra_version_unref(version);
    assert_int_equal(unlink(path), 0);
    ra_backup made;
    testing_check(ra_backup_make(t->store, folder, RA_STR("one"), &nobody_cancels, &made, &err),
                  &err);
    assert_int_equal(made.n_missing, 1);
    assert_int_equal(made.n_files, 3);
    testing_remove_tree(folder);
}

typedef struct {
    testing_store *t;
    const char *folder;
    const char *name;
    int rc;
} maker;

static void *make_one(void *arg) {
    maker *m = arg;
    ra_backup made;
    ra_error err;
    m->rc =
        ra_backup_make(m->t->store, m->folder, ra_str_of(m->name), &nobody_cancels, &made, &err);
    if (m->rc != 0)
        assert_int_equal(err.reason, RA_REASON_UNAVAILABLE);
    return NULL;
}

static void two_at_once_are_both_whole_or_one_is_told(void **state) {
    testing_store *t = *state;
    char folder[64];
    make_folder(t, true, folder);
    fill(t);
    for (int round = 0; round < 10; round++) {
        maker makers[2] = {{t, folder, "x", 0}, {t, folder, "y", 0}};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, make_one, &makers[i]), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_true(makers[0].rc == 0 || makers[1].rc == 0);
        for (int i = 0; i < 2; i++)
            if (makers[i].rc == 0)
                check_backup(folder, makers[i].name);
        assert_int_equal(count_entries(folder), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(every_failure_leaves_nothing_and_the_next_backup_works),
        testing_unit(a_result_of_just_now_is_in_it_and_on_disk),
        testing_unit(a_cancelled_backup_leaves_nothing),
        testing_unit(a_lost_file_is_counted_and_the_rest_is_there),
        testing_unit(two_at_once_are_both_whole_or_one_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
