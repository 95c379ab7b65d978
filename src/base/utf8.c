#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8_simd.h"

// Length of the character that begins with `lead`, and the range its second byte must be in.
static unsigned char_rule(uint8_t lead, uint8_t *second_min, uint8_t *second_max) {
    *second_min = 0x80;
    *second_max = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *second_min = 0xA0;
        if (lead == 0xED)
            *second_max = 0x9F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *second_min = 0x90;
        if (lead == 0xF4)
            *second_max = 0x8F;
        return 4;
    }
    return 0;
}

// Bytes of `text` that fit the rule of its first character, at most its length.
static unsigned matching_bytes(const uint8_t *text, size_t n, unsigned *length) {
    uint8_t min, max;
    *length = char_rule(text[0], &min, &max);
    if (*length == 0)
        return 0;
    unsigned good = 1;
    while (good < *length && good < n) {
        uint8_t low = good == 1 ? min : 0x80, high = good == 1 ? max : 0xBF;
        if (text[good] < low || text[good] > high)
            break;
        good++;
    }
    return good;
}

size_t ra_utf8_ascii_prefix(const void *text, size_t n) {
    const uint8_t *s = text;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t w[8];
        memcpy(w, s + i, sizeof w);
        if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) & 0x8080808080808080u)
            break;
    }
    while (i < n && s[i] < 0x80)
        i++;
    return i;
}

size_t ra_utf8_valid_prefix(const void *text, size_t n) {
    const uint8_t *s = text;
    size_t i = ra_utf8_ascii_prefix(s, n);
    bool may_skip = true;
    while (i < n) {
        if (s[i] < 0x80) {
            i++;
            continue;
        }
        unsigned length;
        if (matching_bytes(s + i, n - i, &length) != length || length == 0)
            break;
        i += length;
        if (may_skip)
            i += ra_utf8_skip_blocks(s + i, n - i);
        may_skip = false;
    }
    return i;
}

bool ra_utf8_is_cut(const void *text, size_t n) {
    unsigned length;
    return n > 0 && matching_bytes(text, n, &length) == n && n < length;
}
