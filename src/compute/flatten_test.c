// flatten and unify_dictionaries.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compute/methods.h"
#include "compute/testing_tables.h"

enum { N_SEEDS = 300 };

static void must(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s", err->message);
}

static bool is_struct(const ra_field *field) {
    return field->type == RA_TYPE_STRUCT && !field->is_dictionary;
}

static void assert_flat_field(const ra_field *flat, const ra_field *parent, const ra_field *child) {
    char name[200];
    snprintf(name, sizeof name, "%.*s.%.*s", RA_STR_ARG(parent->name), RA_STR_ARG(child->name));
    assert_true(ra_str_eq(flat->name, ra_str_of(name)));
    assert_true(ra_type_equal(flat, child));
    assert_int_equal(flat->nullable, parent->nullable || child->nullable);
    assert_int_equal(flat->metadata.n, child->metadata.n);
}

static void assert_flat_schema(const ra_schema *schema, const ra_schema *flat) {
    int at = 0;
    for (int f = 0; f < schema->n_fields; f++) {
        const ra_field *field = &schema->fields[f];
        if (!is_struct(field))
            assert_true(ra_field_equal(field, &flat->fields[at++], true));
        else
            for (int c = 0; c < field->n_children; c++)
                assert_flat_field(&flat->fields[at++], field, &field->children[c]);
    }
    assert_int_equal(at, flat->n_fields);
    assert_int_equal(schema->metadata.n, flat->metadata.n);
}

static void assert_flat_column(const ra_array *parent, const ra_array *child,
                               const ra_array *flat) {
    assert_int_equal(flat->length, parent->length);
    for (int64_t i = 0; i < parent->length; i++) {
        if (!ra_array_is_valid(parent, i))
            assert_true(testing_is_null_row(flat, i));
        else
            assert_true(ra_array_ranges_equal(child, i, flat, i, 1, RA_FLOATS_AS_KEYS));
    }
}

static void assert_flat_batch(const ra_batch *batch, const ra_batch *flat) {
    int at = 0;
    assert_int_equal(batch->n_rows, flat->n_rows);
    assert_true(testing_is_sound(flat));
    for (int c = 0; c < batch->n_columns; c++) {
        const ra_array *column = &batch->columns[c];
        if (!is_struct(column->field))
            assert_true(ra_array_equal(column, &flat->columns[at++], true));
        else
            for (int k = 0; k < column->n_children; k++)
                assert_flat_column(column, &column->children[k], &flat->columns[at++]);
    }
}

static void structs_become_their_children(void **state) {
    (void)state;
    ra_compute compute = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_table t;
        testing_random_table(&t, seed, testing_random_schema(seed, 4, 3), 3, 40);
        ra_error err;
        ra_schema *flat;
        testing_result result;
        testing_result_init(&result);
        must(ra_flatten_schema(t.table.schema, &flat, &err), &err);
        assert_flat_schema(t.table.schema, flat);
        must(ra_flatten(&compute, &t.table, flat, &result.sink, &err), &err);
        assert_int_equal(result.n, 3);
        for (int b = 0; b < 3; b++) {
            assert_ptr_equal(result.batches[b]->schema, flat);
            assert_flat_batch(t.batches[b], result.batches[b]);
        }
        testing_table_fini(&t);
        for (int b = 0; b < 3; b++)
            assert_true(testing_is_sound(result.batches[b]));  // without the table's references
        testing_result_fini(&result);
        ra_schema_unref(flat);
    }
}

static void a_struct_without_children_goes_and_its_rows_stay(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    testing_table t;
    testing_random_table(&t, 1, testing_schema_of((ra_field){.type = RA_TYPE_STRUCT}), 2, 20);
    ra_schema *flat;
    testing_result result;
    testing_result_init(&result);
    must(ra_flatten_schema(t.table.schema, &flat, &err), &err);
    assert_int_equal(flat->n_fields, 0);
    must(ra_flatten(&compute, &t.table, flat, &result.sink, &err), &err);
    assert_int_equal(result.n_rows, t.table.n_rows);
    testing_result_fini(&result);
    testing_table_fini(&t);
    ra_schema_unref(flat);
}

static void too_many_columns_are_refused(void **state) {
    (void)state;
    enum { N = 200 };
    ra_error err;
    ra_schema *schema, *flat;
    must(ra_schema_new(N, &schema, &err), &err);
    for (int f = 0; f < N; f++) {
        ra_field *field = &schema->fields[f];
        *field = (ra_field){.name = RA_STR("s"), .type = RA_TYPE_STRUCT};
        ra_field *children = testing_set_children(schema, field, N);
        for (int c = 0; c < N; c++)
            children[c] = (ra_field){.name = RA_STR("x"), .type = RA_TYPE_INT8};
    }
    must(ra_schema_seal(schema, &err), &err);
    assert_int_equal(ra_flatten_schema(schema, &flat, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    assert_null(flat);
    ra_schema_unref(schema);
}

static void unified_batches_share_one_dictionary(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_schema *schema = testing_schema_of((ra_field){.type = RA_TYPE_UTF8,
                                                     .nullable = true,
                                                     .is_dictionary = true,
                                                     .index_type = RA_TYPE_INT16});
    testing_table t;
    testing_random_table(&t, 9, schema, 8, 50);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(ra_unify_dictionaries(&compute, &t.table, &result.sink, &err), &err);
    assert_int_equal(result.n, 8);
    for (int b = 0; b < 8; b++) {
        assert_ptr_equal(result.batches[b]->columns[0].dictionary,
                         result.batches[0]->columns[0].dictionary);
        assert_true(
            ra_array_equal(&t.batches[b]->columns[0], &result.batches[b]->columns[0], true));
    }
    testing_result_fini(&result);
    testing_table_fini(&t);
}

static void batches_without_dictionaries_pass_unchanged(void **state) {
    (void)state;
    ra_compute compute = {0};
    testing_table t;
    testing_random_table(&t, 9, testing_schema_of((ra_field){.type = RA_TYPE_INT8}), 5, 50);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(ra_unify_dictionaries(&compute, &t.table, &result.sink, &err), &err);
    assert_int_equal(result.n, 5);
    for (int b = 0; b < 5; b++)
        assert_ptr_equal(result.batches[b], t.batches[b]);
    testing_result_fini(&result);
    testing_table_fini(&t);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left == 0 ? 12 : 0;
}

static int flatten_all(const ra_compute *compute, const ra_table *table, ra_batch_sink *sink,
                       ra_error *err) {
    ra_schema *flat;
    RA_TRY(ra_flatten_schema(table->schema, &flat, err));
    int rc = ra_flatten(compute, table, flat, sink, err);
    ra_schema_unref(flat);
    return rc;
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
    (void)state;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1 << 30);
    ra_compute compute = {.budget = &budget};
    testing_table t;
    testing_random_table(&t, 4, testing_all_types_schema(), 3, 30);
    for (int method = 0; method < 2; method++) {
        for (int at = 1;; at += 1 + at / 20) {
            int left = at;
            ra_error err;
            testing_result result;
            testing_result_init(&result);
            ra_os_set_gate(fail_nth, &left);
            int rc = method == 0 ? flatten_all(&compute, &t.table, &result.sink, &err)
                                 : ra_unify_dictionaries(&compute, &t.table, &result.sink, &err);
            ra_os_set_gate(NULL, NULL);
            testing_result_fini(&result);
            assert_int_equal(ra_budget_used(&budget), 0);
            if (rc == 0)
                break;
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        }
    }
    testing_table_fini(&t);
    ra_budget_fini(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_become_their_children),
        cmocka_unit_test(a_struct_without_children_goes_and_its_rows_stay),
        cmocka_unit_test(too_many_columns_are_refused),
        cmocka_unit_test(unified_batches_share_one_dictionary),
        cmocka_unit_test(batches_without_dictionaries_pass_unchanged),
        cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
