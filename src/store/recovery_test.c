#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "store/testing_store.h"

static int make_dir(void **state) {
    testing_store *t = malloc(sizeof *t);
    testing_make_dir(t);
    *state = t;
    return 0;
}

#define unit(f) cmocka_unit_test_setup_teardown(f, make_dir, testing_teardown)

// Runs `scene` on the store in a process that ends without closing it.
static void run_and_crash(testing_store *t, void (*scene)(testing_store *)) {
    pid_t child = fork();
    if (child == 0) {
        testing_start(t);
        scene(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void upload_two(testing_store *t) {
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_upload(t, "b", 10, 10, RA_IF_EXISTS_ERROR);
}

static void acknowledged_changes_survive_a_crash(void **state) {
    testing_store *t = *state;
    run_and_crash(t, upload_two);
    testing_start(t);
    assert_int_equal(testing_find(t, "a"), 0);
    assert_int_equal(testing_find(t, "b"), 1);
    testing_assert_rows(t, 0, 0, 10);
    testing_assert_rows(t, 1, 10, 10);
}

static void numbers_of_the_block_are_not_given_again_after_a_crash(void **state) {
    testing_store *t = *state;
    run_and_crash(t, upload_two);
    testing_start(t);
    assert_int_equal(testing_count(t), 2);
    assert_int_equal(testing_upload(t, "c", 0, 1, RA_IF_EXISTS_ERROR), 64);
    assert_int_equal(testing_count(t), 65);
    assert_false(testing_is_there(t, 63));
    // A clean stop does not skip the rest of a block.
    testing_reopen(t);
    assert_int_equal(testing_upload(t, "d", 0, 1, RA_IF_EXISTS_ERROR), 65);
}

static void do_nothing(testing_store *t) {
    (void)t;
}

static void crashes_without_changes_skip_one_block_only(void **state) {
    testing_store *t = *state;
    run_and_crash(t, upload_two);
    run_and_crash(t, do_nothing);
    run_and_crash(t, do_nothing);
    testing_start(t);
    assert_int_equal(testing_upload(t, "c", 0, 1, RA_IF_EXISTS_ERROR), 64);
}

static void make_a_result(testing_store *t) {
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_result(t, 10, 10);
}

static void a_result_of_the_last_moment_is_gone_or_whole(void **state) {
    testing_store *t = *state;
    run_and_crash(t, make_a_result);
    testing_start(t);
    if (testing_is_there(t, 1))
        testing_assert_rows(t, 1, 10, 10);
    assert_int_equal(testing_result(t, 0, 1), 64);
}

static void make_a_result_and_wait(testing_store *t) {
    make_a_result(t);
    usleep(200000);
}

static void a_result_is_written_soon(void **state) {
    testing_store *t = *state;
    run_and_crash(t, make_a_result_and_wait);
    testing_start(t);
    testing_assert_rows(t, 1, 10, 10);
}

static void clear_with_a_dataset(testing_store *t) {
    upload_two(t);
    testing_simple_change(t, RA_CHANGE_CLEAR, 0);
    testing_upload(t, "c", 0, 1, RA_IF_EXISTS_ERROR);
}

static void hidden_datasets_come_back_after_a_crash(void **state) {
    testing_store *t = *state;
    run_and_crash(t, clear_with_a_dataset);
    run_and_crash(t, do_nothing);
    testing_start(t);
    assert_int_equal(testing_find(t, "c"), 0);
    assert_int_equal(testing_find(t, "a"), 64);
    assert_int_equal(testing_find(t, "b"), 65);
}

static void events_go_on_with_higher_numbers_after_a_crash(void **state) {
    testing_store *t = *state;
    run_and_crash(t, make_a_result);
    testing_start(t);
    ra_snapshot *snapshot = ra_store_snapshot(t->store);
    assert_true(ra_snapshot_sequence(snapshot) > 2);
    ra_snapshot_unref(snapshot);
    bool lost;
    ra_event event;
    assert_int_equal(ra_store_events(t->store, 2, &event, 1, &lost), 0);
    assert_true(lost);
}

// The path of the only file in a folder of the store.
static void find_only_file(testing_store *t, const char *folder, char path[512]) {
    char dir[256];
    snprintf(dir, sizeof dir, "%s/.remote-arrow/%s", t->dir, folder);
    DIR *stream = opendir(dir);
    assert_non_null(stream);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, 512, "%s/%.200s", dir, entry->d_name);
        n++;
    }
    closedir(stream);
    assert_int_equal(n, 1);
}

static void a_dataset_without_its_file_is_listed_as_lost(void **state) {
    testing_store *t = *state;
    for (int i = 0; i < 2; i++) {
        testing_start(t);
        testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
        testing_close(t);
        char path[512];
        find_only_file(t, "segments", path);
        // Missing, then cut short.
        assert_int_equal(i == 0 ? unlink(path) : truncate(path, 100), 0);
        testing_open(t);
        ra_flight *flight;
        ra_version *version;
        ra_error err;
        int64_t id = testing_find(t, "a");
        assert_int_equal(id, i);
        testing_check(ra_store_find(t->store, RA_STR("a"), 0, &flight, &version, &err), &err);
        assert_true(ra_version_is_failed(version));
        assert_int_equal(ra_version_check_lost(flight, version, &err), RA_DATA_LOSS);
        ra_flight_unref(flight);
        ra_version_unref(version);
        assert_non_null(strstr(err.message, i == 0 ? "Flight 0 'a'" : "Flight 1 'a'"));
        assert_int_equal(err.flight, id);
        // It can be replaced, appended to not.
        ra_content *content = testing_content(t, 5, 5, RA_WRITE_DURABLE);
        ra_change change = testing_publish("a", RA_KIND_DATASET, content);
        change.if_exists = RA_IF_EXISTS_APPEND;
        assert_int_equal(testing_refused(t, &change, &err), RA_REASON_DATA_LOSS);
        change.if_exists = RA_IF_EXISTS_REPLACE;
        testing_change(t, &change);
        ra_content_unref(content);
        testing_assert_rows(t, id, 5, 5);
        testing_simple_change(t, RA_CHANGE_DELETE, id);
        assert_int_equal(testing_count_files(t, "segments"), 0);
        testing_close(t);
        ra_workers_free(t->workers);
        t->workers = NULL;
    }
    testing_start(t);
}

static void a_result_without_its_file_is_a_tombstone(void **state) {
    testing_store *t = *state;
    testing_start(t);
    testing_result(t, 0, 10);
    testing_close(t);
    char path[512];
    find_only_file(t, "segments", path);
    assert_int_equal(truncate(path, 64), 0);
    testing_open(t);
    assert_int_equal(testing_count(t), 0);
    assert_int_equal(testing_count_files(t, "segments"), 0);
    assert_int_equal(testing_result(t, 0, 10), 1);
    testing_reopen(t);
    testing_assert_rows(t, 1, 0, 10);
}

static void put_file(testing_store *t, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/.remote-arrow/%s", t->dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void leftovers_are_removed_or_put_aside(void **state) {
    testing_store *t = *state;
    testing_start(t);
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_close(t);
    put_file(t, "tmp/half");
    put_file(t, "segments/0123456789abcdef.arrow");
    put_file(t, "segments/notes.txt");
    put_file(t, "aside/1000-old.arrow");
    testing_open(t);
    assert_int_equal(testing_count_files(t, "tmp"), 0);
    assert_int_equal(testing_count_files(t, "segments"), 1);
    assert_int_equal(testing_count_files(t, "aside"), 2);
    testing_assert_rows(t, 0, 0, 10);
}

static void a_second_server_is_refused(void **state) {
    testing_store *t = *state;
    testing_start(t);
    testing_store other = *t;
    ra_error err;
    assert_int_equal(testing_try_open(&other, &err), RA_UNAVAILABLE);
    assert_non_null(strstr(err.message, t->dir));
    char process[32];
    snprintf(process, sizeof process, "process %d", (int)getpid());
    assert_non_null(strstr(err.message, process));
}

// Another program's pages carry no checksum.
static void remove_page_checksums(const char *path) {
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    static const char zeros[8];
    for (long end = 4096; end <= bytes; end += 4096) {
        fseek(file, end - (long)sizeof zeros, SEEK_SET);
        assert_int_equal(fwrite(zeros, sizeof zeros, 1, file), 1);
    }
    fclose(file);
}

static void a_newer_format_is_refused_and_left_alone(void **state) {
    testing_store *t = *state;
    testing_start(t);
    testing_close(t);
    put_file(t, "tmp/half");
    char path[256];
    snprintf(path, sizeof path, "%s/.remote-arrow/catalog.db", t->dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE meta SET format = 7", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    remove_page_checksums(path);
    ra_error err;
    assert_int_equal(testing_try_open(t, &err), RA_UNAVAILABLE);
    assert_non_null(strstr(err.message, "format 7"));
    assert_non_null(strstr(err.message, "up to 1"));
    assert_int_equal(testing_count_files(t, "tmp"), 1);
}

static void a_damaged_catalog_is_data_loss(void **state) {
    testing_store *t = *state;
    testing_start(t);
    testing_close(t);
    char path[256];
    snprintf(path, sizeof path, "%s/.remote-arrow/catalog.db", t->dir);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 8192; i++)
        fputc('x', file);
    fclose(file);
    ra_error err;
    assert_int_equal(testing_try_open(t, &err), RA_DATA_LOSS);
}

static void the_directory_is_made_with_those_above_it(void **state) {
    testing_store *t = *state;
    char dir[sizeof t->dir];
    memcpy(dir, t->dir, sizeof dir);
    snprintf(t->dir, sizeof t->dir, "%.40s/x/y", dir);
    testing_start(t);
    testing_upload(t, "a", 0, 10, RA_IF_EXISTS_ERROR);
    testing_close(t);
    memcpy(t->dir, dir, sizeof dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        unit(acknowledged_changes_survive_a_crash),
        unit(numbers_of_the_block_are_not_given_again_after_a_crash),
        unit(crashes_without_changes_skip_one_block_only),
        unit(a_result_of_the_last_moment_is_gone_or_whole),
        unit(a_result_is_written_soon),
        unit(hidden_datasets_come_back_after_a_crash),
        unit(events_go_on_with_higher_numbers_after_a_crash),
        unit(a_dataset_without_its_file_is_listed_as_lost),
        unit(a_result_without_its_file_is_a_tombstone),
        unit(leftovers_are_removed_or_put_aside),
        unit(a_second_server_is_refused),
        unit(a_newer_format_is_refused_and_left_alone),
        unit(a_damaged_catalog_is_data_loss),
        unit(the_directory_is_made_with_those_above_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
