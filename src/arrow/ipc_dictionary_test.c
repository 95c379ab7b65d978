// Dictionaries of a stream: replaced, extended, nested, shared, missing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_ipc.h"
#include "arrow/testing_random.h"

static ra_field dictionary_field(const char *name, ra_type_id type) {
    return (ra_field){.name = ra_str_of(name),
                      .nullable = true,
                      .type = type,
                      .is_dictionary = true,
                      .index_type = RA_TYPE_INT32};
}

// "a" and "b": dictionaries of strings under the sender's ids; "n": of lists of dictionary strings.
static ra_schema *new_schema(int64_t id_a, int64_t id_b, int64_t id_n, int64_t id_inner) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(3, &schema, &err), &err);
    schema->fields[0] = dictionary_field("a", RA_TYPE_UTF8);
    schema->fields[1] = dictionary_field("b", RA_TYPE_UTF8);
    schema->fields[1].index_type = RA_TYPE_INT8;
    schema->fields[2] = dictionary_field("n", RA_TYPE_LIST);
    testing_set_children(schema, &schema->fields[2], 1)[0] = dictionary_field("item", RA_TYPE_UTF8);
    testing_must(ra_schema_seal(schema, &err), &err);
    schema->fields[0].dictionary_id = id_a;  // as another sender would number them
    schema->fields[1].dictionary_id = id_b;
    schema->fields[2].dictionary_id = id_n;
    schema->fields[2].children[0].dictionary_id = id_inner;
    return schema;
}

typedef struct {
    ra_schema *schema;  // the sender's
    ra_ipc_decoder *decoder;
    ra_budget budget;
} fixture;

static fixture *fixture_new(int64_t id_a, int64_t id_b, int64_t id_n, int64_t id_inner) {
    ra_error err;
    fixture *f = calloc(1, sizeof *f);
    f->schema = new_schema(id_a, id_b, id_n, id_inner);
    ra_budget_init(&f->budget, NULL, "test", 1 << 24);
    ra_bytes message = testing_encode_schema(f->schema);
    testing_ok(ra_ipc_decoder_new(testing_span(&message), &f->budget, &f->decoder, &err), &err);
    ra_bytes_fini(&message);
    return f;
}

static void fixture_free(fixture *f) {
    ra_ipc_decoder_free(f->decoder);
    ra_budget_fini(&f->budget);
    ra_schema_unref(f->schema);
    free(f);
}

// Takes the message.
static int decode(fixture *f, testing_message m, ra_batch **out, ra_error *err) {
    int rc = ra_ipc_decode(f->decoder, testing_span(&m.message), m.body, m.blob, out, err);
    testing_message_fini(&m);
    return rc;
}

static void fill_strings(ra_batch *batch, ra_array *array, const char *const *texts, int n) {
    ra_error err;
    uint8_t *offsets, *data;
    testing_ok(ra_batch_alloc(batch, 4 * (n + 1), &offsets, &err), &err);
    testing_ok(ra_batch_alloc(batch, 2048, &data, &err), &err);
    int32_t end = 0;
    for (int i = 0; i < n; i++) {
        size_t bytes = strlen(texts[i]);
        memcpy(data + end, texts[i], bytes);
        end += (int32_t)bytes;
        ra_store_i32(offsets + 4 * (i + 1), end);
    }
    array->length = n;
    array->buffers[0] = (ra_span){offsets, 4 * (n + 1)};
    array->buffers[1] = (ra_span){data, end};
}

static int send_parts(fixture *f, testing_message m, bool is_delta, ra_error *err) {
    ra_batch *none;
    testing_parts parts = testing_take_apart(m);
    parts.is_delta = is_delta;
    int rc = decode(f, testing_put_together(parts), &none, err);
    assert_null(none);
    return rc;
}

// Sends a dictionary of n strings for the sender's `id`.
static int send_strings(fixture *f, int64_t id, const char *const *texts, int n, bool is_delta,
                        ra_error *err) {
    ra_batch *dictionary;
    testing_ok(ra_dictionary_new(f->schema, &f->schema->fields[0], n, &dictionary, err), err);
    fill_strings(dictionary, &dictionary->columns[0], texts, n);
    int rc = send_parts(f, testing_encode_dictionary(dictionary, id), is_delta, err);
    ra_batch_unref(dictionary);
    return rc;
}

static void fill_indices(ra_batch *batch, ra_array *array, int64_t length, int64_t index) {
    ra_error err;
    uint8_t *data;
    int64_t bytes = length * array->byte_width;
    testing_ok(ra_batch_alloc(batch, bytes, &data, &err), &err);
    for (int64_t i = 0; i < length; i++)
        data[i * array->byte_width] = (uint8_t)index;
    array->length = length;
    array->buffers[0] = (ra_span){data, bytes};
}

// A dictionary of one list that holds inner value `inner_index`.
static int send_list(fixture *f, int64_t id, int64_t inner_index, bool is_delta, ra_error *err) {
    ra_batch *dictionary;
    uint8_t *offsets;
    testing_ok(ra_dictionary_new(f->schema, &f->schema->fields[2], 1, &dictionary, err), err);
    testing_ok(ra_batch_alloc(dictionary, 8, &offsets, err), err);
    ra_store_i32(offsets + 4, 1);
    dictionary->columns[0].buffers[0] = (ra_span){offsets, 8};
    fill_indices(dictionary, &dictionary->columns[0].children[0], 1, inner_index);
    int rc = send_parts(f, testing_encode_dictionary(dictionary, id), is_delta, err);
    ra_batch_unref(dictionary);
    return rc;
}

// A batch of one row with these indices; a negative one is a null.
static int send_row(fixture *f, const int indices[3], ra_batch **out, ra_error *err) {
    ra_batch *batch;
    uint8_t *none;
    testing_ok(ra_batch_new(f->schema, 1, &batch, err), err);
    testing_ok(ra_batch_alloc(batch, 1, &none, err), err);
    for (int i = 0; i < 3; i++) {
        fill_indices(batch, &batch->columns[i], 1, indices[i] < 0 ? 0 : indices[i]);
        if (indices[i] < 0) {
            batch->columns[i].null_count = 1;
            batch->columns[i].validity = (ra_span){none, 1};
        }
    }
    int rc = decode(f, testing_encode_batch(batch), out, err);
    ra_batch_unref(batch);
    return rc;
}

static ra_str string_at(const ra_array *strings, int64_t i) {
    int32_t from = ra_load_i32(strings->buffers[0].data + 4 * i);
    int32_t to = ra_load_i32(strings->buffers[0].data + 4 * i + 4);
    return (ra_str){(const char *)strings->buffers[1].data + from, (size_t)(to - from)};
}

// The string that column i of the batch's only row stands for.
static void assert_text(const ra_batch *batch, int i, const char *text) {
    const ra_array *column = &batch->columns[i];
    ra_str found = string_at(column->dictionary, column->buffers[0].data[0]);
    assert_int_equal(found.len, strlen(text));
    assert_memory_equal(found.data, text, found.len);
}

static void a_later_dictionary_replaces_for_later_batches(void **state) {
    (void)state;
    ra_error err;
    ra_batch *first, *second;
    fixture *f = fixture_new(INT64_MIN, 5, 7, INT64_MAX);
    assert_int_equal(send_strings(f, INT64_MIN, (const char *[]){"x", "y"}, 2, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){1, -1, -1}, &first, &err), 0);
    assert_int_equal(send_strings(f, INT64_MIN, (const char *[]){"u", "v"}, 2, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){1, -1, -1}, &second, &err), 0);
    fixture_free(f);
    assert_text(first, 0, "y");
    assert_text(second, 0, "v");
    assert_int_equal(first->schema->fields[0].dictionary_id, 0);
    assert_int_equal(first->schema->fields[2].children[0].dictionary_id, 3);
    ra_batch_unref(first);
    ra_batch_unref(second);
}

static void deltas_extend_for_later_batches_only(void **state) {
    (void)state;
    ra_error err;
    ra_batch *first, *second;
    fixture *f = fixture_new(0, 1, 2, 3);
    assert_int_equal(send_strings(f, 0, (const char *[]){"x"}, 1, true, &err), RA_INVALID);
    assert_int_equal(send_strings(f, 0, (const char *[]){"x"}, 1, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){0, -1, -1}, &first, &err), 0);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "d%d", i);
        assert_int_equal(send_strings(f, 0, (const char *[]){text}, 1, true, &err), 0);
    }
    assert_int_equal(send_row(f, (int[]){100, -1, -1}, &second, &err), 0);
    assert_int_equal(first->columns[0].dictionary->length, 1);
    assert_int_equal(second->columns[0].dictionary->length, 101);
    assert_text(second, 0, "d99");
    assert_ptr_equal(second->columns[0].dictionary->field, second->columns[0].field);
    assert_true(ra_budget_used(&f->budget) > 0);
    ra_batch_unref(second);
    assert_int_equal(send_strings(f, 0, (const char *[]){"z"}, 1, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){1, -1, -1}, &second, &err), RA_INVALID);
    assert_string_equal(err.subject, "a");
    ra_batch_unref(first);
    fixture_free(f);
}

static void fields_may_share_a_dictionary(void **state) {
    (void)state;
    ra_error err;
    ra_batch *batch;
    fixture *f = fixture_new(9, 9, 2, 9);
    assert_int_equal(send_strings(f, 9, (const char *[]){"x", "y"}, 2, false, &err), 0);
    assert_int_equal(send_strings(f, 9, (const char *[]){"z"}, 1, true, &err), 0);
    assert_int_equal(send_list(f, 2, 2, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){1, 2, 0}, &batch, &err), 0);
    assert_text(batch, 0, "y");
    assert_text(batch, 1, "z");
    for (int i = 0; i < 2; i++)
        assert_ptr_equal(batch->columns[i].dictionary->field, batch->columns[i].field);
    const ra_array *inner = &batch->columns[2].dictionary->children[0];
    assert_int_equal(string_at(inner->dictionary, 2).data[0], 'z');
    ra_batch_unref(batch);
    fixture_free(f);
}

static void an_id_of_fields_of_two_types_is_refused(void **state) {
    (void)state;
    ra_error err;
    ra_ipc_decoder *decoder;
    ra_schema *schema = new_schema(4, 1, 4, 3);
    ra_bytes message = testing_encode_schema(schema);
    assert_int_equal(ra_ipc_decoder_new(testing_span(&message), NULL, &decoder, &err), RA_INVALID);
    assert_null(decoder);
    assert_string_equal(err.subject, "n");
    ra_bytes_fini(&message);
    ra_schema_unref(schema);
}

static void nested_dictionaries_keep_the_inner_one_they_came_with(void **state) {
    (void)state;
    ra_error err;
    ra_batch *first, *second;
    fixture *f = fixture_new(0, 1, 20, 30);
    assert_int_equal(send_list(f, 20, 0, false, &err), RA_INVALID);  // the inner one is missing
    assert_int_equal(send_strings(f, 30, (const char *[]){"x"}, 1, false, &err), 0);
    assert_int_equal(send_list(f, 20, 0, false, &err), 0);
    assert_int_equal(send_row(f, (int[]){-1, -1, 0}, &first, &err), 0);
    assert_int_equal(send_strings(f, 30, (const char *[]){"y", "z"}, 2, false, &err), 0);
    assert_int_equal(send_list(f, 20, 1, true, &err), 0);
    assert_int_equal(send_row(f, (int[]){-1, -1, 1}, &second, &err), 0);
    const ra_array *inner = &first->columns[2].dictionary->children[0];
    assert_int_equal(string_at(inner->dictionary, 0).data[0], 'x');
    inner = &second->columns[2].dictionary->children[0];
    assert_int_equal(inner->length, 2);
    static const char expected[] = {'x', 'z'};
    for (int i = 0; i < 2; i++) {
        int32_t index = ra_load_i32(inner->buffers[0].data + 4 * i);
        assert_int_equal(string_at(inner->dictionary, index).data[0], expected[i]);
    }
    assert_ptr_equal(inner->dictionary->field, inner->field);
    ra_batch_unref(first);
    ra_batch_unref(second);
    fixture_free(f);
}

static void without_a_dictionary_only_nulls_are_possible(void **state) {
    (void)state;
    ra_error err;
    ra_batch *batch;
    fixture *f = fixture_new(0, 1, 2, 3);
    assert_int_equal(send_row(f, (int[]){-1, -1, -1}, &batch, &err), 0);
    assert_int_equal(batch->columns[2].dictionary->length, 0);
    assert_non_null(batch->columns[2].dictionary->children[0].dictionary);
    ra_batch_unref(batch);
    assert_int_equal(send_row(f, (int[]){-1, 0, -1}, &batch, &err), RA_INVALID);
    assert_string_equal(err.subject, "b");
    assert_int_equal(send_strings(f, 17, (const char *[]){"x"}, 1, false, &err), RA_INVALID);
    fixture_free(f);
}

static void assert_length(fixture *f, int64_t expected) {
    ra_error err;
    ra_batch *batch;
    assert_int_equal(send_row(f, (int[]){0, -1, -1}, &batch, &err), 0);
    assert_int_equal(batch->columns[0].dictionary->length, expected);
    ra_batch_unref(batch);
}

static void a_replacement_drops_deltas_that_wait(void **state) {
    (void)state;
    ra_error err;
    fixture *f = fixture_new(0, 1, 2, 3);
    assert_int_equal(send_strings(f, 0, (const char *[]){"x"}, 1, false, &err), 0);
    assert_int_equal(send_strings(f, 0, (const char *[]){"y"}, 1, true, &err), 0);
    assert_length(f, 2);
    assert_int_equal(send_strings(f, 0, (const char *[]){"never seen"}, 1, true, &err), 0);
    assert_int_equal(send_strings(f, 0, (const char *[]){"x"}, 1, false, &err), 0);
    assert_length(f, 1);
    assert_int_equal(send_strings(f, 0, (const char *[]){"y"}, 1, true, &err), 0);
    assert_length(f, 2);
    assert_length(f, 2);
    fixture_free(f);
}

static int count_bytes(void *context, const ra_os_event *event) {
    if (event->call == RA_OS_ALLOC)
        *(int64_t *)context += event->bytes;
    return 0;
}

// 2,000 deltas of a KiB: joined one by one they would take 2 GiB.
static void many_deltas_are_joined_in_n_log_n(void **state) {
    (void)state;
    ra_error err;
    ra_batch *batch;
    char text[1001];
    int64_t bytes = 0;
    fixture *f = fixture_new(0, 1, 2, 3);
    memset(text, 't', 1000);
    text[1000] = 0;
    assert_int_equal(send_strings(f, 0, (const char *[]){"x"}, 1, false, &err), 0);
    ra_os_set_gate(count_bytes, &bytes);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(send_strings(f, 0, (const char *[]){text}, 1, true, &err), 0);
    assert_int_equal(send_row(f, (int[]){100, -1, -1}, &batch, &err), 0);
    ra_os_set_gate(NULL, NULL);
    assert_int_equal(batch->columns[0].dictionary->length, 2001);
    assert_true(bytes > 4000000 && bytes < 300000000);
    ra_batch_unref(batch);
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_dictionary_replaces_for_later_batches),
        cmocka_unit_test(deltas_extend_for_later_batches_only),
        cmocka_unit_test(fields_may_share_a_dictionary),
        cmocka_unit_test(an_id_of_fields_of_two_types_is_refused),
        cmocka_unit_test(nested_dictionaries_keep_the_inner_one_they_came_with),
        cmocka_unit_test(without_a_dictionary_only_nulls_are_possible),
        cmocka_unit_test(a_replacement_drops_deltas_that_wait),
        cmocka_unit_test(many_deltas_are_joined_in_n_log_n),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
