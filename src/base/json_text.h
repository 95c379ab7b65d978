// Writing JSON as pure ASCII, as trailers and app_metadata carry it.
#ifndef RA_BASE_JSON_TEXT_H
#define RA_BASE_JSON_TEXT_H

#include "base/bytes.h"

// Appends `text` as a JSON string in quotes, everything beyond ASCII as \uXXXX (with surrogate
// pairs), invalid UTF-8 as U+FFFD. LIMIT, OUT_OF_MEMORY.
RA_MUST int ra_json_put_string(ra_bytes *out, ra_str text, ra_error *err);

enum { RA_TIME_TEXT_BYTES = 32 };
// "2026-01-02T03:04:05.678901Z" from wall-clock nanoseconds.
void ra_time_text(int64_t wall_ns, char out[RA_TIME_TEXT_BYTES]);

#endif
