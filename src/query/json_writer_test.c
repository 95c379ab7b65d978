#include "query/json_writer.h"

#include <errno.h>

#include "base/os.h"
#include "base/testing.h"

static int allocations_left;  // until one fails; negative: none does

static int fail_one(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOC && allocations_left-- == 0 ? ENOMEM : 0;
}

static const char text[] =
    "{\"a key of some length\": {\"b\": [1, 2.5, null, true]}, \"c\": \"\\u00E4\\u0000\"}";

static void a_value_is_written_as_ascii(void **state) {
    (void)state;
    ra_error err;
    ra_bytes out;
    ra_bytes_init(&out, 1024);
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_int_equal(ra_json_write(json, &out, &err), 0);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    json_decref(json);
    ra_bytes_fini(&out);
}

static void no_value_is_a_lack_of_memory(void **state) {
    (void)state;
    ra_error err;
    ra_bytes out;
    ra_bytes_init(&out, 1024);
    assert_int_equal(ra_json_write(NULL, &out, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
    ra_bytes_fini(&out);
}

static void without_memory_nothing_is_left_out(void **state) {
    (void)state;
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    ra_os_set_gate(fail_one, NULL);
    for (int n = 0;; n++) {
        ra_error err;
        ra_bytes out;
        ra_bytes_init(&out, 1024);
        allocations_left = n;
        int rc = ra_json_write(json, &out, &err);
        bool met = allocations_left < 0;
        allocations_left = -1;
        if (rc == 0)
            assert_int_equal(out.len, strlen(text));
        else
            assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
        ra_bytes_fini(&out);
        if (!met) {
            assert_in_range(n, 2, 100);
            break;
        }
    }
    ra_os_set_gate(NULL, NULL);
    json_decref(json);
}

// A ceiling is told from a lack of memory.
static void a_text_over_the_ceiling_is_refused(void **state) {
    (void)state;
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    for (size_t ceiling = 0; ceiling < strlen(text); ceiling++) {
        ra_error err;
        ra_bytes out;
        ra_bytes_init(&out, ceiling);
        assert_int_equal(ra_json_write(json, &out, &err), RA_EXHAUSTED);
        assert_int_equal(err.reason, RA_REASON_LIMIT);
        ra_bytes_fini(&out);
    }
    json_decref(json);
}

int main(void) {
    json_set_alloc_funcs(ra_malloc, ra_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_written_as_ascii),
        cmocka_unit_test(no_value_is_a_lack_of_memory),
        cmocka_unit_test(without_memory_nothing_is_left_out),
        cmocka_unit_test(a_text_over_the_ceiling_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
