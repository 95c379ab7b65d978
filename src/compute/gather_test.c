#include "compute/gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compute/methods.h"
#include "compute/testing_tables.h"

enum { N_SEEDS = 400 };

static void must(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s", err->message);
}

static ra_schema *a_schema(uint64_t seed) {
    return seed % 8 == 0 ? testing_all_types_schema() : testing_random_schema(seed, 3, 3);
}

static ra_row a_row(testing_rng *rng, const ra_table *table) {
    if (table->n_rows == 0 || testing_one_in(rng, 10))
        return (ra_row){RA_ROW_NULL, 0};
    return testing_row_at(table, testing_below(rng, table->n_rows));
}

static void assert_rows(const ra_table *table, const ra_row *rows, int64_t n, ra_batch *batch,
                        uint64_t seed) {
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(testing_keep(&result, batch, &err), &err);
    ra_batch_unref(batch);
    if (!testing_result_is(&result, table, rows, n))
        fail_msg("seed %llu", (unsigned long long)seed);
    testing_result_fini(&result);
}

static void random_rows_of_all_types_are_those_asked_for(void **state) {
    (void)state;
    ra_compute compute = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        testing_table t;
        testing_random_table(&t, seed, a_schema(seed), (int)(seed % 5), 30);
        ra_row rows[200];
        int64_t n = testing_below(&rng, seed % 3 ? 200 : 10);
        for (int64_t i = 0; i < n; i++)
            rows[i] = a_row(&rng, &t.table);
        ra_error err;
        ra_batch *batch;
        must(ra_gather(&compute, &t.table, rows, n, &batch, &err), &err);
        assert_ptr_equal(batch->schema, t.table.schema);
        assert_rows(&t.table, rows, n, batch, seed);
        testing_table_fini(&t);
    }
}

static void runs_give_what_their_rows_give(void **state) {
    (void)state;
    ra_compute compute = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        testing_table t;
        testing_random_table(&t, seed, a_schema(seed), 4, 40);
        ra_error err;
        ra_gather_plan *plan;
        ra_picks picks;
        ra_batch *batch;
        ra_row rows[1000];
        must(ra_gather_plan_new(&compute, &t.table, NULL, &plan, &err), &err);
        must(ra_picks_init_runs(&compute, &picks, 20, &err), &err);
        for (int r = 0; r < 20; r++) {
            ra_row from = a_row(&rng, &t.table);
            bool is_null = from.batch == RA_ROW_NULL;
            int64_t left = is_null ? 20 : t.batches[from.batch]->n_rows - from.row;
            ra_row_run run = {from.row, testing_below(&rng, left + 1), from.batch};
            for (int64_t i = 0; i < run.n; i++)
                rows[picks.n + i] = (ra_row){from.batch, is_null ? 0 : from.row + (uint32_t)i};
            must(ra_picks_add_run(&picks, run, &err), &err);
        }
        must(ra_gather_run(plan, &picks, &batch, &err), &err);
        int64_t n = picks.n;
        ra_picks_fini(&compute, &picks);
        ra_gather_plan_free(plan);
        assert_rows(&t.table, rows, n, batch, seed);
        testing_table_fini(&t);
    }
}

// So that the same rows give the same bytes, whatever memory held before.
static void assert_clean_end(ra_span bits, int64_t n) {
    if (bits.data && n % 8)
        assert_int_equal(bits.data[n / 8] >> (n % 8), 0);
}

static void bits_beyond_the_rows_are_zero(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    testing_table t;
    ra_schema *schema = testing_schema_of((ra_field){.type = RA_TYPE_BOOL, .nullable = true});
    testing_random_table(&t, 5, schema, 6, 600 * 1000);
    ra_gather_plan *plan;
    must(ra_gather_plan_new(&compute, &t.table, NULL, &plan, &err), &err);
    for (int64_t n = 599 * 1000 + 1; n < 599 * 1000 + 20; n++) {
        ra_picks picks;
        ra_batch *batch;
        must(ra_picks_init_runs(&compute, &picks, 100, &err), &err);
        for (int b = 0; picks.n < n; b = (b + 1) % 6) {
            int64_t rows = t.batches[b]->n_rows, left = n - picks.n;
            ra_row_run run = {0, rows < left ? rows : left, (uint32_t)b};
            must(ra_picks_add_run(&picks, run, &err), &err);
        }
        must(ra_gather_run(plan, &picks, &batch, &err), &err);
        assert_clean_end(batch->columns[0].validity, n);
        assert_clean_end(batch->columns[0].buffers[0], n);
        for (int64_t i = 0; i < batch->columns[0].buffers[0].bytes; i++)
            ((uint8_t *)(uintptr_t)batch->columns[0].buffers[0].data)[i] = 0xFF;
        ra_batch_unref(batch);
        ra_picks_fini(&compute, &picks);
    }
    ra_gather_plan_free(plan);
    testing_table_fini(&t);
}

static void what_lies_under_nulls_is_left_behind(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    ra_field text = {.name = RA_STR("text"), .type = RA_TYPE_UTF8, .nullable = true};
    ra_schema *schema = testing_schema_of(
        (ra_field){.type = RA_TYPE_STRUCT, .nullable = true, .n_children = 1, .children = &text});
    ra_batch *source, *batch;
    must(ra_batch_new(schema, 3, &source, &err), &err);
    ra_array *column = &source->columns[0], *strings = &column->children[0];
    static const int32_t offsets[] = {0, 2, 5, 9};
    static const uint8_t structs_valid = 1 | 2, strings_valid = 1 | 4;
    column->validity = (ra_span){&structs_valid, 1};
    column->null_count = 1;
    strings->length = 3;
    strings->validity = (ra_span){&strings_valid, 1};
    strings->null_count = 1;
    strings->buffers[0] = (ra_span){(const uint8_t *)offsets, sizeof offsets};
    strings->buffers[1] = (ra_span){(const uint8_t *)"aabbbcccc", 9};
    testing_table t;
    testing_table_init(&t, schema, &source, 1);
    ra_row rows[] = {{0, 2}, {0, 1}, {0, 0}, {0, 1}};
    must(ra_gather(&compute, &t.table, rows, 4, &batch, &err), &err);
    const ra_array *out = &batch->columns[0].children[0];
    assert_int_equal(out->null_count, 3);
    assert_int_equal(out->buffers[1].bytes, 2);
    assert_rows(&t.table, rows, 4, batch, 0);
    testing_table_fini(&t);
}

static void dictionaries_that_differ_become_one(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    testing_table t;
    ra_schema *schema = testing_schema_of((ra_field){
        .type = RA_TYPE_UTF8, .nullable = true, .is_dictionary = true, .index_type = RA_TYPE_INT8});
    testing_random_table(&t, 3, schema, 20, 40);
    ra_gather_plan *plan;
    must(ra_gather_plan_new(&compute, &t.table, NULL, &plan, &err), &err);
    const ra_array *dictionary = NULL;
    for (int b = 0; b < t.table.n_batches; b++) {
        ra_row row = {(uint32_t)b, 0};
        if (t.batches[b]->n_rows == 0)
            continue;
        ra_picks picks;
        ra_batch *batch;
        ra_picks_init(&picks, &row, 1);
        must(ra_gather_run(plan, &picks, &batch, &err), &err);
        if (dictionary)
            assert_ptr_equal(batch->columns[0].dictionary, dictionary);
        dictionary = batch->columns[0].dictionary;
        assert_rows(&t.table, &row, 1, batch, 0);
    }
    ra_gather_plan_free(plan);
    testing_table_fini(&t);
}

static void a_table_without_columns_keeps_its_rows(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    testing_table t;
    testing_random_table(&t, 1, testing_random_schema(1, 0, 0), 3, 10);
    ra_row rows[5] = {{RA_ROW_NULL, 0}, {0, 0}};
    ra_batch *batch;
    must(ra_gather(&compute, &t.table, rows, 5, &batch, &err), &err);
    assert_int_equal(batch->n_rows, 5);
    ra_batch_unref(batch);
    testing_table_fini(&t);
}

static void list_views_that_share_items_still_share_them(void **state) {
    (void)state;
    enum { N = 1000 };
    ra_compute compute = {0};
    ra_error err;
    ra_field item = {.name = RA_STR("item"), .type = RA_TYPE_INT64, .nullable = true};
    ra_schema *schema = testing_schema_of(
        (ra_field){.type = RA_TYPE_LIST_VIEW, .n_children = 1, .children = &item});
    ra_batch *source, *batch;
    must(ra_batch_new(schema, N, &source, &err), &err);
    ra_array *views = &source->columns[0], *items = &views->children[0];
    uint8_t *sizes = testing_alloc(source, 4 * N);
    for (int i = 0; i < N; i++)
        ra_store_i32(sizes + 4 * i, N);
    views->buffers[0] = (ra_span){testing_alloc(source, 4 * N), 4 * N};
    views->buffers[1] = (ra_span){sizes, 4 * N};
    items->length = N;
    items->buffers[0] = (ra_span){testing_alloc(source, 8 * N), 8 * N};
    testing_table t;
    testing_table_init(&t, schema, &source, 1);
    ra_row rows[N];
    for (uint32_t i = 0; i < N; i++)
        rows[i] = (ra_row){0, N - 1 - i};
    must(ra_gather(&compute, &t.table, rows, N, &batch, &err), &err);
    assert_int_equal(batch->columns[0].children[0].length, N);
    assert_rows(&t.table, rows, N, batch, 0);
    testing_table_fini(&t);
}

static int emit_all(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    void **arguments = context;
    return ra_gather_emit(arguments[0], arguments[1], run, morsel, err);
}

static void rows_that_are_larger_than_estimated_are_split(void **state) {
    (void)state;
    enum { N = 200, LARGE = 500 * 1000 };
    ra_compute compute = {0};
    ra_error err;
    ra_schema *schema = testing_schema_of((ra_field){.type = RA_TYPE_UTF8, .nullable = true});
    ra_batch *source;
    must(ra_batch_new(schema, N, &source, &err), &err);
    uint8_t *offsets = testing_alloc(source, 4 * (N + 1));
    for (int i = 1; i <= N; i++)
        ra_store_i32(offsets + 4 * i, LARGE);
    source->columns[0].buffers[0] = (ra_span){offsets, 4 * (N + 1)};
    source->columns[0].buffers[1] = (ra_span){testing_alloc(source, LARGE), LARGE};
    testing_table t;
    testing_table_init(&t, schema, &source, 1);
    ra_row rows[N] = {{0, 0}};
    testing_result result;
    testing_result_init(&result);
    ra_gather_plan *plan;
    ra_picks picks;
    must(ra_gather_plan_new(&compute, &t.table, NULL, &plan, &err), &err);
    ra_picks_init(&picks, rows, N);
    void *arguments[] = {plan, &picks};
    must(ra_morsels_run(&compute, 1, emit_all, arguments, &result.sink, &err), &err);
    assert_true(testing_result_is(&result, &t.table, rows, N));
    for (int b = 0; b < result.n; b++)
        assert_true(ra_batch_body_bytes(result.batches[b]) <= 2 * RA_COMPUTE_BATCH_BYTES);
    ra_gather_plan_free(plan);
    testing_result_fini(&result);
    testing_table_fini(&t);
}

static void run_ends_of_16_bits_limit_a_batch(void **state) {
    (void)state;
    ra_compute compute = {0};
    ra_error err;
    ra_field pair[2] = {{.name = RA_STR("run_ends"), .type = RA_TYPE_INT16},
                        {.name = RA_STR("values"), .type = RA_TYPE_INT8, .nullable = true}};
    ra_schema *schema = testing_schema_of(
        (ra_field){.type = RA_TYPE_RUN_END_ENCODED, .n_children = 2, .children = pair});
    testing_table t;
    testing_random_table(&t, 5, schema, 1, 0);
    ra_row *rows = calloc(40000, sizeof *rows);
    for (int i = 0; i < 40000; i++)
        rows[i].batch = RA_ROW_NULL;
    ra_batch *batch;
    assert_int_equal(ra_gather(&compute, &t.table, rows, 40000, &batch, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    assert_null(batch);
    must(ra_gather(&compute, &t.table, rows, 32767, &batch, &err), &err);
    assert_int_equal(batch->columns[0].children[1].length, 1);
    ra_batch_unref(batch);
    free(rows);
    testing_table_fini(&t);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left == 0 ? 12 : 0;
}

static void a_failed_allocation_is_reported_and_leaks_nothing(void **state) {
    (void)state;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1 << 30);
    ra_compute compute = {.budget = &budget};
    testing_table t;
    testing_random_table(&t, 4, testing_all_types_schema(), 3, 30);
    ra_row rows[60];
    testing_rng rng = {9};
    for (int i = 0; i < 60; i++)
        rows[i] = a_row(&rng, &t.table);
    ra_error err;
    ra_batch *batch;
    for (int n = 1;; n += 1 + n / 20) {
        int left = n;
        ra_os_set_gate(fail_nth, &left);
        int rc = ra_gather(&compute, &t.table, rows, 60, &batch, &err);
        ra_os_set_gate(NULL, NULL);
        assert_int_equal(ra_budget_used(&budget), 0);
        if (rc == 0)
            break;
        assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        assert_null(batch);
    }
    assert_rows(&t.table, rows, 60, batch, 0);
    testing_table_fini(&t);
    ra_budget_fini(&budget);
}

static void a_small_budget_refuses(void **state) {
    (void)state;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1000);
    ra_compute compute = {.budget = &budget};
    testing_table t;
    testing_random_table(&t, 4, testing_all_types_schema(), 3, 30);
    ra_row rows[500] = {{RA_ROW_NULL, 0}};
    ra_error err;
    ra_batch *batch;
    assert_int_equal(ra_gather(&compute, &t.table, rows, 500, &batch, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
    testing_table_fini(&t);
    ra_budget_fini(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_of_all_types_are_those_asked_for),
        cmocka_unit_test(runs_give_what_their_rows_give),
        cmocka_unit_test(bits_beyond_the_rows_are_zero),
        cmocka_unit_test(what_lies_under_nulls_is_left_behind),
        cmocka_unit_test(dictionaries_that_differ_become_one),
        cmocka_unit_test(a_table_without_columns_keeps_its_rows),
        cmocka_unit_test(list_views_that_share_items_still_share_them),
        cmocka_unit_test(rows_that_are_larger_than_estimated_are_split),
        cmocka_unit_test(run_ends_of_16_bits_limit_a_batch),
        cmocka_unit_test(a_failed_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(a_small_budget_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
