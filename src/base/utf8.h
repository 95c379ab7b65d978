// UTF-8 as Unicode defines it: no surrogates, nothing over U+10FFFF, no overlong forms.
#ifndef RA_BASE_UTF8_H
#define RA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// Bytes of the longest valid prefix of `text`; equals `n` when all of it is valid.
size_t ra_utf8_valid_prefix(const void *text, size_t n);

// Bytes before the first one that is not ASCII; `n` when there is none.
size_t ra_utf8_ascii_prefix(const void *text, size_t n);

static inline bool ra_utf8_is_valid(const void *text, size_t n) {
    return ra_utf8_valid_prefix(text, n) == n;
}

// Whether `text` is the beginning of a valid character whose rest is missing.
bool ra_utf8_is_cut(const void *text, size_t n);

#endif
