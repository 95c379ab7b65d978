#include "base/utf8.h"
#include "store/store.h"

enum { MAX_NAME_BYTES = 255 };

static bool is_control(const char *text, size_t n, size_t i) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x20 || c == 0x7f)
        return true;
    // U+0080 … U+009F
    return c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0;
}

int ra_name_check(ra_str name, ra_error *err) {
    if (name.len == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "a name may not be empty");
    if (name.len > MAX_NAME_BYTES)
        RA_FAIL(err, INVALID_ARGUMENT, "a name may have at most %d bytes, this one has %zu",
                MAX_NAME_BYTES, name.len);
    int rc = 0;
    if (!ra_utf8_is_valid(name.data, name.len))
        rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT, "name '%.*s' is not valid UTF-8",
                          RA_STR_ARG(name));
    else if (name.data[0] == '#' || name.data[0] == '@')
        rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT, "name '%.*s' may not begin with '%c'",
                          RA_STR_ARG(name), name.data[0]);
    for (size_t i = 0; rc == 0 && i < name.len; i++) {
        if (is_control(name.data, name.len, i))
            rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT,
                              "a name may not hold control characters (byte %zu of '%.*s')", i,
                              RA_STR_ARG(name));
    }
    if (rc)
        ra_error_set_subject(err, "name", name.data, name.len);
    return rc;
}
