#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "base/testing.h"
#include "base/workers.h"

enum { N_TASKS = 2000, N_STRANDS = 8 };

typedef struct {
    ra_task task;
    int number;
    int *last;  // of the strand; only its tasks touch it, so no lock
    atomic_int *n_done;
} numbered_task;

static void run_numbered(ra_task *task) {
    numbered_task *t = (numbered_task *)task;
    if (t->last) {
        assert_int_equal(*t->last, t->number - 1);
        *t->last = t->number;
    }
    atomic_fetch_add(t->n_done, 1);
}

static void strands_keep_the_order_of_their_tasks(void **state) {
    (void)state;
    static numbered_task tasks[N_STRANDS][N_TASKS / N_STRANDS];
    int last[N_STRANDS];
    atomic_int n_done = 0;
    ra_workers *workers;
    ra_strand *strands[N_STRANDS];
    ra_error err;
    assert_int_equal(ra_workers_new("test", 4, &workers, &err), 0);
    for (int s = 0; s < N_STRANDS; s++) {
        last[s] = -1;
        assert_int_equal(ra_strand_new(workers, &strands[s], &err), 0);
    }
    for (int i = 0; i < N_TASKS / N_STRANDS; i++)
        for (int s = 0; s < N_STRANDS; s++) {
            tasks[s][i] = (numbered_task){{run_numbered, NULL}, i, &last[s], &n_done};
            ra_strand_submit(strands[s], &tasks[s][i].task);
        }
    while (atomic_load(&n_done) < N_TASKS)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    for (int s = 0; s < N_STRANDS; s++)
        ra_strand_free(strands[s]);
    ra_workers_free(workers);
}

static void freeing_a_pool_runs_what_is_queued(void **state) {
    (void)state;
    static numbered_task tasks[N_TASKS];
    atomic_int n_done = 0;
    ra_workers *workers;
    ra_error err;
    assert_int_equal(ra_workers_new("test", 3, &workers, &err), 0);
    for (int i = 0; i < N_TASKS; i++) {
        tasks[i] = (numbered_task){{run_numbered, NULL}, i, NULL, &n_done};
        ra_workers_submit(workers, &tasks[i].task);
    }
    ra_workers_free(workers);
    assert_int_equal(n_done, N_TASKS);
}

typedef struct {
    ra_task task;
    atomic_bool *release;
    atomic_int *n_running;
} blocking_task;

static void run_blocking(ra_task *task) {
    blocking_task *t = (blocking_task *)task;
    atomic_fetch_add(t->n_running, 1);
    while (!atomic_load(t->release))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void a_long_task_keeps_no_short_one_waiting(void **state) {
    (void)state;
    atomic_bool release = false;
    atomic_int n_running = 0, n_done = 0;
    ra_workers *workers;
    ra_error err;
    assert_int_equal(ra_workers_new("test", 3, &workers, &err), 0);
    blocking_task longs[2];
    for (int i = 0; i < 2; i++) {
        longs[i] = (blocking_task){{run_blocking, NULL}, &release, &n_running};
        ra_workers_submit(workers, &longs[i].task);
    }
    numbered_task brief = {{run_numbered, NULL}, 0, NULL, &n_done};
    ra_workers_submit(workers, &brief.task);
    for (int i = 0; i < 5000 && !atomic_load(&n_done); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(n_done, 1);
    atomic_store(&release, true);
    ra_workers_free(workers);
    assert_int_equal(n_running, 2);
}

static void count_up(void *context, int i) {
    atomic_int *counts = context;
    atomic_fetch_add(&counts[i], 1);
}

static void parallel_for_runs_each_index_once(void **state) {
    (void)state;
    ra_workers *workers;
    ra_error err;
    assert_int_equal(ra_workers_new("test", 4, &workers, &err), 0);
    static atomic_int counts[300];
    memset(counts, 0, sizeof counts);
    for (int n = 0; n < 300; n++)
        ra_parallel_for(workers, n, count_up, counts);
    for (int i = 0; i < 300; i++)
        assert_int_equal(counts[i], 299 - i);
    ra_workers_free(workers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strands_keep_the_order_of_their_tasks),
        cmocka_unit_test(freeing_a_pool_runs_what_is_queued),
        cmocka_unit_test(a_long_task_keeps_no_short_one_waiting),
        cmocka_unit_test(parallel_for_runs_each_index_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
