#include "store/testing_store.h"

static ra_reason get_refused(testing_store *t, int64_t id, int64_t version, ra_error *err) {
    ra_flight *flight;
    ra_version *found;
    assert_int_not_equal(ra_store_get(t->store, id, version, &flight, &found, err), 0);
    assert_null(flight);
    assert_null(found);
    return err->reason;
}

static int64_t newest_version(testing_store *t, int64_t id) {
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    testing_check(ra_store_get(t->store, id, 0, &flight, &version, &err), &err);
    int64_t number = version->number;
    ra_flight_unref(flight);
    ra_version_unref(version);
    return number;
}

static void ids_follow_each_other_and_are_positions(void **state) {
    testing_store *t = *state;
    assert_int_equal(testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR), 0);
    assert_int_equal(testing_result(t, 10, 5), 1);
    assert_int_equal(testing_upload(t, "", 20, 3, RA_IF_EXISTS_ERROR), 2);
    assert_int_equal(testing_count(t), 3);
    assert_int_equal(testing_find(t, "a"), 0);
    testing_assert_rows(t, 0, 0, 10);
    testing_assert_rows(t, 1, 10, 5);
    testing_assert_rows(t, 2, 20, 3);
}

static void restart_keeps_ids_names_versions_and_fields(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "a", 100, 4, RA_IF_EXISTS_REPLACE);
    ra_content *content = testing_content(t, 7, 7, RA_WRITE_RESULT);
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    change.lineage = RA_STR("{\"from\": 0}");
    change.legacy_command = RA_STR("0$slice");
    change.has_command_key = true;
    memset(change.command_key, 9, sizeof change.command_key);
    assert_int_equal(testing_change(t, &change), 1);
    ra_content_unref(content);

    ra_flight *before, *after;
    ra_version *version;
    ra_error err;
    testing_check(ra_store_get(t->store, 1, 0, &before, &version, &err), &err);
    uint8_t uid[16];
    memcpy(uid, before->uid, sizeof uid);
    int64_t created_ns = before->created_ns;
    ra_flight_unref(before);
    ra_version_unref(version);
    testing_reopen(t);

    assert_int_equal(testing_count(t), 2);
    assert_int_equal(testing_find(t, "a"), 0);
    assert_int_equal(newest_version(t, 0), 2);
    testing_assert_rows(t, 0, 100, 4);
    testing_assert_rows(t, 1, 7, 7);
    testing_check(ra_store_get(t->store, 0, 1, &after, &version, &err), &err);
    assert_int_equal(version->content->n_rows, 10);
    ra_flight_unref(after);
    ra_version_unref(version);
    testing_check(ra_store_get(t->store, 1, 1, &after, &version, &err), &err);
    assert_memory_equal(after->uid, uid, sizeof uid);
    assert_int_equal(after->kind, RA_KIND_RESULT);
    assert_int_equal(after->created_ns, created_ns);
    assert_true(ra_str_eq(after->created_by, RA_STR("tester")));
    assert_true(ra_str_eq(after->lineage, RA_STR("{\"from\": 0}")));
    assert_true(ra_str_eq(after->legacy_command, RA_STR("0$slice")));
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_ptr_equal(ra_snapshot_find_command(snapshot, change.command_key), after);
    ra_snapshot_unref(snapshot);
    ra_flight_unref(after);
    ra_version_unref(version);
    // A clean stop skips no number.
    assert_int_equal(testing_upload(t, "b", 0, 1, RA_IF_EXISTS_ERROR), 2);
}

static void app_metadata_survives_a_restart(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_content *content;
    testing_check(
        testing_try_content(t->store, "n", 0, 5, RA_WRITE_DURABLE, "extra", &content, &err), &err);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    testing_change(t, &change);
    uint64_t hash[2] = {content->hash[0], content->hash[1]};
    ra_content_unref(content);
    testing_reopen(t);
    ra_flight *flight;
    ra_version *version;
    ra_blob *blob;
    testing_check(ra_store_find(t->store, RA_STR("a"), 0, &flight, &version, &err), &err);
    testing_check(ra_content_app_metadata(version->content, 0, &blob, &err), &err);
    assert_int_equal(blob->bytes, 5);
    assert_memory_equal(blob->data, "extra", 5);
    assert_memory_equal(version->content->hash, hash, sizeof hash);
    ra_blob_unref(blob);
    ra_flight_unref(flight);
    ra_version_unref(version);
}

static void a_deleted_number_is_a_tombstone_for_good(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "b", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "c", 0, 10, RA_IF_EXISTS_ERROR);
    testing_simple_change(t, RA_CHANGE_DELETE, 1);
    testing_simple_change(t, RA_CHANGE_DELETE, 2);
    assert_int_equal(testing_find(t, "b"), -1);
    assert_int_equal(testing_count(t), 1);
    assert_int_equal(testing_count_files(t, "segments"), 1);
    ra_error err;
    assert_int_equal(get_refused(t, 1, 0, &err), RA_REASON_FLIGHT_DELETED);
    assert_int_equal(err.flight, 1);
    assert_int_equal(get_refused(t, 3, 0, &err), RA_REASON_FLIGHT_NOT_FOUND);
    testing_reopen(t);
    assert_int_equal(get_refused(t, 2, 0, &err), RA_REASON_FLIGHT_DELETED);
    assert_int_equal(testing_upload(t, "b", 0, 1, RA_IF_EXISTS_ERROR), 3);
    assert_int_equal(testing_count(t), 4);
    assert_false(testing_is_there(t, 1));
    assert_false(testing_is_there(t, 2));
    ra_change again = {.change = RA_CHANGE_DELETE, .flight_id = 1};
    assert_int_equal(testing_refused(t, &again, &err), RA_REASON_FLIGHT_DELETED);
    again.flight_id = -5;
    assert_int_equal(testing_refused(t, &again, &err), RA_REASON_FLIGHT_NOT_FOUND);
}

static void delete_tells_bytes_freed_now_and_later(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 1000, RA_IF_EXISTS_ERROR);
    testing_upload(t, "b", 0, 1000, RA_IF_EXISTS_ERROR);
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    testing_check(ra_store_get(t->store, 1, 0, &flight, &version, &err), &err);
    ra_flight_unref(flight);
    ra_change change = {.change = RA_CHANGE_DELETE, .flight_id = 0};
    ra_change_result result;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_true(result.bytes_freed >= 8000);
    assert_int_equal(result.bytes_later, 0);
    change.flight_id = 1;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_int_equal(result.bytes_freed, 0);
    assert_true(result.bytes_later >= 8000);
    // The reader still has its bytes.
    ra_batch *batch;
    testing_check(ra_content_batch(version->content, 0, &batch, &err), &err);
    ra_batch_unref(batch);
    assert_int_equal(testing_count_files(t, "segments"), 1);
    ra_version_unref(version);
    assert_int_equal(testing_count_files(t, "segments"), 0);
}

static void a_view_keeps_the_segments_of_a_deleted_flight(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 100, RA_WRITE_DURABLE);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    testing_change(t, &change);
    change = testing_publish("view", RA_KIND_DATASET, content);
    testing_change(t, &change);
    ra_content_unref(content);
    ra_change gone = {.change = RA_CHANGE_DELETE, .flight_id = 0};
    ra_change_result result;
    ra_error err;
    testing_check(ra_store_change_wait(t->store, &gone, &result, &err), &err);
    assert_int_equal(result.bytes_freed, 0);
    assert_true(result.bytes_later > 0);
    testing_reopen(t);
    testing_assert_rows(t, 1, 0, 100);
    testing_simple_change(t, RA_CHANGE_DELETE, 1);
    assert_int_equal(testing_count_files(t, "segments"), 0);
}

static void an_existing_name_is_refused_or_replaced_or_appended_to(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(t, 10, 10, RA_WRITE_DURABLE);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_EXISTS);
    assert_string_equal(err.message, "Flight 'a' exists (id 0)");
    assert_int_equal(err.flight, 0);
    change.if_exists = RA_IF_EXISTS_APPEND;
    assert_int_equal(testing_change(t, &change), 0);
    assert_int_equal(newest_version(t, 0), 2);
    testing_assert_rows(t, 0, 0, 20);
    change.if_exists = RA_IF_EXISTS_REPLACE;
    assert_int_equal(testing_change(t, &change), 0);
    assert_int_equal(newest_version(t, 0), 3);
    testing_assert_rows(t, 0, 10, 10);
    ra_content_unref(content);
    testing_reopen(t);
    testing_assert_rows(t, 0, 10, 10);
    assert_int_equal(testing_count_files(t, "segments"), 2);
}

static void append_of_other_columns_is_refused(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content;
    testing_check(
        testing_try_content(t->store, "other", 0, 5, RA_WRITE_DURABLE, "", &content, &err), &err);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.if_exists = RA_IF_EXISTS_APPEND;
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_SCHEMA_MISMATCH);
    ra_content_unref(content);
    assert_int_equal(newest_version(t, 0), 1);
    assert_int_equal(testing_count_files(t, "segments"), 1);
}

static void reuse_needs_equal_content(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_DURABLE);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.if_exists = RA_IF_EXISTS_REUSE;
    ra_change_result result;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_true(result.reused);
    assert_int_equal(result.version->number, 1);
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    ra_content_unref(content);
    assert_int_equal(testing_count_files(t, "segments"), 1);
    content = testing_content(t, 1, 10, RA_WRITE_DURABLE);
    change.content = content;
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_EXISTS);
    assert_non_null(strstr(err.message, "other content"));
    ra_content_unref(content);
}

static void a_stale_if_version_is_a_conflict(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "a", 5, 10, RA_IF_EXISTS_REPLACE);
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_DURABLE);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.if_exists = RA_IF_EXISTS_REPLACE;
    change.if_version = 1;
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_VERSION_CONFLICT);
    assert_string_equal(err.message, "Flight 'a' (id 0) is at version 2, not 1");
    change.if_version = 2;
    assert_int_equal(testing_change(t, &change), 0);
    change.name = RA_STR("b");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_NOT_FOUND);
    change.name = RA_STR("");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_INVALID_ARGUMENT);
    ra_content_unref(content);
}

static void the_newest_ten_versions_are_kept(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_flight *flight;
    ra_version *old;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_check(ra_store_get(t->store, 0, 1, &flight, &old, &err), &err);
    ra_flight_unref(flight);
    for (int i = 1; i < 13; i++)
        testing_upload(t, "a", i, 10, RA_IF_EXISTS_REPLACE);
    assert_int_equal(newest_version(t, 0), 13);
    assert_int_equal(get_refused(t, 0, 3, &err), RA_REASON_FLIGHT_NOT_FOUND);
    assert_string_equal(err.message, "Flight 0 'a' has no version 3; there are 4 to 13");
    // A reference keeps what it pins.
    assert_int_equal(testing_count_files(t, "segments"), 11);
    assert_int_equal(old->content->n_rows, 10);
    ra_version_unref(old);
    assert_int_equal(testing_count_files(t, "segments"), 10);
    testing_reopen(t);
    assert_int_equal(newest_version(t, 0), 13);
    testing_check(ra_store_get(t->store, 0, 4, &flight, &old, &err), &err);
    ra_flight_unref(flight);
    ra_version_unref(old);
}

static void rename_gives_a_flight_its_only_name(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 1, RA_IF_EXISTS_ERROR);
    testing_upload(t, "b", 1, 1, RA_IF_EXISTS_ERROR);
    ra_change change = {.change = RA_CHANGE_RENAME, .flight_id = 0, .name = RA_STR("c")};
    testing_change(t, &change);
    assert_int_equal(testing_find(t, "a"), -1);
    assert_int_equal(testing_find(t, "c"), 0);
    testing_change(t, &change);
    change.name = RA_STR("b");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_EXISTS);
    assert_string_equal(err.message, "Flight 'b' exists (id 1)");
    change.if_exists = RA_IF_EXISTS_REPLACE;
    testing_change(t, &change);
    testing_reopen(t);
    assert_int_equal(testing_find(t, "b"), 0);
    assert_int_equal(testing_find(t, "c"), -1);
    testing_assert_rows(t, 1, 1, 1);
    change.name = RA_STR("#b");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_INVALID_ARGUMENT);
    change.flight_id = 9;
    change.name = RA_STR("x");
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_FLIGHT_NOT_FOUND);
}

static void keep_makes_a_result_a_dataset_and_back(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_result(t, 0, 50);
    ra_change change = {.change = RA_CHANGE_KEEP, .flight_id = 0};
    ra_change_result result;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_int_equal(result.flight->kind, RA_KIND_DATASET);
    assert_true(result.flight->kept);
    assert_int_equal(result.version->number, 1);
    assert_true(atomic_load(&result.version->content->parts[0].segment->synced));
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    testing_reopen(t);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_get(snapshot, 0)->kind, RA_KIND_DATASET);
    ra_snapshot_unref(snapshot);
    testing_simple_change(t, RA_CHANGE_UNKEEP, 0);
    testing_simple_change(t, RA_CHANGE_UNKEEP, 0);
    snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_get(snapshot, 0)->kind, RA_KIND_RESULT);
    assert_false(ra_snapshot_get(snapshot, 0)->kept);
    ra_snapshot_unref(snapshot);
    testing_upload(t, "a", 0, 1, RA_IF_EXISTS_ERROR);
    change = (ra_change){.change = RA_CHANGE_UNKEEP, .flight_id = 1};
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_INVALID_ARGUMENT);
}

static void an_upload_onto_a_result_makes_it_durable(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = testing_publish("r", RA_KIND_RESULT, content);
    testing_change(t, &change);
    ra_segment *segment = ra_segment_ref(content->parts[0].segment);
    ra_content_unref(content);
    assert_false(atomic_load(&segment->synced));
    testing_upload(t, "r", 10, 10, RA_IF_EXISTS_APPEND);
    assert_true(atomic_load(&segment->synced));
    ra_segment_unref(segment);
    testing_assert_rows(t, 0, 0, 20);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_get(snapshot, 0)->kind, RA_KIND_DATASET);
    ra_snapshot_unref(snapshot);
}

static void a_result_onto_a_dataset_is_synced(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_content *content = testing_content(t, 5, 5, RA_WRITE_RESULT);
    ra_change change = testing_publish("a", RA_KIND_RESULT, content);
    change.if_exists = RA_IF_EXISTS_REPLACE;
    change.lineage = RA_STR("{}");
    assert_int_equal(testing_change(t, &change), 0);
    assert_true(atomic_load(&content->parts[0].segment->synced));
    ra_content_unref(content);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_get(snapshot, 0)->kind, RA_KIND_DATASET);
    assert_true(ra_str_eq(ra_snapshot_get(snapshot, 0)->lineage, RA_STR("{}")));
    ra_snapshot_unref(snapshot);
}

static ra_change command_result(ra_content *content, uint8_t key) {
    ra_change change = testing_publish("", RA_KIND_RESULT, content);
    change.has_command_key = true;
    memset(change.command_key, key, sizeof change.command_key);
    return change;
}

static void the_same_command_gives_the_same_flight(void **state) {
    testing_store *t = *state;
    ra_error err;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = command_result(content, 1);
    assert_int_equal(testing_change(t, &change), 0);
    ra_content_unref(content);
    content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    change = command_result(content, 1);
    ra_change_result result;
    testing_check(ra_store_change_wait(t->store, &change, &result, &err), &err);
    assert_true(result.reused);
    assert_int_equal(result.flight->id, 0);
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    ra_change other = command_result(content, 2);
    assert_int_equal(testing_change(t, &other), 1);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    assert_int_equal(testing_change(t, &change), 2);
    ra_content_unref(content);
}

static void a_changed_flight_no_longer_answers_its_command(void **state) {
    testing_store *t = *state;
    ra_content *content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    ra_change change = command_result(content, 1);
    assert_int_equal(testing_change(t, &change), 0);
    ra_change named = {.change = RA_CHANGE_RENAME, .flight_id = 0, .name = RA_STR("r")};
    testing_change(t, &named);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_non_null(ra_snapshot_find_command(snapshot, change.command_key));
    ra_snapshot_unref(snapshot);
    testing_upload(t, "r", 10, 1, RA_IF_EXISTS_APPEND);
    for (int i = 0; i < 2; i++) {
        snapshot = ra_store_snapshot(t->store);
        assert_null(ra_snapshot_find_command(snapshot, change.command_key));
        ra_snapshot_unref(snapshot);
        if (i == 0) {
            ra_content_unref(content);
            testing_reopen(t);
        }
    }
    content = testing_content(t, 0, 10, RA_WRITE_RESULT);
    change.content = content;
    assert_int_equal(testing_change(t, &change), 1);
    ra_content_unref(content);
}

static void the_first_legacy_command_is_remembered(void **state) {
    testing_store *t = *state;
    testing_result(t, 0, 10);
    ra_change change = {.change = RA_CHANGE_LEGACY_COMMAND, .legacy_command = RA_STR("0$a")};
    testing_change(t, &change);
    change.legacy_command = RA_STR("0$b");
    testing_change(t, &change);
    testing_reopen(t);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_true(ra_str_eq(ra_snapshot_get(snapshot, 0)->legacy_command, RA_STR("0$a")));
    ra_snapshot_unref(snapshot);
}

static void the_last_use_survives_a_clean_stop(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 1, RA_IF_EXISTS_ERROR);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    ra_flight *flight = ra_snapshot_get(snapshot, 0);
    int64_t created_ns = flight->created_ns;
    assert_int_equal(atomic_load(flight->last_used_ns), created_ns);
    ra_flight_touch(flight);
    int64_t used_ns = atomic_load(flight->last_used_ns);
    assert_true(used_ns > created_ns);
    ra_snapshot_unref(snapshot);
    testing_reopen(t);
    snapshot = ra_store_snapshot(t->store);
    assert_int_equal(atomic_load(ra_snapshot_get(snapshot, 0)->last_used_ns), used_ns);
    ra_snapshot_unref(snapshot);
}

static void a_snapshot_does_not_change(void **state) {
    testing_store *t = *state;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    testing_upload(t, "b", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "a", 0, 3, RA_IF_EXISTS_REPLACE);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    assert_int_equal(ra_snapshot_count(snapshot), 1);
    ra_flight *flight = ra_snapshot_find(snapshot, RA_STR("a"));
    assert_int_equal(ra_flight_newest(flight)->content->n_rows, 10);
    assert_null(ra_snapshot_find(snapshot, RA_STR("b")));
    ra_snapshot_unref(snapshot);
}

static void events_tell_what_happened(void **state) {
    testing_store *t = *state;
    bool lost;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "a", 0, 3, RA_IF_EXISTS_REPLACE);
    ra_change change = {.change = RA_CHANGE_RENAME, .flight_id = 0, .name = RA_STR("b")};
    testing_change(t, &change);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    testing_simple_change(t, RA_CHANGE_CLEAR, 0);
    ra_event events[16];
    assert_int_equal(ra_store_events(t->store, 0, events, 16, &lost), 5);
    assert_false(lost);
    const ra_event_kind kinds[] = {RA_EVENT_CREATED, RA_EVENT_VERSION, RA_EVENT_RENAMED,
                                   RA_EVENT_DELETED, RA_EVENT_CLEARED};
    const char *const names[] = {"a", "a", "b", "b", ""};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(events[i].sequence, i + 1);
        assert_int_equal(events[i].kind, kinds[i]);
        assert_string_equal(events[i].name, names[i]);
        assert_int_equal(events[i].flight_id, i < 4 ? 0 : -1);
    }
    assert_int_equal(events[1].version, 2);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_int_equal(ra_snapshot_sequence(snapshot), 5);
    ra_snapshot_unref(snapshot);
    assert_int_equal(ra_store_events(t->store, 3, events, 1, &lost), 1);
    assert_int_equal(events[0].sequence, 4);
    testing_reopen(t);
    assert_int_equal(ra_store_events(t->store, 5, events, 16, &lost), 0);
    assert_false(lost);
    assert_int_equal(ra_store_events(t->store, 4, events, 16, &lost), 0);
    assert_true(lost);
    testing_upload(t, "c", 0, 1, RA_IF_EXISTS_ERROR);
    assert_int_equal(ra_store_events(t->store, 5, events, 16, &lost), 1);
    assert_int_equal(events[0].sequence, 6);
}

static void an_unwritten_result_can_be_deleted_renamed_and_kept(void **state) {
    testing_store *t = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(testing_result(t, i, 10), i);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    testing_result(t, 9, 10);
    ra_change change = {.change = RA_CHANGE_RENAME, .flight_id = 4, .name = RA_STR("r")};
    testing_change(t, &change);
    testing_result(t, 10, 10);
    testing_simple_change(t, RA_CHANGE_KEEP, 5);
    testing_reopen(t);
    assert_int_equal(testing_count(t), 6);
    assert_false(testing_is_there(t, 0));
    testing_assert_rows(t, 3, 3, 10);
    assert_int_equal(testing_find(t, "r"), 4);
    testing_assert_rows(t, 5, 10, 10);
    assert_int_equal(testing_count_files(t, "segments"), 5);
}

static void nothing_is_changed_read_only(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_close(t);
    t->read_only = true;
    testing_open(t);
    testing_assert_rows(t, 0, 0, 10);
    ra_change change = {.change = RA_CHANGE_DELETE, .flight_id = 0};
    assert_int_equal(testing_refused(t, &change, &err), RA_REASON_READ_ONLY);
    ra_store_status status;
    ra_store_get_status(t->store, &status);
    assert_true(status.read_only);
    assert_int_equal(status.n_flights, 1);
}

static void durability_none_keeps_everything_over_a_clean_stop(void **state) {
    testing_store *t = *state;
    testing_close(t);
    t->durable = false;
    testing_open(t);
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_result(t, 0, 5);
    testing_simple_change(t, RA_CHANGE_KEEP, 1);
    testing_reopen(t);
    testing_assert_rows(t, 0, 0, 10);
    testing_assert_rows(t, 1, 0, 5);
}

static void fewer_or_more_versions_are_kept_as_asked(void **state) {
    testing_store *t = *state;
    ra_error err;
    testing_close(t);
    t->keep_versions = 20;
    testing_open(t);
    testing_upload(t, "a", 0, 1, RA_IF_EXISTS_ERROR);
    for (int i = 1; i < 21; i++)
        testing_upload(t, "a", i, 1, RA_IF_EXISTS_REPLACE);
    assert_int_equal(get_refused(t, 0, 1, &err), RA_REASON_FLIGHT_NOT_FOUND);
    assert_int_equal(testing_count_files(t, "segments"), 20);
    // Fewer from now on: those that are there stay until the next one comes.
    testing_close(t);
    t->keep_versions = 1;
    testing_open(t);
    assert_int_equal(testing_count_files(t, "segments"), 20);
    testing_upload(t, "a", 21, 1, RA_IF_EXISTS_REPLACE);
    assert_int_equal(testing_count_files(t, "segments"), 1);
    assert_int_equal(get_refused(t, 0, 21, &err), RA_REASON_FLIGHT_NOT_FOUND);
    testing_assert_rows(t, 0, 21, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(ids_follow_each_other_and_are_positions),
        testing_unit(restart_keeps_ids_names_versions_and_fields),
        testing_unit(app_metadata_survives_a_restart),
        testing_unit(a_deleted_number_is_a_tombstone_for_good),
        testing_unit(delete_tells_bytes_freed_now_and_later),
        testing_unit(a_view_keeps_the_segments_of_a_deleted_flight),
        testing_unit(an_existing_name_is_refused_or_replaced_or_appended_to),
        testing_unit(append_of_other_columns_is_refused),
        testing_unit(reuse_needs_equal_content),
        testing_unit(a_stale_if_version_is_a_conflict),
        testing_unit(the_newest_ten_versions_are_kept),
        testing_unit(fewer_or_more_versions_are_kept_as_asked),
        testing_unit(rename_gives_a_flight_its_only_name),
        testing_unit(keep_makes_a_result_a_dataset_and_back),
        testing_unit(an_upload_onto_a_result_makes_it_durable),
        testing_unit(a_result_onto_a_dataset_is_synced),
        testing_unit(the_same_command_gives_the_same_flight),
        testing_unit(a_changed_flight_no_longer_answers_its_command),
        testing_unit(the_first_legacy_command_is_remembered),
        testing_unit(the_last_use_survives_a_clean_stop),
        testing_unit(a_snapshot_does_not_change),
        testing_unit(events_tell_what_happened),
        testing_unit(an_unwritten_result_can_be_deleted_renamed_and_kept),
        testing_unit(nothing_is_changed_read_only),
        testing_unit(durability_none_keeps_everything_over_a_clean_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
