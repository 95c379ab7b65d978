// The golden streams of other implementations are read, written again and read again; their
// regression files, which are mostly invalid, get an answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>

#include "arrow/testing_ipc.h"

static ra_budget budget;

static const char *data_dir(void) {
    const char *dir = getenv("RA_SHARED_DATA");
    return dir ? dir : "../shared/data";
}

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), n_end = strlen(end);
    return n >= n_end && strcmp(name + n - n_end, end) == 0;
}

static ra_blob *load(const char *path, size_t skip) {
    ra_blob *blob;
    ra_error err;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)ftell(file);
    if (skip > bytes)
        skip = bytes;
    fseek(file, (long)skip, SEEK_SET);
    testing_ok(ra_blob_new(bytes - skip, &blob, &err), &err);
    assert_int_equal(fread(blob->data, 1, blob->bytes, file), blob->bytes);
    fclose(file);
    return blob;
}

typedef struct {
    ra_schema *schema;
    ra_batch **batches;
    int n;
    int rc;
    ra_error err;
} stream;

// Takes the blob.
static stream read_stream(ra_blob *blob) {
    stream s;
    ra_error_init(&s.err);
    s.rc = ra_ipc_read_stream(blob, &budget, &s.schema, &s.batches, &s.n, &s.err);
    ra_blob_unref(blob);
    return s;
}

static void stream_fini(stream *s) {
    for (int i = 0; i < s->n; i++)
        ra_batch_unref(s->batches[i]);
    ra_free(s->batches);
    ra_schema_unref(s->schema);
}

static void assert_comes_back(const stream *s) {
    ra_bytes bytes;
    ra_blob *blob;
    ra_error err;
    ra_bytes_init(&bytes, TESTING_CEILING_BYTES);
    testing_write_stream(s->schema, s->batches, s->n, &bytes);
    size_t n = bytes.len;
    testing_ok(ra_blob_take(ra_bytes_take(&bytes), n, &blob, &err), &err);
    stream again = read_stream(blob);
    if (again.rc)
        fail_msg("%s", again.err.message);
    assert_true(ra_schema_equal(s->schema, again.schema, true));
    assert_int_equal(s->n, again.n);
    for (int b = 0; b < s->n; b++) {
        assert_int_equal(s->batches[b]->n_rows, again.batches[b]->n_rows);
        for (int i = 0; i < s->batches[b]->n_columns; i++)
            assert_true(
                ra_array_equal(&s->batches[b]->columns[i], &again.batches[b]->columns[i], true));
    }
    stream_fini(&again);
}

// Old files whose values pyarrow's validate(full=True) refuses as well.
static bool is_refused_by_all(const char *path, const stream *s) {
    if (!strstr(path, "/0.14.1/") && !strstr(path, "/1.0.0-littleendian/"))
        return false;
    return strstr(path, "generated_datetime.") ? strstr(s->err.message, "whole number of days") != 0
           : strstr(path, "generated_decimal") ? strstr(s->err.message, "digits") != 0
                                               : false;
}

static void check_golden(const char *path, size_t skip) {
    stream s = read_stream(load(path, skip));
    if (strstr(path, "bigendian"))
        assert_int_equal(s.rc, RA_UNIMPLEMENTED);
    else if (s.rc && !is_refused_by_all(path, &s))
        fail_msg("%s: %s", path, s.err.message);
    if (s.rc == 0)
        assert_comes_back(&s);
    stream_fini(&s);
}

// Calls `check` with each file of a folder; returns how many there were.
static int each_file(const char *folder, void (*check)(const char *path)) {
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[8192];
        if (entry->d_name[0] == '.')
            continue;
        int used = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_true(used > 0 && (size_t)used < sizeof path);
        check(path);
        n++;
    }
    closedir(dir);
    return n;
}

static void check_golden_file(const char *path) {
    if (ends_in(path, ".stream"))
        check_golden(path, 0);
    if (ends_in(path, ".arrow_file"))  // behind the magic there is a stream
        check_golden(path, 8);
}

static void check_golden_folder(const char *path) {
    assert_true(each_file(path, check_golden_file) > 0 || ends_in(path, ".md"));
}

static void golden_streams_come_back(void **state) {
    (void)state;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/arrow-testing/data/arrow-ipc-stream/integration",
             data_dir());
    if (each_file(folder, check_golden_folder) == 0) {
        print_message("no golden files in %s (RA_SHARED_DATA names the folder above)\n", folder);
        skip();
    }
}

static int n_regression_files;

static void check_regression_file(const char *path) {
    if (!strstr(path, "fuzz"))
        return;
    n_regression_files++;
    for (size_t skip = 0; skip <= 8; skip += 8) {  // streams, and files behind their magic
        stream s = read_stream(load(path, skip));
        assert_true(s.rc == 0 || s.err.message[0] != 0);
        if (s.rc == 0)
            assert_comes_back(&s);
        stream_fini(&s);
    }
}

static void regression_files_get_an_answer(void **state) {
    (void)state;
    static const char *const folders[] = {"arrow-ipc-stream", "arrow-ipc-file"};
    for (int i = 0; i < 2; i++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%s/arrow-testing/data/%s", data_dir(), folders[i]);
        each_file(folder, check_regression_file);
    }
    if (n_regression_files == 0) {
        print_message("no regression files in %s\n", data_dir());
        skip();
    }
}

int main(void) {
    ra_budget_init(&budget, NULL, "test", 64 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_streams_come_back),
        cmocka_unit_test(regression_files_get_an_answer),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed)
        ra_budget_fini(&budget);
    return failed;
}
