#include "store/id_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/os.h"
#include "store/record.h"

enum { MODEL = 9000 };

// The trees never look into a version, so one that nobody reads will do.
static ra_flight *new_flight(int64_t id) {
    ra_flight draft = {.id = id};
    ra_flight *flight;
    ra_error err;
    assert_int_equal(ra_flight_new(&draft, &flight, &err), 0);
    return flight;
}

static void set(ra_id_tree *tree, int64_t id, bool there) {
    ra_error err;
    ra_flight *flight = there ? new_flight(id) : NULL;
    assert_int_equal(ra_id_tree_set(tree, id, flight, &err), 0);
    ra_flight_unref(flight);
}

static void assert_equals_model(const ra_id_tree *tree, const bool *model) {
    int64_t last = -1, at = 0;
    for (int64_t i = 0; i < MODEL; i++) {
        ra_flight *flight = ra_id_tree_get(tree, i);
        assert_int_equal(flight != NULL, model[i]);
        if (!flight)
            continue;
        assert_int_equal(flight->id, i);
        last = i;
        assert_ptr_equal(ra_id_tree_next(tree, &at), flight);
        assert_int_equal(at++, i);
    }
    assert_null(ra_id_tree_next(tree, &at));
    assert_int_equal(ra_id_tree_last(tree), last);
}

static void behaves_as_an_array_and_copies_stay_as_they_were(void **state) {
    (void)state;
    static bool model[MODEL], copied_model[MODEL];
    ra_id_tree tree = {0}, copy = {0};
    srand(1);
    for (int round = 0; round < 12; round++) {
        int range = round % 3 == 0 ? MODEL : round % 3 == 1 ? 64 : 5000;
        for (int i = 0; i < 700; i++) {
            int64_t id = rand() % range;
            model[id] = rand() % 3 != 0;
            set(&tree, id, model[id]);
        }
        assert_equals_model(&tree, model);
        assert_equals_model(&copy, copied_model);
        ra_id_tree_fini(&copy);
        copy = ra_id_tree_share(&tree);
        memcpy(copied_model, model, sizeof model);
    }
    for (int64_t id = 0; id < MODEL; id++)
        set(&tree, id, false);
    assert_null(tree.root);
    assert_equals_model(&copy, copied_model);
    ra_id_tree_fini(&copy);
}

static void holds_any_number(void **state) {
    (void)state;
    ra_id_tree tree = {0};
    const int64_t numbers[] = {0, 63, 64, 4095, 4096, INT64_C(1) << 40, INT64_MAX};
    const int n = sizeof numbers / sizeof *numbers;
    for (int i = 0; i < n; i++)
        set(&tree, numbers[i], true);
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        assert_int_equal(ra_id_tree_next(&tree, &at)->id, numbers[i]);
        at += i + 1 < n;
    }
    assert_int_equal(ra_id_tree_last(&tree), INT64_MAX);
    assert_null(ra_id_tree_get(&tree, 5));
    assert_null(ra_id_tree_get(&tree, -1));
    ra_id_tree_fini(&tree);
}

static int fail_after(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left < 0 ? 12 : 0;
}

static void without_memory_it_stays_as_it_was(void **state) {
    (void)state;
    static bool model[MODEL];
    ra_error err;
    ra_id_tree tree = {0};
    for (int64_t id = 0; id < MODEL; id += 7)
        set(&tree, id, model[id] = true);
    ra_flight *flight = new_flight(8000);
    for (int64_t id = 0; id < MODEL * 40; id += 333) {
        for (int allowed = 0; allowed < 3; allowed++) {
            ra_id_tree copy = ra_id_tree_share(&tree);
            int left = allowed;
            ra_os_set_gate(fail_after, &left);
            int rc = ra_id_tree_set(&tree, id, id % 2 ? flight : NULL, &err);
            ra_os_set_gate(NULL, NULL);
            if (rc == 0) {
                ra_id_tree_fini(&tree);
                tree = copy;
            } else {
                assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
                ra_id_tree_fini(&copy);
            }
        }
    }
    assert_equals_model(&tree, model);
    ra_flight_unref(flight);
    ra_id_tree_fini(&tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array_and_copies_stay_as_they_were),
        cmocka_unit_test(holds_any_number),
        cmocka_unit_test(without_memory_it_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
