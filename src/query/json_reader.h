// JSON to jansson's values. jansson's own parser is not used because it reads on past its buffer
// when an allocation fails.
#ifndef RA_QUERY_JSON_READER_H
#define RA_QUERY_JSON_READER_H

#include <jansson.h>

#include "base/bytes.h"

// Reads a JSON text (RFC 8259), which must be valid UTF-8 as a whole. Refused are duplicate keys,
// keys with U+0000, lone surrogates, integers beyond 64 bits, numbers that are not finite, and more
// than RA_MAX_COMMAND_NESTING values inside each other. `*out` is the caller's on success.
// MALFORMED_REQUEST naming line, column and byte; OUT_OF_MEMORY.
RA_MUST int ra_json_read(ra_str text, json_t **out, ra_error *err);

#endif
