#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/testing_contents.h"

static const ra_type_id mixed[] = {RA_TYPE_INT64, RA_TYPE_UTF8};

static void a_cursor_begins_at_any_batch(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    testing_batches batches = testing_random_batches(schema, 5, 6, 20);
    for (int i = 0; i < 12; i += 2) {  // two batches a generation
        testing_batches_add(&batches, ra_batch_ref(batches.items[i]));
        for (int k = batches.n - 1; k > i + 1; k--) {
            ra_batch *swap = batches.items[k];
            batches.items[k] = batches.items[k - 1];
            batches.items[k - 1] = swap;
        }
    }
    ra_content *content = testing_write(&store, schema, &batches);
    assert_int_equal(content->n_parts, 6);
    for (int first = 0; first <= batches.n; first++) {
        testing_batches rest = {batches.items + first, batches.n - first};
        testing_batches received = testing_receive(content, first, 1, NULL);
        assert_int_equal(received.n, rest.n);
        assert_true(testing_batches_equal(&rest, &received));
        testing_batches_fini(&received);
    }
    ra_content_unref(content);
    testing_batches_fini(&batches);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void dictionaries_in_force_are_not_sent_again(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    ra_content *a = testing_write_random(&store, schema, 5, 1, 20), *all;
    ra_content *same = testing_write_random(&store, schema, 5, 1, 20);
    ra_content *other = testing_write_random(&store, schema, 6, 1, 20);
    ra_content *const list[] = {a, same, a, other, other, a};
    testing_must(ra_content_concat(list, 6, &all, &err), &err);
    static const bool is_batch[] = {0, 1, 1, 1, 0, 1, 1, 0, 1};
    ra_cursor *cursor;
    testing_must(ra_cursor_new(all, 0, &cursor, &err), &err);
    int64_t bytes = 0;
    for (int i = 0; i < 9; i++) {
        ra_out_message message;
        testing_must(ra_cursor_prepare(cursor, 1, &err), &err);
        testing_must(ra_cursor_next(cursor, &message, &err), &err);
        assert_int_equal(message.is_batch, is_batch[i]);
        bytes += message.body_bytes;
        ra_out_message_fini(&message);
    }
    assert_true(ra_cursor_at_end(cursor));
    assert_int_equal(all->n_bytes, bytes);
    ra_cursor_free(cursor);
    ra_content_unref(all);
    ra_content_unref(other);
    ra_content_unref(same);
    ra_content_unref(a);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// How many messages can be taken now.
static int take_ready(ra_cursor *cursor) {
    ra_error err;
    int n = 0;
    for (; !ra_cursor_at_end(cursor) && ra_cursor_is_ready(cursor); n++) {
        ra_out_message message;
        testing_must(ra_cursor_next(cursor, &message, &err), &err);
        ra_out_message_fini(&message);
    }
    return n;
}

static void messages_are_ready_when_prepared(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_reload(testing_write_random(&store, schema, 5, 20, 20000));
    ra_cursor *cursor;
    testing_must(ra_cursor_new(content, 0, &cursor, &err), &err);
    int64_t one = content->n_bytes / 20;
    assert_int_equal(take_ready(cursor), 0);
    testing_must(ra_cursor_prepare(cursor, 1, &err), &err);
    assert_int_equal(take_ready(cursor), 1);
    testing_must(ra_cursor_prepare(cursor, 5 * one, &err), &err);
    assert_in_range(take_ready(cursor), 4, 6);
    // Asked twice without taking: nothing is prepared twice, or lost.
    testing_must(ra_cursor_prepare(cursor, 3 * one, &err), &err);
    testing_must(ra_cursor_prepare(cursor, 3 * one, &err), &err);
    assert_in_range(take_ready(cursor), 2, 4);
    testing_must(ra_cursor_prepare(cursor, INT64_C(1) << 40, &err), &err);
    assert_in_range(take_ready(cursor), 8, 14);
    assert_true(ra_cursor_at_end(cursor));
    assert_true(ra_cursor_is_ready(cursor));
    testing_must(ra_cursor_prepare(cursor, 1, &err), &err);
    ra_cursor_free(cursor);
    testing_forget(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void small_messages_are_ready_without_a_worker_once_verified(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_reload(testing_write_random(&store, schema, 5, 3, 10));
    for (int i = 0; i < 2; i++) {
        ra_cursor *cursor;
        testing_must(ra_cursor_new(content, 0, &cursor, &err), &err);
        assert_int_equal(take_ready(cursor), i == 0 ? 0 : 3);
        testing_must(ra_cursor_prepare(cursor, 1 << 20, &err), &err);
        assert_int_equal(take_ready(cursor), i == 0 ? 3 : 0);
        ra_cursor_free(cursor);
    }
    testing_forget(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// A queued message keeps mapping, descriptor and file, whatever else ends.
static void messages_outlive_everything(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init_with(&store, 1);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_write_random(&store, schema, 5, 3, 500), *view;
    static const int columns[] = {1};
    testing_must(ra_content_select(content, columns, 1, &view, &err), &err);
    ra_out_message messages[2];
    ra_content *const contents[] = {content, view};
    for (int i = 0; i < 2; i++) {
        ra_cursor *cursor;
        testing_must(ra_cursor_new(contents[i], 0, &cursor, &err), &err);
        testing_must(ra_cursor_prepare(cursor, 1 << 20, &err), &err);
        testing_must(ra_cursor_next(cursor, &messages[i], &err), &err);
        ra_cursor_free(cursor);
        ra_content_unref(contents[i]);
    }
    for (uint64_t i = 0; i < 5; i++) {
        ra_content *other = testing_write_random(&store, schema, i, 3, 500);
        testing_batches read = testing_read(other);
        testing_batches_fini(&read);
        ra_content_unref(other);
    }
    for (int i = 0; i < 2; i++) {
        ra_blob_unref(testing_body(&messages[i]));
        ra_ipc_header header;
        testing_must(ra_ipc_peek(messages[i].header, &header, &err), &err);
        assert_int_equal(header.body_bytes, messages[i].body_bytes);
        ra_out_message_fini(&messages[i]);
    }
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

// A content of very many batches and parts costs no more a message than a small one.
static void many_parts_are_walked_in_linear_time(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_plain_schema(mixed, 2);
    ra_content *content = testing_write_random(&store, schema, 5, 50, 3), *all;
    enum { N = 2000 };
    ra_content **list = calloc(N, sizeof *list);
    for (int i = 0; i < N; i++)
        list[i] = content;
    testing_must(ra_content_concat(list, N, &all, &err), &err);
    assert_int_equal(all->n_parts, N);
    ra_cursor *cursor;
    testing_must(ra_cursor_new(all, 0, &cursor, &err), &err);
    int n = 0;
    while (!ra_cursor_at_end(cursor)) {
        testing_must(ra_cursor_prepare(cursor, 1 << 20, &err), &err);
        n += take_ready(cursor);
    }
    assert_int_equal(n, 50 * N);
    ra_cursor_free(cursor);
    free(list);
    ra_content_unref(all);
    ra_content_unref(content);
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

static void corrupt_bytes_are_never_sent(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_schema *schema = testing_dictionary_schema(RA_TYPE_INT8);
    for (int entry = 0; entry < 3; entry++) {
        for (int selected = 0; selected < 2; selected++) {
            testing_batches batches = {0};
            for (int i = 0; i < 2; i++)
                testing_batches_add(&batches, testing_random_batch(8, 100, schema));
            ra_content *content = testing_reload(testing_write(&store, schema, &batches)), *view;
            static const int columns[] = {1};
            testing_must(ra_content_select(content, columns, 1, &view, &err), &err);
            const ra_segment *segment = content->parts[0].segment;
            testing_flip(segment, segment->entries[entry].body_offset);
            ra_cursor *cursor;
            testing_must(ra_cursor_new(selected ? view : content, 0, &cursor, &err), &err);
            assert_int_equal(ra_cursor_prepare(cursor, 1 << 20, &err), RA_DATA_LOSS);
            assert_true(take_ready(cursor) <= entry);
            ra_out_message message;
            assert_int_equal(ra_cursor_prepare(cursor, 1 << 20, &err), RA_DATA_LOSS);
            assert_int_equal(ra_cursor_next(cursor, &message, &err), RA_DATA_LOSS);
            ra_cursor_free(cursor);
            ra_content_unref(view);
            testing_forget(content);
            testing_batches_fini(&batches);
        }
    }
    ra_schema_unref(schema);
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_begins_at_any_batch),
        cmocka_unit_test(dictionaries_in_force_are_not_sent_again),
        cmocka_unit_test(messages_are_ready_when_prepared),
        cmocka_unit_test(small_messages_are_ready_without_a_worker_once_verified),
        cmocka_unit_test(messages_outlive_everything),
        cmocka_unit_test(many_parts_are_walked_in_linear_time),
        cmocka_unit_test(corrupt_bytes_are_never_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
