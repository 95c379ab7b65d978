// Flatbuffers: what is written can be read; what lies, refers in circles or shares without end is
// refused soon.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

#include "arrow/testing_ipc.h"

static ra_bytes written(void (*write)(ra_flatbuf_writer *w)) {
    ra_bytes out;
    ra_error err;
    ra_flatbuf_writer w;
    ra_bytes_init(&out, TESTING_CEILING_BYTES);
    ra_flatbuf_begin(&w, &out, &err);
    write(&w);
    testing_ok(ra_flatbuf_end(&w), &err);
    assert_int_equal(out.len % 8, 0);
    return out;
}

static void write_everything(ra_flatbuf_writer *w) {
    static const int64_t numbers[] = {1, -2, 3};
    ra_flatbuf_slot slots[] = {
        RA_SLOT_I8(-3),          RA_SLOT_I64(INT64_MIN), RA_SLOT_NONE, RA_SLOT_I16(-500),
        RA_SLOT_I32(-100000000), RA_SLOT_BOOL(true),     RA_SLOT_REF,  RA_SLOT_REF,
    };
    uint32_t at[8];
    ra_flatbuf_link(w, 0, ra_flatbuf_put_table(w, slots, 8, at));
    ra_flatbuf_link(w, at[6], ra_flatbuf_put_string(w, RA_STR("text")));
    ra_flatbuf_link(w, at[7], ra_flatbuf_put_vector(w, numbers, 3, 8));
}

static void every_kind_of_slot_comes_back(void **state) {
    (void)state;
    ra_bytes bytes = written(write_everything);
    ra_flatbuf buffer;
    ra_flatbuf_table t;
    ra_flatbuf_vector v;
    ra_error err;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    bool flag, present;
    ra_str text;
    assert_int_equal(ra_flatbuf_open(&buffer, testing_span(&bytes), &t, &err), 0);
    assert_int_equal(ra_flatbuf_get_i8(&t, 0, 0, &i8, &err), 0);
    assert_int_equal(ra_flatbuf_get_i64(&t, 1, 0, &i64, &err), 0);
    assert_int_equal(ra_flatbuf_get_i16(&t, 3, 0, &i16, &err), 0);
    assert_int_equal(ra_flatbuf_get_i32(&t, 4, 0, &i32, &err), 0);
    assert_int_equal(ra_flatbuf_get_bool(&t, 5, false, &flag, &err), 0);
    assert_true(i8 == -3 && i64 == INT64_MIN && i16 == -500 && i32 == -100000000 && flag);
    assert_int_equal(ra_flatbuf_get_i32(&t, 2, 77, &i32, &err), 0);
    assert_int_equal(i32, 77);
    assert_int_equal(ra_flatbuf_get_i32(&t, 1000, 78, &i32, &err), 0);
    assert_int_equal(i32, 78);
    assert_int_equal(ra_flatbuf_get_string(&t, 6, &text, &present, &err), 0);
    assert_true(present && ra_str_eq(text, RA_STR("text")) && text.data[4] == 0);
    assert_int_equal(ra_flatbuf_get_vector(&t, 7, 8, &v, &present, &err), 0);
    assert_true(present && v.n == 3 && ra_load_i64(v.data + 8) == -2);
    assert_int_equal((v.data - bytes.data) % 8, 0);
    ra_bytes_fini(&bytes);
}

static void equal_vtables_are_written_once(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    testing_ok(ra_schema_new(1000, &schema, &err), &err);
    for (int i = 0; i < 1000; i++)
        schema->fields[i] = (ra_field){.name = RA_STR("n"), .type = RA_TYPE_INT64};
    testing_ok(ra_schema_seal(schema, &err), &err);
    ra_bytes bytes = testing_encode_schema(schema);
    assert_true(bytes.len < 1000 * 64);
    ra_bytes_fini(&bytes);
    ra_schema_unref(schema);
}

// A schema of one struct column whose two children are one and the same struct, and so on.
static void write_shared_children(ra_flatbuf_writer *w) {
    uint32_t link = ra_ipc_put_message(w, RA_IPC_SCHEMA, 0), at[7];
    ra_flatbuf_slot schema[] = {RA_SLOT_NONE, RA_SLOT_REF};
    ra_flatbuf_link(w, link, ra_flatbuf_put_table(w, schema, 2, at));
    link = at[1];
    for (int depth = 0; depth < 48; depth++) {
        ra_flatbuf_slot field[] = {
            RA_SLOT_NONE, RA_SLOT_NONE, RA_SLOT_I8(depth < 30 ? FB_TYPE_STRUCT : FB_TYPE_NULL),
            RA_SLOT_REF,  RA_SLOT_NONE, depth < 30 ? RA_SLOT_REF : RA_SLOT_NONE};
        uint32_t vector = ra_flatbuf_put_ref_vector(w, depth == 0 ? 1 : 2);
        ra_flatbuf_link(w, link, vector);
        uint32_t table = ra_flatbuf_put_table(w, field, 6, at);
        ra_flatbuf_link(w, vector + 4, table);
        if (depth > 0)
            ra_flatbuf_link(w, vector + 8, table);
        ra_flatbuf_link(w, at[3], ra_flatbuf_put_table(w, NULL, 0, NULL));
        if (depth == 30)
            break;
        link = at[5];
    }
}

static int64_t cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void a_child_shared_2_to_the_30_times_is_refused_at_once(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    ra_bytes bytes = written(write_shared_children);
    int64_t before = cpu_ms();
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &schema, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "more tables"));
    assert_true(cpu_ms() - before < 20);
    ra_bytes_fini(&bytes);
}

// A field that is its own child.
static void write_circle(ra_flatbuf_writer *w) {
    uint32_t link = ra_ipc_put_message(w, RA_IPC_SCHEMA, 0), at[7];
    ra_flatbuf_slot schema[] = {RA_SLOT_NONE, RA_SLOT_REF};
    ra_flatbuf_slot field[] = {RA_SLOT_NONE, RA_SLOT_NONE, RA_SLOT_I8(FB_TYPE_LIST),
                               RA_SLOT_REF,  RA_SLOT_NONE, RA_SLOT_REF};
    ra_flatbuf_link(w, link, ra_flatbuf_put_table(w, schema, 2, at));
    uint32_t vector = ra_flatbuf_put_ref_vector(w, 1);
    ra_flatbuf_link(w, at[1], vector);
    ra_flatbuf_link(w, vector + 4, ra_flatbuf_put_table(w, field, 6, at));
    ra_flatbuf_link(w, at[3], ra_flatbuf_put_table(w, NULL, 0, NULL));
    vector = ra_flatbuf_put_ref_vector(w, 1);
    ra_flatbuf_link(w, at[5], vector);
    ra_flatbuf_link(w, vector + 4, at[5] - 8);  // references are unsigned: this one is 4 GiB off
    for (int i = 0; i < 200; i++)
        ra_flatbuf_put_string(w, RA_STR("padding"));
}

static void a_field_that_refers_backwards_is_refused(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    ra_bytes bytes = written(write_circle);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &schema, &err), RA_INVALID);
    ra_bytes_fini(&bytes);
}

enum { N_SHARING = 2000, SHARED_BYTES = 100000 };

// Many fields with one long name between them.
static void write_shared_name(ra_flatbuf_writer *w) {
    static char name[SHARED_BYTES];
    static uint32_t names[N_SHARING];
    memset(name, 'n', sizeof name);
    uint32_t link = ra_ipc_put_message(w, RA_IPC_SCHEMA, 0), at[7];
    ra_flatbuf_slot schema[] = {RA_SLOT_NONE, RA_SLOT_REF};
    ra_flatbuf_slot field[] = {RA_SLOT_REF, RA_SLOT_NONE, RA_SLOT_I8(FB_TYPE_NULL), RA_SLOT_REF};
    ra_flatbuf_link(w, link, ra_flatbuf_put_table(w, schema, 2, at));
    uint32_t vector = ra_flatbuf_put_ref_vector(w, N_SHARING);
    ra_flatbuf_link(w, at[1], vector);
    for (uint32_t i = 0; i < N_SHARING; i++) {
        ra_flatbuf_link(w, vector + 4 + 4 * i, ra_flatbuf_put_table(w, field, 4, at));
        names[i] = at[0];
        ra_flatbuf_link(w, at[3], ra_flatbuf_put_table(w, NULL, 0, NULL));
    }
    uint32_t text = ra_flatbuf_put_string(w, (ra_str){name, sizeof name});
    for (int i = 0; i < N_SHARING; i++)
        ra_flatbuf_link(w, names[i], text);
}

static void a_long_name_shared_by_many_is_refused(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    ra_bytes bytes = written(write_shared_name);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &schema, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "more text"));
    ra_bytes_fini(&bytes);
}

// A schema of one field without a name and without children, of the given endianness.
static void write_bare_schema(ra_flatbuf_writer *w, int endianness) {
    uint32_t at[7];
    uint32_t link = ra_ipc_put_message(w, RA_IPC_SCHEMA, 0);
    ra_flatbuf_slot schema[] = {RA_SLOT_I16(endianness), RA_SLOT_REF};
    ra_flatbuf_slot field[] = {RA_SLOT_NONE, RA_SLOT_NONE, RA_SLOT_I8(FB_TYPE_UTF8), RA_SLOT_REF};
    ra_flatbuf_link(w, link, ra_flatbuf_put_table(w, schema, 2, at));
    uint32_t vector = ra_flatbuf_put_ref_vector(w, 1);
    ra_flatbuf_link(w, at[1], vector);
    ra_flatbuf_link(w, vector + 4, ra_flatbuf_put_table(w, field, 4, at));
    ra_flatbuf_link(w, at[3], ra_flatbuf_put_table(w, NULL, 0, NULL));
}

static void write_little_endian(ra_flatbuf_writer *w) {
    write_bare_schema(w, 0);
}

static void write_big_endian(ra_flatbuf_writer *w) {
    write_bare_schema(w, 1);
}

static void a_field_without_a_name_has_an_empty_one(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    ra_bytes bytes = written(write_little_endian);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &schema, &err), 0);
    assert_int_equal(schema->n_fields, 1);
    assert_int_equal(schema->fields[0].name.len, 0);
    assert_int_equal(schema->fields[0].type, RA_TYPE_UTF8);
    assert_false(schema->fields[0].nullable);
    assert_false(schema->metadata.present);
    ra_schema_unref(schema);
    ra_bytes_fini(&bytes);
}

static void big_endian_is_not_implemented(void **state) {
    (void)state;
    ra_schema *schema;
    ra_error err;
    ra_bytes bytes = written(write_big_endian);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &schema, &err), RA_UNIMPLEMENTED);
    ra_bytes_fini(&bytes);
}

static void nesting_ends_at_its_limit(void **state) {
    (void)state;
    for (int depth = RA_MAX_NESTING; depth <= RA_MAX_NESTING + 1; depth++) {
        ra_schema *schema, *read = NULL;
        ra_error err;
        testing_ok(ra_schema_new(1, &schema, &err), &err);
        ra_field *field = &schema->fields[0];
        for (int i = 1; i < depth; i++) {
            *field = (ra_field){.name = RA_STR("l"), .type = RA_TYPE_LIST, .n_children = 1};
            field->children = ra_arena_alloc(&schema->arena, 1, sizeof *field);
            field = field->children;
        }
        *field = (ra_field){.name = RA_STR("v"), .type = RA_TYPE_INT8};
        ra_bytes bytes = testing_encode_schema(schema);
        int expected = depth > RA_MAX_NESTING ? RA_EXHAUSTED : 0;
        assert_int_equal(ra_schema_seal(schema, &err), expected);
        assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &read, &err), expected);
        ra_bytes_fini(&bytes);
        ra_schema_unref(read);
        ra_schema_unref(schema);
    }
}

static void too_many_nested_fields_are_refused(void **state) {
    (void)state;
    ra_schema *schema, *read;
    ra_error err;
    testing_ok(ra_schema_new(1, &schema, &err), &err);
    ra_field *field = &schema->fields[0];
    *field = (ra_field){.type = RA_TYPE_STRUCT, .n_children = RA_MAX_FIELDS};
    field->children = ra_arena_alloc(&schema->arena, RA_MAX_FIELDS, sizeof *field);
    assert_non_null(field->children);
    ra_bytes bytes = testing_encode_schema(schema);
    assert_true(bytes.len < RA_MAX_SCHEMA_BYTES);
    assert_int_equal(ra_schema_seal(schema, &err), RA_EXHAUSTED);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&bytes), &read, &err), RA_EXHAUSTED);
    assert_non_null(strstr(err.message, "more than"));
    ra_bytes_fini(&bytes);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_slot_comes_back),
        cmocka_unit_test(equal_vtables_are_written_once),
        cmocka_unit_test(a_child_shared_2_to_the_30_times_is_refused_at_once),
        cmocka_unit_test(a_field_that_refers_backwards_is_refused),
        cmocka_unit_test(a_long_name_shared_by_many_is_refused),
        cmocka_unit_test(a_field_without_a_name_has_an_empty_one),
        cmocka_unit_test(big_endian_is_not_implemented),
        cmocka_unit_test(nesting_ends_at_its_limit),
        cmocka_unit_test(too_many_nested_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
