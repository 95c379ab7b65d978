// Names and tables that an export refuses before anything is started.
#include "sql/export.h"
#include "base/testing.h"

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

static void check(const char *first, const char *second, ra_type_id type, bool is_csv, int code) {
    ra_error err;
    ra_schema *schema = schema_of(first, second, type);
    assert_int_equal(ra_export_check_schema(schema, is_csv, &err), code);
    ra_schema_unref(schema);
}

static void test_schemas(void **state) {
    (void)state;
    check("a", "b", RA_TYPE_BINARY, false, 0);
    check("a", "b", RA_TYPE_BINARY, true, RA_UNIMPLEMENTED);
    check("a", "b", RA_TYPE_HALF_FLOAT, false, RA_UNIMPLEMENTED);
    check("a", "A", RA_TYPE_INT32, false, RA_INVALID);
    check("a", "", RA_TYPE_INT32, false, RA_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_schemas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
