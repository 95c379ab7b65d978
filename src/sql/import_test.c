// Arrow files from outside: cut, damaged, and while each allocation and file call fails in turn.
#include "sql/import_file.h"

#include <errno.h>
#include <fcntl.h>

#include "sql/export.h"
#include "store/testing_store.h"

enum { MAX_FILE_BYTES = 64 * 1024, MAX_CALLS = 3000 };

// A file of a table of 200 rows, as an export writes it.
static size_t make_file(testing_store *t, uint8_t *out) {
    ra_error err;
    char path[128];
    ra_content *content = testing_content(t, 0, 200, RA_WRITE_RESULT);
    atomic_bool cancelled = false;
    ra_export export = {.data_dir = t->dir,
                        .content = content,
                        .file = "made.arrow",
                        .format = RA_FORMAT_ARROW,
                        .budget = &t->budget,
                        .cancelled = &cancelled};
    ra_export_result result;
    testing_check(ra_export_run(&export, &result, &err), &err);
    ra_content_unref(content);
    snprintf(path, sizeof path, "%s/made.arrow", t->dir);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t bytes = fread(out, 1, MAX_FILE_BYTES, file);
    fclose(file);
    assert_int_equal(bytes, result.n_bytes);
    return bytes;
}

static int import_bytes(testing_store *t, const uint8_t *data, size_t bytes, ra_error *err) {
    atomic_bool cancelled = false;
    char path[128];
    struct stat about;
    snprintf(path, sizeof path, "%s/x.arrow", t->dir);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    int64_t time_ns = about.st_mtim.tv_sec * INT64_C(1000000000) + about.st_mtim.tv_nsec;
    ra_import import = {.store = t->store,
                        .budget = &t->budget,
                        .cancelled = &cancelled,
                        .name = RA_STR("x.arrow"),
                        .format = RA_FORMAT_ARROW,
                        .fd = fd,
                        .mark = {.bytes = about.st_size, .time_ns = time_ns}};
    import.is_known = ra_store_find_file(t->store, import.name, &import.known);
    ra_import_result result;
    ra_error_init(err);
    int rc = ra_import_file(&import, &result, err);
    close(fd);
    return rc;
}

static void test_a_whole_file(void **state) {
    testing_store *t = *state;
    static uint8_t data[MAX_FILE_BYTES];
    size_t bytes = make_file(t, data);
    ra_error err;
    testing_check(import_bytes(t, data, bytes, &err), &err);
    testing_assert_rows(t, testing_find(t, "x"), 0, 200);
    // The same bytes again are no new version.
    testing_check(import_bytes(t, data, bytes, &err), &err);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_find(snapshot, RA_STR("x"))->n_versions, 1);
    ra_snapshot_unref(snapshot);
}

static void test_every_prefix_is_refused(void **state) {
    testing_store *t = *state;
    static uint8_t data[MAX_FILE_BYTES];
    size_t bytes = make_file(t, data);
    ra_error err;
    for (size_t cut = 0; cut < bytes; cut++)
        assert_int_not_equal(import_bytes(t, data, cut, &err), 0);
    assert_int_equal(testing_find(t, "x"), -1);
    assert_int_equal(testing_count_files(t, "tmp"), 0);
}

static void test_no_damage_hurts(void **state) {
    testing_store *t = *state;
    static uint8_t data[MAX_FILE_BYTES];
    size_t bytes = make_file(t, data);
    ra_error err;
    for (size_t at = 0; at < bytes; at++) {
        uint8_t was = data[at];
        for (int bit = 0; bit < 8; bit += 7) {
            data[at] = was ^ (uint8_t)(1 << bit);
            (void)!import_bytes(t, data, bytes, &err);
        }
        data[at] = was;
    }
    assert_int_equal(testing_count_files(t, "tmp"), 0);
}

typedef struct {
    atomic_int left;
    bool alloc;
} fault;

static int fail_one(void *context, const ra_os_event *event) {
    fault *f = context;
    if ((event->call == RA_OS_ALLOC) != f->alloc || event->call == RA_OS_SYNC)
        return 0;
    return atomic_fetch_sub(&f->left, 1) == 0 ? (f->alloc ? ENOMEM : EIO) : 0;
}

// Either the file is imported or it is not, and then nothing is left.
static void fail_each(testing_store *t, bool alloc) {
    static uint8_t data[MAX_FILE_BYTES];
    size_t bytes = make_file(t, data);
    ra_error err;
    int n = 0;
    bool failed = true;
    for (; failed && n < MAX_CALLS; n++) {
        fault f = {.left = n, .alloc = alloc};
        memcpy(data + bytes / 2, &n, sizeof n);  // other values, so that nothing is known
        ra_os_set_gate(fail_one, &f);
        int rc = import_bytes(t, data, bytes, &err);
        ra_os_set_gate(NULL, NULL);
        failed = atomic_load(&f.left) < 0;
        if (rc != 0)
            assert_int_not_equal(err.code, 0);
        assert_int_equal(testing_count_files(t, "tmp"), 0);
        if (ra_store_check_writable(t->store, &err) != 0)
            testing_reopen(t);
        int64_t id = testing_find(t, "x");
        assert_int_equal(id >= 0, rc == 0);
        if (id >= 0)
            testing_simple_change(t, RA_CHANGE_DELETE, id);
    }
    assert_true(n > 5 && n < MAX_CALLS);
}

static void test_allocations_fail(void **state) {
    fail_each(*state, true);
}

static void test_file_calls_fail(void **state) {
    fail_each(*state, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(test_a_whole_file), testing_unit(test_every_prefix_is_refused),
        testing_unit(test_no_damage_hurts), testing_unit(test_allocations_fail),
        testing_unit(test_file_calls_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
