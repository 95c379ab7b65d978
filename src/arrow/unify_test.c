#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/access.h"
#include "arrow/check.h"
#include "arrow/equal.h"
#include "arrow/slice.h"
#include "arrow/testing_random.h"

static ra_schema *dictionary_schema(ra_type_id index_type) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("d"),
                                   .type = RA_TYPE_UTF8,
                                   .nullable = true,
                                   .is_dictionary = true,
                                   .index_type = index_type};
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// Rows "0, 1, 2 …" (indices in order) of a dictionary with one letter a value.
static ra_batch *make(ra_schema *schema, const char *letters) {
    ra_error err;
    ra_batch *batch, *dictionary;
    int64_t n = (int64_t)strlen(letters);
    testing_must(ra_batch_new(schema, n, &batch, &err), &err);
    testing_must(ra_dictionary_new(schema, schema->fields, n, &dictionary, &err), &err);
    uint8_t *offsets = testing_alloc(dictionary, (n + 1) * 4);
    int32_t width = batch->columns[0].byte_width;
    uint8_t *indices = testing_alloc(batch, n * width);
    for (int64_t i = 0; i < n; i++) {
        ra_store_i32(offsets + (i + 1) * 4, (int32_t)(i + 1));
        ra_store_int(indices, width, i, i);
    }
    dictionary->columns[0].buffers[0] = (ra_span){offsets, (n + 1) * 4};
    dictionary->columns[0].buffers[1] = (ra_span){(const uint8_t *)letters, n};
    batch->columns[0].buffers[0] = (ra_span){indices, n * width};
    batch->columns[0].dictionary = dictionary->columns;
    testing_must(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    ra_batch_unref(dictionary);
    return batch;
}

static void assert_dictionary(const ra_batch *batch, const char *letters) {
    const ra_array *dictionary = batch->columns[0].dictionary;
    assert_int_equal(dictionary->length, strlen(letters));
    for (int64_t i = 0; i < dictionary->length; i++)
        assert_int_equal(*ra_array_bytes(dictionary, i).data, letters[i]);
}

static void values_keep_the_order_of_first_appearance(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = dictionary_schema(RA_TYPE_INT8);
    ra_batch *in[] = {make(schema, "ba"), make(schema, "acb"), make(schema, "")}, *out[3];
    testing_must(ra_batches_unify_dictionaries(in, 3, out, &err), &err);
    for (int b = 0; b < 3; b++) {
        assert_dictionary(out[b], "bac");
        assert_ptr_equal(out[b]->columns[0].dictionary, out[0]->columns[0].dictionary);
        assert_true(ra_array_equal(in[b]->columns, out[b]->columns, true));
        ra_batch_unref(in[b]);
        testing_must(ra_check_batch(out[b], &err), &err);
    }
    for (int b = 0; b < 3; b++)
        ra_batch_unref(out[b]);
    ra_schema_unref(schema);
}

static void batches_with_the_common_dictionary_are_shared(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = dictionary_schema(RA_TYPE_UINT16);
    ra_batch *in[] = {make(schema, "abc"), make(schema, "ca"), make(schema, "abc")}, *out[3];
    testing_must(ra_batches_unify_dictionaries(in, 3, out, &err), &err);
    assert_ptr_equal(out[0], in[0]);
    assert_ptr_not_equal(out[1], in[1]);
    assert_ptr_equal(out[1]->columns[0].dictionary, in[0]->columns[0].dictionary);
    // An equal dictionary is replaced without a new copy of the indices.
    assert_ptr_equal(out[2]->columns[0].dictionary, in[0]->columns[0].dictionary);
    assert_ptr_equal(out[2]->columns[0].buffers[0].data, in[2]->columns[0].buffers[0].data);
    for (int b = 0; b < 3; b++) {
        ra_batch_unref(in[b]);
        ra_batch_unref(out[b]);
    }
    ra_schema_unref(schema);
}

static void repeated_values_become_one(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = dictionary_schema(RA_TYPE_INT32);
    ra_batch *in[] = {make(schema, "aab"), make(schema, "bb")}, *out[2];
    testing_must(ra_batches_unify_dictionaries(in, 2, out, &err), &err);
    for (int b = 0; b < 2; b++) {
        assert_dictionary(out[b], "ab");
        assert_true(ra_array_equal(in[b]->columns, out[b]->columns, true));
        ra_batch_unref(in[b]);
        ra_batch_unref(out[b]);
    }
    ra_schema_unref(schema);
}

static void too_many_values_for_the_indices_are_a_limit(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = dictionary_schema(RA_TYPE_INT8), *wide = dictionary_schema(RA_TYPE_UINT8);
    char first[101] = {0}, second[29] = {0}, third[30] = {0};
    for (int i = 0; i < 100; i++)
        first[i] = (char)(i + 1);
    for (int i = 0; i < 28; i++)
        second[i] = third[i] = (char)(i + 101);
    third[28] = (char)200;
    ra_batch *fit[] = {make(schema, first), make(schema, second)};
    ra_batch *over[] = {fit[0], make(schema, third)};
    ra_batch *unsigned_fit[] = {make(wide, first), make(wide, third)}, *out[2];
    testing_must(ra_batches_unify_dictionaries(fit, 2, out, &err), &err);
    assert_int_equal(out[1]->columns[0].dictionary->length, 128);
    ra_batch_unref(out[0]);
    ra_batch_unref(out[1]);
    testing_must(ra_batches_unify_dictionaries(unsigned_fit, 2, out, &err), &err);
    assert_true(ra_array_equal(out[1]->columns, unsigned_fit[1]->columns, true));
    ra_batch_unref(out[0]);
    ra_batch_unref(out[1]);
    assert_int_equal(ra_batches_unify_dictionaries(over, 2, out, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    assert_string_equal(err.message,
                        "column 'd': 129 distinct dictionary values are too many for "
                        "its indices of 8 signed bits");
    assert_null(out[0]);
    assert_null(out[1]);
    ra_batch *joined;
    assert_int_equal(ra_batch_concat(over, 2, &joined, &err), RA_EXHAUSTED);
    ra_batch_unref(fit[0]);
    ra_batch_unref(fit[1]);
    ra_batch_unref(over[1]);
    ra_batch_unref(unsigned_fit[0]);
    ra_batch_unref(unsigned_fit[1]);
    ra_schema_unref(schema);
    ra_schema_unref(wide);
}

static void assert_shared(const ra_array *a, const ra_array *b) {
    assert_ptr_equal(a->dictionary, b->dictionary);
    if (a->dictionary)
        assert_shared(a->dictionary, b->dictionary);
    for (int c = 0; c < a->n_children; c++)
        assert_shared(&a->children[c], &b->children[c]);
}

// Whether the dictionaries in an array's tree, and in theirs, are checked arrays.
static void assert_dictionaries_checked(const ra_array *array) {
    ra_error err;
    if (array->dictionary) {
        ra_array copy = *array->dictionary;
        testing_must(ra_check_array(&copy, &err), &err);
        assert_int_equal(copy.null_count, array->dictionary->null_count);
        assert_dictionaries_checked(array->dictionary);
    }
    for (int c = 0; c < array->n_children; c++)
        assert_dictionaries_checked(&array->children[c]);
}

static void nested_dictionaries_become_common(void **state) {
    (void)state;
    int n_dictionaries = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        ra_error err;
        ra_schema *schema = testing_random_schema(seed, 2, 3);
        ra_batch *in[4], *out[4];
        n_dictionaries += schema->n_dictionaries;
        for (uint64_t b = 0; b < 4; b++)
            in[b] = testing_random_batch(seed + b % 3, 9 * (int64_t)b, schema);
        testing_must(ra_batches_unify_dictionaries(in, 4, out, &err), &err);
        for (int b = 0; b < 4; b++)
            for (int i = 0; i < 2; i++)
                assert_true(ra_array_equal(&in[b]->columns[i], &out[b]->columns[i], true));
        for (int b = 1; b < 4; b++)
            for (int i = 0; i < 2; i++)
                assert_shared(&out[b]->columns[i], &out[0]->columns[i]);
        // What the outputs need they keep alive themselves.
        for (int b = 0; b < 4; b++)
            ra_batch_unref(in[b]);
        for (int b = 0; b < 4; b++) {
            testing_must(ra_check_batch(out[b], &err), &err);
            for (int i = 0; i < 2; i++)
                assert_dictionaries_checked(&out[b]->columns[i]);
            ra_batch_unref(out[b]);
        }
        ra_schema_unref(schema);
    }
    assert_true(n_dictionaries > 200);
}

// A dictionary of lists of dictionary rows: the new outer dictionary refers to the old inner one,
// which only the inputs owned before.
static void a_new_dictionary_keeps_the_one_inside(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    ra_field *outer = schema->fields;
    *outer = (ra_field){.name = RA_STR("d"),
                        .type = RA_TYPE_LIST,
                        .is_dictionary = true,
                        .index_type = RA_TYPE_INT16};
    testing_plain_children(schema, outer);
    outer->children[0].is_dictionary = true;
    outer->children[0].index_type = RA_TYPE_INT8;
    testing_must(ra_schema_seal(schema, &err), &err);
    ra_batch *in[2], *out[2];
    uint64_t seed = 1;
    for (in[1] = testing_random_batch(seed, 50, schema); in[1]->columns[0].dictionary->length < 4;
         in[1] = testing_random_batch(++seed, 50, schema))
        ra_batch_unref(in[1]);
    // The other batch has the first values only.
    ra_batch *fewer;
    testing_must(ra_batch_new(schema, 0, &in[0], &err), &err);
    testing_must(ra_batch_own_all(in[0], in[1], &err), &err);
    testing_must(ra_dictionary_new(schema, outer, 0, &fewer, &err), &err);
    testing_must(ra_batch_own_all(fewer, in[1]->dictionaries[0], &err), &err);
    fewer->columns[0] = *in[1]->columns[0].dictionary;
    fewer->columns[0].length = fewer->n_rows = 1;
    in[0]->columns[0].dictionary = fewer->columns;
    testing_must(ra_batch_own_dictionary(in[0], fewer, &err), &err);
    ra_batch_unref(fewer);
    testing_must(ra_batches_unify_dictionaries(in, 2, out, &err), &err);
    ra_batch *common = out[0]->dictionaries[out[0]->n_dictionaries - 1];
    assert_ptr_equal(common->columns, out[1]->columns[0].dictionary);
    ra_batch_ref(common);
    for (int b = 0; b < 2; b++) {
        ra_batch_unref(in[b]);
        ra_batch_unref(out[b]);
    }
    assert_dictionaries_checked(common->columns);
    ra_batch_unref(common);
    ra_schema_unref(schema);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && (*left)-- == 0 ? 12 : 0;
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    ra_schema *schema = testing_random_schema(30, 40, 3);
    assert_true(schema->n_dictionaries > 3);
    ra_batch *in[2] = {testing_random_batch(1, 50, schema), testing_random_batch(2, 50, schema)};
    for (int nth = 0, failed = 1; failed; nth++) {
        ra_error err;
        ra_batch *out[2];
        int left = nth;
        ra_os_set_gate(fail_nth, &left);
        failed = ra_batches_unify_dictionaries(in, 2, out, &err);
        ra_os_set_gate(NULL, NULL);
        if (failed)
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        for (int b = 0; b < 2; b++) {
            assert_true(!out[b] == (failed != 0));
            ra_batch_unref(out[b]);
        }
    }
    ra_batch_unref(in[0]);
    ra_batch_unref(in[1]);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_keep_the_order_of_first_appearance),
        cmocka_unit_test(batches_with_the_common_dictionary_are_shared),
        cmocka_unit_test(repeated_values_become_one),
        cmocka_unit_test(too_many_values_for_the_indices_are_a_limit),
        cmocka_unit_test(nested_dictionaries_become_common),
        cmocka_unit_test(a_new_dictionary_keeps_the_one_inside),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
