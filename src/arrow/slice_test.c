#include "arrow/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/check.h"
#include "arrow/equal.h"
#include "arrow/testing_random.h"

enum { N_SEEDS = 250 };

static void must(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s", err->message);
}

static int64_t a_length(uint64_t seed) {
    static const int64_t lengths[] = {0, 1, 2, 7, 8, 9, 40, 64, 65, 130};
    return lengths[seed % 10];
}

static void assert_same_counts(const ra_array *a, const ra_array *checked) {
    assert_int_equal(a->length, checked->length);
    assert_int_equal(a->null_count, checked->null_count);
    assert_true(!a->validity.data == !checked->validity.data);
    for (int c = 0; c < a->n_children; c++)
        assert_same_counts(&a->children[c], &checked->children[c]);
}

// The check finds nothing to refuse, to recount or to cut.
static void assert_as_checked(const ra_batch *batch) {
    ra_error err;
    ra_batch *copy = testing_misaligned(batch);
    must(ra_check_batch(copy, &err), &err);
    for (int i = 0; i < batch->n_columns; i++)
        assert_same_counts(&batch->columns[i], &copy->columns[i]);
    ra_batch_unref(copy);
}

static void assert_rows_equal(const ra_batch *whole, int64_t from, const ra_batch *part,
                              uint64_t seed) {
    for (int i = 0; i < part->n_columns; i++)
        if (!ra_array_ranges_equal(&whole->columns[i], from, &part->columns[i], 0, part->n_rows,
                                   RA_FLOATS_AS_KEYS))
            fail_msg("seed %llu, column %d, rows from %lld", (unsigned long long)seed, i,
                     (long long)from);
}

static void random_batches_pass_the_check(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        ra_schema *schema = testing_random_schema(seed, 3, 3);
        ra_batch *batch = testing_random_batch(seed, a_length(seed), schema);
        assert_as_checked(batch);
        ra_batch_unref(batch);
        ra_schema_unref(schema);
    }
}

static void slices_joined_again_are_the_whole(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        testing_rng rng = {seed};
        ra_error err;
        ra_schema *schema =
            seed % 8 == 0 ? testing_all_types_schema() : testing_random_schema(seed, 3, 3);
        ra_batch *plain = testing_random_batch(seed, a_length(seed), schema);
        ra_batch *whole = testing_misaligned(plain), *parts[50], *joined;
        int n = 0;
        for (int64_t from = 0; n == 0 || from < whole->n_rows; n++) {
            int64_t rows = testing_below(&rng, n < 40 ? 20 : 200);
            if (rows > whole->n_rows - from)
                rows = whole->n_rows - from;
            must(ra_batch_slice(whole, from, rows, &parts[n], &err), &err);
            assert_int_equal(parts[n]->n_rows, rows);
            assert_rows_equal(plain, from, parts[n], seed);
            assert_as_checked(parts[n]);
            from += rows;
        }
        must(ra_batch_concat(parts, n, &joined, &err), &err);
        for (int i = 0; i < n; i++)
            ra_batch_unref(parts[i]);
        ra_batch_unref(whole);
        assert_int_equal(joined->n_rows, plain->n_rows);
        assert_rows_equal(plain, 0, joined, seed);
        assert_as_checked(joined);
        ra_batch_unref(joined);
        ra_batch_unref(plain);
        ra_schema_unref(schema);
    }
}

static void batches_with_own_dictionaries_are_joined(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        ra_error err;
        ra_schema *schema = testing_random_schema(seed * 3, 3, 3);
        ra_batch *batches[4], *joined;
        for (uint64_t b = 0; b < 4; b++)
            batches[b] = testing_random_batch(seed + b, a_length(seed + b), schema);
        must(ra_batch_concat(batches, 4, &joined, &err), &err);
        assert_as_checked(joined);
        int64_t at = 0;
        for (int b = 0; b < 4; b++) {
            for (int i = 0; i < joined->n_columns; i++)
                if (!ra_array_ranges_equal(&batches[b]->columns[i], 0, &joined->columns[i], at,
                                           batches[b]->n_rows, RA_FLOATS_AS_KEYS))
                    fail_msg("seed %llu, column %d", (unsigned long long)seed, i);
            at += batches[b]->n_rows;
            ra_batch_unref(batches[b]);
        }
        ra_batch_unref(joined);
        ra_schema_unref(schema);
    }
}

static void slices_at_whole_bytes_share_memory(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = testing_all_types_schema();
    ra_batch *whole = testing_random_batch(3, 200, schema), *slice;
    must(ra_batch_slice(whole, 16, 100, &slice, &err), &err);
    const ra_array *bits = &whole->columns[RA_TYPE_BOOL], *numbers = &whole->columns[RA_TYPE_INT32];
    const ra_array *texts = &whole->columns[RA_TYPE_UTF8];
    assert_ptr_equal(slice->columns[RA_TYPE_BOOL].buffers[0].data, bits->buffers[0].data + 2);
    assert_ptr_equal(slice->columns[RA_TYPE_INT32].buffers[0].data,
                     numbers->buffers[0].data + 16 * 4);
    for (int i = 0; i < slice->n_columns; i++)
        if (slice->columns[i].validity.data)
            assert_ptr_equal(slice->columns[i].validity.data, whole->columns[i].validity.data + 2);
    int32_t first = ra_load_i32(texts->buffers[0].data + 16 * 4);
    assert_ptr_equal(slice->columns[RA_TYPE_UTF8].buffers[1].data, texts->buffers[1].data + first);
    ra_batch_unref(slice);
    ra_batch_unref(whole);
    ra_schema_unref(schema);
}

// Every type on its own: a hundredth of the rows takes about a hundredth of the bytes.
static void slices_take_about_their_share(void **state) {
    (void)state;
    ra_error err;
    ra_schema *all = testing_all_types_schema();
    for (int type = 0; type < all->n_fields; type++) {
        ra_schema *schema;
        must(ra_schema_select(all, &type, 1, &schema, &err), &err);
        ra_batch *whole = testing_random_batch(1, 20000, schema), *slice;
        must(ra_batch_slice(whole, 7777, 200, &slice, &err), &err);
        int64_t most = ra_batch_body_bytes(whole) / 100 * 2 + 2048;
        if (ra_batch_body_bytes(slice) > most)
            fail_msg("column %.*s: %lld bytes of %lld", RA_STR_ARG(schema->fields[0].name),
                     (long long)ra_batch_body_bytes(slice), (long long)ra_batch_body_bytes(whole));
        ra_batch_unref(slice);
        ra_batch_unref(whole);
        ra_schema_unref(schema);
    }
    ra_schema_unref(all);
}

static ra_schema *list_view_schema(ra_type_id type) {
    ra_error err;
    ra_schema *schema;
    must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("v"), .type = type, .nullable = true};
    testing_plain_children(schema, schema->fields);
    must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// Lists that all show the same values: copying what each shows would take a thousand times as much.
static void overlapping_list_views_are_not_multiplied(void **state) {
    (void)state;
    enum { ROWS = 1000, VALUES = 1000000 };
    ra_error err;
    ra_schema *schema = list_view_schema(RA_TYPE_LIST_VIEW);
    ra_batch *batch = testing_random_batch(1, ROWS, schema), *slice, *joined;
    ra_array *lists = &batch->columns[0];
    testing_clear_nulls(lists);
    testing_rng rng = {1};
    testing_fill(&rng, batch, &lists->children[0], VALUES);
    for (int64_t i = 0; i < ROWS; i++) {
        testing_put((uint8_t *)(uintptr_t)lists->buffers[0].data, i, 4, i % 3);
        testing_put((uint8_t *)(uintptr_t)lists->buffers[1].data, i, 4, VALUES - 3);
    }
    must(ra_check_batch(batch, &err), &err);
    must(ra_batch_slice(batch, 1, ROWS - 1, &slice, &err), &err);
    assert_true(slice->columns[0].children[0].length <= VALUES);
    must(ra_batch_concat((ra_batch *[]){slice, batch}, 2, &joined, &err), &err);
    assert_true(joined->columns[0].children[0].length <= 2 * VALUES);
    must(ra_check_batch(joined, &err), &err);
    ra_batch_unref(joined);
    ra_batch_unref(slice);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

// Of views likewise; and the UTF-8 of what they show is not read once for each.
static void overlapping_views_are_not_multiplied(void **state) {
    (void)state;
    enum { ROWS = 100000, BYTES = 1 << 20 };
    ra_error err;
    ra_schema *all = testing_all_types_schema(), *schema;
    must(ra_schema_select(all, (int[]){RA_TYPE_UTF8_VIEW}, 1, &schema, &err), &err);
    ra_batch *batch = testing_random_batch(1, ROWS, schema), *joined;
    ra_array *views = &batch->columns[0];
    testing_clear_nulls(views);
    uint8_t *text = testing_alloc(batch, BYTES), *view = testing_alloc(batch, ROWS * 16);
    memset(text, 'a', BYTES);
    memcpy(text + BYTES - 4, "\xC3\xA4\xFFz", 4);
    for (int i = 0; i < ROWS; i++) {
        ra_store_i32(view + i * 16, BYTES - 4 - i % 9);
        memcpy(view + i * 16 + 4, "aaaa", 4);
        ra_store_i32(view + i * 16 + 12, i % 9);
    }
    views->buffers[0].data = view;
    views->n_variadic = 1;
    views->variadic[0] = (ra_span){text, BYTES};
    must(ra_check_batch(batch, &err), &err);
    must(ra_batch_concat((ra_batch *[]){batch, batch}, 2, &joined, &err), &err);
    assert_true(ra_batch_body_bytes(joined) <= 2 * ra_batch_body_bytes(batch));
    must(ra_check_batch(joined, &err), &err);
    for (int cut = 1; cut <= 2; cut++) {
        ra_store_i32(view + 16 * 5, BYTES - 8 + (cut == 1 ? 0 : 2));
        assert_int_equal(ra_check_batch(batch, &err), RA_INVALID);
        assert_non_null(strstr(err.message, "row 5 is not UTF-8"));
    }
    ra_batch_unref(joined);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
    ra_schema_unref(all);
}

static ra_batch *big_batch(ra_schema *schema, int64_t last_offset) {
    ra_batch *batch = testing_random_batch(1, 1, schema);
    ra_array *column = &batch->columns[0];
    testing_clear_nulls(column);
    uint8_t *offsets = testing_alloc(batch, 8);
    ra_store_i32(offsets + 4, (int32_t)last_offset);
    column->buffers[0] = (ra_span){offsets, 8};
    if (column->n_children)
        column->children[0].length = last_offset;
    return batch;
}

static void overflowing_offsets_are_a_limit(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema = list_view_schema(RA_TYPE_LIST);
    ((ra_field *)schema->fields)->children[0].type = RA_TYPE_NULL;
    ra_batch *batch = big_batch(schema, INT32_MAX / 2 + 1), *joined;
    assert_int_equal(ra_batch_concat((ra_batch *[]){batch, batch}, 2, &joined, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    assert_string_equal(err.subject, "v");
    assert_null(joined);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

static void run_ends_that_overflow_are_a_limit(void **state) {
    (void)state;
    ra_error err;
    ra_schema *schema;
    must(ra_schema_new(1, &schema, &err), &err);
    ra_field *field = &schema->fields[0];
    *field = (ra_field){.name = RA_STR("r"), .type = RA_TYPE_RUN_END_ENCODED};
    testing_set_children(schema, field, 2);
    field->children[0] = (ra_field){.name = RA_STR("run_ends"), .type = RA_TYPE_INT16};
    field->children[1] = (ra_field){.name = RA_STR("values"), .type = RA_TYPE_NULL};
    must(ra_schema_seal(schema, &err), &err);
    ra_batch *batch = testing_random_batch(1, 16384, schema), *joined, *slice;
    assert_int_equal(ra_batch_concat((ra_batch *[]){batch, batch}, 2, &joined, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    must(ra_batch_slice(batch, 1, 16383, &slice, &err), &err);
    must(ra_batch_concat((ra_batch *[]){batch, slice}, 2, &joined, &err), &err);
    assert_as_checked(joined);
    ra_batch_unref(joined);
    ra_batch_unref(slice);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && (*left)-- == 0 ? 12 : 0;
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    ra_schema *schema = testing_all_types_schema();
    ra_batch *a = testing_random_batch(1, 100, schema), *b = testing_random_batch(2, 100, schema);
    for (int nth = 0, failures = 1; failures > 0; nth++) {
        ra_error err;
        ra_batch *slice = NULL, *joined = NULL;
        failures = 0;
        for (int op = 0; op < 2; op++) {
            int left = nth;
            ra_os_set_gate(fail_nth, &left);
            int rc = op ? ra_batch_concat((ra_batch *[]){a, b}, 2, &joined, &err)
                        : ra_batch_slice(a, 3, 90, &slice, &err);
            ra_os_set_gate(NULL, NULL);
            if (rc == 0)
                continue;
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
            failures++;
        }
        ra_batch_unref(slice);
        ra_batch_unref(joined);
    }
    ra_batch_unref(a);
    ra_batch_unref(b);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_pass_the_check),
        cmocka_unit_test(slices_joined_again_are_the_whole),
        cmocka_unit_test(batches_with_own_dictionaries_are_joined),
        cmocka_unit_test(slices_at_whole_bytes_share_memory),
        cmocka_unit_test(slices_take_about_their_share),
        cmocka_unit_test(overlapping_list_views_are_not_multiplied),
        cmocka_unit_test(overlapping_views_are_not_multiplied),
        cmocka_unit_test(overflowing_offsets_are_a_limit),
        cmocka_unit_test(run_ends_that_overflow_are_a_limit),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
