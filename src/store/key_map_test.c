#include "store/key_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"

enum { N_KEYS = 600 };

// Keys that share long beginnings, as unlucky hashes would.
static ra_key key_of(int i) {
    ra_key key = {{0}};
    if (i % 3 == 0)
        memcpy(key.bytes, &(uint64_t){(uint64_t)i * UINT64_C(0x9E3779B97F4A7C15)}, 8);
    memcpy(key.bytes + 12, &i, 4);
    return key;
}

static void assert_equals_model(const ra_key_map *map, const int64_t *model) {
    for (int i = 0; i < N_KEYS; i++)
        assert_int_equal(ra_key_map_get(map, key_of(i)), model[i]);
}

static void behaves_as_a_dictionary_and_copies_stay_as_they_were(void **state) {
    (void)state;
    ra_error err;
    int64_t model[N_KEYS], copied_model[N_KEYS];
    memset(model, -1, sizeof model);
    memset(copied_model, -1, sizeof copied_model);
    ra_key_map map = {0}, copy = {0};
    srand(1);
    for (int round = 0; round < 30; round++) {
        for (int n = 0; n < 100; n++) {
            int i = rand() % N_KEYS;
            model[i] = rand() % 3 == 0 ? -1 : rand();
            if (model[i] < 0)
                assert_int_equal(ra_key_map_remove(&map, key_of(i), &err), 0);
            else
                assert_int_equal(ra_key_map_set(&map, key_of(i), model[i], &err), 0);
        }
        assert_equals_model(&map, model);
        assert_equals_model(&copy, copied_model);
        ra_key_map_fini(&copy);
        copy = ra_key_map_share(&map);
        memcpy(copied_model, model, sizeof model);
    }
    for (int i = 0; i < N_KEYS; i++)
        assert_int_equal(ra_key_map_remove(&map, key_of(i), &err), 0);
    assert_null(map.root);
    assert_equals_model(&copy, copied_model);
    ra_key_map_fini(&copy);
}

static int fail_after(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && --*left < 0 ? 12 : 0;
}

static void without_memory_it_stays_as_it_was(void **state) {
    (void)state;
    ra_error err;
    int64_t model[N_KEYS];
    ra_key_map map = {0};
    for (int i = 0; i < N_KEYS; i++) {
        model[i] = i % 2 ? -1 : i;
        if (model[i] >= 0)
            assert_int_equal(ra_key_map_set(&map, key_of(i), i, &err), 0);
    }
    for (int i = 0; i < N_KEYS; i++) {
        for (int allowed = 0;; allowed++) {
            ra_key_map copy = ra_key_map_share(&map);
            int left = allowed;
            ra_os_set_gate(fail_after, &left);
            int rc = i % 2 ? ra_key_map_set(&copy, key_of(i), 5, &err)
                           : ra_key_map_remove(&copy, key_of(i), &err);
            ra_os_set_gate(NULL, NULL);
            if (rc != 0) {
                assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
                assert_int_equal(ra_key_map_get(&copy, key_of(i)), model[i]);
            }
            ra_key_map_fini(&copy);
            if (rc == 0)
                break;
        }
    }
    assert_equals_model(&map, model);
    ra_key_map_fini(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_a_dictionary_and_copies_stay_as_they_were),
        cmocka_unit_test(without_memory_it_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
