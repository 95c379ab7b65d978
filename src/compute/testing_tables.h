// For tests only: random tables, a sink that keeps what it gets, and what rows should be.
#ifndef RA_COMPUTE_TESTING_TABLES_H
#define RA_COMPUTE_TESTING_TABLES_H

#include "arrow/access.h"
#include "arrow/check.h"
#include "arrow/equal.h"
#include "arrow/testing_random.h"
#include "compute/table.h"

enum { TESTING_MAX_BATCHES = 64 };

typedef struct {
    ra_table table;
    ra_batch *batches[TESTING_MAX_BATCHES];
} testing_table;

// Takes the references.
static inline void testing_table_init(testing_table *t, ra_schema *schema, ra_batch **batches,
                                      int n) {
    *t = (testing_table){.table = {.schema = schema, .n_batches = n}};
    for (int b = 0; b < n; b++) {
        t->batches[b] = batches[b];
        t->table.n_rows += batches[b]->n_rows;
    }
    t->table.batches = t->batches;
}

// Random batches, some of them empty, some at odd addresses. Takes the schema's reference.
static inline void testing_random_table(testing_table *t, uint64_t seed, ra_schema *schema,
                                        int n_batches, int64_t max_rows) {
    testing_rng rng = {seed ^ 0x5EED};
    ra_batch *batches[TESTING_MAX_BATCHES];
    for (int b = 0; b < n_batches; b++) {
        int64_t n = testing_one_in(&rng, 5) ? 0 : testing_below(&rng, max_rows + 1);
        batches[b] = testing_random_batch(testing_next(&rng), n, schema);
        if (testing_one_in(&rng, 3)) {
            ra_batch *odd = testing_misaligned(batches[b]);
            ra_batch_unref(batches[b]);
            batches[b] = odd;
        }
    }
    testing_table_init(t, schema, batches, n_batches);
}

static inline void testing_table_fini(testing_table *t) {
    for (int b = 0; b < t->table.n_batches; b++)
        ra_batch_unref(t->batches[b]);
    ra_schema_unref(t->table.schema);
}

static inline ra_row testing_row_at(const ra_table *table, int64_t row) {
    uint32_t b = 0;
    while (row >= table->batches[b]->n_rows)
        row -= table->batches[b++]->n_rows;
    return (ra_row){b, (uint32_t)row};
}

// What an operation gave.
typedef struct {
    ra_batch_sink sink;
    ra_batch **batches;
    int n;
    int64_t n_rows;
    int fail_at;  // the batch that the sink refuses; -1 for none
} testing_result;

static inline int testing_keep(void *context, ra_batch *batch, ra_error *err) {
    testing_result *r = context;
    if (r->n == r->fail_at)
        RA_FAIL(err, DISK_FULL, "the sink is full");
    r->batches = realloc(r->batches, (size_t)(r->n + 1) * sizeof *r->batches);
    r->batches[r->n++] = ra_batch_ref(batch);
    r->n_rows += batch->n_rows;
    return 0;
}

static inline void testing_result_init(testing_result *r) {
    *r = (testing_result){.sink = {testing_keep, r}, .fail_at = -1};
}

static inline void testing_result_fini(testing_result *r) {
    for (int b = 0; b < r->n; b++)
        ra_batch_unref(r->batches[b]);
    free(r->batches);
}

// Whether the row is what a null row becomes: unions have a null in their first child.
static inline bool testing_is_null_row(const ra_array *array, int64_t row) {
    if (array->layout == RA_LAYOUT_RUN_END) {
        int64_t run = 0;
        const ra_array *ends = &array->children[0];
        while (ra_load_int(ends->buffers[0].data, ends->byte_width, run) <= row)
            run++;
        return testing_is_null_row(&array->children[1], run);
    }
    if (array->layout == RA_LAYOUT_SPARSE_UNION || array->layout == RA_LAYOUT_DENSE_UNION) {
        if ((int8_t)array->buffers[0].data[row] != array->field->type_ids[0])
            return false;
        if (array->layout == RA_LAYOUT_DENSE_UNION)
            row = ra_load_i32(array->buffers[1].data + 4 * row);
        return testing_is_null_row(&array->children[0], row);
    }
    return array->layout == RA_LAYOUT_NULL || !ra_array_is_valid(array, row);
}

static inline bool testing_row_is(const ra_table *table, ra_row expected, const ra_batch *batch,
                                  int64_t row) {
    for (int c = 0; c < batch->n_columns; c++) {
        const ra_array *column = &batch->columns[c];
        bool is_equal =
            expected.batch == RA_ROW_NULL
                ? testing_is_null_row(column, row)
                : ra_array_ranges_equal(&table->batches[expected.batch]->columns[c], expected.row,
                                        column, row, 1, RA_FLOATS_AS_KEYS);
        if (!is_equal) {
            fprintf(stderr, "column %d, row %lld of a batch\n", c, (long long)row);
            return false;
        }
    }
    return true;
}

// The full check finds nothing to refuse and no null miscounted.
static inline bool testing_is_sound(const ra_batch *batch) {
    ra_error err;
    ra_batch *copy = testing_misaligned(batch);
    int rc = ra_check_batch(copy, &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.message);
    for (int c = 0; c < batch->n_columns && rc == 0; c++) {
        const ra_array *a = &batch->columns[c], *b = &copy->columns[c];
        if (a->null_count != b->null_count || !a->validity.data != !b->validity.data) {
            fprintf(stderr, "column %d: null count %lld, not %lld\n", c, (long long)a->null_count,
                    (long long)b->null_count);
            rc = 1;
        }
    }
    ra_batch_unref(copy);
    return rc == 0;
}

// Whether the result is the rows of `table` named by `rows`.
static inline bool testing_result_is(const testing_result *result, const ra_table *table,
                                     const ra_row *rows, int64_t n) {
    if (result->n_rows != n) {
        fprintf(stderr, "%lld rows, not %lld\n", (long long)result->n_rows, (long long)n);
        return false;
    }
    for (int b = 0; b < result->n; b++) {
        const ra_batch *batch = result->batches[b];
        if (!testing_is_sound(batch))
            return false;
        for (int64_t i = 0; i < batch->n_rows; i++)
            if (!testing_row_is(table, *rows++, batch, i))
                return false;
    }
    return true;
}

// A schema of one field called "x"; one reference.
static inline ra_schema *testing_schema_of(ra_field field) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    if (!field.name.data)
        field.name = RA_STR("x");
    testing_must(ra_field_copy(schema, &field, &schema->fields[0], &err), &err);
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// A chunked column that owns its chunks.
typedef struct {
    ra_column column;
    const ra_array *chunks[TESTING_MAX_BATCHES];
    ra_batch *batches[TESTING_MAX_BATCHES];
} testing_column;

// Takes the references; the first column of each batch counts.
static inline void testing_column_init(testing_column *c, ra_batch **batches, int n) {
    *c = (testing_column){.column = {.n_chunks = n}};
    for (int b = 0; b < n; b++) {
        c->batches[b] = batches[b];
        c->chunks[b] = &batches[b]->columns[0];
        c->column.length += batches[b]->n_rows;
    }
    c->column.chunks = c->chunks;
}

static inline void testing_column_fini(testing_column *c) {
    for (int b = 0; b < c->column.n_chunks; b++)
        ra_batch_unref(c->batches[b]);
}

// Where text says "values", integers; a NULL in `valid` for none null.
static inline ra_batch *testing_int_batch(ra_type_id type, const int64_t *values, const bool *valid,
                                          int64_t n) {
    ra_error err;
    ra_schema *schema = testing_schema_of((ra_field){.type = type, .nullable = true});
    ra_batch *batch;
    testing_must(ra_batch_new(schema, n, &batch, &err), &err);
    ra_schema_unref(schema);
    ra_array *array = &batch->columns[0];
    if (type == RA_TYPE_NULL)
        return batch;
    bool is_bool = type == RA_TYPE_BOOL;
    int64_t bytes = is_bool ? ra_bit_bytes(n) : n * array->byte_width;
    uint8_t *data = testing_alloc(batch, bytes), *bits = testing_alloc(batch, ra_bit_bytes(n));
    for (int64_t i = 0; i < n; i++) {
        if (!is_bool)
            testing_put(data, i, array->byte_width, values[i]);
        else if (values[i])
            ra_bit_set(data, i);
        if (!valid || valid[i])
            ra_bit_set(bits, i);
        else
            array->null_count++;
    }
    array->buffers[0] = (ra_span){data, bytes};
    if (array->null_count > 0)
        array->validity = (ra_span){bits, ra_bit_bytes(n)};
    return batch;
}

#endif
