// Arithmetic on numbers from outside: each returns false on overflow and leaves `*out` undefined.
#ifndef RA_BASE_CHECKED_H
#define RA_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool ra_add_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool ra_sub_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_sub_overflow(a, b, out);
}
static inline bool ra_mul_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool ra_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool ra_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

// `n` rounded up to a multiple of `unit` (a power of two); n + unit must not overflow.
static inline int64_t ra_round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) & ~(unit - 1);
}

// Loads and stores at any alignment, little-endian hosts only (see os.c).
static inline int16_t ra_load_i16(const void *p) {
    int16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline int32_t ra_load_i32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline int64_t ra_load_i64(const void *p) {
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint16_t ra_load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t ra_load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t ra_load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void ra_store_i32(void *p, int32_t v) {
    memcpy(p, &v, sizeof v);
}
static inline void ra_store_i64(void *p, int64_t v) {
    memcpy(p, &v, sizeof v);
}
static inline void ra_store_u16(void *p, uint16_t v) {
    memcpy(p, &v, sizeof v);
}
static inline void ra_store_u32(void *p, uint32_t v) {
    memcpy(p, &v, sizeof v);
}
static inline void ra_store_u64(void *p, uint64_t v) {
    memcpy(p, &v, sizeof v);
}

// Bits, least significant first, as Arrow's bitmaps have them.
static inline bool ra_bit_get(const uint8_t *bits, int64_t i) {
    return (bits[i >> 3] >> (i & 7)) & 1;
}
static inline void ra_bit_set(uint8_t *bits, int64_t i) {
    bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}
static inline void ra_bit_clear(uint8_t *bits, int64_t i) {
    bits[i >> 3] &= (uint8_t) ~(1u << (i & 7));
}
static inline int64_t ra_bit_bytes(int64_t n_bits) {
    return (n_bits >> 3) + ((n_bits & 7) != 0);
}

#endif
