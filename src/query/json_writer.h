// jansson's values to JSON. Its json_dumps is not used because it leaves out a key for which there
// is no memory.
#ifndef RA_QUERY_JSON_WRITER_H
#define RA_QUERY_JSON_WRITER_H

#include <jansson.h>

#include "base/bytes.h"

// Appends a value as ASCII text. NULL, which stands for a value that could not be made, is
// OUT_OF_MEMORY too. On failure `out` may have a part of it.
RA_MUST int ra_json_write(const json_t *json, ra_bytes *out, ra_error *err);

#endif
