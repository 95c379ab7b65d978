#include "wire/grpc_frame.h"

#include "base/os.h"
#include "base/testing.h"

// What a deframer made of a stream: the messages, one behind the other with '|' after each.
typedef struct {
    ra_bytes text;
    int n_messages;
    int n_parts;
} outcome;

static int feed_all(ra_deframer *d, ra_str data, outcome *out, ra_error *err) {
    while (data.len > 0) {
        bool complete, last;
        RA_TRY(ra_deframer_feed(d, &data, &complete, &last, err));
        if (!complete)
            continue;
        int64_t charged;
        ra_bytes part = ra_deframer_take(d, &charged);
        if (d->budget)
            ra_budget_release(d->budget, charged);
        assert_int_equal(ra_bytes_append(&out->text, part.data, part.len, NULL), 0);
        if (last)
            assert_int_equal(ra_bytes_append(&out->text, "|", 1, NULL), 0);
        out->n_messages += last;
        out->n_parts++;
        ra_bytes_fini(&part);
    }
    return 0;
}

static void messages_survive_any_cut(void **state) {
    (void)state;
    const char stream[] =
        "\0\0\0\0\3abc"
        "\0\0\0\0\0"
        "\0\0\0\0\6defghi";
    size_t n = sizeof stream - 1;
    for (size_t cut = 0; cut <= n; cut++)
        for (size_t step = 1; step <= 3; step++) {
            ra_deframer d;
            outcome out = {0};
            ra_bytes_init(&out.text, 100);
            ra_deframer_init(&d, 100, 0, NULL);
            assert_int_equal(feed_all(&d, (ra_str){stream, cut}, &out, NULL), 0);
            for (size_t at = cut; at < n; at += step)
                assert_int_equal(
                    feed_all(&d, (ra_str){stream + at, at + step < n ? step : n - at}, &out, NULL),
                    0);
            assert_int_equal(out.n_messages, 3);
            assert_true(ra_str_eq(ra_bytes_str(&out.text), RA_STR("abc||defghi|")));
            assert_true(ra_deframer_is_between_messages(&d));
            ra_bytes_fini(&out.text);
            ra_deframer_fini(&d);
        }
}

static void a_large_message_comes_in_parts(void **state) {
    (void)state;
    ra_deframer d;
    outcome out = {0};
    ra_bytes_init(&out.text, 100);
    ra_deframer_init(&d, 100, 4, NULL);
    assert_int_equal(feed_all(&d, (ra_str){"\0\0\0\0\12abcdefghij\0\0\0\0\4klmn", 24}, &out, NULL),
                     0);
    assert_true(ra_str_eq(ra_bytes_str(&out.text), RA_STR("abcdefghij|klmn|")));
    assert_int_equal(out.n_parts, 4);
    ra_bytes_fini(&out.text);
    ra_deframer_fini(&d);
}

static void a_prefix_over_the_limit_allocates_nothing(void **state) {
    (void)state;
    ra_deframer d;
    outcome out = {0};
    ra_error err;
    ra_deframer_init(&d, 100, 0, NULL);
    assert_int_equal(feed_all(&d, (ra_str){"\0\377\377\377\377x", 6}, &out, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_MESSAGE_TOO_LARGE);
    assert_null(d.part.data);
    ra_deframer_fini(&d);
}

static void a_claim_gets_no_memory_before_its_bytes(void **state) {
    (void)state;
    ra_deframer d;
    ra_budget budget;
    outcome out = {0};
    ra_budget_init(&budget, NULL, "test", 1 << 30);
    ra_deframer_init(&d, SIZE_MAX, 0, &budget);
    assert_int_equal(feed_all(&d, (ra_str){"\0\177\377\377\377x", 6}, &out, NULL), 0);
    assert_true(d.part.capacity <= 64 * 1024);
    assert_int_equal(ra_budget_used(&budget), d.part.capacity);
    ra_deframer_fini(&d);
    assert_int_equal(ra_budget_used(&budget), 0);
    ra_budget_fini(&budget);
}

static void a_peer_that_sends_gets_whole_buffers(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    ra_deframer d;
    ra_deframer_init(&d, SIZE_MAX, BYTES, NULL);
    char *body = ra_calloc(1, BYTES);
    for (int message = 0; message < 2; message++) {
        bool complete, last;
        ra_str data = {"\0\0\20\0\0", 5};
        assert_int_equal(ra_deframer_feed(&d, &data, &complete, &last, NULL), 0);
        data = (ra_str){body, 1};
        assert_int_equal(ra_deframer_feed(&d, &data, &complete, &last, NULL), 0);
        assert_int_equal(d.part.capacity, message == 0 ? 64 * 1024 : BYTES);
        data = (ra_str){body, BYTES - 1};
        assert_int_equal(ra_deframer_feed(&d, &data, &complete, &last, NULL), 0);
        assert_true(complete && last);
        int64_t charged;
        ra_bytes part = ra_deframer_take(&d, &charged);
        assert_int_equal(part.capacity, BYTES);
        ra_bytes_fini(&part);
    }
    ra_free(body);
    ra_deframer_fini(&d);
}

static void bad_flags_are_refused(void **state) {
    (void)state;
    ra_deframer d;
    outcome out = {0};
    ra_error err;
    ra_deframer_init(&d, 100, 0, NULL);
    assert_int_equal(feed_all(&d, (ra_str){"\2\0\0\0\1x", 6}, &out, &err), RA_INTERNAL);
    assert_false(d.is_compressed);
    ra_deframer_fini(&d);
    ra_deframer_init(&d, 100, 0, NULL);
    assert_int_equal(feed_all(&d, (ra_str){"\1\0\0\0\1x", 6}, &out, &err), RA_UNIMPLEMENTED);
    assert_true(d.is_compressed);
    ra_deframer_fini(&d);
}

static void half_a_message_is_noticed(void **state) {
    (void)state;
    const char stream[] = "\0\0\0\0\3abc";
    for (size_t n = 1; n < sizeof stream - 1; n++) {
        ra_deframer d;
        outcome out = {0};
        ra_deframer_init(&d, 100, 0, NULL);
        assert_int_equal(feed_all(&d, (ra_str){stream, n}, &out, NULL), 0);
        assert_false(ra_deframer_is_between_messages(&d));
        ra_deframer_fini(&d);
    }
}

static int fail_allocation(void *context, const ra_os_event *event) {
    int *left = context;
    return event->call == RA_OS_ALLOC && (*left)-- == 0 ? 12 : 0;
}

static void lack_of_memory_and_budget_fails_cleanly(void **state) {
    (void)state;
    ra_budget budget;
    outcome out = {0};
    ra_error err;
    ra_budget_init(&budget, NULL, "test", 100);
    ra_deframer d;
    ra_deframer_init(&d, 1 << 20, 0, &budget);
    assert_int_equal(feed_all(&d, (ra_str){"\0\0\1\0\0x", 6}, &out, &err), RA_EXHAUSTED);
    ra_deframer_fini(&d);
    ra_budget_fini(&budget);
    ra_budget_init(&budget, NULL, "test", 1 << 20);
    ra_deframer_init(&d, 1 << 20, 0, &budget);
    int left = 0;
    ra_os_set_gate(fail_allocation, &left);
    int rc = feed_all(&d, (ra_str){"\0\0\1\0\0x", 6}, &out, &err);
    ra_os_set_gate(NULL, NULL);
    assert_int_equal(rc, RA_EXHAUSTED);
    ra_deframer_fini(&d);
    ra_budget_fini(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_any_cut),
        cmocka_unit_test(a_large_message_comes_in_parts),
        cmocka_unit_test(a_prefix_over_the_limit_allocates_nothing),
        cmocka_unit_test(a_claim_gets_no_memory_before_its_bytes),
        cmocka_unit_test(a_peer_that_sends_gets_whole_buffers),
        cmocka_unit_test(bad_flags_are_refused),
        cmocka_unit_test(half_a_message_is_noticed),
        cmocka_unit_test(lack_of_memory_and_budget_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
