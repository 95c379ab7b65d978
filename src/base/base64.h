// Base64 (RFC 4648, the standard alphabet).
#ifndef RA_BASE_BASE64_H
#define RA_BASE_BASE64_H

#include "base/bytes.h"

// Appends the encoding of `data`; `padded` adds '='. LIMIT, OUT_OF_MEMORY.
RA_MUST int ra_base64_encode(ra_str data, bool padded, ra_bytes *out, ra_error *err);

// Appends what `text` stands for, padded or not. INVALID_ARGUMENT at the first byte that is not of
// the alphabet, or when the length cannot be right.
RA_MUST int ra_base64_decode(ra_str text, ra_bytes *out, ra_error *err);

#endif
