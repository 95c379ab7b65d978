// Writes flatbuffers front to back: a table before what it refers to, references filled in later.
//
// A fault sticks: after one, calls do nothing and `rc` holds the code. Positions are relative to
// the buffer's begin, which must lie at a multiple of 8 wherever it ends up.
#ifndef RA_ARROW_FLATBUF_WRITE_H
#define RA_ARROW_FLATBUF_WRITE_H

#include "base/bytes.h"

enum { RA_FLATBUF_MAX_SLOTS = 8, RA_FLATBUF_MAX_VTABLES = 32 };

typedef struct {
    ra_bytes *out;
    size_t begin;  // of the flatbuffer in `out`
    int rc;
    ra_error *err;
    uint32_t vtables[RA_FLATBUF_MAX_VTABLES];  // positions of those written, to be used again
    int n_vtables;
} ra_flatbuf_writer;

// A scalar of a table, or a reference (4 bytes, value 0) for ra_flatbuf_link. 0 bytes: left out.
typedef struct {
    uint8_t bytes;  // 0, 1, 2, 4 or 8
    uint64_t value;
} ra_flatbuf_slot;

#define RA_SLOT_NONE ((ra_flatbuf_slot){0, 0})
#define RA_SLOT_BOOL(v) ((ra_flatbuf_slot){1, (v) ? 1u : 0u})
#define RA_SLOT_I8(v) ((ra_flatbuf_slot){1, (uint8_t)(v)})
#define RA_SLOT_I16(v) ((ra_flatbuf_slot){2, (uint16_t)(v)})
#define RA_SLOT_I32(v) ((ra_flatbuf_slot){4, (uint32_t)(v)})
#define RA_SLOT_I64(v) ((ra_flatbuf_slot){8, (uint64_t)(v)})
#define RA_SLOT_REF ((ra_flatbuf_slot){4, 0})

// Begins a flatbuffer at the end of `out` with room for the reference to its root, at position 0.
void ra_flatbuf_begin(ra_flatbuf_writer *w, ra_bytes *out, ra_error *err);
// Pads to a multiple of 8; returns the code of the first fault, or 0.
RA_MUST int ra_flatbuf_end(ra_flatbuf_writer *w);

// Writes a table of n slots. `at[i]` (may be NULL) becomes the position of slot i. Returns the
// table's position.
uint32_t ra_flatbuf_put_table(ra_flatbuf_writer *w, const ra_flatbuf_slot *slots, int n,
                              uint32_t *at);
// Makes the reference at `from` point to `to`, which was written later.
void ra_flatbuf_link(ra_flatbuf_writer *w, uint32_t from, uint32_t to);

uint32_t ra_flatbuf_put_string(ra_flatbuf_writer *w, ra_str text);
// A vector of n references, to be linked; element i is at the returned position + 4 + 4 * i.
uint32_t ra_flatbuf_put_ref_vector(ra_flatbuf_writer *w, size_t n);
// A vector of n scalars or structs of `bytes` each (4, or a multiple of 8, aligned so).
uint32_t ra_flatbuf_put_vector(ra_flatbuf_writer *w, const void *data, size_t n, size_t bytes);

#endif
