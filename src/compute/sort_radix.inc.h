// Radix sort of elements that hold a key above and the row's number below, made once for each
// ELEMENT (an unsigned integer); names end in SUFFIX. Included by sort_radix.c only.

#define RADIX_JOIN_(name, suffix) name##_##suffix
#define RADIX_JOIN(name, suffix) RADIX_JOIN_(name, suffix)
#define RADIX(name) RADIX_JOIN(name, SUFFIX)

// By the whole element: rows' numbers below make the order of equal keys the input's.
static void RADIX(sort_few)(ELEMENT *a, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        ELEMENT v = a[i];
        int64_t k = i;
        for (; k > 0 && a[k - 1] > v; k--)
            a[k] = a[k - 1];
        a[k] = v;
    }
}

static int RADIX(bit_length)(ELEMENT v) {
    int n = 0;
    if (sizeof v > 8 && v >> (sizeof v > 8 ? 64 : 0)) {
        n = 64;
        v >>= sizeof v > 8 ? 64 : 0;
    }
    return v ? n + 64 - __builtin_clzll((uint64_t)v) : n;
}

// One stable pass from `from` to `to` by `bits` bits from `shift` on. `ends` gets, by digit, where
// its elements end in `to`.
static void RADIX(scatter)(const ELEMENT *from, ELEMENT *to, int64_t n, int shift, int bits,
                           uint32_t *ends) {
    uint32_t mask = (1u << bits) - 1, sum = 0;
    memset(ends, 0, ((size_t)mask + 1) * sizeof *ends);
    for (int64_t i = 0; i < n; i++)
        ends[(uint32_t)(from[i] >> shift) & mask]++;
    for (uint32_t d = 0; d <= mask; d++) {
        uint32_t count = ends[d];
        ends[d] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[ends[(uint32_t)(from[i] >> shift) & mask]++] = from[i];
}

static void RADIX(sort_range)(ELEMENT *a, ELEMENT *b, int64_t n, int low, bool to_b);

// Sorts what has equal bits from `base` on.
static void RADIX(sort_ties)(ELEMENT *a, ELEMENT *b, int64_t n, int low, int base) {
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        while (end < n && a[end] >> base == a[i] >> base)
            end++;
        if (end - i > 1)
            RADIX(sort_range)(a + i, b + i, end - i, low, false);
        i = end;
    }
}

// Few enough for the cache: passes from the lowest of the bits that are likely to tell elements
// apart, then what they left equal.
static void RADIX(sort_cached)(ELEMENT *a, ELEMENT *b, int64_t n, int low, int bits, bool to_b) {
    int wanted = 64 - __builtin_clzll((uint64_t)n) + SPARE_BITS;
    int used = bits < wanted ? bits : wanted;
    int n_passes = (used + DIGIT_BITS - 1) / DIGIT_BITS;
    int digit = (used + n_passes - 1) / n_passes;
    used = digit * n_passes < bits ? digit * n_passes : bits;
    int base = low + bits - used;
    uint32_t ends[1 << DIGIT_BITS];
    ELEMENT *from = a, *to = b;
    for (int done = 0; done < used; done += digit) {
        RADIX(scatter)(from, to, n, base + done, used - done < digit ? used - done : digit, ends);
        ELEMENT *swap = from;
        from = to;
        to = swap;
    }
    ELEMENT *result = to_b ? b : a;
    if (from != result)
        memcpy(result, from, (size_t)n * sizeof *a);
    if (base > low)
        RADIX(sort_ties)(result, to_b ? a : b, n, low, base);
}

// Sorts `a` by the bits from `low` on, stable; the result is in `b` if `to_b`, else in `a`; the
// other one is overwritten. n < 2³². Each level down uses up some of the bits.
static void RADIX(sort_range)(ELEMENT *a, ELEMENT *b, int64_t n, int low, bool to_b) {
    ELEMENT differing = 0;
    if (n <= FEW_ELEMENTS) {
        RADIX(sort_few)(a, n);
    } else {
        for (int64_t i = 1; i < n; i++)
            differing |= a[i] ^ a[0];
        differing >>= low;
    }
    if (!differing) {
        if (to_b)
            memcpy(b, a, (size_t)n * sizeof *a);
        return;
    }
    int bits = RADIX(bit_length)(differing);
    if (n <= CACHED_ELEMENTS) {
        RADIX(sort_cached)(a, b, n, low, bits, to_b);
        return;
    }
    uint32_t ends[1 << DIGIT_BITS];
    int digit = bits < DIGIT_BITS ? bits : DIGIT_BITS;
    RADIX(scatter)(a, b, n, low + bits - digit, digit, ends);
    int64_t start = 0;
    for (int d = 0; d < 1 << digit; d++) {
        int64_t end = ends[d];
        if (end > start)
            RADIX(sort_range)(b + start, a + start, end - start, low, !to_b);
        start = end;
    }
}

#undef RADIX
#undef RADIX_JOIN
#undef RADIX_JOIN_
