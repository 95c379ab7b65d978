#include "arrow/equal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/access.h"
#include "arrow/testing_random.h"
#include "arrow/value_hash.h"

// A batch of one column "c" of `n` rows whose values the test sets.
static ra_batch *make(ra_type_id type, int64_t n) {
    ra_error err;
    ra_schema *schema;
    ra_batch *batch;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("c"), .type = type, .nullable = true};
    testing_rng rng = {1};
    ra_field *value = testing_set_type(schema, &rng, schema->fields, type);
    if (value)
        *value = (ra_field){.name = RA_STR("value"), .type = RA_TYPE_UTF8, .nullable = true};
    else if (type >= RA_TYPE_LIST)
        testing_plain_children(schema, schema->fields);
    testing_must(ra_schema_seal(schema, &err), &err);
    testing_must(ra_batch_new(schema, n, &batch, &err), &err);
    ra_schema_unref(schema);
    return batch;
}

static ra_batch *make_fixed(ra_type_id type, int64_t n, const void *values) {
    ra_batch *batch = make(type, n);
    int64_t bytes = n * batch->columns[0].byte_width;
    uint8_t *copy = testing_alloc(batch, bytes);
    memcpy(copy, values, (size_t)bytes);
    batch->columns[0].buffers[0] = (ra_span){copy, bytes};
    return batch;
}

static void arrays_equal_themselves_and_not_others(void **state) {
    (void)state;
    ra_schema *schema = testing_all_types_schema();
    bool differed[RA_N_TYPES + 10] = {false};
    for (uint64_t seed = 1; seed < 6; seed++) {
        ra_batch *a = testing_random_batch(seed, 90, schema);
        ra_batch *same = testing_random_batch(seed, 90, schema);
        ra_batch *shorter = testing_random_batch(seed, 89, schema);
        ra_batch *other = testing_random_batch(seed + 1, 90, schema);
        for (int i = 0; i < schema->n_fields; i++) {
            assert_true(ra_array_equal(&a->columns[i], &same->columns[i], true));
            assert_false(ra_array_equal(&a->columns[i], &shorter->columns[i], true));
            differed[i] |= !ra_array_equal(&a->columns[i], &other->columns[i], true);
        }
        ra_batch_unref(a);
        ra_batch_unref(same);
        ra_batch_unref(shorter);
        ra_batch_unref(other);
    }
    for (int i = 0; i < schema->n_fields; i++)
        assert_int_equal(differed[i], i != RA_TYPE_NULL);
    ra_schema_unref(schema);
}

// The one row that differs is found, wherever it is.
static void one_other_value_is_seen(void **state) {
    (void)state;
    int32_t values[100] = {0};
    ra_batch *a = make_fixed(RA_TYPE_INT32, 100, values);
    for (int at = 0; at < 100; at++) {
        values[at] = 1;
        ra_batch *b = make_fixed(RA_TYPE_INT32, 100, values);
        values[at] = 0;
        assert_false(ra_array_equal(a->columns, b->columns, true));
        // Under a null it does not count.
        uint8_t bits[13];
        memset(bits, 0xFF, sizeof bits);
        ra_bit_clear(bits, at);
        a->columns[0].validity = b->columns[0].validity = (ra_span){bits, sizeof bits};
        assert_true(ra_array_equal(a->columns, b->columns, true));
        a->columns[0].validity = (ra_span){NULL, 0};
        assert_false(ra_array_equal(a->columns, b->columns, true));
        ra_batch_unref(b);
    }
    ra_batch_unref(a);
}

static void check_floats(const ra_batch *a, const ra_batch *b, bool as_keys, bool nan_equal,
                         bool as_numbers) {
    const ra_array *x = a->columns, *y = b->columns;
    assert_int_equal(ra_array_rows_equal(x, 0, y, 0), as_keys);
    assert_int_equal(ra_array_hash_row(x, 0, 7) == ra_array_hash_row(y, 0, 7), as_keys);
    assert_int_equal(ra_array_equal(x, y, true), nan_equal);
    assert_int_equal(ra_array_equal(x, y, false), as_numbers);
}

static void floats_are_compared_as_asked(void **state) {
    (void)state;
    double doubles[] = {0.0, -0.0, (double)NAN, -(double)NAN, 1.5};
    float floats[] = {0.0F, -0.0F, NAN, -NAN, 1.5F};
    uint16_t halves[] = {0x0000, 0x8000, 0x7E00, 0xFE01, 0x3E00};
    for (int type = 0; type < 3; type++) {
        ra_batch *v[5];
        for (int i = 0; i < 5; i++)
            v[i] = type == 0   ? make_fixed(RA_TYPE_DOUBLE, 1, &doubles[i])
                   : type == 1 ? make_fixed(RA_TYPE_FLOAT, 1, &floats[i])
                               : make_fixed(RA_TYPE_HALF_FLOAT, 1, &halves[i]);
        check_floats(v[0], v[1], false, true, true);
        check_floats(v[2], v[3], true, true, false);
        check_floats(v[2], v[2], true, true, false);
        check_floats(v[4], v[4], true, true, true);
        check_floats(v[4], v[0], false, false, false);
        check_floats(v[4], v[2], false, false, false);
        for (int i = 0; i < 5; i++)
            ra_batch_unref(v[i]);
    }
}

static ra_batch *make_runs(int64_t n, int64_t n_runs, const int32_t *ends, const char *texts) {
    ra_batch *batch = make(RA_TYPE_RUN_END_ENCODED, n);
    ra_array *runs = &batch->columns[0].children[0], *values = &batch->columns[0].children[1];
    uint8_t *end_values = testing_alloc(batch, n_runs * runs->byte_width);
    uint8_t *offsets = testing_alloc(batch, (n_runs + 1) * 4);
    for (int64_t i = 0; i < n_runs; i++) {
        ra_store_int(end_values, runs->byte_width, i, ends[i]);
        ra_store_i32(offsets + (i + 1) * 4, (int32_t)(i + 1));
    }
    runs->length = values->length = n_runs;
    runs->buffers[0] = (ra_span){end_values, n_runs * runs->byte_width};
    values->buffers[0] = (ra_span){offsets, (n_runs + 1) * 4};
    values->buffers[1] = (ra_span){(const uint8_t *)texts, n_runs};
    return batch;
}

static void runs_are_compared_by_row(void **state) {
    (void)state;
    ra_batch *a = make_runs(6, 3, (int32_t[]){2, 4, 6}, "xyx");
    ra_batch *b = make_runs(6, 5, (int32_t[]){1, 2, 3, 4, 9}, "xxyyx");
    ra_batch *c = make_runs(6, 5, (int32_t[]){1, 2, 3, 5, 9}, "xxyyx");
    assert_true(ra_array_equal(a->columns, b->columns, true));
    assert_false(ra_array_equal(a->columns, c->columns, true));
    assert_true(ra_array_ranges_equal(a->columns, 1, c->columns, 1, 3, RA_FLOATS_AS_KEYS));
    for (int64_t i = 0; i < 6; i++)
        assert_int_equal(ra_array_hash_row(a->columns, i, 3), ra_array_hash_row(b->columns, i, 3));
    assert_true(ra_array_rows_equal(a->columns, 0, a->columns, 5));
    assert_false(ra_array_rows_equal(a->columns, 0, a->columns, 3));
    ra_batch_unref(a);
    ra_batch_unref(b);
    ra_batch_unref(c);
}

// Each row of random columns: equal rows hash alike, and a set finds the rows it was given.
static void a_set_numbers_values_in_order_of_appearance(void **state) {
    (void)state;
    ra_error err;
    for (uint64_t seed = 0; seed < 60; seed++) {
        ra_schema *schema = testing_random_schema(seed, 2, 2);
        ra_batch *batches[2] = {testing_random_batch(seed, 60, schema),
                                testing_random_batch(seed + 1, 60, schema)};
        for (int i = 0; i < 2; i++) {
            ra_value_set set;
            ra_value_set_init(&set);
            for (int64_t r = 0; r < 120; r++) {
                const ra_array *a = &batches[r / 60]->columns[i];
                int64_t number, first = 0;
                while (first < set.n && !ra_array_rows_equal(set.values[first].array,
                                                             set.values[first].row, a, r % 60))
                    first++;
                testing_must(ra_value_set_add(&set, a, r % 60, &number, &err), &err);
                assert_int_equal(number, first);
            }
            ra_value_set_fini(&set);
        }
        ra_batch_unref(batches[0]);
        ra_batch_unref(batches[1]);
        ra_schema_unref(schema);
    }
}

static void a_set_holds_many_values(void **state) {
    (void)state;
    enum { N = 20000 };
    ra_error err;
    int64_t *values = ra_malloc(N * sizeof *values);
    for (int64_t i = 0; i < N; i++)
        values[i] = i * 1024;
    ra_batch *batch = make_fixed(RA_TYPE_INT64, N, values);
    ra_value_set set;
    ra_value_set_init(&set);
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < N; i++) {
            int64_t number;
            testing_must(ra_value_set_add(&set, batch->columns, i, &number, &err), &err);
            assert_int_equal(number, i);
        }
    assert_int_equal(set.n, N);
    ra_value_set_fini(&set);
    ra_batch_unref(batch);
    ra_free(values);
}

static void seeds_change_hashes(void **state) {
    (void)state;
    ra_batch *batch = make_fixed(RA_TYPE_INT64, 1, &(int64_t){42});
    assert_true(ra_array_hash_row(batch->columns, 0, 1) != ra_array_hash_row(batch->columns, 0, 2));
    assert_true(ra_hash_seed() == ra_hash_seed());
    ra_batch_unref(batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_equal_themselves_and_not_others),
        cmocka_unit_test(one_other_value_is_seen),
        cmocka_unit_test(floats_are_compared_as_asked),
        cmocka_unit_test(runs_are_compared_by_row),
        cmocka_unit_test(a_set_numbers_values_in_order_of_appearance),
        cmocka_unit_test(a_set_holds_many_values),
        cmocka_unit_test(seeds_change_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
