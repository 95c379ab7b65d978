#include "wire/auth.h"

#include <fcntl.h>

#include "base/base64.h"
#include "base/os.h"

enum { FILE_MAX_BYTES = 1 << 20, BASIC_MAX_BYTES = 8192 };

static ra_str trim(ra_str text) {
    while (text.len > 0 && strchr(" \t\r", text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && strchr(" \t\r", text.data[text.len - 1]))
        text.len--;
    return text;
}

static int split_tokens(ra_auth *auth, ra_error *err) {
    ra_str rest = ra_bytes_str(&auth->text);
    while (rest.len > 0) {
        const char *newline = memchr(rest.data, '\n', rest.len);
        size_t n = newline ? (size_t)(newline - rest.data) : rest.len;
        ra_str token = trim((ra_str){rest.data, n});
        if (token.len > 0 && token.data[0] != '#')
            RA_TRY(ra_bytes_append(&auth->tokens, &token, sizeof token, err));
        n += newline != NULL;
        rest.data += n;
        rest.len -= n;
    }
    return 0;
}

static int read_file(ra_auth *auth, int fd, const char *path, ra_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        RA_FAIL(err, INVALID_ARGUMENT, "token file %s: not a file of at most %d bytes", path,
                FILE_MAX_BYTES);
    RA_TRY(ra_bytes_append_zeros(&auth->text, (size_t)st.st_size, err));
    return ra_os_pread(fd, auth->text.data, auth->text.len, 0, err);
}

static int read_tokens(ra_auth *auth, const char *path, ra_error *err) {
    int fd;
    // Opening a pipe would wait for a writer.
    RA_TRY(ra_os_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, err));
    int rc = read_file(auth, fd, path, err);
    ra_os_close(fd);
    RA_TRY(rc);
    RA_TRY(split_tokens(auth, err));
    if (auth->tokens.len == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "token file %s has no token", path);
    return 0;
}

int ra_auth_read(const char *path, ra_auth **out, ra_error *err) {
    ra_auth *auth = *out = ra_calloc(1, sizeof *auth);
    if (!auth)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for tokens");
    atomic_init(&auth->refs, 1);
    ra_bytes_init(&auth->text, FILE_MAX_BYTES);
    ra_bytes_init(&auth->tokens, FILE_MAX_BYTES * sizeof(ra_str));
    int rc = read_tokens(auth, path, err);
    if (rc != 0) {
        ra_auth_unref(auth);
        *out = NULL;
    }
    return rc;
}

ra_auth *ra_auth_ref(ra_auth *auth) {
    atomic_fetch_add(&auth->refs, 1);
    return auth;
}

void ra_auth_unref(ra_auth *auth) {
    if (!auth || atomic_fetch_sub(&auth->refs, 1) != 1)
        return;
    ra_bytes_fini(&auth->text);
    ra_bytes_fini(&auth->tokens);
    ra_free(auth);
}

// Whether they are equal, in a time that depends on their lengths only.
static bool equal_in_constant_time(ra_str a, ra_str b) {
    size_t different = a.len ^ b.len;
    for (size_t i = 0; i < a.len; i++)
        different |= (size_t)(uint8_t)(a.data[i] ^ b.data[b.len ? i % b.len : 0]);
    return different == 0;
}

ra_str ra_auth_find(const ra_auth *auth, ra_str token) {
    ra_str found = {NULL, 0};
    size_t n = auth->tokens.len / sizeof(ra_str);
    for (size_t i = 0; i < n && token.len > 0; i++) {
        ra_str stored;
        memcpy(&stored, auth->tokens.data + i * sizeof stored, sizeof stored);
        if (equal_in_constant_time(token, stored))
            found = stored;
    }
    return found;
}

// The rest of `value` behind `scheme` and blanks; data == NULL for another scheme.
static ra_str behind_scheme(ra_str value, const char *scheme) {
    size_t n = strlen(scheme);
    if (value.len <= n || strncasecmp(value.data, scheme, n) != 0 || value.data[n] != ' ')
        return (ra_str){NULL, 0};
    return trim((ra_str){value.data + n, value.len - n});
}

static ra_str find_password(const ra_auth *auth, ra_str base64) {
    ra_bytes text;
    ra_bytes_init(&text, BASIC_MAX_BYTES);
    ra_str found = {NULL, 0};
    if (ra_base64_decode(base64, &text, NULL) == 0 && text.len > 0) {
        const uint8_t *colon = memchr(text.data, ':', text.len);
        if (colon)
            found = ra_auth_find(auth, (ra_str){(const char *)colon + 1,
                                                (size_t)(text.data + text.len - colon - 1)});
    }
    ra_bytes_fini(&text);
    return found;
}

ra_auth_result ra_auth_check(const ra_auth *auth, const ra_headers *headers, ra_str *token) {
    ra_str given = ra_headers_get(headers, "authorization");
    ra_str binary = ra_headers_get(headers, "auth-token-bin");
    *token = (ra_str){NULL, 0};
    if (!given.data && !binary.data)
        return RA_AUTH_NONE;
    ra_str bearer = behind_scheme(given, "Bearer"), basic = behind_scheme(given, "Basic");
    if (bearer.data)
        *token = ra_auth_find(auth, bearer);
    else if (basic.data)
        *token = find_password(auth, basic);
    else if (binary.data)
        *token = ra_auth_find(auth, binary);
    return token->data ? RA_AUTH_RIGHT : RA_AUTH_WRONG;
}
