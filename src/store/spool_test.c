// Large messages on their way in: their bytes, what they count for, what may fail.
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/spool.h"
#include "store/testing_contents.h"

enum { PART_BYTES = 10000, N_PARTS = 3 };

static char parts[N_PARTS][PART_BYTES];

static int spool_message(ra_store *store, size_t aligned_offset, ra_spool *spool, ra_blob **out,
                         ra_error *err) {
    *out = NULL;
    ra_spool_init(spool, store);
    RA_TRY(ra_spool_open(spool, aligned_offset, err));
    for (int i = 0; i < N_PARTS; i++) {
        memset(parts[i], 'a' + i, PART_BYTES);
        RA_TRY(ra_spool_append(spool, (ra_str){parts[i], PART_BYTES}, err));
    }
    return ra_spool_take(spool, out, err);
}

static void a_message_comes_back_with_its_body_aligned(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    for (size_t offset = 0; offset < 130; offset += 13) {
        ra_spool spool;
        ra_blob *message;
        testing_must(spool_message(&store.store, offset, &spool, &message, &err), &err);
        assert_false(ra_spool_is_open(&spool));
        assert_int_equal(message->bytes, N_PARTS * PART_BYTES);
        assert_int_equal((uintptr_t)(message->data + offset) % 64, 0);
        assert_memory_equal(message->data, parts, sizeof parts);
        ra_blob_unref(message);
    }
    testing_folder_fini(&store);
}

static void bytes_count_until_the_last_reference_goes(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_spool spool;
    ra_blob *message;
    const atomic_int_least64_t *counted = &store.store.spool_bytes;
    ra_spool_init(&spool, &store.store);
    testing_must(ra_spool_open(&spool, 1, &err), &err);
    assert_int_equal(testing_count_files(store.tmp_dir), 0);
    testing_must(ra_spool_append(&spool, RA_STR("text"), &err), &err);
    assert_int_equal(atomic_load(counted), 63 + 4);
    ra_spool_fini(&spool);
    assert_int_equal(atomic_load(counted), 0);
    testing_must(spool_message(&store.store, 0, &spool, &message, &err), &err);
    assert_int_equal(atomic_load(counted), N_PARTS * PART_BYTES);
    ra_spool_fini(&spool);
    assert_int_equal(atomic_load(counted), N_PARTS * PART_BYTES);
    ra_blob_unref(message);
    testing_folder_fini(&store);
}

// Room for the first part only.
static void no_part_uses_the_reserve(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    ra_error err;
    ra_spool spool;
    int64_t free_bytes, total_bytes;
    ra_spool_init(&spool, &store.store);
    testing_must(ra_spool_open(&spool, 0, &err), &err);
    testing_must(ra_spool_append(&spool, RA_STR("text"), &err), &err);
    testing_must(ra_os_disk(store.data_dir, &free_bytes, &total_bytes, &err), &err);
    // Others use this file system, too: far more than they might free meanwhile.
    store.store.options.disk_reserve_bytes = free_bytes + free_bytes / 2;
    assert_int_equal(ra_spool_append(&spool, RA_STR("more"), &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_DISK_FULL);
    assert_non_null(strstr(err.message, "4 bytes wanted, "));
    assert_non_null(strstr(err.message, " kept in reserve"));
    assert_false(ra_spool_is_open(&spool));
    testing_folder_fini(&store);
}

typedef struct {
    int n_calls;
    int fail_at;    // from 1
    int fail_call;  // an ra_os_call whose calls fail; -1: any
    int code;
} fault_gate;

static int pass(void *context, const ra_os_event *event) {
    fault_gate *gate = context;
    if (gate->fail_call >= 0 && (int)event->call != gate->fail_call)
        return 0;
    return ++gate->n_calls == gate->fail_at ? gate->code : 0;
}

static void a_full_disk_is_named_with_sizes(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    static const int calls[] = {RA_OS_OPEN, RA_OS_ALLOCATE, RA_OS_WRITE};
    for (int i = 0; i < 3; i++) {
        ra_error err;
        ra_spool spool;
        ra_blob *message;
        fault_gate gate = {.fail_at = 1, .fail_call = calls[i], .code = ENOSPC};
        ra_os_set_gate(pass, &gate);
        int rc = spool_message(&store.store, 0, &spool, &message, &err);
        ra_os_set_gate(NULL, NULL);
        assert_int_equal(rc, RA_EXHAUSTED);
        assert_int_equal(err.reason, RA_REASON_DISK_FULL);
        assert_non_null(strstr(err.message, " wanted, "));
        assert_non_null(strstr(err.message, " free, "));
        assert_false(ra_spool_is_open(&spool));
    }
    testing_folder_fini(&store);
}

// An unlink that failed leaves a name, which the next start removes.
static void remove_left(const testing_folder *store) {
    char pattern[128];
    glob_t files;
    snprintf(pattern, sizeof pattern, "%s/*.spool", store->tmp_dir);
    if (glob(pattern, 0, NULL, &files) != 0)
        return;
    for (size_t i = 0; i < files.gl_pathc; i++)
        unlink(files.gl_pathv[i]);
    globfree(&files);
}

static void every_call_may_fail(void **state) {
    (void)state;
    testing_folder store;
    testing_folder_init(&store);
    int rc = -1;
    for (int n = 1; rc != 0; n++) {
        ra_error err;
        ra_spool spool;
        ra_blob *message;
        fault_gate gate = {.fail_at = n, .fail_call = -1, .code = EIO};
        ra_os_set_gate(pass, &gate);
        rc = spool_message(&store.store, 5, &spool, &message, &err);
        ra_os_set_gate(NULL, NULL);
        assert_int_equal(rc != 0, gate.n_calls >= n);
        assert_false(ra_spool_is_open(&spool));
        ra_blob_unref(message);
        assert_int_equal(atomic_load(&store.store.spool_bytes), 0);
        remove_left(&store);
    }
    testing_folder_fini(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_with_its_body_aligned),
        cmocka_unit_test(bytes_count_until_the_last_reference_goes),
        cmocka_unit_test(no_part_uses_the_reserve),
        cmocka_unit_test(a_full_disk_is_named_with_sizes),
        cmocka_unit_test(every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
