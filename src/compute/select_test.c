// take, filter, drop_null against what their rows should be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compute/methods.h"
#include "compute/testing_tables.h"

enum { N_SEEDS = 150, MAX_ROWS = 2000 };

static void must(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s", err->message);
}

static ra_compute with_workers;

static int start_workers(void **state) {
    (void)state;
    ra_error err;
    return ra_workers_new("test", 3, &with_workers.workers, &err);
}

static int stop_workers(void **state) {
    (void)state;
    ra_workers_free(with_workers.workers);
    return 0;
}

static void a_table(testing_table *t, uint64_t seed) {
    ra_schema *schema =
        seed % 8 == 0 ? testing_all_types_schema() : testing_random_schema(seed, 3, 2);
    testing_random_table(t, seed, schema, (int)(seed % 6), seed % 4 ? 40 : 200);
}

// Cuts `n` values into chunks of a column, some of them empty.
static void cut_column(testing_rng *rng, testing_column *c, ra_type_id type, const int64_t *values,
                       const bool *valid, int64_t n) {
    ra_batch *chunks[TESTING_MAX_BATCHES];
    int n_chunks = 0;
    for (int64_t at = 0; at < n || n_chunks == 0; n_chunks++) {
        int64_t here = n_chunks > 50 ? n - at : testing_below(rng, n - at + 2);
        here = here > n - at ? n - at : here;
        chunks[n_chunks] = testing_int_batch(type, values + at, valid + at, here);
        if (testing_one_in(rng, 3)) {
            ra_batch *odd = testing_misaligned(chunks[n_chunks]);
            ra_batch_unref(chunks[n_chunks]);
            chunks[n_chunks] = odd;
        }
        at += here;
    }
    testing_column_init(c, chunks, n_chunks);
}

static void assert_result(testing_result *result, const ra_table *table, const ra_row *rows,
                          int64_t n, uint64_t seed) {
    if (!testing_result_is(result, table, rows, n))
        fail_msg("seed %llu", (unsigned long long)seed);
    testing_result_fini(result);
}

static void take_gives_the_rows_of_any_integer_indices(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        testing_table t;
        a_table(&t, seed);
        ra_type_id type = (ra_type_id)(RA_TYPE_INT8 + testing_below(&rng, 8));
        int64_t below = t.table.n_rows < 127 ? t.table.n_rows : 127;
        int64_t values[300], n = testing_below(&rng, 300);
        bool valid[300];
        ra_row rows[300];
        for (int64_t i = 0; i < n; i++) {
            values[i] = testing_below(&rng, below);
            valid[i] = below > 0 && !testing_one_in(&rng, 8);
            if (!valid[i])
                values[i] = (int64_t)testing_next(&rng);
            rows[i] = valid[i] ? testing_row_at(&t.table, values[i]) : (ra_row){RA_ROW_NULL, 0};
        }
        testing_column indices;
        cut_column(&rng, &indices, type, values, valid, n);
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_take(&with_workers, &t.table, &indices.column, &result.sink, &err), &err);
        assert_result(&result, &t.table, rows, n, seed);
        testing_column_fini(&indices);
        testing_table_fini(&t);
    }
}

static void assert_take_fails(const ra_table *table, ra_type_id type, int64_t value,
                              ra_reason reason, const char *message) {
    bool valid = true;
    testing_column indices;
    ra_batch *chunk = testing_int_batch(type, &value, &valid, 1);
    testing_column_init(&indices, &chunk, 1);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    assert_int_not_equal(ra_take(&with_workers, table, &indices.column, &result.sink, &err), 0);
    assert_int_equal(err.reason, reason);
    assert_string_equal(err.message, message);
    assert_int_equal(result.n, 0);
    testing_result_fini(&result);
    testing_column_fini(&indices);
}

static void take_refuses_what_is_no_row(void **state) {
    (void)state;
    int64_t numbers[10] = {0};
    ra_batch *batch = testing_int_batch(RA_TYPE_INT64, numbers, NULL, 10);
    testing_table t;
    testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
    ra_reason bounds = RA_REASON_INDEX_OUT_OF_BOUNDS;
    assert_take_fails(&t.table, RA_TYPE_INT64, 10, bounds, "Index 10 out of bounds");
    assert_take_fails(&t.table, RA_TYPE_INT64, -1, bounds, "Index -1 out of bounds");
    assert_take_fails(&t.table, RA_TYPE_INT8, -128, bounds, "Index -128 out of bounds");
    assert_take_fails(&t.table, RA_TYPE_UINT8, 255, bounds, "Index 255 out of bounds");
    assert_take_fails(&t.table, RA_TYPE_UINT64, -1, bounds,
                      "Index 18446744073709551615 out of bounds");
    assert_take_fails(&t.table, RA_TYPE_DOUBLE, 0, RA_REASON_NOT_IMPLEMENTED,
                      "Function 'array_take' has no kernel for indices of type double");
    assert_take_fails(&t.table, RA_TYPE_BOOL, 0, RA_REASON_NOT_IMPLEMENTED,
                      "Function 'array_take' has no kernel for indices of type bool");
    testing_table_fini(&t);
}

static void indices_of_type_null_give_null_rows(void **state) {
    (void)state;
    testing_table t;
    a_table(&t, 8);
    ra_row rows[20];
    for (int i = 0; i < 20; i++)
        rows[i] = (ra_row){RA_ROW_NULL, 0};
    testing_column indices;
    ra_batch *chunk = testing_int_batch(RA_TYPE_NULL, NULL, NULL, 20);
    testing_column_init(&indices, &chunk, 1);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(ra_take(&with_workers, &t.table, &indices.column, &result.sink, &err), &err);
    assert_result(&result, &t.table, rows, 20, 0);
    testing_column_fini(&indices);
    testing_table_fini(&t);
}

static ra_batch *a_dictionary_batch(ra_schema *schema, int first_value) {
    enum { N = 100 };
    ra_error err;
    ra_batch *batch, *dictionary;
    must(ra_batch_new(schema, N, &batch, &err), &err);
    must(ra_dictionary_new(schema, &schema->fields[0], N, &dictionary, &err), &err);
    uint8_t *indices = testing_alloc(batch, N), *values = testing_alloc(dictionary, 4 * N);
    for (int i = 0; i < N; i++) {
        indices[i] = (uint8_t)i;
        ra_store_i32(values + 4 * i, first_value + i);
    }
    dictionary->columns[0].buffers[0] = (ra_span){values, 4 * N};
    batch->columns[0].buffers[0] = (ra_span){indices, N};
    batch->columns[0].dictionary = &dictionary->columns[0];
    must(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    ra_batch_unref(dictionary);
    return batch;
}

static void take_needs_only_the_dictionaries_of_its_rows(void **state) {
    (void)state;
    ra_schema *schema = testing_schema_of(
        (ra_field){.type = RA_TYPE_INT32, .is_dictionary = true, .index_type = RA_TYPE_INT8});
    ra_batch *batches[3];
    for (int b = 0; b < 3; b++)
        batches[b] = a_dictionary_batch(schema, 1000 * b);
    testing_table t;
    testing_table_init(&t, schema, batches, 3);
    int64_t inside[] = {150, 199, 100}, across[] = {0, 150, 299};
    ra_row rows[] = {{1, 50}, {1, 99}, {1, 0}};
    ra_batch *chunks[] = {testing_int_batch(RA_TYPE_INT16, inside, NULL, 3),
                          testing_int_batch(RA_TYPE_INT16, across, NULL, 3)};
    ra_error err;
    testing_column indices;
    testing_result result;
    testing_result_init(&result);
    testing_column_init(&indices, &chunks[0], 1);
    must(ra_take(&with_workers, &t.table, &indices.column, &result.sink, &err), &err);
    assert_result(&result, &t.table, rows, 3, 0);
    testing_column_fini(&indices);
    testing_column_init(&indices, &chunks[1], 1);
    testing_result_init(&result);  // 300 values are too many for the index type
    assert_int_not_equal(ra_take(&with_workers, &t.table, &indices.column, &result.sink, &err), 0);
    assert_int_equal(result.n, 0);
    testing_column_fini(&indices);
    testing_table_fini(&t);
}

// A mask for `n` rows: none, all, one in a hundred, runs, or half of them.
static void fill_mask(testing_rng *rng, int64_t *values, bool *valid, int64_t n) {
    int kind = (int)testing_below(rng, 6);
    int64_t run = 0, value = 0;
    for (int64_t i = 0; i < n; i++) {
        if (run-- == 0) {
            run = kind == 3 ? testing_below(rng, 90) : 0;
            value = testing_one_in(rng, kind == 2 ? 100 : 2);
        }
        values[i] = kind == 0 ? 0 : kind == 1 ? 1 : value;
        valid[i] = kind == 5 || !testing_one_in(rng, 30);
    }
}

static int64_t expect_filter(const ra_table *table, const int64_t *values, const bool *valid,
                             bool emit_null, ra_row *rows) {
    int64_t n = 0;
    for (int64_t i = 0; i < table->n_rows; i++) {
        if (!valid[i] && emit_null)
            rows[n++] = (ra_row){RA_ROW_NULL, 0};
        else if (valid[i] && values[i])
            rows[n++] = testing_row_at(table, i);
    }
    return n;
}

static void filter_keeps_the_rows_of_the_mask(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        testing_table t;
        a_table(&t, seed);
        int64_t values[MAX_ROWS];
        bool valid[MAX_ROWS], emit_null = testing_one_in(&rng, 2);
        ra_row rows[MAX_ROWS];
        fill_mask(&rng, values, valid, t.table.n_rows);
        int64_t n = expect_filter(&t.table, values, valid, emit_null, rows);
        testing_column mask;
        cut_column(&rng, &mask, RA_TYPE_BOOL, values, valid, t.table.n_rows);
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_filter(&with_workers, &t.table, &mask.column, emit_null, &result.sink, &err), &err);
        assert_result(&result, &t.table, rows, n, seed);
        testing_column_fini(&mask);
        testing_table_fini(&t);
    }
}

static void filter_takes_run_end_encoded_masks(void **state) {
    (void)state;
    ra_field pair[2] = {{.name = RA_STR("run_ends"), .type = RA_TYPE_INT32},
                        {.name = RA_STR("values"), .type = RA_TYPE_BOOL, .nullable = true}};
    ra_field field = {.type = RA_TYPE_RUN_END_ENCODED, .n_children = 2, .children = pair};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_table t;
        a_table(&t, seed);
        ra_schema *schema = testing_schema_of(field);
        ra_batch *chunks[2];
        int64_t n_first = t.table.n_rows / 3;
        chunks[0] = testing_random_batch(seed, n_first, schema);
        chunks[1] = testing_random_batch(seed + 1, t.table.n_rows - n_first, schema);
        ra_schema_unref(schema);
        int64_t values[MAX_ROWS];
        bool valid[MAX_ROWS], emit_null = seed % 2;
        ra_row rows[MAX_ROWS];
        for (int64_t i = 0; i < t.table.n_rows; i++) {
            const ra_array *chunk = &chunks[i >= n_first]->columns[0];
            int64_t row = i >= n_first ? i - n_first : i;
            valid[i] = ra_array_resolve(&chunk, &row);
            values[i] = valid[i] && ra_bit_get(chunk->buffers[0].data, row);
        }
        int64_t n = expect_filter(&t.table, values, valid, emit_null, rows);
        testing_column mask;
        testing_column_init(&mask, chunks, 2);
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_filter(&with_workers, &t.table, &mask.column, emit_null, &result.sink, &err), &err);
        assert_result(&result, &t.table, rows, n, seed);
        testing_column_fini(&mask);
        testing_table_fini(&t);
    }
}

static void assert_filter_fails(const ra_table *table, ra_type_id type, int64_t n, ra_reason reason,
                                const char *message) {
    int64_t values[100] = {0};
    testing_column mask;
    ra_batch *chunk = testing_int_batch(type, values, NULL, n);
    testing_column_init(&mask, &chunk, 1);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    assert_int_not_equal(ra_filter(&with_workers, table, &mask.column, false, &result.sink, &err),
                         0);
    assert_int_equal(err.reason, reason);
    assert_string_equal(err.message, message);
    testing_column_fini(&mask);
}

static void filter_refuses_other_masks(void **state) {
    (void)state;
    int64_t numbers[10] = {0};
    ra_batch *batch = testing_int_batch(RA_TYPE_INT64, numbers, NULL, 10);
    testing_table t;
    testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
    ra_reason no_bool = RA_REASON_NOT_IMPLEMENTED;
    assert_filter_fails(&t.table, RA_TYPE_BOOL, 9, RA_REASON_INVALID_ARGUMENT,
                        "Filter inputs must all be the same length");
    assert_filter_fails(&t.table, RA_TYPE_INT8, 10, no_bool,
                        "Filter argument must be boolean type");
    assert_filter_fails(&t.table, RA_TYPE_NULL, 10, no_bool,
                        "Filter argument must be boolean type");
    testing_table_fini(&t);
}

static void large_tables_are_filtered_as_small_ones(void **state) {
    (void)state;
    enum { N = 200 * 1000 };
    int64_t *numbers = calloc(N, sizeof *numbers), *values = calloc(N, sizeof *values);
    bool *valid = calloc(N, sizeof *valid);
    ra_row *rows = calloc(N, sizeof *rows);
    for (uint64_t seed = 0; seed < 6; seed++) {
        testing_rng rng = {seed};
        for (int64_t i = 0; i < N; i++)
            numbers[i] = (int64_t)testing_next(&rng);
        fill_mask(&rng, values, valid, N);
        ra_batch *batch = testing_int_batch(RA_TYPE_INT64, numbers, NULL, N);
        testing_table t;
        testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
        int64_t n = expect_filter(&t.table, values, valid, false, rows);
        testing_column mask;
        cut_column(&rng, &mask, RA_TYPE_BOOL, values, valid, N);
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_filter(&with_workers, &t.table, &mask.column, false, &result.sink, &err), &err);
        assert_result(&result, &t.table, rows, n, seed);
        testing_column_fini(&mask);
        testing_table_fini(&t);
    }
    free(numbers);
    free(values);
    free(valid);
    free(rows);
}

static bool has_null(const ra_batch *batch, int64_t row) {
    for (int c = 0; c < batch->n_columns; c++) {
        const ra_array *column = &batch->columns[c];
        if (column->layout == RA_LAYOUT_NULL || !ra_array_is_valid(column, row))
            return true;
    }
    return false;
}

static void drop_null_keeps_rows_that_are_valid_in_all_columns(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_table t;
        testing_random_table(&t, seed, testing_random_schema(seed, (int)(seed % 4), 2),
                             (int)(seed % 6), 200);
        ra_row rows[MAX_ROWS];
        int64_t n = 0;
        for (int64_t i = 0; i < t.table.n_rows; i++) {
            ra_row row = testing_row_at(&t.table, i);
            if (!has_null(t.batches[row.batch], row.row))
                rows[n++] = row;
        }
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_drop_null(&with_workers, &t.table, &result.sink, &err), &err);
        assert_result(&result, &t.table, rows, n, seed);
        testing_table_fini(&t);
    }
}

static void batches_kept_whole_are_not_copied(void **state) {
    (void)state;
    enum { N = 300 * 1000 };
    int64_t *numbers = calloc(N, sizeof *numbers);
    ra_batch *batch = testing_int_batch(RA_TYPE_INT64, numbers, NULL, N);
    testing_table t;
    testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(ra_drop_null(&with_workers, &t.table, &result.sink, &err), &err);
    assert_int_equal(result.n, 1);
    assert_ptr_equal(result.batches[0], batch);
    testing_result_fini(&result);
    testing_table_fini(&t);
    free(numbers);
}

static void a_cancelled_run_ends(void **state) {
    (void)state;
    atomic_bool cancelled = true;
    ra_compute compute = {.cancelled = &cancelled};
    testing_table t;
    testing_random_table(&t, 3, testing_random_schema(3, 2, 0), 3, 50);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    ra_sort_key key = {.column = 0};
    assert_int_equal(ra_drop_null(&compute, &t.table, &result.sink, &err), RA_CANCELLED);
    assert_int_equal(ra_sort(&compute, &t.table, &key, 1, &result.sink, &err), RA_CANCELLED);
    assert_int_equal(result.n, 0);
    testing_table_fini(&t);
}

static void an_error_of_the_sink_ends_the_run(void **state) {
    (void)state;
    enum { N = 2 * 1000 * 1000 };
    int64_t *numbers = calloc(N, sizeof *numbers);
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1 << 30);
    ra_compute compute = {.workers = with_workers.workers, .budget = &budget};
    ra_batch *batch = testing_int_batch(RA_TYPE_INT64, numbers, NULL, N);
    testing_table t;
    testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
    testing_result result;
    testing_result_init(&result);
    result.fail_at = 2;
    ra_error err;
    ra_sort_key key = {.column = 0};
    assert_int_not_equal(ra_sort(&compute, &t.table, &key, 1, &result.sink, &err), 0);
    assert_int_equal(err.reason, RA_REASON_DISK_FULL);
    assert_int_equal(result.n, 2);
    testing_result_fini(&result);
    testing_table_fini(&t);
    ra_budget_fini(&budget);
    free(numbers);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left == 0 ? 12 : 0;
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
    (void)state;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1 << 30);
    ra_compute compute = {.budget = &budget};
    testing_table t;
    testing_random_table(&t, 4, testing_all_types_schema(), 3, 30);
    int64_t values[MAX_ROWS], n = t.table.n_rows;
    testing_rng rng = {1};
    for (int64_t i = 0; i < n; i++)
        values[i] = testing_below(&rng, 2);
    ra_batch *chunks[] = {testing_int_batch(RA_TYPE_INT8, values, NULL, n),
                          testing_int_batch(RA_TYPE_BOOL, values, NULL, n)};
    testing_column indices, mask;
    testing_column_init(&indices, &chunks[0], 1);
    testing_column_init(&mask, &chunks[1], 1);
    for (int method = 0; method < 3; method++) {
        for (int at = 1;; at += 1 + at / 20) {
            int left = at;
            ra_error err;
            testing_result result;
            testing_result_init(&result);
            ra_os_set_gate(fail_nth, &left);
            int rc = method == 0 ? ra_take(&compute, &t.table, &indices.column, &result.sink, &err)
                     : method == 1
                         ? ra_filter(&compute, &t.table, &mask.column, true, &result.sink, &err)
                         : ra_drop_null(&compute, &t.table, &result.sink, &err);
            ra_os_set_gate(NULL, NULL);
            testing_result_fini(&result);
            assert_int_equal(ra_budget_used(&budget), 0);
            if (rc == 0)
                break;
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        }
    }
    testing_column_fini(&indices);
    testing_column_fini(&mask);
    testing_table_fini(&t);
    ra_budget_fini(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_gives_the_rows_of_any_integer_indices),
        cmocka_unit_test(take_refuses_what_is_no_row),
        cmocka_unit_test(indices_of_type_null_give_null_rows),
        cmocka_unit_test(take_needs_only_the_dictionaries_of_its_rows),
        cmocka_unit_test(filter_keeps_the_rows_of_the_mask),
        cmocka_unit_test(filter_takes_run_end_encoded_masks),
        cmocka_unit_test(filter_refuses_other_masks),
        cmocka_unit_test(large_tables_are_filtered_as_small_ones),
        cmocka_unit_test(drop_null_keeps_rows_that_are_valid_in_all_columns),
        cmocka_unit_test(batches_kept_whole_are_not_copied),
        cmocka_unit_test(a_cancelled_run_ends),
        cmocka_unit_test(an_error_of_the_sink_ends_the_run),
        cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, start_workers, stop_workers);
}
