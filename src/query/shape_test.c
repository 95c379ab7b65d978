#include "query/shape.h"

#include <stdio.h>

#include "base/testing.h"

// A schema of int64 columns with these names.
static ra_schema *make_schema(const char *const *names, int n) {
    ra_schema *schema;
    ra_error err;
    assert_int_equal(ra_schema_new(n, &schema, &err), 0);
    for (int i = 0; i < n; i++) {
        schema->fields[i].name = ra_arena_str(&schema->arena, ra_str_of(names[i]));
        schema->fields[i].type = RA_TYPE_INT64;
        schema->fields[i].nullable = true;
    }
    assert_int_equal(ra_schema_seal(schema, &err), 0);
    return schema;
}

// Often enough that the index is made on the way.
static void assert_finds(ra_shape *shape, const char *name, int column) {
    for (int i = 0; i < 10; i++)
        assert_int_equal(ra_shape_find(shape, ra_str_of(name)), column);
}

static void names_are_found_with_and_without_an_index(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "a", "", "c", "a", "\xc3\xa9"};
    ra_schema *schema = make_schema(names, 7);
    ra_shape shape;
    ra_error err;
    assert_int_equal(ra_shape_init(&shape, schema, &err), 0);
    for (int round = 0; round < 2; round++) {
        assert_finds(&shape, "a", -2);
        assert_finds(&shape, "b", 1);
        assert_finds(&shape, "", 3);
        assert_finds(&shape, "\xc3\xa9", 6);
        assert_finds(&shape, "d", -1);
    }
    assert_int_equal(ra_shape_count(&shape, RA_STR("a")), 3);
    ra_shape_fini(&shape);
    ra_schema_unref(schema);
}

static void changed_columns_are_found_under_their_new_names(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    ra_schema *schema = make_schema(names, 3), *result;
    ra_shape shape;
    ra_error err;
    assert_int_equal(ra_shape_init(&shape, schema, &err), 0);
    assert_finds(&shape, "c", 2);
    assert_int_equal(ra_shape_select(&shape, (const int[]){2, 0, 2}, 3, &err), 0);
    assert_finds(&shape, "c", -2);
    assert_finds(&shape, "b", -1);
    shape.columns[2].name = RA_STR("z");
    ra_shape_renamed(&shape);
    assert_finds(&shape, "c", 0);
    assert_finds(&shape, "z", 2);
    assert_int_equal(ra_shape_schema(&shape, &result, &err), 0);
    assert_int_equal(result->n_fields, 3);
    assert_true(ra_str_eq(result->fields[1].name, RA_STR("a")));
    assert_true(ra_str_eq(result->fields[2].name, RA_STR("z")));
    ra_schema_unref(result);
    ra_shape_fini(&shape);
    ra_schema_unref(schema);
}

static void an_unchanged_shape_is_the_schema_itself(void **state) {
    (void)state;
    static const char *const names[] = {"a"};
    ra_schema *schema = make_schema(names, 1), *result;
    ra_shape shape;
    ra_error err;
    assert_int_equal(ra_shape_init(&shape, schema, &err), 0);
    assert_int_equal(ra_shape_schema(&shape, &result, &err), 0);
    assert_ptr_equal(result, schema);
    ra_schema_unref(result);
    ra_shape_fini(&shape);
    ra_schema_unref(schema);
}

static void too_many_columns_are_a_limit(void **state) {
    (void)state;
    static const char *const names[] = {"a"};
    static int columns[RA_MAX_COLUMNS + 1];
    ra_schema *schema = make_schema(names, 1);
    ra_shape shape;
    ra_error err;
    assert_int_equal(ra_shape_init(&shape, schema, &err), 0);
    assert_int_equal(ra_shape_select(&shape, columns, RA_MAX_COLUMNS + 1, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    assert_int_equal(ra_shape_select(&shape, columns, RA_MAX_COLUMNS, &err), 0);
    ra_shape_fini(&shape);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_with_and_without_an_index),
        cmocka_unit_test(changed_columns_are_found_under_their_new_names),
        cmocka_unit_test(an_unchanged_shape_is_the_schema_itself),
        cmocka_unit_test(too_many_columns_are_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
