#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compute/compare.h"
#include "compute/methods.h"
#include "compute/testing_tables.h"

enum { N_SEEDS = 400, MAX_ROWS = 1000 };

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

// The order of table_methods.md §4 once more, row by row and type by type.
static int naive_compare(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         const ra_sort_key *key);

static double half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double v = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return bits >> 15 ? -v : v;
}

static bool float_value(const ra_array *a, int64_t i, double *out) {
    float f;
    if (a->byte_width == 0)
        return false;
    const uint8_t *p = a->buffers[0].data + i * a->byte_width;
    switch (a->field->type) {
        case RA_TYPE_HALF_FLOAT:
            *out = half_value(ra_load_u16(p));
            return true;
        case RA_TYPE_FLOAT:
            memcpy(&f, p, sizeof f);
            *out = (double)f;
            return true;
        case RA_TYPE_DOUBLE:
            memcpy(out, p, sizeof *out);
            return true;
        default:
            return false;
    }
}

static int sign(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_wide(const uint8_t *x, const uint8_t *y, int width) {
    if ((int8_t)x[width - 1] != (int8_t)y[width - 1])
        return sign((int8_t)x[width - 1], (int8_t)y[width - 1]);
    for (int k = width - 2; k >= 0; k--)
        if (x[k] != y[k])
            return x[k] < y[k] ? -1 : 1;
    return 0;
}

static int compare_fixed(const ra_array *a, int64_t i, const ra_array *b, int64_t j) {
    const uint8_t *x = a->buffers[0].data + i * a->byte_width;
    const uint8_t *y = b->buffers[0].data + j * b->byte_width;
    switch (a->field->type) {
        case RA_TYPE_FIXED_SIZE_BINARY:
            return a->byte_width ? memcmp(x, y, (size_t)a->byte_width) : 0;
        case RA_TYPE_UINT8:
        case RA_TYPE_UINT16:
        case RA_TYPE_UINT32:
        case RA_TYPE_UINT64: {
            uint64_t u = (uint64_t)ra_load_uint(x, a->byte_width, 0);
            uint64_t v = (uint64_t)ra_load_uint(y, a->byte_width, 0);
            return (u > v) - (u < v);
        }
        case RA_TYPE_INTERVAL_DAY_TIME: {
            int c = sign(ra_load_i32(x), ra_load_i32(y));
            return c ? c : sign(ra_load_i32(x + 4), ra_load_i32(y + 4));
        }
        case RA_TYPE_INTERVAL_MONTH_DAY_NANO: {
            int c = sign(ra_load_i32(x), ra_load_i32(y));
            c = c ? c : sign(ra_load_i32(x + 4), ra_load_i32(y + 4));
            return c ? c : sign(ra_load_i64(x + 8), ra_load_i64(y + 8));
        }
        default:
            return compare_wide(x, y, a->byte_width);
    }
}

static int compare_items(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         const ra_sort_key *key) {
    int64_t a_from, b_from, a_n = ra_array_list(a, i, &a_from), b_n = ra_array_list(b, j, &b_from);
    for (int64_t k = 0; k < a_n && k < b_n; k++) {
        int c = naive_compare(&a->children[0], a_from + k, &b->children[0], b_from + k, key);
        if (c)
            return c;
    }
    return key->descending ? sign(b_n, a_n) : sign(a_n, b_n);
}

static int compare_strings(const ra_array *a, int64_t i, const ra_array *b, int64_t j) {
    ra_span x = ra_array_bytes(a, i), y = ra_array_bytes(b, j);
    for (int64_t k = 0; k < x.bytes && k < y.bytes; k++)
        if (x.data[k] != y.data[k])
            return x.data[k] < y.data[k] ? -1 : 1;
    return sign(x.bytes, y.bytes);
}

static int naive_values(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                        const ra_sort_key *key) {
    int c = 0;
    double x, y;
    switch (a->layout) {
        case RA_LAYOUT_BIT:
            c = ra_bit_get(a->buffers[0].data, i) - ra_bit_get(b->buffers[0].data, j);
            break;
        case RA_LAYOUT_FIXED:
            if (float_value(a, i, &x) && float_value(b, j, &y))
                c = (x > y) - (x < y);
            else
                c = compare_fixed(a, i, b, j);
            break;
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_VIEW:
            c = compare_strings(a, i, b, j);
            break;
        default:
            return compare_items(a, i, b, j, key);
    }
    return key->descending ? -c : c;
}

// A struct is as its children; one that is null as if all of them were.
static int naive_structs(const ra_array *a, int64_t i, bool a_valid, const ra_array *b, int64_t j,
                         bool b_valid, const ra_sort_key *key);

static int naive_rows(const ra_array *a, int64_t i, bool a_valid, const ra_array *b, int64_t j,
                      bool b_valid, const ra_sort_key *key) {
    if (a->field->type == RA_TYPE_STRUCT && a->n_children > 0 && a->layout == RA_LAYOUT_STRUCT)
        return naive_structs(a, i, a_valid, b, j, b_valid, key);
    if (a->layout == RA_LAYOUT_RUN_END)
        return naive_rows(&a->children[1], a_valid ? ra_array_find_run(a, i) : 0, a_valid,
                          &b->children[1], b_valid ? ra_array_find_run(b, j) : 0, b_valid, key);
    double x, y;
    a_valid = a_valid && ra_array_resolve(&a, &i);
    b_valid = b_valid && ra_array_resolve(&b, &j);
    bool a_nan = a_valid && float_value(a, i, &x) && isnan(x);
    bool b_nan = b_valid && float_value(b, j, &y) && isnan(y);
    int a_class = !a_valid ? 2 : a_nan, b_class = !b_valid ? 2 : b_nan;
    if (a_class || b_class)
        return key->nulls_first ? b_class - a_class : a_class - b_class;
    if (a->layout != RA_LAYOUT_STRUCT)
        return naive_values(a, i, b, j, key);
    for (int c = 0; c < a->n_children; c++) {
        int order = naive_compare(&a->children[c], i, &b->children[c], j, key);
        if (order)
            return order;
    }
    return 0;
}

static int naive_structs(const ra_array *a, int64_t i, bool a_valid, const ra_array *b, int64_t j,
                         bool b_valid, const ra_sort_key *key) {
    a_valid = a_valid && ra_array_is_valid(a, i);
    b_valid = b_valid && ra_array_is_valid(b, j);
    for (int c = 0; c < a->n_children; c++) {
        int order = naive_rows(&a->children[c], i, a_valid, &b->children[c], j, b_valid, key);
        if (order)
            return order;
    }
    return 0;
}

// Inside of lists and dictionaries a null struct is a null.
static int naive_compare(const ra_array *a, int64_t i, const ra_array *b, int64_t j,
                         const ra_sort_key *key) {
    if (a->layout == RA_LAYOUT_STRUCT) {
        bool x = ra_array_is_valid(a, i), y = ra_array_is_valid(b, j);
        if (!x || !y)
            return x == y ? 0 : key->nulls_first ? (x ? 1 : -1) : (x ? -1 : 1);
    }
    return naive_rows(a, i, true, b, j, true, key);
}

typedef struct {
    const ra_table *table;
    const ra_sort_key *keys;
    int n_keys;
} naive_order;

static int order_rows(const void *x, const void *y, void *context) {
    const naive_order *order = context;
    const ra_row *a = x, *b = y;
    for (int k = 0; k < order->n_keys; k++) {
        int column = order->keys[k].column;
        int c = naive_rows(&order->table->batches[a->batch]->columns[column], a->row, true,
                           &order->table->batches[b->batch]->columns[column], b->row, true,
                           &order->keys[k]);
        if (c)
            return c;
    }
    return a->batch != b->batch ? sign(a->batch, b->batch) : sign(a->row, b->row);
}

static void assert_sorted(const ra_table *table, const ra_sort_key *keys, int n_keys,
                          uint64_t seed) {
    ra_row *rows = calloc((size_t)table->n_rows + 1, sizeof *rows);
    int64_t n = 0;
    for (int b = 0; b < table->n_batches; b++)
        for (uint32_t i = 0; i < table->batches[b]->n_rows; i++)
            rows[n++] = (ra_row){(uint32_t)b, i};
    naive_order order = {table, keys, n_keys};
    qsort_r(rows, (size_t)n, sizeof *rows, order_rows, &order);
    testing_result result;
    testing_result_init(&result);
    ra_error err;
    must(ra_sort(&with_workers, table, keys, n_keys, &result.sink, &err), &err);
    if (!testing_result_is(&result, table, rows, n))
        fail_msg("seed %llu, %d keys, first column %d%s%s", (unsigned long long)seed, n_keys,
                 keys[0].column, keys[0].descending ? " descending" : "",
                 keys[0].nulls_first ? " nulls first" : "");
    testing_result_fini(&result);
    free(rows);
}

static ra_sort_key a_key(testing_rng *rng, int column) {
    return (ra_sort_key){column, testing_one_in(rng, 2), testing_one_in(rng, 2)};
}

static void any_ordered_columns_sort_as_row_by_row(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        testing_table t;
        testing_random_table(&t, seed, testing_random_schema(seed, 5, seed % 3 ? 2 : 0),
                             (int)(seed % 6), seed % 4 ? 30 : 200);
        ra_sort_key keys[3];
        int n_keys = 0;
        for (int k = 0; k < 3; k++) {
            int column = (int)testing_below(&rng, 5);
            if (ra_type_is_ordered(&t.table.schema->fields[column]))
                keys[n_keys++] = a_key(&rng, column);
        }
        if (n_keys > 0)
            assert_sorted(&t.table, keys, n_keys, seed);
        testing_table_fini(&t);
    }
}

static void every_ordered_type_sorts(void **state) {
    (void)state;
    testing_table t;
    testing_random_table(&t, 77, testing_all_types_schema(), 5, 60);
    for (int c = 0; c < t.table.schema->n_fields; c++) {
        if (!ra_type_is_ordered(&t.table.schema->fields[c]))
            continue;
        for (int variant = 0; variant < 4; variant++) {
            ra_sort_key key = {c, variant & 1, variant & 2};
            assert_sorted(&t.table, &key, 1, (uint64_t)variant);
        }
    }
    testing_table_fini(&t);
}

static void unions_and_maps_are_refused_by_name(void **state) {
    (void)state;
    testing_table t;
    testing_random_table(&t, 77, testing_all_types_schema(), 2, 10);
    int n_refused = 0;
    for (int c = 0; c < t.table.schema->n_fields; c++) {
        const ra_field *field = &t.table.schema->fields[c];
        ra_error err;
        testing_result result;
        testing_result_init(&result);
        ra_sort_key key = {.column = c};
        int rc = ra_sort(&with_workers, &t.table, &key, 1, &result.sink, &err);
        testing_result_fini(&result);
        if (rc == 0)
            continue;
        n_refused++;
        assert_int_equal(err.reason, RA_REASON_NOT_IMPLEMENTED);
        assert_non_null(strstr(err.message, "Sorting not supported for type"));
        assert_non_null(strstr(err.message, field->name.data));
    }
    assert_int_equal(n_refused, 3);
    testing_table_fini(&t);
}

// Batches of one column of numbers that fill as the function says, and a column of row numbers.
typedef int64_t (*number_fn)(testing_rng *rng, int64_t row);

static int64_t wide_number(testing_rng *rng, int64_t row) {
    (void)row;
    return (int64_t)testing_next(rng);
}
static int64_t small_number(testing_rng *rng, int64_t row) {
    (void)row;
    return testing_below(rng, 100) - 50;
}
static int64_t skewed_number(testing_rng *rng, int64_t row) {
    (void)row;
    return testing_one_in(rng, 1000) ? (int64_t)testing_next(rng) : testing_below(rng, 3);
}
static int64_t rising_number(testing_rng *rng, int64_t row) {
    (void)rng;
    return row;
}
static int64_t falling_number(testing_rng *rng, int64_t row) {
    (void)rng;
    return -row * 1000003;
}
static int64_t same_number(testing_rng *rng, int64_t row) {
    (void)rng, (void)row;
    return 7;
}
static int64_t extreme_number(testing_rng *rng, int64_t row) {
    (void)row;
    return testing_one_in(rng, 2) ? INT64_MIN : testing_one_in(rng, 2) ? INT64_MAX : 0;
}

static ra_schema *two_columns(ra_type_id first, ra_type_id second) {
    ra_error err;
    ra_schema *schema;
    must(ra_schema_new(2, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("a"), .type = first, .nullable = true};
    schema->fields[1] = (ra_field){.name = RA_STR("b"), .type = second, .nullable = true};
    must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void fill_numbers(testing_rng *rng, ra_batch *batch, int column, number_fn number,
                         int64_t first_row) {
    int64_t n = batch->n_rows;
    uint8_t *values = testing_alloc(batch, 8 * n);
    for (int64_t i = 0; i < n; i++)
        ra_store_i64(values + 8 * i, number(rng, first_row + i));
    batch->columns[column].buffers[0] = (ra_span){values, 8 * n};
}

static void number_table(testing_table *t, uint64_t seed, number_fn first, number_fn second,
                         int n_batches, int64_t rows_each) {
    testing_rng rng = {seed};
    ra_error err;
    ra_schema *schema = two_columns(RA_TYPE_INT64, RA_TYPE_INT64);
    ra_batch *batches[TESTING_MAX_BATCHES];
    for (int b = 0; b < n_batches; b++) {
        must(ra_batch_new(schema, rows_each, &batches[b], &err), &err);
        fill_numbers(&rng, batches[b], 0, first, b * rows_each);
        fill_numbers(&rng, batches[b], 1, second, b * rows_each);
    }
    testing_table_init(t, schema, batches, n_batches);
}

static void large_columns_of_numbers_sort(void **state) {
    (void)state;
    static const number_fn numbers[] = {wide_number,    small_number, skewed_number, rising_number,
                                        falling_number, same_number,  extreme_number};
    for (uint64_t i = 0; i < 7; i++) {
        testing_table t;
        number_table(&t, i, numbers[i], rising_number, 3, 30 * 1000);
        ra_sort_key key = {.column = 0, .descending = i % 2};
        assert_sorted(&t.table, &key, 1, i);
        testing_table_fini(&t);
    }
}

static void large_pairs_of_numbers_sort(void **state) {
    (void)state;
    static const number_fn pairs[][2] = {{small_number, wide_number},
                                         {extreme_number, wide_number},
                                         {wide_number, wide_number},
                                         {skewed_number, extreme_number}};
    for (uint64_t i = 0; i < 4; i++) {
        testing_table t;
        number_table(&t, i, pairs[i][0], pairs[i][1], 4, 20 * 1000);
        ra_sort_key keys[2] = {{.column = 0}, {.column = 1, .descending = true}};
        assert_sorted(&t.table, keys, 2, i);
        testing_table_fini(&t);
    }
}

static void more_keys_than_are_encoded_sort(void **state) {
    (void)state;
    enum { N_KEYS = 12, N = 3000 };
    ra_error err;
    ra_schema *schema;
    ra_batch *batch;
    must(ra_schema_new(N_KEYS, &schema, &err), &err);
    for (int c = 0; c < N_KEYS; c++)
        schema->fields[c] = (ra_field){.name = RA_STR("x"), .type = RA_TYPE_INT8};
    must(ra_schema_seal(schema, &err), &err);
    must(ra_batch_new(schema, N, &batch, &err), &err);
    testing_rng rng = {3};
    ra_sort_key keys[N_KEYS];
    for (int c = 0; c < N_KEYS; c++) {
        uint8_t *values = testing_alloc(batch, N);
        for (int i = 0; i < N; i++)
            values[i] = (uint8_t)testing_below(&rng, 2);
        batch->columns[c].buffers[0] = (ra_span){values, N};
        keys[c] = a_key(&rng, c);
    }
    testing_table t;
    testing_table_init(&t, schema, &batch, 1);
    assert_sorted(&t.table, keys, N_KEYS, 0);
    testing_table_fini(&t);
}

// Strings whose first difference lies at different depths: up to `prefix` equal bytes, then a few
// of two letters; some end early, some are null.
static void fill_deep_strings(testing_rng *rng, ra_batch *batch, int column, int64_t prefix) {
    int64_t n = batch->n_rows;
    ra_array *array = &batch->columns[column];
    ra_bytes data;
    ra_bytes_init(&data, SIZE_MAX / 4);
    uint8_t *offsets = testing_alloc(batch, 4 * (n + 1)), *bits = testing_alloc(batch, n / 8 + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t same = testing_one_in(rng, 4) ? testing_below(rng, prefix + 1) : prefix;
        for (int64_t k = 0; k < same; k++)
            testing_append(&data, k % 50 ? "p" : "q", 1);
        for (int64_t k = testing_below(rng, 20); k > 0; k--)
            testing_append(&data, testing_one_in(rng, 3) ? "\0" : "a", 1);
        ra_store_i32(offsets + 4 * (i + 1), (int32_t)data.len);
        if (testing_one_in(rng, 9))
            array->null_count++;
        else
            ra_bit_set(bits, i);
    }
    array->validity = (ra_span){bits, n / 8 + 1};
    array->buffers[0] = (ra_span){offsets, 4 * (n + 1)};
    array->buffers[1] = testing_copy(batch, &data);
    ra_bytes_fini(&data);
}

static void strings_that_differ_late_sort(void **state) {
    (void)state;
    static const int64_t prefixes[] = {0, 3, 10, 13, 30, 200};
    for (uint64_t i = 0; i < 12; i++) {
        testing_rng rng = {i};
        ra_error err;
        ra_schema *schema = two_columns(RA_TYPE_UTF8, RA_TYPE_INT64);
        ra_batch *batches[2];
        for (int b = 0; b < 2; b++) {
            must(ra_batch_new(schema, 5000, &batches[b], &err), &err);
            fill_deep_strings(&rng, batches[b], 0, prefixes[i % 6]);
            fill_numbers(&rng, batches[b], 1, small_number, 0);
        }
        testing_table t;
        testing_table_init(&t, schema, batches, 2);
        ra_sort_key keys[2] = {a_key(&rng, 0), a_key(&rng, 1)};
        assert_sorted(&t.table, keys, i < 6 ? 1 : 2, i);
        ra_sort_key swapped[2] = {keys[1], keys[0]};
        assert_sorted(&t.table, swapped, 2, i);
        testing_table_fini(&t);
    }
}

// Strings of `length` bytes each: `n_values` of them, alike up to the last few bytes, behind a
// first byte that tells the batch.
static void fill_alike_strings(testing_rng *rng, ra_batch *batch, int64_t length, int64_t n_values,
                               char first) {
    int64_t n = batch->n_rows;
    uint8_t *offsets = testing_alloc(batch, 4 * (n + 1)), *data = testing_alloc(batch, length * n);
    memset(data, 'x', (size_t)(length * n));
    for (int64_t i = 0; i < n; i++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%08lld", (long long)testing_below(rng, n_values));
        memcpy(data + length * (i + 1) - 8, digits, 8);
        data[length * i] = (uint8_t)first;
        ra_store_i32(offsets + 4 * (i + 1), (int32_t)(length * (i + 1)));
    }
    batch->columns[0].buffers[0] = (ra_span){offsets, 4 * (n + 1)};
    batch->columns[0].buffers[1] = (ra_span){data, length * n};
}

static void strings_of_one_length_sort(void **state) {
    (void)state;
    static const int64_t lengths[] = {8, 12, 20, 21, 22, 23, 24, 36};
    for (uint64_t i = 0; i < 16; i++) {
        testing_rng rng = {i};
        ra_error err;
        ra_schema *schema = two_columns(RA_TYPE_UTF8, RA_TYPE_INT64);
        ra_batch *batches[2];
        for (int b = 0; b < 2; b++) {
            int64_t n = i < 8 ? 1500 : 64 * 1024;  // whole slices
            must(ra_batch_new(schema, n, &batches[b], &err), &err);
            fill_alike_strings(&rng, batches[b], lengths[i % 8], i % 2 ? 300 : 100 * 1000,
                               i % 4 < 2 ? 'x' : (char)('b' - b));
            fill_numbers(&rng, batches[b], 1, small_number, 0);
        }
        testing_table t;
        testing_table_init(&t, schema, batches, 2);
        ra_sort_key keys[2] = {a_key(&rng, 0), a_key(&rng, 1)};
        assert_sorted(&t.table, keys, 2, i);
        testing_table_fini(&t);
    }
}

// Numbers that need all their words, of either sign.
static void wide_decimals_sort(void **state) {
    (void)state;
    enum { N = 2000 };
    for (int wide = 0; wide < 2; wide++) {
        int width = wide ? 32 : 16;
        ra_error err;
        ra_schema *schema = testing_schema_of((ra_field){
            .type = wide ? RA_TYPE_DECIMAL256 : RA_TYPE_DECIMAL128, .precision = wide ? 76 : 38});
        ra_batch *batch;
        must(ra_batch_new(schema, N, &batch, &err), &err);
        testing_rng rng = {9};
        uint8_t *values = testing_alloc(batch, N * width);
        for (int i = 0; i < N; i++) {
            for (int k = 0; k < width; k++)
                values[i * width + k] = (uint8_t)testing_below(&rng, 3);
            uint8_t *top = &values[(i + 1) * width - 1];
            *top = testing_one_in(&rng, 2) ? 0xFE : 0x01;
        }
        batch->columns[0].buffers[0] = (ra_span){values, N * width};
        testing_table t;
        testing_table_init(&t, schema, &batch, 1);
        ra_sort_key key = {.column = 0, .descending = wide};
        assert_sorted(&t.table, &key, 1, 0);
        testing_table_fini(&t);
    }
}

static void long_runs_of_lists_are_merged_in_parallel(void **state) {
    (void)state;
    enum { N = 40 * 1000 };
    ra_error err;
    ra_field item = {.name = RA_STR("item"), .type = RA_TYPE_INT8, .nullable = true};
    ra_schema *schema =
        testing_schema_of((ra_field){.type = RA_TYPE_LIST, .n_children = 1, .children = &item});
    ra_batch *batches[2];
    for (int b = 0; b < 2; b++) {
        must(ra_batch_new(schema, N, &batches[b], &err), &err);
        ra_array *lists = &batches[b]->columns[0];
        testing_rng rng = {(uint64_t)b};
        uint8_t *offsets = testing_alloc(batches[b], 4 * (N + 1));
        for (int i = 0; i <= N; i++)
            ra_store_i32(offsets + 4 * i, 2 * i);
        lists->buffers[0] = (ra_span){offsets, 4 * (N + 1)};
        lists->children[0].length = 2 * N;
        lists->children[0].buffers[0] = testing_random_bytes(&rng, batches[b], 2 * N);
    }
    testing_table t;
    testing_table_init(&t, schema, batches, 2);
    ra_sort_key key = {.column = 0, .descending = true};
    assert_sorted(&t.table, &key, 1, 0);
    testing_table_fini(&t);
}

static void zeros_are_equal_and_nan_stand_by_the_nulls(void **state) {
    (void)state;
    double values[] = {0.0, NAN, -0.0, 1.0, -INFINITY, 0.0, -NAN, INFINITY, -1.0, 5.0};
    bool valid[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
    int64_t bits[10];
    memcpy(bits, values, sizeof bits);
    static const struct {
        bool descending, nulls_first;
        uint32_t order[10];
    } cases[] = {{false, false, {4, 8, 0, 2, 5, 3, 7, 1, 6, 9}},
                 {false, true, {9, 1, 6, 4, 8, 0, 2, 5, 3, 7}},
                 {true, false, {7, 3, 0, 2, 5, 8, 4, 1, 6, 9}},
                 {true, true, {9, 1, 6, 7, 3, 0, 2, 5, 8, 4}}};
    ra_batch *batch = testing_int_batch(RA_TYPE_DOUBLE, bits, valid, 10);
    testing_table t;
    testing_table_init(&t, ra_schema_ref(batch->schema), &batch, 1);
    for (int i = 0; i < 4; i++) {
        ra_sort_key key = {0, cases[i].descending, cases[i].nulls_first};
        testing_result result;
        testing_result_init(&result);
        ra_error err;
        must(ra_sort(&with_workers, &t.table, &key, 1, &result.sink, &err), &err);
        ra_row rows[10];
        for (int k = 0; k < 10; k++)
            rows[k] = (ra_row){0, cases[i].order[k]};
        assert_true(testing_result_is(&result, &t.table, rows, 10));
        testing_result_fini(&result);
    }
    testing_table_fini(&t);
}

static void a_null_struct_is_as_one_of_nulls(void **state) {
    (void)state;
    // null, {null, null}, {null, 5}, null, {1, null}, {null, null}, {0, 1}: as pyarrow sorts them.
    int64_t a[] = {0, 0, 0, 0, 1, 0, 0}, b[] = {0, 0, 5, 0, 0, 0, 1};
    bool a_valid[] = {1, 0, 0, 1, 1, 0, 1}, b_valid[] = {1, 0, 1, 1, 0, 0, 1};
    bool valid[] = {0, 1, 1, 0, 1, 1, 1};
    static const uint32_t orders[4][7] = {
        {6, 4, 2, 0, 1, 3, 5}, {4, 6, 2, 0, 1, 3, 5}, {0, 1, 3, 5, 2, 6, 4}, {0, 1, 3, 5, 2, 4, 6}};
    ra_error err;
    ra_field pair[2] = {{.name = RA_STR("a"), .type = RA_TYPE_INT64, .nullable = true},
                        {.name = RA_STR("b"), .type = RA_TYPE_INT64, .nullable = true}};
    ra_schema *schema = testing_schema_of(
        (ra_field){.type = RA_TYPE_STRUCT, .nullable = true, .n_children = 2, .children = pair});
    ra_batch *batch, *parts[] = {testing_int_batch(RA_TYPE_INT64, a, a_valid, 7),
                                 testing_int_batch(RA_TYPE_INT64, b, b_valid, 7)};
    must(ra_batch_new(schema, 7, &batch, &err), &err);
    ra_array *column = &batch->columns[0];
    for (int c = 0; c < 2; c++) {
        must(ra_batch_own_all(batch, parts[c], &err), &err);
        column->children[c] = parts[c]->columns[0];
        column->children[c].field = &schema->fields[0].children[c];
    }
    uint8_t *bits = testing_alloc(batch, 1);
    for (int i = 0; i < 7; i++)
        bits[0] |= (uint8_t)(valid[i] << i);
    column->validity = (ra_span){bits, 1};
    column->null_count = 2;
    testing_table t;
    testing_table_init(&t, schema, &batch, 1);
    for (int i = 0; i < 4; i++) {
        ra_sort_key key = {0, i & 1, i & 2};
        testing_result result;
        testing_result_init(&result);
        must(ra_sort(&with_workers, &t.table, &key, 1, &result.sink, &err), &err);
        ra_row rows[7];
        for (int k = 0; k < 7; k++)
            rows[k] = (ra_row){0, orders[i][k]};
        assert_true(testing_result_is(&result, &t.table, rows, 7));
        testing_result_fini(&result);
    }
    testing_table_fini(&t);
    ra_batch_unref(parts[0]);
    ra_batch_unref(parts[1]);
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
    ra_sort_key keys[3] = {
        {.column = RA_TYPE_UTF8}, {.column = RA_TYPE_RUN_END_ENCODED}, {.column = RA_N_TYPES}};
    for (int n = 1;; n += 1 + n / 20) {
        int left = n;
        ra_error err;
        testing_result result;
        testing_result_init(&result);
        ra_os_set_gate(fail_nth, &left);
        int rc = ra_sort(&compute, &t.table, keys, 3, &result.sink, &err);
        ra_os_set_gate(NULL, NULL);
        testing_result_fini(&result);
        assert_int_equal(ra_budget_used(&budget), 0);
        if (rc == 0)
            break;
        assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
    }
    testing_table_fini(&t);
    ra_budget_fini(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ordered_columns_sort_as_row_by_row),
        cmocka_unit_test(every_ordered_type_sorts),
        cmocka_unit_test(unions_and_maps_are_refused_by_name),
        cmocka_unit_test(large_columns_of_numbers_sort),
        cmocka_unit_test(large_pairs_of_numbers_sort),
        cmocka_unit_test(more_keys_than_are_encoded_sort),
        cmocka_unit_test(strings_that_differ_late_sort),
        cmocka_unit_test(strings_of_one_length_sort),
        cmocka_unit_test(wide_decimals_sort),
        cmocka_unit_test(long_runs_of_lists_are_merged_in_parallel),
        cmocka_unit_test(zeros_are_equal_and_nan_stand_by_the_nulls),
        cmocka_unit_test(a_null_struct_is_as_one_of_nulls),
        cmocka_unit_test(a_failed_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start_workers, stop_workers);
}
