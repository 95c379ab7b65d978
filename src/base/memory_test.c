// bytes, arena, budget, blob, and the gate of os.h.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/budget.h"
#include "base/bytes.h"
#include "base/os.h"
#include "base/testing.h"

static void bytes_stop_at_their_ceiling(void **state) {
    (void)state;
    ra_bytes b;
    ra_error err;
    ra_bytes_init(&b, 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ra_bytes_append_zeros(&b, 100, &err), 0);
    assert_int_equal(ra_bytes_append(&b, "x", 1, &err), RA_EXHAUSTED);
    assert_int_equal(ra_bytes_append_zeros(&b, SIZE_MAX - 10, &err), RA_EXHAUSTED);
    assert_int_equal(b.len, 1000);
    ra_bytes_fini(&b);
}

static void arenas_align_clear_and_stop_at_their_ceiling(void **state) {
    (void)state;
    ra_arena arena;
    ra_arena_init(&arena, 100000);
    for (size_t n = 1; n < 300; n++) {
        uint8_t *p = ra_arena_alloc(&arena, n, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xFF, n);
    }
    assert_null(ra_arena_alloc(&arena, 100000, 1));
    assert_null(ra_arena_alloc(&arena, SIZE_MAX, 2));
    ra_arena_fini(&arena);
}

static void budgets_charge_everywhere_or_nowhere(void **state) {
    (void)state;
    ra_budget root, child;
    ra_error err;
    ra_budget_init(&root, NULL, "root", 100);
    ra_budget_init(&child, &root, "child", 1000);
    assert_int_equal(ra_budget_charge(&child, 60, &err), 0);
    assert_int_equal(ra_budget_charge(&child, 60, &err), RA_EXHAUSTED);
    assert_int_equal(ra_budget_used(&child), 60);
    assert_int_equal(ra_budget_used(&root), 60);
    assert_int_equal(ra_budget_charge(&child, INT64_MAX, &err), RA_EXHAUSTED);
    assert_int_equal(ra_budget_charge(&root, 40, &err), 0);
    ra_budget_release(&root, 40);
    ra_budget_release(&child, 60);
    ra_budget_fini(&child);
    ra_budget_fini(&root);
}

typedef struct {
    ra_budget *budget;
    atomic_bool stop;
    atomic_int n_asked;
    atomic_int n_wrong;
} budget_race;

// Asks for more than there is, again and again: nobody else may notice.
static void *ask_for_too_much(void *context) {
    budget_race *race = context;
    while (!atomic_load(&race->stop)) {
        if (ra_budget_charge(race->budget, 101, NULL) == 0)
            atomic_fetch_add(&race->n_wrong, 1);
        atomic_fetch_add(&race->n_asked, 1);
    }
    return NULL;
}

static void *never_see_more_than_the_limit(void *context) {
    budget_race *race = context;
    while (!atomic_load(&race->stop))
        if (ra_budget_used(race->budget) > 100)
            atomic_fetch_add(&race->n_wrong, 1);
    return NULL;
}

static void a_charge_that_fails_disturbs_no_other(void **state) {
    (void)state;
    ra_budget root, child;
    ra_budget_init(&root, NULL, "root", 100);
    ra_budget_init(&child, &root, "child", 1000);
    budget_race race = {.budget = &root};
    pthread_t greedy, reader;
    ra_error err;
    assert_int_equal(pthread_create(&greedy, NULL, ask_for_too_much, &race), 0);
    assert_int_equal(pthread_create(&reader, NULL, never_see_more_than_the_limit, &race), 0);
    int n_failed = 0;
    while (atomic_load(&race.n_asked) < 1000000) {
        if (ra_budget_charge(&child, 100, &err) != 0)
            n_failed++;
        else
            ra_budget_release(&child, 100);
    }
    atomic_store(&race.stop, true);
    pthread_join(greedy, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(n_failed, 0);
    assert_int_equal(atomic_load(&race.n_wrong), 0);
    ra_budget_fini(&child);
    ra_budget_fini(&root);
}

static void a_part_of_a_budget_has_its_share_and_names_itself(void **state) {
    (void)state;
    ra_budget root, part;
    ra_error err;
    ra_budget_init(&root, NULL, "root", 1000);
    ra_budget_init_share(&part, &root, "part");
    assert_int_equal(ra_budget_charge(&part, 200, &err), 0);
    assert_int_equal(ra_budget_charge(&part, 51, &err), RA_EXHAUSTED);
    assert_string_equal(err.message, "part: 51 bytes asked for, 200 of 250 in use");
    assert_int_equal(ra_budget_used(&root), 200);
    ra_budget_release(&part, 200);
    ra_budget_fini(&part);
    ra_budget_fini(&root);
    ra_budget_init_share(&part, NULL, "part");  // without a parent nothing limits it
    assert_int_equal(ra_budget_charge(&part, INT64_MAX, &err), 0);
    ra_budget_release(&part, INT64_MAX);
    ra_budget_fini(&part);
}

static void count_release(void *owner) {
    ++*(int *)owner;
}

static void blobs_are_released_with_their_last_reference(void **state) {
    (void)state;
    int released = 0;
    ra_blob *blob;
    ra_error err;
    assert_int_equal(ra_blob_wrap((const uint8_t *)"abc", 3, count_release, &released, &blob, &err),
                     0);
    ra_blob_ref(blob);
    ra_blob_unref(blob);
    assert_int_equal(released, 0);
    ra_blob_unref(blob);
    assert_int_equal(released, 1);
    assert_int_equal(ra_blob_new(1000, &blob, &err), 0);
    assert_int_equal((uintptr_t)blob->data % 64, 0);
    ra_blob_unref(blob);
}

typedef struct {
    ra_os_call fail;
    int seen;
} gate_state;

static int fail_one_kind(void *context, const ra_os_event *event) {
    gate_state *gate = context;
    if (event->call != gate->fail)
        return 0;
    gate->seen++;
    return event->call == RA_OS_WRITE ? ENOSPC : EIO;
}

static void the_gate_fails_allocations_and_file_calls(void **state) {
    (void)state;
    char path[] = "/tmp/ra-gate-XXXXXX";
    int fd = mkstemp(path);
    ra_error err;
    gate_state gate = {.fail = RA_OS_ALLOC};
    ra_os_set_gate(fail_one_kind, &gate);
    assert_null(ra_malloc(10));
    gate.fail = RA_OS_WRITE;
    assert_int_equal(ra_os_pwrite(fd, "x", 1, 0, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_DISK_FULL);
    gate.fail = RA_OS_SYNC;
    assert_int_equal(ra_os_sync(fd, &err), RA_INTERNAL);
    ra_os_set_gate(NULL, NULL);
    assert_int_equal(gate.seen, 3);
    assert_int_equal(ra_os_pwrite(fd, "x", 1, 0, &err), 0);
    close(fd);
    unlink(path);
}

static void vectors_of_any_length_are_written(void **state) {
    (void)state;
    enum { N = 500 };
    char path[] = "/tmp/ra-iov-XXXXXX", bytes[N], back[N * 3];
    int fd = mkstemp(path);
    struct iovec iov[N];
    size_t total = 0;
    for (int i = 0; i < N; i++) {
        bytes[i] = (char)i;
        iov[i] = (struct iovec){&bytes[i], i % 3 == 0 ? 0 : 1};
        total += iov[i].iov_len;
    }
    ra_error err;
    assert_int_equal(ra_os_pwritev(fd, iov, N, 5, &err), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)total + 5);
    assert_int_equal(ra_os_pread(fd, back, total, 5, &err), 0);
    size_t at = 0;
    for (int i = 0; i < N; i++)
        if (i % 3 != 0)
            assert_int_equal(back[at++], bytes[i]);
    assert_int_equal(ra_os_pread(fd, back, total + 1, 5, &err), RA_INTERNAL);
    close(fd);
    unlink(path);
}

// With several cores: one that looked again would see fewer.
static void cores_and_memory_are_found_out_once(void **state) {
    (void)state;
    int cores = ra_os_cores();
    int64_t memory_bytes = ra_os_memory_bytes();
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(ra_os_cores(), cores);
    assert_int_equal(ra_os_memory_bytes(), memory_bytes);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stop_at_their_ceiling),
        cmocka_unit_test(arenas_align_clear_and_stop_at_their_ceiling),
        cmocka_unit_test(budgets_charge_everywhere_or_nowhere),
        cmocka_unit_test(a_charge_that_fails_disturbs_no_other),
        cmocka_unit_test(a_part_of_a_budget_has_its_share_and_names_itself),
        cmocka_unit_test(blobs_are_released_with_their_last_reference),
        cmocka_unit_test(the_gate_fails_allocations_and_file_calls),
        cmocka_unit_test(cores_and_memory_are_found_out_once),
        cmocka_unit_test(vectors_of_any_length_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
