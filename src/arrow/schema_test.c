// Schemas: what sealing refuses, what counts for equality, how types print.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_random.h"

static ra_schema *two_columns(ra_field a, ra_field b) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(2, &schema, &err), &err);
    schema->fields[0] = a;
    schema->fields[1] = b;
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static ra_field plain(const char *name, ra_type_id type) {
    return (ra_field){.name = ra_str_of(name), .type = type, .nullable = true};
}

static void assert_refused(ra_field field, int code) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = field;
    assert_int_equal(ra_schema_seal(schema, &err), code);
    assert_string_equal(err.subject_key, "column");
    ra_schema_unref(schema);
}

static void sealing_refuses_impossible_types(void **state) {
    (void)state;
    int8_t twice[] = {3, 3}, negative[] = {-1, 0};
    ra_field two[] = {plain("x", RA_TYPE_INT8), plain("y", RA_TYPE_INT8)};
    ra_field entries = plain("entries", RA_TYPE_STRUCT);
    entries.n_children = 2;
    entries.children = two;
    ra_field f = plain("c", RA_TYPE_DECIMAL64);
    static const int32_t precisions[] = {-1, 0, 19};
    for (int i = 0; i < 3; i++) {
        f.precision = precisions[i];
        assert_refused(f, RA_INVALID);
    }
    f = plain("c", RA_TYPE_TIME32);
    f.unit = RA_UNIT_MICRO;
    assert_refused(f, RA_INVALID);
    f = plain("c", RA_TYPE_FIXED_SIZE_BINARY);
    f.byte_width = -1;
    assert_refused(f, RA_INVALID);
    assert_refused(plain("c", RA_TYPE_LIST), RA_INVALID);
    f = plain("c", RA_TYPE_INT8);
    f.children = two;
    f.n_children = 2;
    assert_refused(f, RA_INVALID);
    f.type = RA_TYPE_RUN_END_ENCODED;  // int8 is none for run ends
    assert_refused(f, RA_INVALID);
    f.type = RA_TYPE_SPARSE_UNION;
    assert_refused(f, RA_INVALID);
    f.n_type_ids = 2;
    f.type_ids = twice;
    assert_refused(f, RA_INVALID);
    f.type_ids = negative;
    assert_refused(f, RA_INVALID);
    f = plain("c", RA_TYPE_MAP);
    f.children = &entries;
    f.n_children = 1;
    assert_refused(f, RA_INVALID);  // the entries are nullable
    entries.nullable = false;
    assert_refused(f, RA_INVALID);  // the keys are
    f = plain("c", RA_TYPE_UTF8);
    f.is_dictionary = true;
    f.index_type = RA_TYPE_FLOAT;
    assert_refused(f, RA_INVALID);
    assert_refused(plain("\xff", RA_TYPE_INT8), RA_INVALID);
    assert_refused(plain("c", RA_N_TYPES), RA_INVALID);
}

static void dictionaries_are_numbered_in_pre_order(void **state) {
    (void)state;
    ra_field outer = plain("o", RA_TYPE_LIST), inner = plain("item", RA_TYPE_UTF8);
    outer.is_dictionary = inner.is_dictionary = true;
    outer.index_type = inner.index_type = RA_TYPE_INT8;
    inner.dictionary_id = 77;
    outer.children = &inner;
    outer.n_children = 1;
    ra_field last = plain("l", RA_TYPE_UTF8);
    last.is_dictionary = true;
    last.index_type = RA_TYPE_INT8;
    ra_schema *schema = two_columns(outer, last);
    assert_int_equal(schema->n_dictionaries, 3);
    assert_int_equal(schema->fields[0].dictionary_id, 0);
    assert_int_equal(schema->fields[0].children[0].dictionary_id, 1);
    assert_int_equal(schema->fields[1].dictionary_id, 2);
    assert_ptr_equal(ra_schema_dictionary_field(schema, 1), &schema->fields[0].children[0]);
    assert_null(ra_schema_dictionary_field(schema, 3));

    ra_error err;
    ra_schema *selected;
    int columns[] = {1, 0, 1};
    assert_int_equal(ra_schema_select(schema, columns, 3, &selected, &err), 0);
    assert_int_equal(selected->n_dictionaries, 4);
    assert_int_equal(selected->fields[0].dictionary_id, 0);
    assert_int_equal(selected->fields[1].dictionary_id, 1);
    assert_true(ra_field_equal(&selected->fields[1], &schema->fields[0], true));
    ra_schema_unref(selected);
    ra_schema_unref(schema);
}

static void derived_schemas_do_not_depend_on_their_origin(void **state) {
    (void)state;
    ra_error err;
    for (uint64_t seed = 0; seed < 30; seed++) {
        ra_schema *again = testing_random_schema(seed, 6, 3);
        ra_schema *schema = testing_random_schema(seed, 6, 3), *copy, *renamed;
        int columns[] = {0, 1, 2, 3, 4, 5};
        assert_int_equal(ra_schema_select(schema, columns, 6, &copy, &err), 0);
        ra_schema_unref(schema);
        assert_true(ra_schema_equal(again, copy, true));
        ra_str names[6] = {RA_STR("a"), RA_STR("b"), RA_STR(""),
                           RA_STR("b"), RA_STR("d"), RA_STR("e")};
        assert_int_equal(ra_schema_rename(copy, names, NULL, &renamed, &err), 0);
        ra_schema_unref(copy);
        assert_false(renamed->metadata.present);
        assert_int_equal(ra_schema_find(renamed, RA_STR("")), 2);
        assert_int_equal(ra_schema_find(renamed, RA_STR("b")), -2);
        assert_int_equal(ra_schema_find(renamed, RA_STR("c")), -1);
        for (int i = 0; i < 6; i++)
            assert_true(ra_type_equal(&renamed->fields[i], &again->fields[i]));
        ra_schema_unref(renamed);
        ra_schema_unref(again);
    }
}

static void metadata_equality_ignores_order_and_emptiness(void **state) {
    (void)state;
    ra_error err;
    ra_key_value ab[] = {{RA_STR("a"), RA_STR("1")}, {RA_STR("b"), RA_STR("2")}};
    ra_key_value ba[] = {{RA_STR("b"), RA_STR("2")}, {RA_STR("a"), RA_STR("1")}};
    ra_key_value aa[] = {{RA_STR("a"), RA_STR("1")}, {RA_STR("a"), RA_STR("1")}};
    const ra_metadata all[] = {{true, 2, ab}, {true, 2, ba}, {true, 2, aa},
                               {true, 1, ab}, {true, 0, ab}, {false, 0, NULL}};
    static const bool equal[6][6] = {
        {1, 1}, {1, 1}, {0, 0, 1}, {0, 0, 0, 1}, {0, 0, 0, 0, 1, 1}, {0, 0, 0, 0, 1, 1}};
    ra_schema *plain_schema = two_columns(plain("a", RA_TYPE_INT8), plain("b", RA_TYPE_UTF8));
    ra_schema *made[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(ra_schema_with_metadata(plain_schema, &all[i], &made[i], &err), 0);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++) {
            assert_int_equal(ra_schema_equal(made[i], made[k], true), equal[i][k]);
            assert_true(ra_schema_equal(made[i], made[k], false));
        }
    for (int i = 0; i < 6; i++)
        ra_schema_unref(made[i]);
    ra_schema_unref(plain_schema);
}

static void equality_is_that_of_pyarrow(void **state) {
    (void)state;
    ra_field x = plain("x", RA_TYPE_INT8), y = plain("y", RA_TYPE_INT8);
    ra_field list_x = plain("l", RA_TYPE_LIST), list_y = plain("l", RA_TYPE_LIST);
    list_x.children = &x;
    list_y.children = &y;
    list_x.n_children = list_y.n_children = 1;
    assert_true(ra_field_equal(&list_x, &list_y, false));  // the item's name says nothing …
    assert_false(ra_field_equal(&list_x, &list_y, true));  // … but with the metadata
    list_x.type = list_y.type = RA_TYPE_STRUCT;
    assert_false(ra_type_equal(&list_x, &list_y));
    y = plain("x", RA_TYPE_INT8);
    assert_true(ra_type_equal(&list_x, &list_y));
    y.nullable = false;
    assert_false(ra_type_equal(&list_x, &list_y));
    assert_true(ra_type_equal(&x, &y));
    assert_false(ra_field_equal(&x, &y, false));
}

static void assert_prints(const ra_field *field, const char *expected) {
    ra_bytes out;
    ra_bytes_init(&out, 200);
    ra_type_print(field, &out);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    ra_bytes_fini(&out);
}

static void types_print_as_pyarrow_prints_them(void **state) {
    (void)state;
    ra_field a = plain("a", RA_TYPE_INT8), b = plain("b", RA_TYPE_UTF8), f;
    b.nullable = false;
    ra_field both[] = {b, a}, key_value[] = {plain("key", RA_TYPE_UTF8), plain("v", RA_TYPE_INT8)};
    int8_t ids[] = {5, 7};
    assert_prints(&a, "int8");
    f = plain("c", RA_TYPE_TIMESTAMP);
    f.unit = RA_UNIT_NANO;
    assert_prints(&f, "timestamp[ns]");
    f.has_timezone = true;
    f.timezone = RA_STR("UTC");
    assert_prints(&f, "timestamp[ns, tz=UTC]");
    f = plain("c", RA_TYPE_DECIMAL128);
    f.precision = 10;
    f.scale = -2;
    assert_prints(&f, "decimal128(10, -2)");
    f = plain("c", RA_TYPE_STRUCT);
    f.children = both;
    f.n_children = 2;
    assert_prints(&f, "struct<b: string not null, a: int8>");
    f.type = RA_TYPE_DENSE_UNION;
    f.type_ids = ids;
    f.n_type_ids = 2;
    assert_prints(&f, "dense_union<b: string not null=5, a: int8=7>");
    ra_field list = plain("c", RA_TYPE_FIXED_SIZE_LIST);
    list.children = &a;
    list.n_children = 1;
    list.list_size = 3;
    assert_prints(&list, "fixed_size_list<a: int8>[3]");
    ra_field entries = plain("entries", RA_TYPE_STRUCT), map = plain("c", RA_TYPE_MAP);
    entries.children = key_value;
    entries.n_children = 2;
    map.children = &entries;
    map.n_children = 1;
    map.keys_sorted = true;
    assert_prints(&map, "map<string, int8 ('v'), keys_sorted>");
    f = plain("c", RA_TYPE_UTF8);
    f.is_dictionary = true;
    f.index_type = RA_TYPE_INT32;
    assert_prints(&f, "dictionary<values=string, indices=int32, ordered=0>");
    f = plain("c", RA_TYPE_DATE32);
    assert_prints(&f, "date32[day]");
    f = plain("c", RA_TYPE_FIXED_SIZE_BINARY);
    f.byte_width = 16;
    assert_prints(&f, "fixed_size_binary[16]");
}

static void a_long_type_name_is_cut(void **state) {
    (void)state;
    ra_field children[10], f = plain("c", RA_TYPE_STRUCT);
    for (int i = 0; i < 10; i++)
        children[i] = plain("a name", RA_TYPE_UTF8);
    f.children = children;
    f.n_children = 10;
    ra_bytes out;
    ra_bytes_init(&out, 10);
    ra_type_print(&f, &out);
    assert_int_equal(out.len, 10);
    assert_memory_equal(out.data, "struct<a n", 10);
    ra_bytes_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_refuses_impossible_types),
        cmocka_unit_test(dictionaries_are_numbered_in_pre_order),
        cmocka_unit_test(derived_schemas_do_not_depend_on_their_origin),
        cmocka_unit_test(metadata_equality_ignores_order_and_emptiness),
        cmocka_unit_test(equality_is_that_of_pyarrow),
        cmocka_unit_test(types_print_as_pyarrow_prints_them),
        cmocka_unit_test(a_long_type_name_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
