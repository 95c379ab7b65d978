#include "query/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"

int ra_digit_value(int c) {
    if (ra_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

ra_str ra_reader_scratch(const ra_reader *r) {
    return r->scratch.data ? ra_bytes_str(&r->scratch) : RA_STR("");
}

int ra_reader_keep(ra_reader *r, size_t bytes) {
    RA_TRY(ra_bytes_append(&r->scratch, r->text + r->at, bytes, r->err));
    r->at += bytes;
    return 0;
}

int ra_reader_put_char(ra_reader *r, uint32_t c) {
    uint8_t utf8[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; c >>= 6)
        utf8[i] = (uint8_t)(0x80 | (c & 0x3F));
    utf8[0] = (uint8_t)(lead[n] | c);
    return ra_bytes_append(&r->scratch, utf8, n, r->err);
}

int ra_reader_hex(ra_reader *r, int n_digits, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < n_digits; i++, r->at++) {
        int value = ra_digit_value(ra_reader_peek(r));
        if (value >= 16)
            return r->fail(r, "a truncated escape");
        *out = *out * 16 + (uint32_t)value;
    }
    return 0;
}

int ra_reader_integer(ra_reader *r, int base, int64_t *out) {
    bool negative = r->scratch.data[0] == '-';
    int64_t value = 0;
    for (size_t i = 1; i < r->scratch.len; i++) {
        int digit = ra_digit_value(r->scratch.data[i]);
        if (!ra_mul_i64(value, base, &value) ||
            !(negative ? ra_sub_i64(value, digit, &value) : ra_add_i64(value, digit, &value)))
            return r->fail(r, "an integer beyond 64 bits, ending");
    }
    *out = value;
    return 0;
}

int ra_reader_real(ra_reader *r, json_t **out) {
    RA_TRY(ra_bytes_append(&r->scratch, "", 1, r->err));
    double value = strtod((const char *)r->scratch.data, NULL);
    if (!isfinite(value))
        return r->fail(r, "a number out of range, ending");
    *out = json_real(value);
    return *out ? 0 : ra_reader_no_memory(r);
}

void ra_reader_skip_space(ra_reader *r) {
    for (int c = ra_reader_peek(r); c > 0 && strchr(r->space, c); c = ra_reader_peek(r))
        r->at++;
}

int ra_reader_pair(ra_reader *r, json_t *object, int (*read_value)(ra_reader *r, json_t **out)) {
    ra_str key = ra_reader_scratch(r);
    if (json_object_getn(object, key.data, key.len))
        return r->fail(r, "a duplicate key, ending");
    char *copy = ra_malloc(key.len);  // the value uses the scratch buffer too
    if (!copy)
        return ra_reader_no_memory(r);
    memcpy(copy, key.data, key.len);
    json_t *value = NULL;
    ra_reader_skip_space(r);
    int rc = ra_reader_peek(r) == ':' ? 0 : r->fail(r, "expected ':'");
    if (rc == 0) {
        r->at++;
        ra_reader_skip_space(r);
        rc = read_value(r, &value);
    }
    if (rc == 0 && json_object_setn_new_nocheck(object, copy, key.len, value) != 0)
        rc = ra_reader_no_memory(r);
    ra_free(copy);
    return rc;
}

int ra_reader_no_memory(const ra_reader *r) {
    RA_FAIL(r->err, OUT_OF_MEMORY, "no memory for a command");
}
