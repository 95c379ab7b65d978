#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/testing_contents.h"

static const ra_type_id mixed[] = {RA_TYPE_INT64, RA_TYPE_UTF8, RA_TYPE_BOOL, RA_TYPE_UTF8_VIEW};

static ra_content *write_tiny(testing_folder *store, ra_schema *schema, int n, int64_t n_rows) {
    testing_batches batches = testing_random_batches(schema, 1, n, n_rows);
    ra_content *content = testing_write(store, schema, &batches);
    assert_true(testing_content_equal(content, &batches));
    testing_batches_fini(&batches);
    return content;
}

static void fewer_than_64_tiny_batches_are_stored_as_received(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_content *content = write_tiny(&store, schema, 63, 10);
    assert_int_equal(content->n_batches, 63);
    ra_content_unref(content);
    content = write_tiny(&store, schema, 64, 10);
    assert_int_equal(content->n_batches, 1);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void floods_of_tiny_batches_are_merged(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_content *content = write_tiny(&store, schema, 10000, 3);
    assert_in_range(content->n_batches, 1, 4);
    ra_content_unref(content);
    content = write_tiny(&store, schema, 1000, 200);
    assert_in_range(content->n_batches, content->n_bytes / (2 * 1024 * 1024),
                    content->n_bytes / (256 * 1024) + 1);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void floods_of_every_type_are_merged(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    for (uint64_t seed = 0; seed < 40; seed++) {
        ra_schema *schema = testing_random_schema(seed, 3, 4);
        ra_batch *whole = testing_random_batch(seed, 300, schema);
        testing_batches batches = {0};
        ra_error err;
        for (int64_t i = 0; i < 100; i++) {
            ra_batch *slice;
            testing_must(ra_batch_slice(whole, i * 3, 3, &slice, &err), &err);
            testing_batches_add(&batches, slice);
        }
        ra_content *content = testing_write(&store, schema, &batches);
        assert_int_equal(content->n_parts, 1);
        assert_int_equal(content->n_batches, 1);
        assert_true(testing_content_equal(content, &batches));
        ra_content_unref(content);
        testing_batches_fini(&batches);
        ra_batch_unref(whole);
        ra_schema_unref(schema);
    }
    testing_folder_fini(&store);
}

// Larger ones and ones with app_metadata stay alone, and end a run.
static void runs_end_where_a_batch_stays_alone(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    for (int i = 0; i < 210; i++) {
        ra_batch *batch = testing_random_batch((uint64_t)i, i == 50 ? 5000 : 2, schema);
        ra_span span = {(const uint8_t *)&i, i == 149 ? sizeof i : 0};
        testing_must(ra_writer_add(writer, batch, span, &err), &err);
        ra_batch_unref(batch);
    }
    testing_must(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    // 50 as received, a large one, 98 as one, one with app_metadata, 60 as received.
    assert_int_equal(content->n_batches, 50 + 1 + 1 + 1 + 60);
    ra_blob *blob;
    testing_must(ra_content_app_metadata(content, 52, &blob, &err), &err);
    assert_int_equal(blob->bytes, sizeof(int));
    ra_blob_unref(blob);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// Narrow run ends overflow when batches are joined: then they are stored as received.
static void what_cannot_be_joined_is_stored_as_received(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    ra_field *field = &schema->fields[0];
    *field = (ra_field){.name = RA_STR("runs"), .type = RA_TYPE_RUN_END_ENCODED};
    ra_field *children = testing_set_children(schema, field, 2);
    children[0] = (ra_field){.name = RA_STR("run_ends"), .type = RA_TYPE_INT16};
    children[1] = (ra_field){.name = RA_STR("values"), .type = RA_TYPE_INT64, .nullable = true};
    testing_must(ra_schema_seal(schema, &err), &err);
    testing_batches batches = testing_random_batches(schema, 1, 100, 1000);
    ra_content *content = testing_write(&store, schema, &batches);
    assert_true(testing_content_equal(content, &batches));
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void what_is_held_back_is_charged_and_bounded(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_plain_schema(mixed, 4);
    ra_error err;
    ra_writer *writer;
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    int64_t most = 0;
    for (int i = 0; i < 20000; i++) {
        ra_batch *batch = testing_random_batch(1, 1 + i % 300, schema);
        testing_must(ra_writer_add(writer, batch, (ra_span){0}, &err), &err);
        ra_batch_unref(batch);
        int64_t used = ra_budget_used(&store.budget);
        assert_true(used > 0);
        most = used > most ? used : most;
    }
    assert_in_range(most, 64 * 1024, 5 * 1024 * 1024);
    // No room in the writer's part of the budget: a clear error.
    ra_writer_free(writer);
    ra_budget part;
    ra_budget_init(&part, &store.budget, "part", 300 * 1024);
    testing_must(ra_writer_new(&store.store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    ra_writer_set_budget(writer, &part);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        ra_batch *batch = testing_random_batch(1, 200, schema);
        rc = ra_writer_add(writer, batch, (ra_span){0}, &err);
        ra_batch_unref(batch);
    }
    assert_int_equal(rc, RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
    assert_non_null(strstr(err.message, "part: "));
    ra_writer_free(writer);
    ra_budget_fini(&part);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_than_64_tiny_batches_are_stored_as_received),
        cmocka_unit_test(floods_of_tiny_batches_are_merged),
        cmocka_unit_test(floods_of_every_type_are_merged),
        cmocka_unit_test(runs_end_where_a_batch_stays_alone),
        cmocka_unit_test(what_cannot_be_joined_is_stored_as_received),
        cmocka_unit_test(what_is_held_back_is_charged_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
