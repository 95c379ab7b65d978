// What DuckDB is given and what is made of it again, without DuckDB in between.
#include "sql/worker/storage.h"
#include "base/testing.h"

#include "arrow/check.h"
#include "arrow/testing_random.h"
#include "base/checked.h"
#include "sql/worker/restore.h"

static void assert_ok(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s", err->message);
}

// The batch as DuckDB would get it, and as it comes back under its own schema. False for times that
// the file's type does not hold.
static bool there_and_back(ra_batch *batch, ra_batch **plain, ra_batch **back) {
    ra_error err;
    ra_schema *between, *restored;
    assert_ok(ra_storage_schema(batch->schema, &between, &err), &err);
    if (ra_storage_batch(batch, between, plain, &err) != 0) {
        assert_non_null(strstr(err.message, "a time is out of the range"));
        ra_schema_unref(between);
        return false;
    }
    assert_ok(ra_check_batch(*plain, &err), &err);
    assert_ok(ra_restore_schema(between, batch->schema, &restored, &err), &err);
    assert_ok(ra_restore_batch(*plain, restored, back, &err), &err);
    assert_ok(ra_check_batch(*back, &err), &err);
    ra_schema_unref(between);
    ra_schema_unref(restored);
    return true;
}

// No file holds unions.
static bool has_union(const ra_field *fields, int n) {
    for (int i = 0; i < n; i++)
        if (fields[i].type == RA_TYPE_SPARSE_UNION || fields[i].type == RA_TYPE_DENSE_UNION ||
            has_union(fields[i].children, fields[i].n_children))
            return true;
    return false;
}

static void random_tables_come_back(void **state) {
    (void)state;
    int n_equal = 0, n_columns = 0;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        ra_schema *schema = testing_random_schema(seed, 4, 3);
        if (has_union(schema->fields, schema->n_fields)) {
            ra_schema_unref(schema);
            continue;
        }
        ra_batch *batch = testing_random_batch(seed, 1 + (int64_t)(seed % 60), schema);
        ra_batch *plain, *back;
        bool done = there_and_back(batch, &plain, &back);
        for (int i = 0; i < schema->n_fields && done; i++) {
            n_columns++;
            if (!ra_field_equal(&schema->fields[i], &back->schema->fields[i], true))
                continue;
            n_equal++;
            // Long decimals become doubles on their way, and some times lose nanoseconds.
            if (schema->fields[i].n_children == 0 &&
                ra_type_equal(&schema->fields[i], &plain->schema->fields[i]))
                assert_true(ra_array_equal(&batch->columns[i], &back->columns[i], true));
        }
        if (done) {
            ra_batch_unref(plain);
            ra_batch_unref(back);
        }
        ra_batch_unref(batch);
        ra_schema_unref(schema);
    }
    assert_true(n_columns > 800 && n_equal > n_columns / 2);
}

typedef struct {
    ra_type_id type;
    ra_type_id plain;
    ra_time_unit unit;
    const char *timezone;
    int32_t precision;
    int64_t step;  // values are multiples of it
} kept_type;

static ra_schema *schema_of(const kept_type *kept, bool is_dictionary) {
    ra_schema *schema;
    ra_error err;
    assert_ok(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("v"),
                                   .type = kept->type,
                                   .nullable = true,
                                   .unit = kept->unit,
                                   .has_timezone = kept->timezone != NULL,
                                   .timezone = ra_str_of(kept->timezone ? kept->timezone : ""),
                                   .precision = kept->precision,
                                   .is_dictionary = is_dictionary,
                                   .index_type = RA_TYPE_INT8};
    assert_ok(ra_schema_seal(schema, &err), &err);
    return schema;
}

static ra_batch *numbers_of(ra_schema *schema, const kept_type *kept, int64_t n) {
    ra_batch *batch;
    ra_error err;
    uint8_t *data;
    assert_ok(ra_batch_new(schema, n, &batch, &err), &err);
    ra_array *array = &batch->columns[0];
    assert_ok(ra_batch_alloc(batch, n * array->byte_width, &data, &err), &err);
    for (int64_t i = 0; i < n; i++) {
        int64_t value = (i - n / 2) * kept->step;
        if (kept->type == RA_TYPE_TIME32 || kept->type == RA_TYPE_TIME64)
            value = i * kept->step;
        memset(data + i * array->byte_width, value < 0 ? 0xff : 0, (size_t)array->byte_width);
        memcpy(data + i * array->byte_width, &value,
               array->byte_width < 8 ? (size_t)array->byte_width : 8);
    }
    array->buffers[0] = (ra_span){data, n * array->byte_width};
    return batch;
}

static void each_type_comes_back(void **state) {
    (void)state;
    static const kept_type types[] = {
        {RA_TYPE_HALF_FLOAT, RA_TYPE_FLOAT, 0, NULL, 0, 1},
        {RA_TYPE_DECIMAL32, RA_TYPE_DECIMAL128, 0, NULL, 9, 1},
        {RA_TYPE_DECIMAL64, RA_TYPE_DECIMAL128, 0, NULL, 18, 1},
        {RA_TYPE_DECIMAL256, RA_TYPE_DECIMAL128, 0, NULL, 38, 1},
        {RA_TYPE_DATE64, RA_TYPE_DATE32, 0, NULL, 0, 86400000},
        {RA_TYPE_TIME32, RA_TYPE_TIME64, RA_UNIT_SECOND, NULL, 0, 1},
        {RA_TYPE_TIME32, RA_TYPE_TIME64, RA_UNIT_MILLI, NULL, 0, 1},
        {RA_TYPE_TIME64, RA_TYPE_TIME64, RA_UNIT_NANO, NULL, 0, 1000},
        {RA_TYPE_TIMESTAMP, RA_TYPE_TIMESTAMP, RA_UNIT_SECOND, NULL, 0, 1},
        {RA_TYPE_TIMESTAMP, RA_TYPE_TIMESTAMP, RA_UNIT_SECOND, "Europe/Berlin", 0, 1},
        {RA_TYPE_TIMESTAMP, RA_TYPE_TIMESTAMP, RA_UNIT_MILLI, "UTC", 0, 1},
        {RA_TYPE_TIMESTAMP, RA_TYPE_TIMESTAMP, RA_UNIT_NANO, "UTC", 0, 1000},
        {RA_TYPE_DURATION, RA_TYPE_INT64, RA_UNIT_NANO, NULL, 0, 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        ra_schema *schema = schema_of(&types[i], false);
        // All half floats, for that type.
        int64_t n = types[i].type == RA_TYPE_HALF_FLOAT ? 65536 : 1000;
        ra_batch *batch = numbers_of(schema, &types[i], n), *plain, *back;
        assert_true(there_and_back(batch, &plain, &back));
        assert_int_equal(plain->schema->fields[0].type, types[i].plain);
        assert_true(ra_field_equal(&schema->fields[0], &back->schema->fields[0], true));
        assert_true(ra_array_equal(&batch->columns[0], &back->columns[0], true));
        ra_batch_unref(batch);
        ra_batch_unref(plain);
        ra_batch_unref(back);
        ra_schema_unref(schema);
    }
}

// A dictionary that numbers too many values for its index type is left to fewer rows.
static void an_index_type_is_too_narrow(void **state) {
    (void)state;
    ra_error err;
    static const kept_type number = {.type = RA_TYPE_INT64, .step = 1};
    ra_schema *plain = schema_of(&number, false), *wanted = schema_of(&number, true), *restored;
    assert_ok(ra_restore_schema(plain, wanted, &restored, &err), &err);
    ra_batch *few = numbers_of(plain, &number, 128), *many = numbers_of(plain, &number, 129), *back;
    assert_ok(ra_restore_batch(few, restored, &back, &err), &err);
    assert_ok(ra_check_batch(back, &err), &err);
    assert_int_equal(back->columns[0].dictionary->length, 128);
    ra_batch_unref(back);
    assert_int_not_equal(ra_restore_batch(many, restored, &back, &err), 0);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    ra_batch_unref(few);
    ra_batch_unref(many);
    ra_schema_unref(plain);
    ra_schema_unref(wanted);
    ra_schema_unref(restored);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_tables_come_back),
                                       cmocka_unit_test(each_type_comes_back),
                                       cmocka_unit_test(an_index_type_is_too_narrow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
