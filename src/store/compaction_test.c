// Many appends: what becomes of parts, files, catalog and rows.
#include <errno.h>
#include <inttypes.h>

#include "store/catalog.h"
#include "store/testing_compare.h"

static ra_content *newest(testing_store *t, const char *name, ra_version **version) {
    ra_error err;
    ra_flight *flight;
    testing_check(ra_store_find(t->store, ra_str_of(name), 0, &flight, version, &err), &err);
    ra_flight_unref(flight);
    return (*version)->content;
}

static int count_parts(testing_store *t, const char *name) {
    ra_version *version;
    int n = newest(t, name, &version)->n_parts;
    ra_version_unref(version);
    return n;
}

// Appends of `n_rows` numbers each, as many as it takes for all from `first` to `end`.
static void append(testing_store *t, ra_kind kind, int64_t first, int64_t end, int64_t n_rows) {
    for (; first < end; first += n_rows) {
        ra_write_kind how = kind == RA_KIND_DATASET ? RA_WRITE_DURABLE : RA_WRITE_RESULT;
        ra_content *content = testing_content(t, first, n_rows, how);
        ra_change change = testing_publish("a", kind, content);
        change.if_exists = RA_IF_EXISTS_APPEND;
        testing_change(t, &change);
        ra_content_unref(content);
    }
}

static void few_appends_stay_as_they_are(void **state) {
    testing_store *t = *state;
    append(t, RA_KIND_DATASET, 0, 630, 10);
    ra_store_settle(t->store);
    assert_int_equal(count_parts(t, "a"), 63);
}

static void small_parts_are_merged_in_the_same_version(void **state) {
    testing_store *t = *state;
    append(t, RA_KIND_DATASET, 0, 640, 10);
    ra_store_settle(t->store);
    assert_int_equal(count_parts(t, "a"), 1);
    ra_version *version;
    ra_content *content = newest(t, "a", &version);
    assert_int_equal(version->number, 64);
    assert_int_equal(content->n_batches, 1);
    ra_version_unref(version);
    testing_assert_rows(t, 0, 0, 640);
    testing_reopen(t);
    assert_int_equal(count_parts(t, "a"), 1);
    testing_assert_rows(t, 0, 0, 640);
    append(t, RA_KIND_DATASET, 640, 650, 10);
    testing_assert_rows(t, 0, 0, 650);
    testing_simple_change(t, RA_CHANGE_DELETE, 0);
    assert_int_equal(testing_count_files(t, "segments"), 0);
}

static void many_appends_make_few_parts_and_files(void **state) {
    testing_store *t = *state;
    t->keep_versions = 1;
    testing_reopen(t);
    append(t, RA_KIND_DATASET, 0, 200000, 100);
    ra_store_settle(t->store);
    assert_true(count_parts(t, "a") < RA_COMPACT_PARTS + 8);
    assert_int_equal(testing_count_files(t, "segments"), count_parts(t, "a"));
    testing_assert_rows(t, 0, 0, 200000);
    testing_reopen(t);
    testing_assert_rows(t, 0, 0, 200000);
}

static void results_are_merged_and_can_be_kept(void **state) {
    testing_store *t = *state;
    append(t, RA_KIND_RESULT, 0, 700, 10);
    ra_store_settle(t->store);
    assert_true(count_parts(t, "a") < 10);
    testing_simple_change(t, RA_CHANGE_KEEP, 0);
    testing_reopen(t);
    testing_assert_rows(t, 0, 0, 700);
}

static void a_reader_keeps_the_parts_that_it_has(void **state) {
    testing_store *t = *state;
    append(t, RA_KIND_DATASET, 0, 630, 10);
    ra_version *before;
    ra_content *content = newest(t, "a", &before);
    append(t, RA_KIND_DATASET, 630, 1280, 10);
    ra_store_settle(t->store);
    for (int64_t i = 0; i < content->n_batches; i++) {
        ra_error err;
        ra_batch *batch;
        testing_check(ra_content_batch(content, i, &batch, &err), &err);
        assert_int_equal(*(const int64_t *)(const void *)batch->columns[0].buffers[0].data, i * 10);
        ra_batch_unref(batch);
    }
    ra_version_unref(before);
}

static void large_parts_and_those_with_metadata_stay(void **state) {
    testing_store *t = *state;
    t->compact_parts = 4;
    testing_reopen(t);
    append(t, RA_KIND_DATASET, 0, 400000, 200000);
    append(t, RA_KIND_DATASET, 400000, 400020, 10);
    ra_error err;
    ra_content *content;
    testing_check(
        testing_try_content(t->store, "n", 400020, 10, RA_WRITE_DURABLE, "note", &content, &err),
        &err);
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.if_exists = RA_IF_EXISTS_APPEND;
    testing_change(t, &change);
    ra_content_unref(content);
    append(t, RA_KIND_DATASET, 400030, 400040, 10);
    ra_store_settle(t->store);
    assert_int_equal(count_parts(t, "a"), 3);
    ra_version *version;
    content = newest(t, "a", &version);
    assert_int_equal(content->n_batches,
                     5);  // two large, two small ones merged, the noted, the last
    ra_blob *note;
    testing_check(ra_content_app_metadata(content, 3, &note, &err), &err);
    assert_int_equal(note->bytes, 4);
    ra_blob_unref(note);
    ra_version_unref(version);
    testing_assert_rows(t, 0, 0, 400040);
}

static ra_schema *schema_with_dictionaries(void) {
    ra_schema *schema = testing_random_schema(11, 4, 1);
    for (uint64_t seed = 12; schema->n_dictionaries == 0; seed++) {
        ra_schema_unref(schema);
        schema = testing_random_schema(seed, 4, 1);
    }
    return schema;
}

static void assert_world(story *s) {
    compare_result result = {""};
    if (!compare_store(s->t.store, &s->now, (compare_rules){0}, &result))
        fail_msg("%s", result.text);
}

// Tables of which each has dictionaries of its own.
static void append_dictionaries(story *s, ra_schema *schema, int n) {
    for (int i = 0; i < n; i++)
        story_grow(s, "a", story_more(s, schema, 1, 7));
    ra_store_settle(s->t.store);
    assert_world(s);
}

static void few_dictionaries_stay_as_sent_many_are_unified(void **state) {
    (void)state;
    story s;
    story_begin(&s, 3);
    story_open(&s);
    ra_schema *schema = schema_with_dictionaries();
    append_dictionaries(&s, schema, RA_MAX_DICTIONARY_GENERATIONS);
    assert_int_equal(count_parts(&s.t, "a"), RA_MAX_DICTIONARY_GENERATIONS);
    append_dictionaries(&s, schema, 1);
    assert_true(count_parts(&s.t, "a") < 8);
    ra_schema_unref(schema);
    testing_close(&s.t);
    replay_end(&s.recording);
    story_free(&s);
}

static struct {
    atomic_int left;
    atomic_bool armed;
    atomic_bool met;
    ra_os_call call;
    int code;
} fault;

static int gate(void *context, const ra_os_event *event) {
    (void)context;
    bool is_alloc = event->call == RA_OS_ALLOC;
    if (!atomic_load(&fault.armed) || is_alloc != (fault.call == RA_OS_ALLOC) ||
        atomic_fetch_sub(&fault.left, 1) != 0)
        return 0;
    atomic_store(&fault.met, true);
    return fault.code;
}

// The append that makes the compaction due, which may or may not succeed.
static bool try_append(testing_store *t, int64_t first) {
    ra_error err;
    ra_content *content;
    if (testing_try_content(t->store, "n", first, 10, RA_WRITE_DURABLE, "", &content, &err) != 0)
        return false;
    ra_change change = testing_publish("a", RA_KIND_DATASET, content);
    change.if_exists = RA_IF_EXISTS_APPEND;
    ra_change_result result;
    bool done = ra_store_change_wait(t->store, &change, &result, &err) == 0;
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    ra_content_unref(content);
    return done;
}

// Whether the fault was not met any more.
static bool run_with_fault(ra_os_call call, int code, int left) {
    testing_store t;
    testing_make_dir(&t);
    t.compact_parts = 4;
    testing_start(&t);
    append(&t, RA_KIND_DATASET, 0, 30, 10);
    atomic_store(&fault.met, false);
    fault.call = call;
    fault.code = code;
    atomic_store(&fault.left, left);
    atomic_store(&fault.armed, true);
    bool appended = try_append(&t, 30);
    ra_store_settle(t.store);
    atomic_store(&fault.armed, false);
    testing_reopen(&t);
    int64_t n_rows = appended ? 40 : 30;
    ra_version *version;
    if (!appended && newest(&t, "a", &version)->n_rows == 40)
        n_rows = 40;  // after a failed sync it is not known
    if (!appended)
        ra_version_unref(version);
    testing_assert_rows(&t, 0, 0, n_rows);
    ra_store_status status;
    ra_store_get_status(t.store, &status);
    assert_int_equal(testing_count_files(&t, "segments"), status.n_segments);
    append(&t, RA_KIND_DATASET, n_rows, n_rows + 50, 10);
    ra_store_settle(t.store);
    testing_assert_rows(&t, 0, 0, n_rows + 50);
    testing_finish(&t);
    return !atomic_load(&fault.met);
}

static void any_file_call_or_allocation_may_fail(void **state) {
    (void)state;
    int n = 0;
    ra_os_set_gate(gate, NULL);
    while (!run_with_fault(RA_OS_WRITE, EIO, n))
        n++;
    assert_true(n > 20);
    for (n = 0; !run_with_fault(RA_OS_WRITE, ENOSPC, n);)
        n++;
    assert_true(n > 20);
    for (n = 0; !run_with_fault(RA_OS_ALLOC, ENOMEM, n);)
        n++;
    assert_true(n > 100);
    ra_os_set_gate(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        testing_unit(few_appends_stay_as_they_are),
        testing_unit(small_parts_are_merged_in_the_same_version),
        testing_unit(many_appends_make_few_parts_and_files),
        testing_unit(results_are_merged_and_can_be_kept),
        testing_unit(a_reader_keeps_the_parts_that_it_has),
        testing_unit(large_parts_and_those_with_metadata_stay),
        cmocka_unit_test(few_dictionaries_stay_as_sent_many_are_unified),
        cmocka_unit_test(any_file_call_or_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
