// Reads flatbuffers from outside: every position is checked, every visit of a table is counted, so
// that tables that are shared or refer in circles cost no more than their message's size (I-1).
#ifndef RA_ARROW_FLATBUF_READ_H
#define RA_ARROW_FLATBUF_READ_H

#include "arrow/array.h"

typedef struct {
    const uint8_t *data;
    int64_t bytes;
    int64_t tables_left;  // visits of tables that remain: one per 8 bytes
    int64_t text_left;    // bytes of strings that may still be handed out
} ra_flatbuf;

typedef struct {
    ra_flatbuf *buffer;
    int64_t at;
    int64_t vtable;  // position
    int n_slots;
} ra_flatbuf_table;

typedef struct {
    ra_flatbuf *buffer;
    const uint8_t *data;  // of the elements, any alignment
    int64_t at;           // position of the elements
    int64_t n;
} ra_flatbuf_vector;

// All of the following fail with MALFORMED_ARROW. A slot that is absent gives the default, an
// empty string or vector, or `*present` false.

RA_MUST int ra_flatbuf_open(ra_flatbuf *buffer, ra_span message, ra_flatbuf_table *root,
                            ra_error *err);

RA_MUST int ra_flatbuf_get_i8(const ra_flatbuf_table *t, int slot, int8_t absent, int8_t *out,
                              ra_error *err);
RA_MUST int ra_flatbuf_get_bool(const ra_flatbuf_table *t, int slot, bool absent, bool *out,
                                ra_error *err);
RA_MUST int ra_flatbuf_get_i16(const ra_flatbuf_table *t, int slot, int16_t absent, int16_t *out,
                               ra_error *err);
RA_MUST int ra_flatbuf_get_i32(const ra_flatbuf_table *t, int slot, int32_t absent, int32_t *out,
                               ra_error *err);
RA_MUST int ra_flatbuf_get_i64(const ra_flatbuf_table *t, int slot, int64_t absent, int64_t *out,
                               ra_error *err);
RA_MUST int ra_flatbuf_get_table(const ra_flatbuf_table *t, int slot, ra_flatbuf_table *out,
                                 bool *present, ra_error *err);
// The same, and `what` must be there.
RA_MUST int ra_flatbuf_need_table(const ra_flatbuf_table *t, int slot, const char *what,
                                  ra_flatbuf_table *out, ra_error *err);
RA_MUST int ra_flatbuf_get_string(const ra_flatbuf_table *t, int slot, ra_str *out, bool *present,
                                  ra_error *err);
// A vector of elements of `element_bytes` each.
RA_MUST int ra_flatbuf_get_vector(const ra_flatbuf_table *t, int slot, int element_bytes,
                                  ra_flatbuf_vector *out, bool *present, ra_error *err);
// A vector of references to tables, no more than may still be visited.
RA_MUST int ra_flatbuf_get_table_vector(const ra_flatbuf_table *t, int slot, ra_flatbuf_vector *out,
                                        bool *present, ra_error *err);
RA_MUST int ra_flatbuf_vector_table(const ra_flatbuf_vector *v, int64_t i, ra_flatbuf_table *out,
                                    ra_error *err);

#endif
