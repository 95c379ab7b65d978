// What is encoded comes back equal: every type, schemas with their metadata, whole streams.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/check.h"
#include "arrow/testing_ipc.h"
#include "arrow/testing_random.h"

// A schema with one column of `type` (its children plain), as a dictionary too when `dictionary`.
static ra_schema *schema_of_type(ra_type_id type, bool dictionary) {
    testing_rng rng = {type};
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    ra_field *field = &schema->fields[0];
    *field = (ra_field){.name = RA_STR("column"), .nullable = true};
    ra_field *value = testing_set_type(schema, &rng, field, type);
    if (value)
        *value = (ra_field){.name = RA_STR("value"), .nullable = true, .type = RA_TYPE_INT16};
    else if (ra_type_layout(type) >= RA_LAYOUT_LIST32)
        testing_plain_children(schema, field);
    field->is_dictionary = dictionary;
    field->index_type = RA_TYPE_UINT16;
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void assert_equal_batches(const ra_batch *a, const ra_batch *b) {
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->n_columns, b->n_columns);
    for (int i = 0; i < a->n_columns; i++) {
        assert_int_equal(a->columns[i].length, b->columns[i].length);
        assert_int_equal(a->columns[i].null_count, b->columns[i].null_count);
        if (!ra_array_equal(&a->columns[i], &b->columns[i], true))
            fail_msg("column %d differs", i);
    }
}

static void assert_stream_comes_back(ra_schema *schema, ra_batch *const *batches, int n) {
    ra_bytes stream;
    ra_blob *blob;
    ra_error err;
    ra_bytes_init(&stream, TESTING_CEILING_BYTES);
    testing_write_stream(schema, batches, n, &stream);
    size_t bytes = stream.len;
    testing_ok(ra_blob_take(ra_bytes_take(&stream), bytes, &blob, &err), &err);
    ra_schema *read_schema;
    ra_batch **read;
    int n_read;
    int rc = ra_ipc_read_stream(blob, NULL, &read_schema, &read, &n_read, &err);
    if (rc)
        fail_msg("%s", err.message);
    ra_blob_unref(blob);
    assert_true(ra_schema_equal(schema, read_schema, true));
    assert_int_equal(n_read, n);
    for (int i = 0; i < n; i++) {
        assert_equal_batches(batches[i], read[i]);
        ra_batch_unref(read[i]);
    }
    ra_free(read);
    ra_schema_unref(read_schema);
}

static void every_type_comes_back(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 100};
    for (int type = 0; type < RA_N_TYPES; type++)
        for (int dictionary = 0; dictionary < 2; dictionary++) {
            ra_schema *schema = schema_of_type((ra_type_id)type, dictionary);
            ra_batch *batches[3];
            for (int i = 0; i < 3; i++)
                batches[i] = testing_random_batch((uint64_t)(type * 3 + i), sizes[i], schema);
            assert_stream_comes_back(schema, batches, 3);
            for (int i = 0; i < 3; i++)
                ra_batch_unref(batches[i]);
            ra_schema_unref(schema);
        }
}

static void random_nested_streams_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        ra_schema *schema = testing_random_schema(seed, 1 + (int)seed % 9, 1 + (int)seed % 4);
        ra_batch *batches[2];
        batches[0] = testing_random_batch(seed, (int64_t)seed % 3 * 17, schema);
        batches[1] = testing_random_batch(seed + 1000, 33, schema);
        assert_stream_comes_back(schema, batches, 2);
        ra_batch_unref(batches[0]);
        ra_batch_unref(batches[1]);
        ra_schema_unref(schema);
    }
}

static void collect(void *context, ra_batch *dictionary, int64_t id) {
    ra_batch **by_id = context;
    by_id[id] = dictionary;
}

static void own_batches_are_read_without_a_copy(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        ra_error err;
        int64_t id;
        ra_batch *read, *dictionaries[64] = {NULL};
        ra_schema *schema = testing_random_schema(seed, 5, 2);
        assert_true(schema->n_dictionaries <= 64);
        ra_batch *batch = testing_random_batch(seed, 50, schema);
        for (int i = 0; i < batch->n_columns; i++)
            testing_each_dictionary(batch, &batch->columns[i], collect, dictionaries);
        testing_message m = testing_encode_batch(batch);
        assert_int_equal(ra_ipc_decode_own(schema, testing_span(&m.message), m.body, m.blob,
                                           dictionaries, &id, &read, &err),
                         0);
        assert_int_equal(id, -1);
        assert_ptr_equal(read->owners[0], m.blob);
        assert_int_equal(read->n_owners, 1);
        assert_equal_batches(batch, read);
        int64_t body_bytes = ra_batch_body_bytes(batch),
                total = body_bytes + (int64_t)m.message.len;
        assert_int_equal(m.body.bytes, body_bytes);
        assert_true(ra_ipc_encoded_bound(batch) >= total);
        assert_true(ra_ipc_encoded_bound(batch) <= total + 1024 + body_bytes);
        testing_message_fini(&m);
        ra_batch_unref(read);
        ra_batch_unref(batch);
        ra_schema_unref(schema);
    }
}

static void own_dictionaries_are_read_under_our_id(void **state) {
    (void)state;
    ra_error err;
    int64_t id;
    ra_batch *read;
    ra_schema *schema = schema_of_type(RA_TYPE_UTF8, true);
    ra_batch *batch = testing_random_batch(1, 20, schema);
    testing_message m = testing_encode_dictionary(batch->dictionaries[0], 0);
    assert_int_equal(
        ra_ipc_decode_own(schema, testing_span(&m.message), m.body, m.blob, NULL, &id, &read, &err),
        0);
    assert_int_equal(id, 0);
    assert_true(ra_array_equal(&read->columns[0], batch->columns[0].dictionary, true));
    ra_batch_unref(read);
    testing_message_fini(&m);
    m = testing_encode_dictionary(batch->dictionaries[0], 7);
    assert_int_equal(
        ra_ipc_decode_own(schema, testing_span(&m.message), m.body, m.blob, NULL, &id, &read, &err),
        RA_INVALID);
    testing_message_fini(&m);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

static void own_batch_with_short_buffers_is_refused(void **state) {
    (void)state;
    for (int type = 0; type < RA_N_TYPES; type++) {
        ra_error err;
        int64_t id;
        ra_batch *read;
        ra_schema *schema = schema_of_type((ra_type_id)type, false);
        ra_batch *batch = testing_random_batch(9, 50, schema);
        ra_layout layout = batch->columns[0].layout;
        testing_parts parts = testing_take_apart(testing_encode_batch(batch));
        bool has_buffers = ra_layout_n_buffers(layout) > 0 && batch->columns[0].byte_width != 0;
        if (layout != RA_LAYOUT_FIXED)
            has_buffers = ra_layout_n_buffers(layout) > 0;
        int at = ra_layout_has_validity(layout) ? 1 : 0;  // the first buffer of the values
        if (has_buffers)
            ra_store_i64(parts.buffers.data + 16 * at + 8, 3);
        testing_message m = testing_put_together(parts);
        int rc = ra_ipc_decode_own(schema, testing_span(&m.message), m.body, m.blob, NULL, &id,
                                   &read, &err);
        assert_int_equal(rc, has_buffers ? RA_INVALID : 0);
        ra_batch_unref(read);
        testing_message_fini(&m);
        ra_batch_unref(batch);
        ra_schema_unref(schema);
    }
}

static ra_schema *schema_with_metadata(bool present, int n) {
    static ra_key_value items[] = {
        {{"b", 1}, {"2", 1}}, {{"a", 1}, {"\0\xff", 2}}, {{"b", 1}, {"", 0}}};
    ra_error err;
    ra_schema *schema;
    ra_metadata metadata = {.present = present, .n = n, .items = items};
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR(""), .type = RA_TYPE_INT8};
    testing_must(ra_metadata_copy(schema, &metadata, &schema->metadata, &err), &err);
    testing_must(ra_metadata_copy(schema, &metadata, &schema->fields[0].metadata, &err), &err);
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void assert_same_metadata(const ra_metadata *a, const ra_metadata *b) {
    assert_int_equal(a->present, b->present);
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++) {
        assert_true(ra_str_eq(a->items[i].key, b->items[i].key));
        assert_true(ra_str_eq(a->items[i].value, b->items[i].value));
    }
}

static void metadata_keeps_order_duplicates_and_emptiness(void **state) {
    (void)state;
    static const struct {
        bool present;
        int n;
    } cases[] = {{false, 0}, {true, 0}, {true, 3}};
    for (int i = 0; i < 3; i++) {
        ra_error err;
        ra_schema *read, *schema = schema_with_metadata(cases[i].present, cases[i].n);
        ra_bytes framed;
        ra_bytes_init(&framed, TESTING_CEILING_BYTES);
        assert_int_equal(ra_ipc_encode_framed_schema(schema, &framed, &err), 0);
        assert_int_equal(framed.len % 8, 0);
        assert_int_equal(ra_ipc_decode_framed_schema(testing_span(&framed), &read, &err), 0);
        assert_same_metadata(&schema->metadata, &read->metadata);
        assert_same_metadata(&schema->fields[0].metadata, &read->fields[0].metadata);
        ra_bytes_fini(&framed);
        ra_schema_unref(read);
        ra_schema_unref(schema);
    }
}

static void schema_of_most_columns_comes_back(void **state) {
    (void)state;
    ra_error err;
    ra_schema *read, *schema;
    assert_int_equal(ra_schema_new(RA_MAX_COLUMNS, &schema, &err), 0);
    for (int i = 0; i < RA_MAX_COLUMNS; i++)
        schema->fields[i] = (ra_field){.name = testing_name(schema, "column", i),
                                       .type = (ra_type_id)(i % RA_TYPE_BINARY_VIEW),
                                       .unit = i % RA_TYPE_BINARY_VIEW == RA_TYPE_TIME64 ? 2 : 0,
                                       .precision = 1};
    assert_int_equal(ra_schema_seal(schema, &err), 0);
    ra_bytes message = testing_encode_schema(schema);
    assert_true(message.len < 100 * RA_MAX_COLUMNS);
    assert_int_equal(ra_ipc_decode_schema(testing_span(&message), &read, &err), 0);
    assert_true(ra_schema_equal(schema, read, true));
    ra_bytes_fini(&message);
    ra_schema_unref(read);
    ra_schema_unref(schema);
    assert_int_equal(ra_schema_new(RA_MAX_COLUMNS + 1, &schema, &err), RA_EXHAUSTED);
}

static void nulls_are_left_out_when_there_are_none(void **state) {
    (void)state;
    ra_schema *schema = schema_of_type(RA_TYPE_INT64, false);
    ra_batch *batch = testing_random_batch(1, 100, schema);
    batch->columns[0].null_count = 0;
    testing_parts parts = testing_take_apart(testing_encode_batch(batch));
    assert_int_equal(ra_load_i64(parts.buffers.data + 8), 0);
    assert_int_equal(ra_load_i64(parts.buffers.data + 24), 800);
    testing_message m = testing_put_together(parts);
    testing_message_fini(&m);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

static void a_footer_names_its_blocks(void **state) {
    (void)state;
    ra_error err;
    ra_flatbuf buffer;
    ra_flatbuf_table footer, schema_table;
    ra_flatbuf_vector blocks;
    bool present;
    ra_bytes out;
    ra_schema *schema = testing_random_schema(3, 4, 2);
    const ra_ipc_block dictionary = {8, 200, 64},
                       batches[] = {{272, 304, 128}, {704, 8, 1LL << 40}};
    ra_bytes_init(&out, TESTING_CEILING_BYTES);
    assert_int_equal(ra_ipc_encode_footer(schema, &dictionary, 1, batches, 2, &out, &err), 0);
    assert_memory_equal(out.data + out.len - 6, "ARROW1", 6);
    int32_t bytes = ra_load_i32(out.data + out.len - 10);
    assert_int_equal(bytes, out.len - 10);
    assert_int_equal(ra_flatbuf_open(&buffer, (ra_span){out.data, bytes}, &footer, &err), 0);
    assert_int_equal(
        ra_flatbuf_need_table(&footer, FB_FOOTER_SCHEMA, "schema", &schema_table, &err), 0);
    assert_int_equal(ra_flatbuf_get_vector(&footer, FB_FOOTER_DICTIONARIES, FB_BLOCK_BYTES, &blocks,
                                           &present, &err),
                     0);
    assert_int_equal(blocks.n, 1);
    assert_int_equal(ra_load_i64(blocks.data), 8);
    assert_int_equal(
        ra_flatbuf_get_vector(&footer, FB_FOOTER_BATCHES, FB_BLOCK_BYTES, &blocks, &present, &err),
        0);
    assert_int_equal(blocks.n, 2);
    assert_int_equal((blocks.data - out.data) % 8, 0);
    assert_int_equal(ra_load_i64(blocks.data + 24), 704);
    assert_int_equal(ra_load_i32(blocks.data + 32), 8);
    assert_true(ra_load_i64(blocks.data + 40) == 1LL << 40);
    ra_bytes_fini(&out);
    ra_schema_unref(schema);
}

typedef struct {
    int left;
    bool for_ever;
} failing;

static int fail_nth(void *context, const ra_os_event *event) {
    failing *f = context;
    if (event->call != RA_OS_ALLOC)
        return 0;
    f->left--;
    return f->left == 0 || (f->for_ever && f->left < 0) ? 12 : 0;
}

static int read_with_failure(ra_blob *blob, failing f, int *n_batches) {
    ra_schema *schema;
    ra_batch **batches;
    ra_error err;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", 1 << 24);
    ra_os_set_gate(fail_nth, &f);
    int rc = ra_ipc_read_stream(blob, &budget, &schema, &batches, n_batches, &err);
    ra_os_set_gate(NULL, NULL);
    for (int i = 0; i < *n_batches; i++)
        ra_batch_unref(batches[i]);
    ra_free(batches);
    ra_schema_unref(schema);
    ra_budget_fini(&budget);
    return rc;
}

static int encode_with_failure(const ra_batch *batch, failing f) {
    ra_error err;
    ra_ipc_encoded encoded;
    ra_bytes schema;
    ra_bytes_init(&schema, TESTING_CEILING_BYTES);
    ra_ipc_encoded_init(&encoded);
    ra_os_set_gate(fail_nth, &f);
    int rc = ra_ipc_encode_batch(batch, &encoded, &err);
    if (rc == 0)
        rc = ra_ipc_encode_framed_schema(batch->schema, &schema, &err);
    ra_os_set_gate(NULL, NULL);
    ra_ipc_encoded_fini(&encoded);
    ra_bytes_fini(&schema);
    return rc;
}

// A stream of several types with a dictionary, a delta of it and compressed batches.
static ra_blob *stream_with_everything(ra_schema *schema, const ra_batch *batch) {
    ra_error err;
    ra_blob *blob;
    ra_bytes stream;
    ra_bytes_init(&stream, TESTING_CEILING_BYTES);
    testing_ok(ra_ipc_encode_framed_schema(schema, &stream, &err), &err);
    for (int i = 0; i < batch->n_columns; i++)
        testing_each_dictionary(batch, &batch->columns[i], testing_append_dictionary, &stream);
    for (int i = 0; i < 3; i++) {
        testing_parts parts = testing_take_apart(testing_encode_batch(batch));
        if (i > 0)
            testing_compress(&parts, i == 1 ? RA_CODEC_LZ4 : RA_CODEC_ZSTD);
        testing_append_message(&stream, testing_put_together(parts));
        const ra_array *column = &batch->columns[0];
        parts = testing_take_apart(testing_encode_dictionary(
            testing_dictionary_of(batch, column->dictionary), column->field->dictionary_id));
        parts.is_delta = true;
        testing_append_message(&stream, testing_put_together(parts));
    }
    size_t bytes = stream.len;
    testing_ok(ra_blob_take(ra_bytes_take(&stream), bytes, &blob, &err), &err);
    return blob;
}

static void a_failed_allocation_is_reported_and_leaves_nothing(void **state) {
    (void)state;
    ra_schema *schema = schema_of_type(RA_TYPE_LIST, true);
    ra_batch *batch = testing_random_batch(5, 20, schema);
    ra_blob *blob = stream_with_everything(schema, batch);
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        int rc = 1, n_batches;
        for (int n = 1; rc != 0; n++) {
            rc = read_with_failure(blob, (failing){n, for_ever}, &n_batches);
            assert_true(rc == 0 || rc == RA_EXHAUSTED);
            assert_true(rc != 0 || n_batches == 3);
            assert_true(n < 2000);
        }
        rc = 1;
        for (int n = 1; rc != 0; n++) {
            rc = encode_with_failure(batch, (failing){n, for_ever});
            assert_true(rc == 0 || rc == RA_EXHAUSTED);
        }
    }
    ra_blob_unref(blob);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(random_nested_streams_come_back),
        cmocka_unit_test(own_batches_are_read_without_a_copy),
        cmocka_unit_test(own_dictionaries_are_read_under_our_id),
        cmocka_unit_test(own_batch_with_short_buffers_is_refused),
        cmocka_unit_test(metadata_keeps_order_duplicates_and_emptiness),
        cmocka_unit_test(schema_of_most_columns_comes_back),
        cmocka_unit_test(nulls_are_left_out_when_there_are_none),
        cmocka_unit_test(a_footer_names_its_blocks),
        cmocka_unit_test(a_failed_allocation_is_reported_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
