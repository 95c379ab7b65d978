// Python literals, as the legacy command carries its arguments. Nothing is evaluated.
#ifndef RA_QUERY_LITERAL_H
#define RA_QUERY_LITERAL_H

#include <jansson.h>

#include "base/bytes.h"

// Reads one literal of `text` from byte `*at` on and moves `*at` behind it: int (64 bits), float,
// True, False, None, str and bytes with all escapes but \N{…}, list, tuple, dict. Tuples become
// arrays, bytes become text (and must be UTF-8), at most RA_MAX_COMMAND_NESTING containers inside
// each other; int keys of a dict become their decimal text; a key may appear only once. `text` must
// be valid UTF-8. `*out` is the caller's on success. MALFORMED_REQUEST naming the byte,
// OUT_OF_MEMORY.
RA_MUST int ra_literal_read(ra_str text, size_t *at, json_t **out, ra_error *err);

#endif
