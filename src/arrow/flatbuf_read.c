#include "arrow/flatbuf_read.h"

#include <inttypes.h>

#include "base/checked.h"

// Writers may let equal strings share their bytes; this often on average.
enum { TEXT_SHARING = 4 };

static int outside(ra_error *err, const char *what) {
    RA_FAIL(err, MALFORMED_ARROW, "metadata: a %s lies outside of it", what);
}

static int too_many_tables(const ra_flatbuf *buffer, ra_error *err) {
    RA_FAIL(err, MALFORMED_ARROW, "metadata: more tables than its %" PRId64 " bytes can hold",
            buffer->bytes);
}

// Whether `bytes` (>= 0) at `at` lie in the buffer.
static bool lies_in(const ra_flatbuf *buffer, int64_t at, int64_t bytes) {
    return at >= 0 && bytes >= 0 && at <= buffer->bytes && bytes <= buffer->bytes - at;
}

// Where the reference at `at` (which lies in the buffer) points to.
static int64_t follow(const ra_flatbuf *buffer, int64_t at) {
    return at + (int64_t)ra_load_u32(buffer->data + at);
}

static int open_table(ra_flatbuf *buffer, int64_t at, ra_flatbuf_table *out, ra_error *err) {
    if (--buffer->tables_left < 0)
        return too_many_tables(buffer, err);
    if (!lies_in(buffer, at, 4))
        return outside(err, "table");
    int64_t vtable = at - ra_load_i32(buffer->data + at);
    if (!lies_in(buffer, vtable, 4))
        return outside(err, "vtable");
    int64_t vtable_bytes = ra_load_u16(buffer->data + vtable);
    if (vtable_bytes < 4 || vtable_bytes % 2 || !lies_in(buffer, vtable, vtable_bytes))
        return outside(err, "vtable");
    *out = (ra_flatbuf_table){.buffer = buffer,
                              .at = at,
                              .vtable = vtable,
                              .n_slots = (int)(vtable_bytes - 4) / 2};
    return 0;
}

int ra_flatbuf_open(ra_flatbuf *buffer, ra_span message, ra_flatbuf_table *root, ra_error *err) {
    *buffer = (ra_flatbuf){.data = message.data,
                           .bytes = message.bytes,
                           .tables_left = message.bytes / 8,
                           .text_left = TEXT_SHARING * message.bytes};
    if (message.bytes < 8 || message.bytes > INT32_MAX)
        RA_FAIL(err, MALFORMED_ARROW, "metadata of %" PRId64 " bytes", message.bytes);
    return open_table(buffer, follow(buffer, 0), root, err);
}

// Position of a slot of `bytes`; 0 when it is absent.
static int find_slot(const ra_flatbuf_table *t, int slot, int64_t bytes, int64_t *at,
                     ra_error *err) {
    *at = 0;
    if (slot >= t->n_slots)
        return 0;
    int64_t offset = ra_load_u16(t->buffer->data + t->vtable + 4 + 2 * slot);
    if (offset == 0)
        return 0;
    // The vtable's own size of the table says nothing: Go shares vtables among tables of other sizes.
    if (offset < 4 || !lies_in(t->buffer, t->at + offset, bytes))
        return outside(err, "field of a table");
    *at = t->at + offset;
    return 0;
}

#define DEFINE_GET(name, type, ctype)                                                        \
    int ra_flatbuf_get_##name(const ra_flatbuf_table *t, int slot, ctype absent, ctype *out, \
                              ra_error *err) {                                               \
        int64_t at;                                                                          \
        type value;                                                                          \
        RA_TRY(find_slot(t, slot, sizeof value, &at, err));                                  \
        *out = absent;                                                                       \
        if (at) {                                                                            \
            memcpy(&value, t->buffer->data + at, sizeof value);                              \
            *out = (ctype)value;                                                             \
        }                                                                                    \
        return 0;                                                                            \
    }
DEFINE_GET(i8, int8_t, int8_t)
DEFINE_GET(bool, uint8_t, bool)
DEFINE_GET(i16, int16_t, int16_t)
DEFINE_GET(i32, int32_t, int32_t)
DEFINE_GET(i64, int64_t, int64_t)

int ra_flatbuf_get_table(const ra_flatbuf_table *t, int slot, ra_flatbuf_table *out, bool *present,
                         ra_error *err) {
    int64_t at;
    RA_TRY(find_slot(t, slot, 4, &at, err));
    *present = at != 0;
    return at ? open_table(t->buffer, follow(t->buffer, at), out, err) : 0;
}

int ra_flatbuf_need_table(const ra_flatbuf_table *t, int slot, const char *what,
                          ra_flatbuf_table *out, ra_error *err) {
    bool present;
    RA_TRY(ra_flatbuf_get_table(t, slot, out, &present, err));
    if (!present)
        RA_FAIL(err, MALFORMED_ARROW, "metadata: %s is missing", what);
    return 0;
}

int ra_flatbuf_get_vector(const ra_flatbuf_table *t, int slot, int element_bytes,
                          ra_flatbuf_vector *out, bool *present, ra_error *err) {
    int64_t at;
    ra_flatbuf *buffer = t->buffer;
    *out = (ra_flatbuf_vector){.buffer = buffer};
    RA_TRY(find_slot(t, slot, 4, &at, err));
    *present = at != 0;
    if (!at)
        return 0;
    at = follow(buffer, at);
    if (!lies_in(buffer, at, 4))
        return outside(err, "vector");
    out->n = ra_load_u32(buffer->data + at);
    out->at = at + 4;
    if (!lies_in(buffer, out->at, out->n * element_bytes))
        return outside(err, "vector");
    out->data = buffer->data + out->at;
    return 0;
}

int ra_flatbuf_get_table_vector(const ra_flatbuf_table *t, int slot, ra_flatbuf_vector *out,
                                bool *present, ra_error *err) {
    RA_TRY(ra_flatbuf_get_vector(t, slot, 4, out, present, err));
    return out->n > t->buffer->tables_left ? too_many_tables(t->buffer, err) : 0;
}

int ra_flatbuf_get_string(const ra_flatbuf_table *t, int slot, ra_str *out, bool *present,
                          ra_error *err) {
    ra_flatbuf_vector text;
    RA_TRY(ra_flatbuf_get_vector(t, slot, 1, &text, present, err));
    t->buffer->text_left -= text.n;
    if (t->buffer->text_left < 0)
        RA_FAIL(err, MALFORMED_ARROW, "metadata: more text than its %" PRId64 " bytes can hold",
                t->buffer->bytes);
    *out = (ra_str){text.n ? (const char *)text.data : "", (size_t)text.n};
    return 0;
}

int ra_flatbuf_vector_table(const ra_flatbuf_vector *v, int64_t i, ra_flatbuf_table *out,
                            ra_error *err) {
    return open_table(v->buffer, follow(v->buffer, v->at + 4 * i), out, err);
}
