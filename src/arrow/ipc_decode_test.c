// What a decoder accepts and refuses of messages from outside.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_ipc.h"
#include "arrow/testing_random.h"

static ra_schema *one_column(ra_type_id type) {
    ra_error err;
    ra_schema *schema;
    testing_rng rng = {1};
    testing_must(ra_schema_new(1, &schema, &err), &err);
    ra_field *field = &schema->fields[0];
    *field = (ra_field){.name = RA_STR("c"), .nullable = true};
    ra_field *value = testing_set_type(schema, &rng, field, type);
    if (value)
        *value = (ra_field){.name = RA_STR("value"), .nullable = true, .type = RA_TYPE_INT16};
    else if (ra_type_layout(type) >= RA_LAYOUT_LIST32)
        testing_plain_children(schema, field);
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static testing_parts parts_of(ra_schema *schema, int64_t n_rows) {
    ra_batch *batch = testing_random_batch(3, n_rows, schema);
    testing_parts parts = testing_take_apart(testing_encode_batch(batch));
    ra_batch_unref(batch);
    return parts;
}

// Takes the parts.
static int decode(ra_schema *schema, testing_parts parts, ra_batch **out, ra_error *err) {
    ra_ipc_decoder *decoder;
    ra_bytes message = testing_encode_schema(schema);
    testing_ok(ra_ipc_decoder_new(testing_span(&message), NULL, &decoder, err), err);
    ra_bytes_fini(&message);
    testing_message m = testing_put_together(parts);
    int rc = ra_ipc_decode(decoder, testing_span(&m.message), m.body, m.blob, out, err);
    testing_message_fini(&m);
    ra_ipc_decoder_free(decoder);
    return rc;
}

static void insert_buffer(testing_parts *parts, int at, int64_t offset, int64_t bytes) {
    ra_error err;
    testing_ok(ra_bytes_append_zeros(&parts->buffers, 16, &err), &err);
    uint8_t *buffer = parts->buffers.data + 16 * at;
    memmove(buffer + 16, buffer, parts->buffers.len - 16 * ((size_t)at + 1));
    ra_store_i64(buffer, offset);
    ra_store_i64(buffer + 8, bytes);
}

static void v4_unions_bring_a_validity_buffer(void **state) {
    (void)state;
    static const ra_type_id types[] = {RA_TYPE_SPARSE_UNION, RA_TYPE_DENSE_UNION};
    for (int i = 0; i < 2; i++) {
        ra_error err;
        ra_batch *read;
        ra_schema *schema = one_column(types[i]);
        testing_parts parts = parts_of(schema, 10);
        parts.version = 4;
        insert_buffer(&parts, 0, 0, 0);
        if (decode(schema, parts, &read, &err) != 0)
            fail_msg("%s", err.message);
        ra_batch *expected = testing_random_batch(3, 10, schema);
        assert_true(ra_array_equal(&read->columns[0], &expected->columns[0], true));
        ra_batch_unref(expected);
        ra_batch_unref(read);

        parts = parts_of(schema, 10);
        insert_buffer(&parts, 0, 0, 0);  // in V5 it is one too many
        assert_int_equal(decode(schema, parts, &read, &err), RA_INVALID);

        parts = parts_of(schema, 10);
        parts.version = 4;
        insert_buffer(&parts, 0, 0, 2);
        ra_store_i64(parts.nodes.data + 8, 1);  // a null of the union's own
        assert_int_equal(decode(schema, parts, &read, &err), RA_UNIMPLEMENTED);
        ra_schema_unref(schema);
    }
}

static void metadata_versions_before_4_are_refused(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_INT8);
    static const int versions[] = {-1, 0, 3, 6, 100};
    for (int i = 0; i < 5; i++) {
        testing_parts parts = parts_of(schema, 10);
        parts.version = versions[i];
        assert_int_equal(decode(schema, parts, &read, &err), RA_UNIMPLEMENTED);
    }
    ra_schema_unref(schema);
}

static void counts_must_be_those_of_the_schema(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_UTF8_VIEW);
    for (int i = 0; i < 6; i++) {
        testing_parts parts = parts_of(schema, 10);
        ra_bytes *vector[] = {&parts.nodes, &parts.buffers, &parts.variadic_counts};
        if (i < 3)
            testing_ok(ra_bytes_append_zeros(vector[i], 16, &err), &err);
        else
            vector[i - 3]->len -= i == 5 ? 8 : 16;
        assert_int_equal(decode(schema, parts, &read, &err), RA_INVALID);
        assert_null(read);
    }
    ra_schema_unref(schema);
}

static void null_count_0_makes_the_validity_irrelevant(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_INT32);
    testing_parts parts = parts_of(schema, 10);
    ra_store_i64(parts.nodes.data + 8, 0);
    ra_store_i64(parts.buffers.data + 8, 1);  // shorter than 10 bits
    assert_int_equal(decode(schema, parts, &read, &err), 0);
    assert_int_equal(read->columns[0].null_count, 0);
    assert_null(read->columns[0].validity.data);
    ra_batch_unref(read);

    parts = parts_of(schema, 10);
    ra_store_i64(parts.nodes.data + 8, 5);
    ra_store_i64(parts.buffers.data + 8, 0);
    assert_int_equal(decode(schema, parts, &read, &err), RA_INVALID);
    assert_string_equal(err.subject_key, "column");
    assert_string_equal(err.subject, "c");
    ra_schema_unref(schema);
}

static void buffers_off_alignment_are_refused(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_INT8);
    for (int64_t offset = 0; offset <= 8; offset++) {
        testing_parts parts = parts_of(schema, 10);
        ra_store_i64(parts.nodes.data + 8, 0);
        ra_store_i64(parts.buffers.data + 16, offset);
        assert_int_equal(decode(schema, parts, &read, &err), offset % 8 ? RA_INVALID : 0);
        ra_batch_unref(read);
    }
    ra_schema_unref(schema);
}

static void arrays_of_0_rows_need_no_offsets(void **state) {
    (void)state;
    for (int type = 0; type < RA_N_TYPES; type++) {
        ra_error err;
        ra_batch *read;
        ra_schema *schema = one_column((ra_type_id)type);
        testing_parts parts = parts_of(schema, 0);
        memset(parts.nodes.data, 0, parts.nodes.len);
        memset(parts.buffers.data, 0, parts.buffers.len);
        if (decode(schema, parts, &read, &err) != 0)
            fail_msg("%s", err.message);
        testing_message m = testing_encode_batch(read);  // and has them afterwards
        testing_message_fini(&m);
        ra_batch_unref(read);
        ra_schema_unref(schema);
    }
}

static void a_body_of_another_length_is_refused(void **state) {
    (void)state;
    ra_ipc_decoder *decoder;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_INT32);
    ra_bytes message = testing_encode_schema(schema);
    testing_ok(ra_ipc_decoder_new(testing_span(&message), NULL, &decoder, &err), &err);
    testing_message m = testing_put_together(parts_of(schema, 10));
    for (int more = -8; more <= 8; more += 8) {
        ra_span body = {m.body.data, m.body.bytes + more};
        int rc = ra_ipc_decode(decoder, testing_span(&m.message), body, m.blob, &read, &err);
        assert_int_equal(rc, more ? RA_INVALID : 0);
        ra_batch_unref(read);
    }
    assert_int_equal(ra_ipc_decode(decoder, testing_span(&message), m.body, m.blob, &read, &err),
                     RA_INVALID);
    testing_message_fini(&m);
    ra_bytes_fini(&message);
    ra_ipc_decoder_free(decoder);
    ra_schema_unref(schema);
}

static void a_batch_of_columns_without_bytes_needs_no_body(void **state) {
    (void)state;
    ra_ipc_decoder *decoder;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_NULL);
    ra_bytes message = testing_encode_schema(schema);
    testing_ok(ra_ipc_decoder_new(testing_span(&message), NULL, &decoder, &err), &err);
    testing_message m = testing_put_together(parts_of(schema, INT32_MAX));
    int rc = ra_ipc_decode(decoder, testing_span(&m.message), (ra_span){0}, NULL, &read, &err);
    assert_int_equal(rc, 0);
    assert_int_equal(read->columns[0].null_count, INT32_MAX);
    ra_batch_unref(read);
    testing_message_fini(&m);
    ra_bytes_fini(&message);
    ra_ipc_decoder_free(decoder);
    ra_schema_unref(schema);
}

static void rows_beyond_2_to_the_31_are_refused(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    ra_schema *schema = one_column(RA_TYPE_NULL);
    testing_parts parts = parts_of(schema, 1);
    parts.n_rows = 1LL << 31;
    ra_store_i64(parts.nodes.data, 1LL << 31);
    assert_int_equal(decode(schema, parts, &read, &err), RA_EXHAUSTED);
    ra_schema_unref(schema);
}

static void a_peek_tells_kind_and_sizes(void **state) {
    (void)state;
    ra_error err;
    ra_ipc_header header;
    ra_schema *schema = one_column(RA_TYPE_INT64);
    ra_bytes message = testing_encode_schema(schema);
    assert_int_equal(ra_ipc_peek(testing_span(&message), &header, &err), 0);
    assert_int_equal(header.kind, RA_IPC_SCHEMA);
    assert_int_equal(header.version, 5);
    ra_bytes_fini(&message);
    testing_parts parts = parts_of(schema, 10);
    parts.is_dictionary = parts.is_delta = true;
    parts.dictionary_id = -7;
    testing_message m = testing_put_together(parts);
    assert_int_equal(ra_ipc_peek(testing_span(&m.message), &header, &err), 0);
    assert_int_equal(header.kind, RA_IPC_DICTIONARY);
    assert_int_equal(header.n_rows, 10);
    assert_int_equal(header.dictionary_id, -7);
    assert_true(header.is_delta);
    assert_int_equal(header.body_bytes, m.body.bytes);
    testing_message_fini(&m);
    assert_int_equal(ra_ipc_peek((ra_span){(const uint8_t *)"", 0}, &header, &err), RA_INVALID);
    ra_schema_unref(schema);
}

static void streams_may_end_with_or_without_a_mark(void **state) {
    (void)state;
    ra_schema *schema = one_column(RA_TYPE_UTF8);
    ra_batch *batch = testing_random_batch(1, 10, schema);
    ra_bytes stream;
    ra_bytes_init(&stream, TESTING_CEILING_BYTES);
    testing_write_stream(schema, &batch, 1, &stream);
    size_t whole = stream.len;
    for (size_t cut = 0; cut <= whole; cut++) {
        ra_error err;
        ra_blob *blob;
        ra_schema *read_schema;
        ra_batch **batches;
        int n;
        testing_ok(ra_blob_new(whole - cut, &blob, &err), &err);
        memcpy(blob->data, stream.data, whole - cut);
        int rc = ra_ipc_read_stream(blob, NULL, &read_schema, &batches, &n, &err);
        assert_true(rc == 0 || rc == RA_INVALID);
        if (cut == 0 || cut == 8)  // with the mark, and exactly without it
            assert_true(rc == 0 && n == 1);
        if (cut > 8)
            assert_int_equal(n, 0);
        for (int i = 0; i < n; i++)
            ra_batch_unref(batches[i]);
        ra_free(batches);
        ra_schema_unref(read_schema);
        ra_blob_unref(blob);
    }
    ra_bytes_fini(&stream);
    ra_batch_unref(batch);
    ra_schema_unref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v4_unions_bring_a_validity_buffer),
        cmocka_unit_test(metadata_versions_before_4_are_refused),
        cmocka_unit_test(counts_must_be_those_of_the_schema),
        cmocka_unit_test(null_count_0_makes_the_validity_irrelevant),
        cmocka_unit_test(buffers_off_alignment_are_refused),
        cmocka_unit_test(arrays_of_0_rows_need_no_offsets),
        cmocka_unit_test(a_body_of_another_length_is_refused),
        cmocka_unit_test(a_batch_of_columns_without_bytes_needs_no_body),
        cmocka_unit_test(rows_beyond_2_to_the_31_are_refused),
        cmocka_unit_test(a_peek_tells_kind_and_sizes),
        cmocka_unit_test(streams_may_end_with_or_without_a_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
