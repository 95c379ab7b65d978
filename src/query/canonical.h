// Pieces of canonical text: one spelling for everything that means the same.
#ifndef RA_QUERY_CANONICAL_H
#define RA_QUERY_CANONICAL_H

#include "query/bind.h"

// Appends formatted text, a JSON string, bytes (as a JSON string, or {"base64": …} if they are not
// UTF-8).
RA_MUST int ra_canonical_printf(ra_binder *binder, ra_error *err, const char *fmt, ...)
    RA_PRINTF(3, 4);
RA_MUST int ra_canonical_string(ra_binder *binder, ra_str text, ra_error *err);
RA_MUST int ra_canonical_bytes(ra_binder *binder, ra_str bytes, ra_error *err);
// A column of the schema so far: its name when that is unique and short, else its position.
RA_MUST int ra_canonical_column(ra_binder *binder, int column, ra_error *err);
// {"id":3,"uid":"…","version":2}
RA_MUST int ra_canonical_input(const ra_version *version, ra_bytes *out, ra_error *err);
// Integers or booleans of the first column (or nulls): a list if they are few, else
// {"type":"int64","length":n,"hash":"…"} over the values, however they were sent.
RA_MUST int ra_canonical_array(ra_binder *binder, ra_batch *const *batches, int n_batches,
                               bool is_bool, ra_error *err);
// The key of a finished text.
void ra_canonical_key(ra_str text, uint8_t out[16]);

#endif
