#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int ra_base64_encode(ra_str data, bool padded, ra_bytes *out, ra_error *err) {
    const uint8_t *in = (const uint8_t *)data.data;
    RA_TRY(ra_bytes_reserve(out, data.len / 3 * 4 + 4, err));
    uint8_t *to = out->data + out->len;
    size_t i = 0;
    for (; i + 3 <= data.len; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = (uint8_t)alphabet[bits >> shift & 63];
    }
    size_t rest = data.len - i;
    if (rest > 0) {
        uint32_t bits = (uint32_t)in[i] << 16 | (rest > 1 ? (uint32_t)in[i + 1] << 8 : 0);
        for (size_t k = 0; k < rest + 1; k++)
            *to++ = (uint8_t)alphabet[bits >> (18 - 6 * k) & 63];
        for (size_t k = rest; padded && k < 3; k++)
            *to++ = '=';
    }
    out->len = (size_t)(to - out->data);
    return 0;
}

// Value of a letter, or 64.
static uint32_t value_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int ra_base64_decode(ra_str text, ra_bytes *out, ra_error *err) {
    size_t n = text.len;
    for (int padding = 0; padding < 2 && n > 0 && text.data[n - 1] == '='; padding++)
        n--;
    if (n % 4 == 1 || (n != text.len && text.len % 4 != 0))
        RA_FAIL(err, INVALID_ARGUMENT, "base64 text of %zu characters cannot be right", text.len);
    RA_TRY(ra_bytes_reserve(out, n / 4 * 3 + 3, err));
    uint8_t *to = out->data + out->len;
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t value = value_of(text.data[i]);
        if (value > 63)
            RA_FAIL(err, INVALID_ARGUMENT, "byte %zu of the base64 text is not of its alphabet", i);
        bits = bits << 6 | value;
        if (i % 4 == 3) {
            *to++ = (uint8_t)(bits >> 16);
            *to++ = (uint8_t)(bits >> 8);
            *to++ = (uint8_t)bits;
        }
    }
    if (n % 4 >= 2)
        *to++ = (uint8_t)(bits >> (n % 4 == 2 ? 4 : 10));
    if (n % 4 == 3)
        *to++ = (uint8_t)(bits >> 2);
    out->len = (size_t)(to - out->data);
    return 0;
}
