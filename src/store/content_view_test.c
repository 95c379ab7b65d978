#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/dictionaries.h"
#include "store/testing_contents.h"

// Rows [offset, offset + n_rows) of a list of batches, cut out of memory.
static testing_batches cut(const testing_batches *from, int64_t offset, int64_t n_rows) {
    ra_error err;
    testing_batches list = {0};
    for (int i = 0; i < from->n; i++) {
        int64_t rows = from->items[i]->n_rows;
        int64_t begin = offset > 0 ? offset : 0;
        int64_t end = offset + n_rows < rows ? offset + n_rows : rows;
        ra_batch *slice;
        if (begin < end) {
            testing_must(ra_batch_slice(from->items[i], begin, end - begin, &slice, &err), &err);
            testing_batches_add(&list, slice);
        }
        offset -= rows;
    }
    return list;
}

// Columns of a list of batches.
static testing_batches choose(const testing_batches *from, ra_schema *schema, const int *columns,
                              int n) {
    ra_error err;
    testing_batches list = {0};
    for (int i = 0; i < from->n; i++) {
        ra_batch *chosen;
        testing_must(ra_batch_rebind(from->items[i], schema, columns, n, NULL, &chosen, &err),
                     &err);
        testing_batches_add(&list, chosen);
    }
    return list;
}

static void slices_are_whole_batches_and_two_edges(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_all_types_schema();
    testing_batches batches = testing_random_batches(schema, 3, 6, 50);
    ra_content *content = testing_write(&store, schema, &batches);
    static const int64_t cuts[][3] = {{0, 300, 0},  {0, 100, 0},  {10, 20, 1}, {10, 60, 2},
                                      {60, 150, 2}, {50, 250, 0}, {299, 1, 1}, {0, 0, 0},
                                      {300, 0, 0},  {0, 1, 1},    {50, 1, 1},  {120, 100, 2}};
    ra_error err;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        int64_t before = atomic_load(&store.store.n_segments);
        ra_content *slice;
        testing_must(
            ra_content_slice(content, cuts[i][0], cuts[i][1], RA_WRITE_RESULT, &slice, &err), &err);
        assert_int_equal(slice->n_rows, cuts[i][1]);
        assert_int_equal(atomic_load(&store.store.n_segments) - before, cuts[i][2]);
        testing_batches expected = cut(&batches, cuts[i][0], cuts[i][1]);
        assert_true(testing_content_equal(slice, &expected));
        testing_batches_fini(&expected);
        ra_content_unref(slice);
    }
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_view_outlives_what_it_was_made_of(void **state) {
    (void)state;
    static const ra_type_id types[] = {RA_TYPE_INT64, RA_TYPE_UTF8};
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(types, 2);
    testing_batches batches = testing_random_batches(schema, 3, 3, 1000);
    ra_content *content = testing_write(&store, schema, &batches), *slice;
    ra_error err;
    testing_must(ra_content_slice(content, 1000, 2000, RA_WRITE_RESULT, &slice, &err), &err);
    assert_int_equal(slice->n_parts, 1);
    ra_content_unref(content);
    testing_batches expected = cut(&batches, 1000, 2000);
    assert_true(testing_content_equal(slice, &expected));
    testing_batches_fini(&expected);
    ra_content_unref(slice);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Any columns in any order, sliced, of random types: the cursor's gathered messages say the same as
// the batches.
static void selected_columns_are_sent_as_they_are_read(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    testing_rng rng = {17};
    ra_error err;
    for (uint64_t seed = 0; seed < 60; seed++) {
        ra_schema *schema = seed % 6 == 0 ? testing_all_types_schema()
                                          : testing_random_schema(seed, 1 + (int)(seed % 6), 4);
        testing_batches batches = testing_random_batches(schema, seed, 3, 40);
        ra_content *content = testing_write(&store, schema, &batches);
        int columns[8], n = (int)testing_below(&rng, 8);
        for (int i = 0; i < n; i++)
            columns[i] = (int)testing_below(&rng, schema->n_fields);
        ra_content *view, *slice;
        testing_must(ra_content_select(content, columns, n, &view, &err), &err);
        testing_batches expected = choose(&batches, view->schema, columns, n);
        assert_true(testing_content_equal(view, &expected));
        testing_batches part = cut(&expected, 13, 90);
        testing_must(ra_content_slice(view, 13, 90, RA_WRITE_RESULT, &slice, &err), &err);
        assert_true(testing_content_equal(slice, &part));
        testing_batches_fini(&part);
        testing_batches_fini(&expected);
        ra_content_unref(slice);
        ra_content_unref(view);
        ra_content_unref(content);
        testing_batches_fini(&batches);
        ra_schema_unref(schema);
    }
    testing_folder_fini(&store);
}

static void n_bytes_is_what_is_sent(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_all_types_schema();
    ra_content *content = testing_write_random(&store, schema, 3, 4, 50), *view;
    int64_t sent;
    testing_batches received = testing_receive(content, 0, 1 << 20, &sent);
    assert_int_equal(content->n_bytes, sent);
    testing_batches_fini(&received);
    ra_error err;
    static const int columns[] = {45, 3, 19, 51, 3};
    testing_must(ra_content_select(content, columns, 5, &view, &err), &err);
    received = testing_receive(view, 0, 1 << 20, &sent);
    assert_int_equal(view->n_bytes, sent);
    testing_batches_fini(&received);
    ra_content_unref(view);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void selecting_all_columns_is_the_same_content(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT16);
    ra_content *content = testing_write_random(&store, schema, 3, 4, 50), *once, *twice;
    ra_error err;
    static const int swapped[] = {1, 0};
    testing_must(ra_content_select(content, swapped, 2, &once, &err), &err);
    assert_memory_not_equal(once->hash, content->hash, sizeof once->hash);
    testing_must(ra_content_select(once, swapped, 2, &twice, &err), &err);
    assert_memory_equal(twice->hash, content->hash, sizeof twice->hash);
    assert_int_equal(twice->parts[0].n_columns, -1);
    ra_content_unref(twice);
    ra_content_unref(once);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void repeated_columns_stay_within_the_batch_limit(void **state) {
    (void)state;
    static const ra_type_id types[] = {RA_TYPE_INT64};
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(types, 1);
    testing_batches batches = testing_random_batches(schema, 3, 1, 300000);
    ra_content *content = testing_write(&store, schema, &batches), *view;
    ra_error err;
    static const int columns[] = {0, 0, 0};
    testing_must(ra_content_select(content, columns, 3, &view, &err), &err);
    for (int p = 0; p < view->n_parts; p++) {
        const ra_segment *segment = view->parts[p].segment;
        for (int i = 0; i < segment->n_batches; i++)
            assert_true(segment->entries[i].body_bytes < RA_BATCH_LIMIT_BYTES);
    }
    testing_batches expected = choose(&batches, view->schema, columns, 3);
    assert_true(testing_content_equal(view, &expected));
    testing_batches_fini(&expected);
    ra_content_unref(view);
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void concatenation_is_parts_under_the_first_schema(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_all_types_schema();
    testing_batches batches = testing_random_batches(schema, 3, 4, 30);
    ra_content *content = testing_write(&store, schema, &batches);
    // Two projections with equal fields, of other orders, one of them cut.
    static const int forth[] = {50, 2, 51, 44}, back[] = {3, 1, 0, 2}, again[] = {2, 1, 3, 0};
    ra_content *a, *b, *c, *all;
    testing_must(ra_content_select(content, forth, 4, &a, &err), &err);
    testing_must(ra_content_select(a, back, 4, &b, &err), &err);
    testing_must(ra_content_select(b, again, 4, &c, &err), &err);
    ra_content *const list[] = {a, c, a};
    testing_must(ra_content_concat(list, 3, &all, &err), &err);
    assert_int_equal(all->n_rows, 360);
    testing_batches expected = {0}, chosen = choose(&batches, all->schema, forth, 4);
    for (int i = 0; i < 3 * chosen.n; i++)
        testing_batches_add(&expected, ra_batch_ref(chosen.items[i % chosen.n]));
    assert_true(testing_content_equal(all, &expected));
    testing_batches_fini(&expected);
    testing_batches_fini(&chosen);
    // Other fields are refused by name.
    ra_content *const wrong[] = {a, b};
    ra_content *none;
    assert_int_equal(ra_content_concat(wrong, 2, &none, &err), RA_INVALID);
    assert_int_equal(err.reason, RA_REASON_SCHEMA_MISMATCH);
    assert_non_null(strstr(err.message, "dictionary7"));
    assert_null(none);
    ra_content_unref(all);
    ra_content_unref(c);
    ra_content_unref(b);
    ra_content_unref(a);
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void a_renamed_content_shares_everything(void **state) {
    (void)state;
    static const ra_type_id types[] = {RA_TYPE_INT64, RA_TYPE_UTF8};
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(types, 2), *renamed;
    ra_str names[] = {RA_STR("x"), RA_STR("y")};
    testing_must(ra_schema_rename(schema, names, NULL, &renamed, &err), &err);
    testing_batches batches = testing_random_batches(schema, 3, 3, 1000);
    ra_content *content = testing_write(&store, schema, &batches), *view, *none;
    testing_must(ra_content_with_schema(content, renamed, true, &view, &err), &err);
    assert_true(view->combined);
    assert_int_equal(atomic_load(&store.store.n_segments), 1);
    assert_true(testing_content_equal(view, &batches));
    ra_schema *other = testing_plain_schema((const ra_type_id[]){RA_TYPE_INT64, RA_TYPE_INT8}, 2);
    assert_int_equal(ra_content_with_schema(content, other, false, &none, &err), RA_INVALID);
    assert_int_equal(err.reason, RA_REASON_SCHEMA_MISMATCH);
    ra_schema_unref(other);
    ra_content_unref(view);
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(renamed);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_whole_batches_and_two_edges),
        cmocka_unit_test(a_view_outlives_what_it_was_made_of),
        cmocka_unit_test(selected_columns_are_sent_as_they_are_read),
        cmocka_unit_test(n_bytes_is_what_is_sent),
        cmocka_unit_test(selecting_all_columns_is_the_same_content),
        cmocka_unit_test(repeated_columns_stay_within_the_batch_limit),
        cmocka_unit_test(concatenation_is_parts_under_the_first_schema),
        cmocka_unit_test(a_renamed_content_shares_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
