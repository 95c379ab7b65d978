#include "base/json_text.h"

#include <stdio.h>
#include <time.h>

#include "base/utf8.h"

// Decodes the character at `s`, of which `n` > 0 bytes are left; sets its length. U+FFFD if
// invalid.
static uint32_t decode_char(const uint8_t *s, size_t n, size_t *length) {
    for (size_t bytes = 1; bytes <= 4 && bytes <= n; bytes++) {
        if (!ra_utf8_is_valid(s, bytes))
            continue;
        *length = bytes;
        static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
        uint32_t c = s[0] & lead_mask[bytes];
        for (size_t i = 1; i < bytes; i++)
            c = c << 6 | (s[i] & 0x3F);
        return c;
    }
    *length = 1;
    return 0xFFFD;
}

static int put_escaped(ra_bytes *out, uint32_t c, ra_error *err) {
    if (c == '"' || c == '\\')
        return ra_bytes_printf(out, err, "\\%c", (char)c);
    if (c >= 0x10000)
        return ra_bytes_printf(out, err, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
                               0xDC00 + ((c - 0x10000) & 0x3FF));
    return ra_bytes_printf(out, err, "\\u%04x", c);
}

int ra_json_put_string(ra_bytes *out, ra_str text, ra_error *err) {
    const uint8_t *s = (const uint8_t *)text.data;
    RA_TRY(ra_bytes_append(out, "\"", 1, err));
    size_t plain = 0;
    for (size_t i = 0; i < text.len;) {
        if (s[i] >= 0x20 && s[i] < 0x7F && s[i] != '"' && s[i] != '\\') {
            i++;
            continue;
        }
        RA_TRY(ra_bytes_append(out, s + plain, i - plain, err));
        size_t length;
        uint32_t c = decode_char(s + i, text.len - i, &length);
        RA_TRY(put_escaped(out, c, err));
        i += length;
        plain = i;
    }
    if (text.len > plain)
        RA_TRY(ra_bytes_append(out, s + plain, text.len - plain, err));
    return ra_bytes_append(out, "\"", 1, err);
}

void ra_time_text(int64_t wall_ns, char out[RA_TIME_TEXT_BYTES]) {
    time_t seconds = wall_ns / 1000000000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, RA_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, RA_TIME_TEXT_BYTES - n, ".%06dZ", (int)(wall_ns / 1000 % 1000000));
}
