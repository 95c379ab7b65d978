#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/testing_contents.h"

// Two int64 values a batch that no other batch has, as a dictionary; both are used.
static ra_batch *make_distinct(ra_schema *schema, int64_t number) {
    ra_error err;
    ra_batch *batch, *dictionary;
    testing_must(ra_batch_new(schema, 2, &batch, &err), &err);
    testing_must(ra_dictionary_new(schema, &schema->fields[1], 2, &dictionary, &err), &err);
    char text[32];
    snprintf(text, sizeof text, "%08lld%08lld", (long long)number, -(long long)number);
    int32_t offsets[] = {0, 8, 16};
    uint8_t *data = testing_alloc(dictionary, 16), *at = testing_alloc(dictionary, sizeof offsets);
    memcpy(data, text, 16);
    memcpy(at, offsets, sizeof offsets);
    dictionary->columns[0].buffers[0] = (ra_span){at, sizeof offsets};
    dictionary->columns[0].buffers[1] = (ra_span){data, 16};
    int width = ra_field_byte_width(&schema->fields[1]);
    uint8_t *numbers = testing_alloc(batch, 16), *indices = testing_alloc(batch, 2 * width);
    testing_put(indices, 1, width, 1);
    batch->columns[0].buffers[0] = (ra_span){numbers, 16};
    batch->columns[1].buffers[0] = (ra_span){indices, 2 * width};
    batch->columns[1].dictionary = &dictionary->columns[0];
    testing_must(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    ra_batch_unref(dictionary);
    return batch;
}

static void another_dictionary_begins_a_segment(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    testing_batches batches = testing_random_batches(schema, 1, RA_MAX_DICTIONARY_GENERATIONS, 20);
    ra_content *content = testing_write(&store, schema, &batches);
    assert_int_equal(content->n_parts, RA_MAX_DICTIONARY_GENERATIONS);
    // As sent: index for index, repeated and unused values too.
    testing_batches read = testing_read(content);
    for (int i = 0; i < read.n; i++) {
        const ra_array *a = &read.items[i]->columns[1], *b = &batches.items[i]->columns[1];
        assert_true(ra_array_equal(a->dictionary, b->dictionary, true));
    }
    testing_batches_fini(&read);
    assert_true(testing_content_equal(content, &batches));
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void equal_dictionaries_share_a_segment(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    testing_batches batches = {0};
    for (int i = 0; i < 200; i++)
        testing_batches_add(&batches, testing_random_batch(9, 20, schema));
    ra_content *content = testing_write(&store, schema, &batches);
    assert_int_equal(content->n_parts, 1);
    assert_true(content->n_batches < 10);  // merged, too
    assert_true(testing_content_equal(content, &batches));
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void too_many_generations_are_unified(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    testing_batches batches = {0};
    for (int64_t i = 0; i < 1000; i++)
        testing_batches_add(&batches, make_distinct(schema, i));
    ra_content *content = testing_write(&store, schema, &batches);
    assert_int_equal(content->n_parts, RA_MAX_DICTIONARY_GENERATIONS);
    assert_true(testing_content_equal(content, &batches));
    // The file says the same to others: its dictionary is the whole one.
    const ra_segment *last = content->parts[content->n_parts - 1].segment;
    assert_int_equal(last->n_dictionaries, 1);
    assert_int_equal(last->entries[0].n_rows, 2 * (1000 - RA_MAX_DICTIONARY_GENERATIONS + 1));
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Random dictionaries repeat values, so the 64th one cannot simply grow.
static void repeated_values_are_unified_right(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    for (int64_t n_rows = 1; n_rows < 2000; n_rows = n_rows * 9 + 1) {
        testing_batches batches = testing_random_batches(schema, 1, 300, n_rows);
        ra_content *content = testing_write(&store, schema, &batches);
        assert_in_range(content->n_parts, RA_MAX_DICTIONARY_GENERATIONS,
                        RA_MAX_DICTIONARY_GENERATIONS + 1);
        assert_true(testing_content_equal(content, &batches));
        ra_content_unref(content);
        testing_batches_fini(&batches);
    }
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void narrow_indices_get_more_segments_and_then_a_limit(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    testing_batches batches = {0};
    for (int64_t i = 0; i < 1000; i++)
        testing_batches_add(&batches, make_distinct(schema, i));
    ra_content *content = testing_write(&store, schema, &batches);
    // 64 batches of two values fill an int8.
    assert_in_range(content->n_parts, RA_MAX_DICTIONARY_GENERATIONS + 936 / 64,
                    RA_MAX_DICTIONARY_GENERATIONS + 936 / 64 + 20);
    assert_true(testing_content_equal(content, &batches));
    ra_content_unref(content);
    testing_batches_fini(&batches);

    ra_error err;
    ra_writer *writer;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    int rc = 0;
    for (int64_t i = 0; i < 200000 && rc == 0; i++) {
        ra_batch *batch = make_distinct(schema, i);
        rc = ra_writer_add(writer, batch, (ra_span){0}, &err);
        ra_batch_unref(batch);
    }
    assert_int_equal(rc, RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_LIMIT);
    ra_writer_free(writer);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Rows of nulls that come without a dictionary.
static ra_batch *make_nulls(ra_schema *schema, int64_t n_rows) {
    ra_error err;
    ra_batch *batch;
    testing_must(ra_batch_new(schema, n_rows, &batch, &err), &err);
    int width = ra_field_byte_width(&schema->fields[1]);
    batch->columns[0].buffers[0] = (ra_span){testing_alloc(batch, 8 * n_rows), 8 * n_rows};
    batch->columns[1].buffers[0] = (ra_span){testing_alloc(batch, width * n_rows), width * n_rows};
    batch->columns[1].validity =
        (ra_span){testing_alloc(batch, ra_bit_bytes(n_rows)), ra_bit_bytes(n_rows)};
    batch->columns[1].null_count = n_rows;
    return batch;
}

static void a_missing_dictionary_is_no_other_one(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    // Merged with others, and with dictionaries that repeat values.
    for (uint64_t seed = 0; seed < 20; seed++) {
        testing_batches batches = {0};
        for (int i = 0; i < 80; i++)
            testing_batches_add(&batches, i % 3 == 1 ? make_nulls(schema, 5)
                                                     : testing_random_batch(seed, 5, schema));
        ra_content *content = testing_write(&store, schema, &batches);
        assert_int_equal(content->n_parts, 1);
        assert_int_equal(content->n_batches, 1);
        assert_true(testing_content_equal(content, &batches));
        ra_content_unref(content);
        testing_batches_fini(&batches);
    }
    // First of all, and among those that are unified.
    testing_batches batches = {0};
    for (int i = 0; i < 300; i++)
        testing_batches_add(&batches, i % 5 == 0 ? make_nulls(schema, 5)
                                                 : testing_random_batch((uint64_t)i, 5, schema));
    ra_content *content = testing_write(&store, schema, &batches);
    assert_in_range(content->n_parts, RA_MAX_DICTIONARY_GENERATIONS,
                    RA_MAX_DICTIONARY_GENERATIONS + 1);
    assert_true(testing_content_equal(content, &batches));
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Makes all rows of a dictionary column null and takes its dictionary away.
static void forget_column(ra_batch *batch, int column) {
    ra_array *array = &batch->columns[column];
    int64_t bytes = ra_bit_bytes(batch->n_rows);
    uint8_t *bits = testing_alloc(batch, bytes);
    memset(bits, 0, (size_t)bytes);
    array->validity = (ra_span){bits, bytes};
    array->null_count = batch->n_rows;
    array->dictionary = NULL;
}

// Two dictionary columns, of which each batch lacks one or none.
static void unified_batches_may_lack_some_dictionaries(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *one = testing_dictionary_schema(RA_TYPE_INT32), *schema;
    static const int columns[] = {1, 1};
    testing_must(ra_schema_select(one, columns, 2, &schema, &err), &err);
    for (uint64_t seed = 0; seed < 10; seed++) {
        testing_batches batches = testing_random_batches(schema, seed * 1000, 150, 5);
        for (int i = RA_MAX_DICTIONARY_GENERATIONS; i < batches.n; i++) {
            if (i % 3 < 2)
                forget_column(batches.items[i], i % 3);
        }
        ra_content *content = testing_write(&store, schema, &batches);
        assert_true(testing_content_equal(content, &batches));
        ra_content_unref(content);
        testing_batches_fini(&batches);
    }
    ra_schema_unref(schema);
    ra_schema_unref(one);
    testing_folder_fini(&store);
}

static void dictionaries_inside_dictionaries_survive_unification(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    int n_tried = 0;
    for (uint64_t seed = 0; n_tried < 12; seed++) {
        ra_schema *schema = testing_random_schema(seed, 3, 4);
        if (schema->n_dictionaries > 1) {
            n_tried++;
            testing_batches batches = testing_random_batches(schema, 1, 80, 3);
            ra_content *content = testing_write(&store, schema, &batches);
            assert_true(testing_content_equal(content, &batches));
            ra_content_unref(content);
            testing_batches_fini(&batches);
        }
        ra_schema_unref(schema);
    }
    testing_folder_fini(&store);
}

static void app_metadata_keeps_its_place_while_dictionaries_are_unified(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT32);
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    for (int64_t i = 0; i < 300; i++) {
        ra_batch *batch = make_distinct(schema, i);
        ra_span span = {(const uint8_t *)&i, sizeof i};
        testing_must(ra_writer_add(writer, batch, span, &err), &err);
        ra_batch_unref(batch);
    }
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    assert_int_equal(content->n_batches, 300);
    for (int64_t i = 0; i < 300; i++) {
        ra_blob *blob;
        testing_must(ra_content_app_metadata(content, i, &blob, &err), &err);
        assert_int_equal(blob->bytes, sizeof i);
        assert_memory_equal(blob->data, &i, sizeof i);
        ra_blob_unref(blob);
    }
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_dictionary_begins_a_segment),
        cmocka_unit_test(equal_dictionaries_share_a_segment),
        cmocka_unit_test(too_many_generations_are_unified),
        cmocka_unit_test(repeated_values_are_unified_right),
        cmocka_unit_test(narrow_indices_get_more_segments_and_then_a_limit),
        cmocka_unit_test(a_missing_dictionary_is_no_other_one),
        cmocka_unit_test(unified_batches_may_lack_some_dictionaries),
        cmocka_unit_test(dictionaries_inside_dictionaries_survive_unification),
        cmocka_unit_test(app_metadata_keeps_its_place_while_dictionaries_are_unified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
