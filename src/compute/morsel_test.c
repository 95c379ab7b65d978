#include "compute/morsel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "compute/testing_tables.h"

static ra_workers *workers;

static int start_workers(void **state) {
    (void)state;
    ra_error err;
    return ra_workers_new("test", 4, &workers, &err);
}

static int stop_workers(void **state) {
    (void)state;
    ra_workers_free(workers);
    return 0;
}

typedef struct {
    ra_schema *schema;
    int fail_at;    // -1: none
    int fail_late;  // before fail_at, but takes longer
    int batches_each;
    const uint8_t *values;  // enough for all rows, where the schema has a column
} plan;

// Batches whose row counts tell where they are from.
static int make(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    const plan *p = context;
    if (morsel % 7 == 3)
        usleep(300);
    if (morsel == p->fail_late)
        usleep(2000);
    if (morsel == p->fail_at || morsel == p->fail_late)
        RA_FAIL(err, INVALID_ARGUMENT, "morsel %d", morsel);
    for (int b = 0; b < p->batches_each; b++) {
        ra_batch *batch;
        RA_TRY(ra_batch_new(p->schema, morsel * p->batches_each + b, &batch, err));
        if (p->values)
            batch->columns[0].buffers[0] =
                (ra_span){p->values, batch->n_rows * batch->columns[0].byte_width};
        RA_TRY(ra_morsel_emit(run, morsel, batch, err));
    }
    return 0;
}

static int check_order(void *context, ra_batch *batch, ra_error *err) {
    (void)err;
    int64_t *next = context;
    assert_int_equal(batch->n_rows, *next);
    ++*next;
    return 0;
}

static void batches_arrive_in_order(void **state) {
    (void)state;
    ra_error err;
    for (int round = 0; round < 20; round++) {
        plan p = {testing_random_schema(1, 0, 0), -1, -1, round % 4, NULL};
        ra_compute compute = {.workers = round % 5 ? workers : NULL};
        int64_t next = 0;
        ra_batch_sink sink = {check_order, &next};
        testing_must(ra_morsels_run(&compute, 200, make, &p, &sink, &err), &err);
        assert_int_equal(next, 200 * p.batches_each);
        ra_schema_unref(p.schema);
    }
}

static void large_morsels_wait_for_their_turn(void **state) {
    (void)state;
    enum { N = 12, EACH = 20, WIDTH = 64 * 1024 };  // up to 15 MiB a batch
    ra_error err;
    ra_budget budget;
    ra_budget_init(&budget, NULL, "test", INT64_MAX);
    ra_field field = {.type = RA_TYPE_FIXED_SIZE_BINARY, .byte_width = WIDTH};
    uint8_t *values = calloc(N * EACH, WIDTH);
    plan p = {testing_schema_of(field), -1, -1, EACH, values};
    ra_compute compute = {.workers = workers, .budget = &budget};
    int64_t next = 0;
    ra_batch_sink sink = {check_order, &next};
    testing_must(ra_morsels_run(&compute, N, make, &p, &sink, &err), &err);
    assert_int_equal(next, N * EACH);
    assert_int_equal(ra_budget_used(&budget), 0);
    ra_schema_unref(p.schema);
    ra_budget_fini(&budget);
    free(values);
}

static void the_first_morsel_that_fails_is_reported(void **state) {
    (void)state;
    ra_error err;
    for (int round = 0; round < 20; round++) {
        plan p = {testing_random_schema(1, 0, 0), 21 + round % 5, 20, 1, NULL};
        ra_compute compute = {.workers = workers};
        int64_t next = 0;
        ra_batch_sink sink = {check_order, &next};
        assert_int_equal(ra_morsels_run(&compute, 100, make, &p, &sink, &err), RA_INVALID);
        assert_string_equal(err.message, "morsel 20");
        assert_int_equal(next, 20);
        ra_schema_unref(p.schema);
    }
}

static int refuse(void *context, ra_batch *batch, ra_error *err) {
    int *left = context;
    (void)batch;
    if (--*left == 0)
        RA_FAIL(err, DISK_FULL, "full");
    return 0;
}

static void an_error_of_the_sink_stops_the_run(void **state) {
    (void)state;
    ra_error err;
    for (int n = 1; n < 40; n++) {
        plan p = {testing_random_schema(1, 0, 0), -1, -1, 1, NULL};
        ra_compute compute = {.workers = workers};
        int left = n;
        ra_batch_sink sink = {refuse, &left};
        assert_int_equal(ra_morsels_run(&compute, 100, make, &p, &sink, &err), RA_EXHAUSTED);
        assert_int_equal(err.reason, RA_REASON_DISK_FULL);
        assert_int_equal(left, 0);
        ra_schema_unref(p.schema);
    }
}

static int fail_piece(void *context, int piece, ra_error *err) {
    (void)context;
    if (piece >= 5)
        RA_FAIL(err, INVALID_ARGUMENT, "piece %d", piece);
    return 0;
}

static void the_first_piece_that_fails_is_reported(void **state) {
    (void)state;
    ra_error err;
    ra_compute compute = {.workers = workers};
    for (int round = 0; round < 50; round++) {
        assert_int_equal(ra_pieces_run(&compute, 100, fail_piece, NULL, &err), RA_INVALID);
        assert_string_equal(err.message, "piece 5");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_arrive_in_order),
        cmocka_unit_test(large_morsels_wait_for_their_turn),
        cmocka_unit_test(the_first_morsel_that_fails_is_reported),
        cmocka_unit_test(an_error_of_the_sink_stops_the_run),
        cmocka_unit_test(the_first_piece_that_fails_is_reported),
    };
    return cmocka_run_group_tests(tests, start_workers, stop_workers);
}
