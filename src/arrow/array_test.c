// Bitmaps at any offset against the bit by bit way, and who keeps memory alive.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_random.h"

enum { BYTES = 64 };

static void random_bytes(testing_rng *rng, uint8_t *out) {
    for (int i = 0; i < BYTES; i++)
        out[i] = (uint8_t)testing_next(rng);
}

static void bits_are_counted_copied_and_filled(void **state) {
    (void)state;
    testing_rng rng = {1};
    for (int round = 0; round < 20000; round++) {
        uint8_t from[BYTES], to[BYTES], expected[BYTES], filled[BYTES];
        int64_t n = testing_below(&rng, 200), at = testing_below(&rng, BYTES * 8 - n + 1);
        int64_t to_at = testing_below(&rng, BYTES * 8 - n + 1), count = 0;
        bool value = testing_one_in(&rng, 2);
        random_bytes(&rng, from);
        random_bytes(&rng, to);
        memcpy(expected, to, BYTES);
        memcpy(filled, to, BYTES);
        for (int64_t i = 0; i < n; i++) {
            count += ra_bit_get(from, i);
            (ra_bit_get(from, at + i) ? ra_bit_set : ra_bit_clear)(expected, to_at + i);
        }
        assert_int_equal(ra_count_bits(from, n), count);
        ra_copy_bits(to, to_at, from, at, n);
        assert_memory_equal(to, expected, BYTES);
        for (int64_t i = 0; i < n; i++)
            (value ? ra_bit_set : ra_bit_clear)(expected, to_at + i);
        ra_fill_bits(to, to_at, n, value);
        assert_memory_equal(to, expected, BYTES);
    }
}

static void no_byte_beyond_the_bits_is_touched(void **state) {
    (void)state;
    for (int64_t n = 0; n <= 130; n++)
        for (int64_t at = 0; at < 9; at++) {  // exact allocations: sanitizers see the rest
            uint8_t *from = malloc((size_t)ra_bit_bytes(at + n) + 1) + 1;
            uint8_t *to = malloc((size_t)ra_bit_bytes(n) + 1) + 1;
            memset(from, 0xff, (size_t)ra_bit_bytes(at + n));
            memset(to, 0, (size_t)ra_bit_bytes(n));
            ra_copy_bits(to, 0, from, at, n);
            assert_int_equal(ra_count_bits(to, n), n);
            free(from - 1);
            free(to - 1);
        }
}

static ra_schema *one_dictionary(void) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("d"),
                                   .type = RA_TYPE_UTF8,
                                   .is_dictionary = true,
                                   .index_type = RA_TYPE_UINT8};
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void release_count(void *owner) {
    ++*(int *)owner;
}

static void a_batch_keeps_its_owners_and_dictionaries(void **state) {
    (void)state;
    int released = 0;
    ra_error err;
    ra_blob *blob;
    ra_batch *dictionary, *batch, *heir;
    ra_schema *schema = one_dictionary();
    const uint8_t byte = 0;
    testing_must(ra_blob_wrap(&byte, 1, release_count, &released, &blob, &err), &err);
    testing_must(ra_dictionary_new(schema, &schema->fields[0], 0, &dictionary, &err), &err);
    testing_must(ra_batch_own(dictionary, blob, &err), &err);
    ra_blob_unref(blob);
    testing_must(ra_batch_new(schema, 0, &batch, &err), &err);
    for (int i = 0; i < 3; i++)
        testing_must(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    assert_int_equal(batch->n_dictionaries, 1);
    ra_batch_unref(dictionary);
    testing_must(ra_batch_new(schema, 0, &heir, &err), &err);
    testing_must(ra_batch_own_all(heir, batch, &err), &err);
    ra_schema_unref(schema);
    ra_batch_unref(batch);
    assert_int_equal(released, 0);
    ra_batch_unref(heir);
    assert_int_equal(released, 1);
}

static void an_array_knows_indices_from_values(void **state) {
    (void)state;
    ra_error err;
    ra_batch *dictionary, *batch;
    ra_schema *schema = one_dictionary();
    testing_must(ra_dictionary_new(schema, &schema->fields[0], 0, &dictionary, &err), &err);
    testing_must(ra_batch_new(schema, 5, &batch, &err), &err);
    assert_int_equal(batch->columns[0].layout, RA_LAYOUT_FIXED);
    assert_int_equal(batch->columns[0].byte_width, 1);
    assert_false(batch->columns[0].of_dictionary);
    assert_int_equal(dictionary->columns[0].layout, RA_LAYOUT_VAR32);
    assert_true(dictionary->columns[0].of_dictionary);
    assert_int_equal(ra_load_i32(dictionary->columns[0].buffers[0].data), 0);
    ra_batch_unref(batch);
    ra_batch_unref(dictionary);
    ra_schema_unref(schema);
}

static int fail_nth(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left == 0 ? 12 : 0;
}

static void a_failed_allocation_leaves_nothing(void **state) {
    (void)state;
    ra_schema *schema = testing_random_schema(4, 5, 2);
    int rc = 1;
    for (int n = 1; rc != 0; n++) {
        ra_error err;
        ra_batch *batch = NULL;
        uint8_t *data;
        int left = n;
        ra_os_set_gate(fail_nth, &left);
        rc = ra_batch_new(schema, 3, &batch, &err);
        if (rc == 0)
            rc = ra_batch_alloc(batch, 100, &data, &err);
        ra_os_set_gate(NULL, NULL);
        ra_batch_unref(batch);
        assert_true(rc == 0 || rc == RA_EXHAUSTED);
        assert_true(n < 100);
    }
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_counted_copied_and_filled),
        cmocka_unit_test(no_byte_beyond_the_bits_is_touched),
        cmocka_unit_test(a_batch_keeps_its_owners_and_dictionaries),
        cmocka_unit_test(an_array_knows_indices_from_values),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
