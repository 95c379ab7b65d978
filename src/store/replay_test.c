// A story of changes is recorded, file operation by file operation; then crashes are made at any
// moment of it, and the store that opens afterwards must be what was acknowledged by then.
//
// RA_REPLAY_ALL=1 tries every moment, otherwise as many as there is time for. RA_REPLAY_SEED=n
// repeats a run.
#include <signal.h>

#include "store/catalog.h"
#include "store/testing_compare.h"

enum { SECONDS = 20, STRIDE = 16, LOG_PAGES = 24, COMPACT_PARTS = 4 };

static char case_text[160];  // what is tried, for whoever sees an abort

static void print_case(int signal_number) {
    (void)!write(STDERR_FILENO, case_text, strlen(case_text));
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

// With a short log, the catalog file itself is written again and again.
static void open_store(story *s) {
    s->t.compact_parts = COMPACT_PARTS;
    story_open(s);
    ra_error err;
    char text[64];
    snprintf(text, sizeof text, "PRAGMA wal_autocheckpoint=%d", LOG_PAGES);
    testing_check(ra_sql_script(s->t.store->catalog->sql, text, &err), &err);
}

static void assert_world(story *s) {
    compare_result result = {""};
    compare_rules rules = {.hidden_is_hidden = true};
    if (!compare_store(s->t.store, &s->now, rules, &result))
        fail_msg("after '%s' the store itself is not as told: %s", s->now.what, result.text);
}

static ra_content *content_of(story *s, int64_t id) {
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    testing_check(ra_store_get(s->t.store, id, 0, &flight, &version, &err), &err);
    ra_content *content = ra_content_ref(version->content);
    ra_flight_unref(flight);
    ra_version_unref(version);
    return content;
}

static void upload_and_compute(story *s) {
    story_table *a = story_random(s, 3, 20);
    int64_t id = story_upload(s, "a", a);
    story_upload(s, "", story_random(s, 2, 5));
    int64_t lazy = story_compute(s, story_random(s, 2, 20));
    int64_t kept = story_compute(s, story_random(s, 3, 10));
    story_compute(s, story_random(s, 1, 10));
    story_publish(s, "a", RA_KIND_DATASET, RA_IF_EXISTS_REPLACE, story_more(s, a->schema, 2, 7));
    story_publish(s, "a", RA_KIND_DATASET, RA_IF_EXISTS_APPEND, story_more(s, a->schema, 3, 9));
    story_keep(s, kept);
    story_rename(s, kept, "kept");
    story_delete(s, lazy);
    story_rename(s, id, "first");
    story_legacy_command(s, story_compute(s, story_random(s, 2, 10)));
    usleep(80000);  // for the results to be written
    assert_world(s);
}

// Results that become datasets, and datasets made of the segments of results.
static void make_results_durable(story *s) {
    story_table *r = story_random(s, 2, 20);
    story_publish(s, "r", RA_KIND_RESULT, RA_IF_EXISTS_ERROR, r);
    story_publish(s, "r", RA_KIND_RESULT, RA_IF_EXISTS_APPEND, story_more(s, r->schema, 2, 5));
    story_publish(s, "r", RA_KIND_DATASET, RA_IF_EXISTS_APPEND, story_more(s, r->schema, 1, 5));
    story_table *whole = story_random(s, 3, 20);
    ra_content *content = content_of(s, story_compute(s, whole)), *view;
    ra_error err;
    testing_check(ra_content_slice(content, 20, 40, RA_WRITE_RESULT, &view, &err), &err);
    story_table *part = story_new_table(s, whole->schema, 2);
    for (int i = 0; i < 2; i++) {
        part->batches[i] = ra_batch_ref(whole->batches[i + 1]);
        memcpy(part->notes[i], whole->notes[i + 1], STORY_NOTE_BYTES);
    }
    memcpy(part->hash, view->hash, sizeof part->hash);
    story_publish_content(s, "view", RA_KIND_DATASET, RA_IF_EXISTS_ERROR, view, part);
    testing_check(ra_content_slice(content, 5, 30, RA_WRITE_RESULT, &view, &err), &err);
    part = story_new_table(s, whole->schema, 2);
    testing_check(ra_batch_slice(whole->batches[0], 5, 15, &part->batches[0], &err), &err);
    testing_check(ra_batch_slice(whole->batches[1], 0, 15, &part->batches[1], &err), &err);
    part->as_received = false;
    memcpy(part->hash, view->hash, sizeof part->hash);
    ra_content_unref(content);
    int64_t cut = story_publish_content(s, "", RA_KIND_RESULT, RA_IF_EXISTS_ERROR, view, part);
    story_keep(s, cut);
    story_unkeep(s, cut);
    story_clear(s, true, false);
    assert_world(s);
}

static void make_versions_and_groups(story *s) {
    static const char *const names[STORY_GROUP] = {"g0", "g1", "g2", "g3"};
    story_upload_group(s, names);
    story_table *b = story_random(s, 1, 4);
    int64_t id = story_upload(s, "b", b);
    for (int i = 0; i < RA_KEEP_VERSIONS + 2; i++)
        story_publish(s, "b", RA_KIND_DATASET, i % 3 ? RA_IF_EXISTS_APPEND : RA_IF_EXISTS_REPLACE,
                      story_more(s, b->schema, 1, 4));
    story_rename(s, id, "g0");
    story_delete(s, story_named(&s->now, "g1")->id);
    story_table *flood = story_random(s, 130, 1);
    flood->as_received = false;
    memset(flood->notes, 0, 130 * sizeof *flood->notes);
    story_upload(s, "flood", flood);
    assert_world(s);
}

// Without dictionaries, which would stay as they were sent.
static ra_schema *random_plain_schema(story *s) {
    for (;;) {
        ra_schema *schema = testing_random_schema(s->seed++, 4, 1);
        if (schema->n_dictionaries == 0)
            return schema;
        ra_schema_unref(schema);
    }
}

static void append_until_compacted(story *s) {
    ra_schema *schema = random_plain_schema(s);
    for (int i = 0; i < 2 * COMPACT_PARTS + 1; i++) {
        story_grow(s, "grown", story_more(s, schema, 1, 3));
        ra_store_settle(s->t.store);
    }
    ra_schema_unref(schema);
    ra_content *content = content_of(s, story_named(&s->now, "grown")->id);
    assert_true(content->n_parts < COMPACT_PARTS);
    ra_content_unref(content);
    assert_world(s);
}

static story_table *make_large(story *s) {
    static const ra_type_id types[] = {RA_TYPE_INT64, RA_TYPE_UINT64};
    ra_error err;
    ra_schema *schema;
    testing_check(ra_schema_new(2, &schema, &err), &err);
    for (int i = 0; i < 2; i++)
        schema->fields[i] = (ra_field){.name = RA_STR("n"), .type = types[i]};
    testing_check(ra_schema_seal(schema, &err), &err);
    story_table *table = story_more(s, schema, 3, 50000);
    ra_schema_unref(schema);
    return table;
}

static void fail_and_go_on(story *s) {
    story_table *large = make_large(s);
    ra_content *content = story_write(s, large, RA_WRITE_DURABLE);
    ra_change change = testing_publish("flood", RA_KIND_DATASET, content);
    ra_error err;
    assert_int_equal(testing_refused(&s->t, &change, &err), RA_REASON_FLIGHT_EXISTS);
    ra_content_unref(content);
    story_compute(s, story_random(s, 1, 10));
    int64_t id = story_upload(s, "large", large);
    story_delete(s, id);
    ra_writer *writer;
    testing_check(ra_writer_new(s->t.store, large->schema, RA_WRITE_DURABLE, &writer, &err), &err);
    testing_check(ra_writer_add(writer, large->batches[0], (ra_span){0}, &err), &err);
    ra_writer_free(writer);
    story_compute(s, story_random(s, 1, 10));
    assert_world(s);
}

// Hides datasets; their names are taken by an upload and by a result.
static void clear_and_begin_again(story *s) {
    story_clear(s, false, false);
    story_compute(s, story_random(s, 1, 10));
    story_upload(s, "g2", story_random(s, 2, 10));
    story_publish(s, "g3", RA_KIND_RESULT, RA_IF_EXISTS_ERROR, story_random(s, 2, 10));
    story_upload(s, "new", story_random(s, 2, 10));
    assert_world(s);
}

static void close_and_open(story *s) {
    testing_close(&s->t);
    open_store(s);
    assert_world(s);
}

static void tell(story *s) {
    open_store(s);
    upload_and_compute(s);
    make_results_durable(s);
    close_and_open(s);
    make_versions_and_groups(s);
    append_until_compacted(s);
    fail_and_go_on(s);
    clear_and_begin_again(s);
    close_and_open(s);
    story_compute(s, story_random(s, 1, 10));
    story_upload(s, "last", story_random(s, 2, 10));
    story_clear(s, false, true);
    story_upload(s, "a", story_random(s, 1, 10));
    assert_world(s);
    testing_close(&s->t);
    replay_end(&s->recording);
}

typedef struct {
    story s;
    int n_cases;
} replay;

// A store on the files of an image, in a directory of its own.
typedef struct {
    char root[64];
    testing_store t;
} revived;

static void revive(replay *r, const replay_image *image, revived *v) {
    v->t = (testing_store){.durable = true, .budget = r->s.t.budget, .workers = r->s.t.workers};
    snprintf(v->root, sizeof v->root, "%.30s-XXXXXX", r->s.root);
    replay_check(mkdtemp(v->root) != NULL, "cannot make a directory");
    snprintf(v->t.dir, sizeof v->t.dir, "%.40s/new/data", v->root);
    replay_write(image, v->root);
}

// The worlds that may be after a crash behind `n` operations: from the last one that was
// acknowledged to the last one that was asked for.
static void find_worlds(const story *s, int n, int *first, int *last) {
    *first = *last = 0;
    for (int i = 0; i < s->n_worlds; i++) {
        if (s->worlds[i].answered <= n)
            *first = i;
        if (s->worlds[i].begun < n || i <= *first)
            *last = i;
    }
}

static const story_world *match_world(replay *r, revived *v, int n, compare_rules rules) {
    int first, last;
    find_worlds(&r->s, n, &first, &last);
    char text[2048] = "";
    for (int i = first; i <= last; i++) {
        compare_result result = {""};
        const story_world *world = &r->s.worlds[i];
        if (compare_store(v->t.store, world, rules, &result))
            return world;
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "\n  not world %d (%s): %s", i, world->what,
                 result.text);
    }
    fail_msg("%s (files in %s)%s", case_text, v->root, text);
    return NULL;
}

static void check_next_upload(revived *v, const story_world *world) {
    int64_t id = testing_upload(&v->t, "the next one", 0, 3, RA_IF_EXISTS_ERROR);
    if (id < world->floor)
        fail_msg("%s: id %" PRId64 " is given again", case_text, id);
    testing_assert_rows(&v->t, id, 0, 3);
}

// Nothing lies about that the catalog does not know.
static void check_folders(revived *v) {
    ra_store_status status;
    ra_store_get_status(v->t.store, &status);
    if (testing_count_files(&v->t, "tmp") != 0)
        fail_msg("%s: files are left in tmp", case_text);
    if (testing_count_files(&v->t, "segments") != status.n_segments)
        fail_msg("%s: files are left in segments, or missing", case_text);
}

// The reserve for a full disk takes most of the time of an open, and no part in what is checked.
static int refuse_reserve(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOCATE ? ENOSPC : 0;
}

static void check_image(replay *r, const replay_image *image, int n, compare_rules rules) {
    revived v;
    revive(r, image, &v);
    ra_error err;
    ra_os_set_gate(refuse_reserve, NULL);
    if (testing_try_open(&v.t, &err) != 0)
        fail_msg("%s: cannot open: %s (files in %s)", case_text, err.message, v.root);
    check_folders(&v);
    const story_world *world = match_world(r, &v, n, rules);
    check_next_upload(&v, world);
    testing_close(&v.t);
    ra_os_set_gate(NULL, NULL);
    testing_remove_tree(v.root);
    r->n_cases++;
}

static testing_rng describe(const replay *r, const char *what, int n, int variant) {
    const story *s = &r->s;
    int first, last;
    find_worlds(s, n, &first, &last);
    snprintf(case_text, sizeof case_text, "RA_REPLAY_SEED=%" PRIu64 " %s after %d of %d (%s) ",
             s->seed, what, n, s->recording.n, s->worlds[first].what);
    return (testing_rng){s->seed + (uint64_t)n * 64 + (uint64_t)variant};
}

static void check_power_loss(replay *r, int n, int keep) {
    testing_rng rng = describe(r, "power loss", n, keep);
    replay_image image = replay_power_loss(&r->s.recording, n, keep, &rng);
    check_image(r, &image, n, (compare_rules){.results_may_be_lost = true});
    replay_image_fini(&image);
}

// `before` is the state before the last operation.
static void check_torn(replay *r, const replay_image *before, int n) {
    const replay_operation *op = &r->s.recording.operations[n - 1];
    if (op->kind != REPLAY_WRITE)
        return;
    testing_rng rng = describe(r, "torn write", n, 8);
    replay_image image = replay_copy(before, true);
    replay_apply_torn(&image, op, &rng);
    check_image(r, &image, n, (compare_rules){0});
    replay_image_fini(&image);
}

// The start after the crash is itself cut short by a power loss.
static void check_second_crash(replay *r, const replay_image *image, int n) {
    testing_rng rng = describe(r, "second crash", n, 9);
    revived v;
    revive(r, image, &v);
    replay_recording recording;
    replay_begin(&recording, v.root, image);
    ra_error err;
    if (testing_try_open(&v.t, &err) != 0)
        fail_msg("%s: cannot open: %s (files in %s)", case_text, err.message, v.root);
    replay_end(&recording);
    testing_close(&v.t);
    testing_remove_tree(v.root);
    int moment = (int)testing_below(&rng, recording.n + 1);
    replay_image second = replay_power_loss(&recording, moment, (int)testing_below(&rng, 4), &rng);
    check_image(r, &second, n, (compare_rules){.results_may_be_lost = true});
    replay_image_fini(&second);
    replay_fini(&recording);
}

static int start(void **state) {
    const char *seed = getenv("RA_REPLAY_SEED");
    replay *r = calloc(1, sizeof *r);
    replay_check(r != NULL, "no memory");
    signal(SIGABRT, print_case);
    uint64_t number = seed ? strtoull(seed, NULL, 10) : (uint64_t)ra_os_wall_ns() % 1000000;
    story_begin(&r->s, number);
    tell(&r->s);
    r->s.seed = number;
    print_message("%d operations, %d worlds, RA_REPLAY_SEED=%" PRIu64 "\n", r->s.recording.n,
                  r->s.n_worlds, number);
    *state = r;
    return 0;
}

static int stop(void **state) {
    replay *r = *state;
    story_free(&r->s);
    free(r);
    return 0;
}

static void acknowledged_changes_survive_a_power_loss_at_once(void **state) {
    replay *r = *state;
    for (int i = 0; i < r->s.n_worlds; i++)
        check_power_loss(r, r->s.worlds[i].answered, 0);
}

static bool time_is_over(int64_t until_ns) {
    return !getenv("RA_REPLAY_ALL") && ra_os_now_ns() > until_ns;
}

// One round over all moments n with n % STRIDE == rest; gives how many there were time for.
static int run_round(replay *r, int rest, int64_t until_ns) {
    const replay_recording *recording = &r->s.recording;
    replay_image image = {0};
    int n_moments = 0;
    for (int n = 0; n <= recording->n && !time_is_over(until_ns); n++) {
        bool chosen = n % STRIDE == rest;
        if (chosen && n > 0)
            check_torn(r, &image, n);
        if (n > 0)
            replay_apply(&image, &recording->operations[n - 1]);
        if (!chosen)
            continue;
        n_moments++;
        describe(r, "killed", n, 0);
        check_image(r, &image, n, (compare_rules){0});
        check_power_loss(r, n, n / STRIDE % 4);
        if (n / STRIDE % 4 == rest % 4)
            check_second_crash(r, &image, n);
    }
    replay_image_fini(&image);
    return n_moments;
}

static void acknowledged_changes_survive_a_crash_at_any_moment(void **state) {
    replay *r = *state;
    int64_t until_ns = ra_os_now_ns() + SECONDS * INT64_C(1000000000);
    int n_moments = 0, offset = (int)(r->s.seed % STRIDE);
    r->n_cases = 0;
    for (int i = 0; i < STRIDE && !time_is_over(until_ns); i++)
        n_moments += run_round(r, (offset + 5 * i) % STRIDE, until_ns);
    print_message("%d crashes at %d of %d moments, every %dth from %d on first\n", r->n_cases,
                  n_moments, r->s.recording.n + 1, STRIDE, offset);
    assert_true(n_moments > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_changes_survive_a_power_loss_at_once),
        cmocka_unit_test(acknowledged_changes_survive_a_crash_at_any_moment)};
    return cmocka_run_group_tests(tests, start, stop);
}
