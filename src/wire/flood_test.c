#include "wire/flood.h"

#include "base/testing.h"

#define SECOND_NS INT64_C(1000000000)

static int spend_all(ra_bucket *bucket, int64_t now_ns) {
    int n = 0;
    while (ra_bucket_spend(bucket, now_ns))
        n++;
    return n;
}

static void a_burst_empties_the_bucket(void **state) {
    (void)state;
    ra_bucket bucket;
    ra_bucket_init(&bucket, 200, 5, 0);
    assert_int_equal(spend_all(&bucket, 0), 200);
    assert_false(ra_bucket_spend(&bucket, 0));
}

static void time_gives_back_and_never_more_than_the_burst(void **state) {
    (void)state;
    ra_bucket bucket;
    ra_bucket_init(&bucket, 200, 5, 0);
    spend_all(&bucket, 0);
    assert_int_equal(spend_all(&bucket, SECOND_NS), 5);
    assert_int_equal(spend_all(&bucket, SECOND_NS + SECOND_NS / 5), 1);
    assert_int_equal(spend_all(&bucket, 1000 * SECOND_NS), 200);
    assert_int_equal(spend_all(&bucket, INT64_MAX), 200);
}

static void short_intervals_add_up(void **state) {
    (void)state;
    ra_bucket bucket;
    ra_bucket_init(&bucket, 10, 5, 0);
    spend_all(&bucket, 0);
    int n = 0;
    for (int64_t ns = 0; ns <= SECOND_NS; ns += 999)
        n += ra_bucket_spend(&bucket, ns);
    assert_in_range(n, 4, 5);
}

static void good_behaviour_gives_back(void **state) {
    (void)state;
    ra_bucket bucket;
    ra_bucket_init(&bucket, 3, 0, 0);
    spend_all(&bucket, 0);
    ra_bucket_give(&bucket);
    assert_int_equal(spend_all(&bucket, 0), 1);
    for (int i = 0; i < 10; i++)
        ra_bucket_give(&bucket);
    assert_int_equal(spend_all(&bucket, 0), 3);
    ra_bucket_refill(&bucket);
    assert_int_equal(spend_all(&bucket, 0), 3);
}

static void a_clock_that_stands_still_gives_nothing(void **state) {
    (void)state;
    ra_bucket bucket;
    ra_bucket_init(&bucket, 2, 1000000, SECOND_NS);
    spend_all(&bucket, SECOND_NS);
    assert_false(ra_bucket_spend(&bucket, 0));
    assert_false(ra_bucket_spend(&bucket, SECOND_NS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_empties_the_bucket),
        cmocka_unit_test(time_gives_back_and_never_more_than_the_burst),
        cmocka_unit_test(short_intervals_add_up),
        cmocka_unit_test(good_behaviour_gives_back),
        cmocka_unit_test(a_clock_that_stands_still_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
