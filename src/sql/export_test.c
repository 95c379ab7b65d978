// Names and tables that an export refuses before anything is started, and files that fail.
#include "sql/export.h"

#include <errno.h>

#include "store/testing_store.h"

static void test_names(void **state) {
    (void)state;
    static const char *const plain[] = {"x.parquet", "a b", "-x", "\xc3\xa9.csv"};
    static const char *const refused[] = {"",     ".",    "..",   ".hidden", "a/b",
                                          "../a", "/etc", "a\\b", "a\nb",    "a\x7f"};
    ra_error err;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_int_equal(ra_export_check_name(ra_str_of(plain[i]), &err), 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(ra_export_check_name(ra_str_of(refused[i]), &err), RA_INVALID);
    assert_int_equal(ra_export_check_name((ra_str){"a\0b", 3}, &err), RA_INVALID);
}

static ra_schema *schema_of(const char *first, const char *second, ra_type_id type) {
    ra_schema *schema;
    ra_error err;
    assert_int_equal(ra_schema_new(2, &schema, &err), 0);
    schema->fields[0].name = ra_str_of(first);
    schema->fields[1].name = ra_str_of(second);
    schema->fields[0].type = RA_TYPE_INT32;
    schema->fields[1].type = type;
    assert_int_equal(ra_schema_seal(schema, &err), 0);
    return schema;
}

static void test_schemas(void **state) {
    (void)state;
    static const struct {
        const char *second;
        ra_type_id type;
        ra_format format;
        int code;
        int lossy_code;
    } cases[] = {
        {"b", RA_TYPE_BINARY, RA_FORMAT_PARQUET, 0, 0},
        {"b", RA_TYPE_BINARY, RA_FORMAT_CSV, RA_UNIMPLEMENTED, 0},
        {"b", RA_TYPE_HALF_FLOAT, RA_FORMAT_PARQUET, 0, 0},
        {"b", RA_TYPE_INTERVAL_MONTHS, RA_FORMAT_PARQUET, RA_UNIMPLEMENTED, RA_UNIMPLEMENTED},
        {"A", RA_TYPE_INTERVAL_MONTHS, RA_FORMAT_ARROW, 0, 0},
        {"A", RA_TYPE_INT32, RA_FORMAT_PARQUET, RA_INVALID, RA_INVALID},
        {"", RA_TYPE_INT32, RA_FORMAT_PARQUET, RA_INVALID, RA_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_error err;
        ra_schema *schema = schema_of("a", cases[i].second, cases[i].type);
        ra_format format = cases[i].format;
        assert_int_equal(ra_export_check_schema(schema, format, false, &err), cases[i].code);
        assert_int_equal(ra_export_check_schema(schema, format, true, &err), cases[i].lossy_code);
        ra_schema_unref(schema);
    }
}

static int fail_call(void *context, const ra_os_event *event) {
    return event->call == *(const ra_os_call *)context ? EIO : 0;
}

static int export_arrow(testing_store *t, ra_os_call *fails, bool cancel, ra_error *err) {
    ra_content *content = testing_content(t, 0, 100, RA_WRITE_RESULT);
    atomic_bool cancelled = cancel;
    ra_export export = {.data_dir = t->dir,
                        .content = content,
                        .file = "x.arrow",
                        .format = RA_FORMAT_ARROW,
                        .budget = &t->budget,
                        .cancelled = &cancelled};
    ra_export_result result;
    if (fails)
        ra_os_set_gate(fail_call, fails);
    int rc = ra_export_run(&export, &result, err);
    if (fails)
        ra_os_set_gate(NULL, NULL);
    if (rc == 0)
        assert_int_equal(result.n_rows, 100);
    ra_content_unref(content);
    return rc;
}

static bool file_is_there(const testing_store *t) {
    char path[128];
    snprintf(path, sizeof path, "%s/x.arrow", t->dir);
    return access(path, F_OK) == 0;
}

static void test_a_file_that_fails_is_not_there(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_os_call calls[] = {RA_OS_OPEN, RA_OS_WRITE, RA_OS_RENAME, RA_OS_SYNC};
    assert_int_equal(export_arrow(t, NULL, true, &err), RA_CANCELLED);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        assert_int_not_equal(export_arrow(t, &calls[i], false, &err), 0);
        assert_false(file_is_there(t));
        assert_int_equal(testing_count_files(t, "tmp"), 0);
    }
    assert_int_equal(ra_store_check_writable(t->store, &err), RA_UNAVAILABLE);
}

static void test_an_arrow_file(void **state) {
    testing_store *t = *state;
    ra_error err;
    assert_int_equal(export_arrow(t, NULL, false, &err), 0);
    assert_true(file_is_there(t));
    assert_int_equal(export_arrow(t, NULL, false, &err), RA_INVALID);
    assert_int_equal(testing_count_files(t, "tmp"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_schemas),
                                       testing_unit(test_a_file_that_fails_is_not_there),
                                       testing_unit(test_an_arrow_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
