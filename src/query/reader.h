// What the readers of the two forms of a command share: a position in valid UTF-8 text and the
// string or number that is being read.
#ifndef RA_QUERY_READER_H
#define RA_QUERY_READER_H

#include <jansson.h>

#include "base/bytes.h"

// Values inside each other.
enum { RA_MAX_COMMAND_NESTING = 64 };

typedef struct ra_reader {
    const char *text;
    size_t len;
    size_t at;
    int depth;
    const char *space;  // the characters that may stand between tokens
    ra_bytes scratch;
    // Words the error: `what`, and where the reader is.
    int (*fail)(const struct ra_reader *reader, const char *what);
    ra_error *err;
} ra_reader;

// The byte at the position, or `more` bytes behind it; -1 at the end.
static inline int ra_reader_peek_at(const ra_reader *r, size_t more) {
    return more < r->len - r->at ? (unsigned char)r->text[r->at + more] : -1;
}
static inline int ra_reader_peek(const ra_reader *r) {
    return ra_reader_peek_at(r, 0);
}

static inline bool ra_is_digit(int c) {
    return c >= '0' && c <= '9';
}
// The value of a digit of base 16 or less; 99 for anything else.
int ra_digit_value(int c);

void ra_reader_skip_space(ra_reader *r);

// The scratch buffer as text; never NULL.
ra_str ra_reader_scratch(const ra_reader *r);

// Appends to the scratch buffer: bytes of the text that the position moves over, and a character.
RA_MUST int ra_reader_keep(ra_reader *r, size_t bytes);
RA_MUST int ra_reader_put_char(ra_reader *r, uint32_t c);

// Reads exactly `n_digits` hexadecimal digits.
RA_MUST int ra_reader_hex(ra_reader *r, int n_digits, uint32_t *out);
// The scratch buffer, which begins with a sign, as an integer of a base.
RA_MUST int ra_reader_integer(ra_reader *r, int base, int64_t *out);
// The scratch buffer as a number with fraction or exponent; it must be finite.
RA_MUST int ra_reader_real(ra_reader *r, json_t **out);

// With a key in the scratch buffer and the position behind it: reads ':' and a value, and adds the
// pair to `object`, which must not have the key yet.
RA_MUST int ra_reader_pair(ra_reader *r, json_t *object,
                           int (*read_value)(ra_reader *r, json_t **out));

RA_MUST int ra_reader_no_memory(const ra_reader *r);

#endif
