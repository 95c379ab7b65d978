// Bitmaps: counting, copying, filling at any bit offset.
#include "arrow/array.h"
#include "base/checked.h"

static int64_t count_word(uint64_t word) {
    word -= (word >> 1) & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int64_t)((word * 0x0101010101010101u) >> 56);
}

int64_t ra_count_bits(const uint8_t *bits, int64_t n_bits) {
    int64_t count = 0, n_words = n_bits >> 6;
    for (int64_t i = 0; i < n_words; i++)
        count += count_word(ra_load_u64(bits + 8 * i));
    int64_t rest = n_bits & 63;
    if (rest == 0)
        return count;
    uint64_t word = 0;
    memcpy(&word, bits + 8 * n_words, (size_t)ra_bit_bytes(rest));
    return count + count_word(word & ((UINT64_C(1) << rest) - 1));
}

// The next n (1 … 8) bits from bit `at` of `bits`; reads no byte that holds none of them.
static unsigned load_bits(const uint8_t *bits, int64_t at, int n) {
    const uint8_t *byte = bits + (at >> 3);
    int shift = (int)(at & 7);
    unsigned value = (unsigned)*byte >> shift;
    if (shift + n > 8)
        value |= (unsigned)byte[1] << (8 - shift);
    return value & ((1u << n) - 1);
}

static void store_bits(uint8_t *byte, int shift, int n, unsigned value) {
    unsigned mask = ((1u << n) - 1) << shift;
    *byte = (uint8_t)((*byte & ~mask) | ((value << shift) & mask));
}

void ra_copy_bits(uint8_t *to, int64_t to_bit, const uint8_t *from, int64_t from_bit,
                  int64_t n_bits) {
    if (n_bits > 0 && (to_bit & 7)) {  // up to a byte of the target
        int shift = (int)(to_bit & 7);
        int n = n_bits < 8 - shift ? (int)n_bits : 8 - shift;
        store_bits(to + (to_bit >> 3), shift, n, load_bits(from, from_bit, n));
        to_bit += n;
        from_bit += n;
        n_bits -= n;
    }
    uint8_t *out = to + (to_bit >> 3);
    const uint8_t *in = from + (from_bit >> 3);
    int shift = (int)(from_bit & 7);
    if (shift == 0 && n_bits >= 8) {
        memcpy(out, in, (size_t)(n_bits >> 3));
        out += n_bits >> 3;
        in += n_bits >> 3;
        n_bits &= 7;
    }
    for (; n_bits >= 64; n_bits -= 64, in += 8, out += 8)  // shift > 0: in[8] holds a bit of these
        ra_store_u64(out, (ra_load_u64(in) >> shift) | ((uint64_t)in[8] << (64 - shift)));
    for (; n_bits >= 8; n_bits -= 8, in++, out++)
        *out = (uint8_t)load_bits(in, shift, 8);
    if (n_bits > 0)
        store_bits(out, 0, (int)n_bits, load_bits(in, shift, (int)n_bits));
}

void ra_fill_bits(uint8_t *bits, int64_t at, int64_t n_bits, bool value) {
    unsigned all = value ? 0xff : 0;
    if (n_bits > 0 && (at & 7)) {
        int shift = (int)(at & 7);
        int n = n_bits < 8 - shift ? (int)n_bits : 8 - shift;
        store_bits(bits + (at >> 3), shift, n, all);
        at += n;
        n_bits -= n;
    }
    if (n_bits >= 8)
        memset(bits + (at >> 3), (int)all, (size_t)(n_bits >> 3));
    if (n_bits & 7)
        store_bits(bits + ((at + n_bits) >> 3), 0, (int)(n_bits & 7), all);
}
