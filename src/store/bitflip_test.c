// One bit of a store's files is wrong when it opens: then opening fails with DATA_LOSS, or every
// read gives the right rows or DATA_LOSS. RA_FLIP_SEED=n repeats a run.
#include <signal.h>

#include "store/testing_compare.h"

enum { FLIPS = 250 };

static char case_text[160];  // what is tried, for whoever sees an abort

static void print_case(int signal_number) {
    (void)!write(STDERR_FILENO, case_text, strlen(case_text));
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

typedef struct {
    story s;
    testing_rng rng;
    replay_image killed;  // with a log
    replay_image closed;
    int n_refused;
    int n_lost;
} flips;

static replay_image image_after(const replay_recording *recording, int n) {
    replay_image image = {0};
    for (int i = 0; i < n; i++)
        replay_apply(&image, &recording->operations[i]);
    return image;
}

static void tell(story *s) {
    story_open(s);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"a", "b", "c"};
        story_table *table = story_random(s, 3, 40);
        story_upload(s, names[i], table);
        story_publish(s, names[i], RA_KIND_DATASET, RA_IF_EXISTS_APPEND,
                      story_more(s, table->schema, 2, 10));
    }
    story_keep(s, story_compute(s, story_random(s, 2, 20)));
    story_publish(s, "r", RA_KIND_RESULT, RA_IF_EXISTS_ERROR, story_random(s, 2, 20));
    testing_close(&s->t);
    story_open(s);
    story_rename(s, story_named(&s->now, "a")->id, "renamed");
    story_upload(s, "d", story_random(s, 2, 20));
    story_upload(s, "", story_random(s, 2, 20));
}

static int start(void **state) {
    const char *seed = getenv("RA_FLIP_SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 10) : (uint64_t)ra_os_wall_ns() % 1000000;
    flips *f = calloc(1, sizeof *f);
    replay_check(f != NULL, "no memory");
    signal(SIGABRT, print_case);
    signal(SIGSEGV, print_case);
    print_message("RA_FLIP_SEED=%" PRIu64 "\n", number);
    f->rng.state = number;
    story_begin(&f->s, number);
    tell(&f->s);
    int n = replay_count(&f->s.recording);
    testing_close(&f->s.t);
    replay_end(&f->s.recording);
    f->killed = image_after(&f->s.recording, n);
    f->closed = image_after(&f->s.recording, f->s.recording.n);
    f->s.seed = number;
    *state = f;
    return 0;
}

static int stop(void **state) {
    flips *f = *state;
    replay_image_fini(&f->killed);
    replay_image_fini(&f->closed);
    story_free(&f->s);
    free(f);
    return 0;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

// A file whose path ends so and that holds bytes, at random.
static replay_file *choose_file(flips *f, replay_image *image, const char *end) {
    replay_file *chosen = NULL;
    int n = 0;
    for (int i = 0; i < image->n_entries; i++) {
        const replay_entry *entry = &image->entries[i];
        if (entry->file == REPLAY_DIRECTORY || !ends_with(entry->path, end) ||
            image->files[entry->file].stored == 0)
            continue;
        n++;
        if (testing_one_in(&f->rng, n))
            chosen = &image->files[entry->file];
    }
    return chosen;
}

static int64_t count_lost(ra_store *store) {
    int64_t n_lost = 0;
    ra_snapshot *snapshot = ra_store_snapshot(store);
    for (int64_t id = 0; id < ra_snapshot_count(snapshot); id++) {
        const ra_flight *flight = ra_snapshot_get(snapshot, id);
        for (int i = 0; flight && i < flight->n_versions; i++) {
            ra_content *content = flight->versions[i]->content;
            bool lost = flight->versions[i]->is_lost;
            for (int64_t j = 0; j < content->n_batches && !lost; j++) {
                ra_error err;
                ra_batch *batch;
                lost = ra_content_batch(content, j, &batch, &err) != 0;
                ra_batch_unref(batch);
            }
            n_lost += lost;
        }
    }
    ra_snapshot_unref(snapshot);
    return n_lost;
}

// Opens what the image holds and compares it with the worlds from `first_world` to the last.
static void check(flips *f, const replay_image *image, int first_world) {
    char root[64];
    testing_store t = {.durable = true, .budget = f->s.t.budget, .workers = f->s.t.workers};
    snprintf(root, sizeof root, "%.30s-XXXXXX", f->s.root);
    replay_check(mkdtemp(root) != NULL, "cannot make a directory");
    snprintf(t.dir, sizeof t.dir, "%.40s/new/data", root);
    replay_write(image, root);
    ra_error err;
    if (testing_try_open(&t, &err) != 0) {
        if (err.reason != RA_REASON_DATA_LOSS)
            fail_msg("%s: %s", case_text, err.message);
        f->n_refused++;
        testing_remove_tree(root);
        return;
    }
    bool equal = false;
    compare_rules rules = {.results_may_be_lost = true, .data_loss = true};
    compare_result result = {""};
    for (int i = f->s.n_worlds - 1; i >= first_world && !equal; i--) {
        compare_result why = {""};
        equal = compare_store(t.store, &f->s.worlds[i], rules, &why);
        result = i == f->s.n_worlds - 1 ? why : result;
    }
    if (!equal)
        fail_msg("%s (files in %s): %s", case_text, root, result.text);
    f->n_lost += count_lost(t.store) > 0;
    testing_close(&t);
    testing_remove_tree(root);
}

static void flip_some(flips *f, const replay_image *image, const char *end, int first_world) {
    f->n_refused = f->n_lost = 0;
    for (int i = 0; i < FLIPS; i++) {
        replay_image copy = replay_copy(image, true);
        replay_file *file = choose_file(f, &copy, end);
        assert_non_null(file);
        int64_t at = testing_below(&f->rng, file->stored);
        int bit = (int)testing_below(&f->rng, 8);
        snprintf(case_text, sizeof case_text,
                 "RA_FLIP_SEED=%" PRIu64 " bit %d of byte %" PRId64 " of %" PRId64 " of %s ",
                 f->s.seed, bit, at, file->stored, end);
        file->data[at] ^= (uint8_t)(1 << bit);
        check(f, &copy, first_world);
        replay_image_fini(&copy);
    }
    print_message("%s: %d flips, %d refused, %d lost a table\n", end, FLIPS, f->n_refused,
                  f->n_lost);
}

static void flipped_segments_give_the_right_rows_or_data_loss(void **state) {
    flips *f = *state;
    flip_some(f, &f->closed, ".arrow", f->s.n_worlds - 1);
    assert_int_equal(f->n_refused, 0);
    assert_true(f->n_lost > 0);
}

static void a_flipped_catalog_is_refused_or_tells_the_truth(void **state) {
    flips *f = *state;
    flip_some(f, &f->closed, "catalog.db", f->s.n_worlds - 1);
    assert_true(f->n_refused > 0);
}

// What lies behind the first bad entry of a log cannot be told from an entry that was cut short.
static void a_flipped_log_gives_an_earlier_world(void **state) {
    flips *f = *state;
    flip_some(f, &f->killed, "catalog.db-wal", 0);
    flip_some(f, &f->killed, "catalog.db", f->s.n_worlds - 1);
}

static void other_files_do_not_matter(void **state) {
    flips *f = *state;
    replay_image image = replay_copy(&f->closed, true);
    replay_file *lock = choose_file(f, &image, "lock");
    assert_non_null(lock);
    memset(lock->data, 0xff, (size_t)lock->stored);
    f->n_refused = f->n_lost = 0;
    check(f, &image, f->s.n_worlds - 1);
    assert_int_equal(f->n_refused + f->n_lost, 0);
    replay_image_fini(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_segments_give_the_right_rows_or_data_loss),
        cmocka_unit_test(a_flipped_catalog_is_refused_or_tells_the_truth),
        cmocka_unit_test(a_flipped_log_gives_an_earlier_world),
        cmocka_unit_test(other_files_do_not_matter)};
    return cmocka_run_group_tests(tests, start, stop);
}
