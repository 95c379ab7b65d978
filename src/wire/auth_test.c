#include "wire/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/testing.h"

static char path[] = "/tmp/ra_auth_test_XXXXXX";

static void write_tokens(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static ra_auth_result check(const ra_auth *auth, const char *name, const char *value,
                            ra_str *token) {
    ra_headers headers;
    ra_headers_init(&headers, 4096);
    if (name)
        assert_int_equal(ra_headers_add_decoded(&headers, ra_str_of(name), ra_str_of(value), NULL),
                         0);
    ra_auth_result result = ra_auth_check(auth, &headers, token);
    ra_headers_fini(&headers);
    return result;
}

static void each_way_to_carry_a_token_works(void **state) {
    (void)state;
    ra_auth *auth;
    ra_str token;
    write_tokens("# comment\nsecret\n\n  other \r\n");
    assert_int_equal(ra_auth_read(path, &auth, NULL), 0);
    assert_int_equal(check(auth, "authorization", "Bearer secret", &token), RA_AUTH_RIGHT);
    assert_true(ra_str_eq(token, RA_STR("secret")));
    assert_int_equal(check(auth, "authorization", "Bearer other", &token), RA_AUTH_RIGHT);
    // anybody:secret, padded and not (F-41)
    assert_int_equal(check(auth, "authorization", "Basic YW55OnNlY3JldA==", &token), RA_AUTH_RIGHT);
    assert_int_equal(check(auth, "authorization", "Basic YW55OnNlY3JldA", &token), RA_AUTH_RIGHT);
    assert_int_equal(check(auth, "auth-token-bin", "c2VjcmV0", &token), RA_AUTH_RIGHT);
    assert_true(ra_str_eq(token, RA_STR("secret")));
    ra_auth_unref(auth);
}

static void wrong_tokens_are_wrong_and_none_is_none(void **state) {
    (void)state;
    ra_auth *auth;
    ra_str token;
    write_tokens("secret");
    assert_int_equal(ra_auth_read(path, &auth, NULL), 0);
    const char *wrong[] = {"Bearer secre", "Bearer secrets", "Bearer ",     "Bearer",
                           "secret",       "Basic secret",   "Basic YW55",  "Bearer Secret",
                           "Basic YW55Og", "Digest secret",  "Bearersecret"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(check(auth, "authorization", wrong[i], &token), RA_AUTH_WRONG);
    assert_int_equal(check(auth, "auth-token-bin", "", &token), RA_AUTH_WRONG);
    assert_null(token.data);
    assert_int_equal(check(auth, NULL, NULL, &token), RA_AUTH_NONE);
    assert_int_equal(check(auth, "cookie", "secret", &token), RA_AUTH_NONE);
    ra_auth_unref(auth);
}

static void a_file_without_tokens_is_refused(void **state) {
    (void)state;
    ra_auth *auth;
    ra_error err;
    write_tokens("\n# nothing\n");
    assert_int_equal(ra_auth_read(path, &auth, &err), RA_INVALID);
    assert_int_equal(ra_auth_read("/nonexistent/tokens", &auth, &err), RA_INTERNAL);
    assert_int_equal(ra_auth_read("/tmp", &auth, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "/tmp: not a file"));
}

int main(void) {
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_to_carry_a_token_works),
        cmocka_unit_test(wrong_tokens_are_wrong_and_none_is_none),
        cmocka_unit_test(a_file_without_tokens_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
