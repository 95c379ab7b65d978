// Header lists, and the encodings of header values: base64 of `-bin`, percent, grpc-timeout.
#ifndef RA_WIRE_HEADER_H
#define RA_WIRE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

typedef struct {
    uint32_t name_at;
    uint32_t name_len;
    uint32_t value_at;
    uint32_t value_len;
} ra_header_entry;

// Names and values in the order in which they were added.
typedef struct {
    ra_bytes text;
    ra_bytes entries;  // of ra_header_entry
} ra_headers;

// Empty; `ceiling` bounds the bytes of names and values. Allocates nothing.
void ra_headers_init(ra_headers *headers, size_t ceiling);
void ra_headers_fini(ra_headers *headers);
void ra_headers_clear(ra_headers *headers);

static inline int ra_headers_count(const ra_headers *headers) {
    return (int)(headers->entries.len / sizeof(ra_header_entry));
}
// Borrowed until the list changes.
ra_str ra_headers_name(const ra_headers *headers, int i);
ra_str ra_headers_value(const ra_headers *headers, int i);
// The first value with that name; data == NULL if there is none.
ra_str ra_headers_get(const ra_headers *headers, const char *name);

// Adds a copy as it is. LIMIT over the ceiling, OUT_OF_MEMORY.
RA_MUST int ra_headers_add(ra_headers *headers, ra_str name, ra_str value, ra_error *err);
// Adds the decoded form of a received header: base64 of a `-bin` name (the first of several joined
// with ','; broken base64 becomes the empty value), others as they are.
RA_MUST int ra_headers_add_decoded(ra_headers *headers, ra_str name, ra_str value, ra_error *err);
// Adds the form to send: `-bin` values in base64 without padding (G-4), others as they are.
// INVALID_ARGUMENT for bytes that a header value must not have.
RA_MUST int ra_headers_add_encoded(ra_headers *headers, const char *name, ra_str value,
                                   ra_error *err);

bool ra_header_is_binary(ra_str name);

// Appends `text` (UTF-8) percent-encoded (G-21), cut before `max_bytes` at a character.
RA_MUST int ra_percent_encode(ra_bytes *out, ra_str text, size_t max_bytes, ra_error *err);

// Nanoseconds of a grpc-timeout ("100m"); -1 when malformed: more than 8 digits, no or another
// unit.
int64_t ra_grpc_timeout_parse(ra_str text);

#endif
