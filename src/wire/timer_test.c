#include "wire/timer.h"

#include <stdlib.h>

#include "base/testing.h"

enum { N = 500 };

typedef struct {
    ra_timer timer;
    int fired;
} counter;

static int64_t last_fired_ns;

static void count(ra_timer *timer) {
    ((counter *)timer)->fired++;
    assert_true(timer->at_ns >= last_fired_ns);
    last_fired_ns = timer->at_ns;
}

static void timers_fire_once_and_in_order(void **state) {
    (void)state;
    ra_timers timers = {0};
    counter counters[N] = {0};
    last_fired_ns = 0;
    srand(1);
    for (int i = 0; i < N; i++) {
        counters[i].timer.fire = count;
        ra_timers_set(&timers, &counters[i].timer, rand() % 1000);
    }
    for (int64_t now = 0; now <= 1000; now += 10) {
        ra_timers_run(&timers, now);
        assert_true(ra_timers_next(&timers) > now);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(counters[i].fired, 1);
    assert_true(ra_timers_next(&timers) == INT64_MAX);
}

static void cleared_timers_do_not_fire(void **state) {
    (void)state;
    ra_timers timers = {0};
    counter counters[N] = {0};
    last_fired_ns = 0;
    for (int i = 0; i < N; i++) {
        counters[i].timer.fire = count;
        ra_timers_set(&timers, &counters[i].timer, rand() % 100);
    }
    for (int i = 0; i < N; i += 2) {
        ra_timers_clear(&timers, &counters[i].timer);
        ra_timers_clear(&timers, &counters[i].timer);
    }
    for (int i = 1; i < N; i += 4)
        ra_timers_set(&timers, &counters[i].timer, 200 + rand() % 100);
    ra_timers_run(&timers, 100);
    for (int i = 0; i < N; i++)
        assert_int_equal(counters[i].fired, i % 4 == 3);
    ra_timers_run(&timers, 300);
    for (int i = 0; i < N; i++)
        assert_int_equal(counters[i].fired, i % 2);
}

static ra_timers again_timers;

static void set_again(ra_timer *timer) {
    if (++((counter *)timer)->fired < 3)
        ra_timers_set(&again_timers, timer, timer->at_ns + 1);
}

static void a_timer_may_set_itself_again(void **state) {
    (void)state;
    counter c = {.timer.fire = set_again};
    ra_timers_set(&again_timers, &c.timer, 1);
    ra_timers_run(&again_timers, 2);
    assert_int_equal(c.fired, 2);
    ra_timers_run(&again_timers, 10);
    assert_int_equal(c.fired, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_and_in_order),
        cmocka_unit_test(cleared_timers_do_not_fire),
        cmocka_unit_test(a_timer_may_set_itself_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
