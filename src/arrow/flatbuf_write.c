#include "arrow/flatbuf_write.h"

#include "base/checked.h"

void ra_flatbuf_begin(ra_flatbuf_writer *w, ra_bytes *out, ra_error *err) {
    *w = (ra_flatbuf_writer){.out = out, .begin = out->len, .err = err};
    w->rc = ra_bytes_append_zeros(out, 4, err);
}

static uint32_t position(const ra_flatbuf_writer *w) {
    return (uint32_t)(w->out->len - w->begin);
}

static void put(ra_flatbuf_writer *w, const void *data, size_t bytes) {
    if (w->rc == 0)
        w->rc = ra_bytes_append(w->out, data, bytes, w->err);
}

static void put_zeros(ra_flatbuf_writer *w, size_t bytes) {
    if (w->rc == 0)
        w->rc = ra_bytes_append_zeros(w->out, bytes, w->err);
}

// Zeros until `ahead` bytes behind the position is a multiple of `unit`.
static void align(ra_flatbuf_writer *w, uint32_t unit, uint32_t ahead) {
    put_zeros(w, (0u - position(w) - ahead) & (unit - 1));
}

int ra_flatbuf_end(ra_flatbuf_writer *w) {
    align(w, 8, 0);
    return w->rc;
}

// The position of a vtable like this one, written now or earlier.
static uint32_t put_vtable(ra_flatbuf_writer *w, const uint16_t *vtable, size_t bytes) {
    const uint8_t *base = w->out->data + w->begin;
    for (int i = 0; w->rc == 0 && i < w->n_vtables; i++)
        if (ra_load_u16(base + w->vtables[i]) == bytes &&
            memcmp(base + w->vtables[i], vtable, bytes) == 0)
            return w->vtables[i];
    align(w, 2, 0);
    uint32_t at = position(w);
    put(w, vtable, bytes);
    if (w->n_vtables < RA_FLATBUF_MAX_VTABLES)
        w->vtables[w->n_vtables++] = at;
    return at;
}

uint32_t ra_flatbuf_put_table(ra_flatbuf_writer *w, const ra_flatbuf_slot *slots, int n,
                              uint32_t *at) {
    uint16_t vtable[2 + RA_FLATBUF_MAX_SLOTS] = {0};
    uint8_t table[4 + 8 * RA_FLATBUF_MAX_SLOTS] = {0};
    uint32_t used = 4;  // behind the reference to the vtable
    ra_assert(n <= RA_FLATBUF_MAX_SLOTS);
    while (n > 0 && slots[n - 1].bytes == 0)
        n--;
    for (uint8_t bytes = 8; bytes > 0; bytes = bytes / 2) {  // widest first: no gaps
        for (int i = 0; i < n; i++) {
            if (slots[i].bytes != bytes)
                continue;
            vtable[2 + i] = (uint16_t)used;
            memcpy(table + used, &slots[i].value, bytes);
            used += bytes;
        }
    }
    size_t vtable_bytes = 4 + 2 * (size_t)n;
    vtable[0] = (uint16_t)vtable_bytes;
    vtable[1] = (uint16_t)used;
    uint32_t vtable_at = put_vtable(w, vtable, vtable_bytes);
    align(w, 8, 4);  // the first slot lies at a multiple of 8
    uint32_t table_at = position(w);
    ra_store_i32(table, (int32_t)(table_at - vtable_at));
    put(w, table, used);
    for (int i = 0; at && i < n; i++)
        at[i] = table_at + vtable[2 + i];
    return table_at;
}

void ra_flatbuf_link(ra_flatbuf_writer *w, uint32_t from, uint32_t to) {
    if (w->rc == 0)
        ra_store_u32(w->out->data + w->begin + from, to - from);
}

uint32_t ra_flatbuf_put_string(ra_flatbuf_writer *w, ra_str text) {
    align(w, 4, 0);
    uint32_t at = position(w), len = (uint32_t)text.len;
    put(w, &len, 4);
    put(w, text.data, text.len);
    put_zeros(w, 1);
    return at;
}

uint32_t ra_flatbuf_put_ref_vector(ra_flatbuf_writer *w, size_t n) {
    align(w, 4, 0);
    uint32_t at = position(w), len = (uint32_t)n;
    put(w, &len, 4);
    put_zeros(w, 4 * n);
    return at;
}

uint32_t ra_flatbuf_put_vector(ra_flatbuf_writer *w, const void *data, size_t n, size_t bytes) {
    align(w, bytes % 8 == 0 ? 8 : 4, 4);
    uint32_t at = position(w), len = (uint32_t)n;
    put(w, &len, 4);
    put(w, data, n * bytes);
    return at;
}
