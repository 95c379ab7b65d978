#include "arrow/access.h"
#include "arrow/join.h"
#include "base/os.h"

// Where strings of more than 12 bytes go: buffers that are filled one after the other, each at most
// INT32_MAX bytes. The same additions are made twice, first to learn the sizes, then to copy.
typedef struct {
    int64_t *bytes;  // of each buffer
    int n;
    int capacity;
    int open;  // the buffer that strings are added to; -1: none
    int64_t open_bytes;
    uint8_t **data;  // NULL in the first pass
} packer;

static int add_buffer(packer *p, int64_t bytes, ra_error *err) {
    if (p->data) {
        p->n++;
        return 0;
    }
    if (p->n == p->capacity) {
        if (p->capacity > INT32_MAX / 2)
            RA_FAIL(err, LIMIT, "more than 2147483647 data buffers of views");
        int capacity = p->capacity ? 2 * p->capacity : 8;
        int64_t *grown = ra_realloc(p->bytes, (size_t)capacity * sizeof *grown);
        if (!grown)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for view buffers");
        p->bytes = grown;
        p->capacity = capacity;
    }
    p->bytes[p->n++] = bytes;
    return 0;
}

// Finds room for a string: its buffer is then `open`, its offset *at.
static int pack(packer *p, int32_t size, int64_t *at, ra_error *err) {
    if (p->open < 0 || p->open_bytes + size > INT32_MAX) {
        RA_TRY(add_buffer(p, 0, err));
        p->open = p->n - 1;
        p->open_bytes = 0;
    }
    *at = p->open_bytes;
    p->open_bytes += size;
    if (!p->data)
        p->bytes[p->open] = p->open_bytes;
    return 0;
}

static bool is_far(const ra_array *a, int64_t i) {
    return ra_array_is_valid(a, i) &&
           ra_view_size(a->buffers[0].data + i * RA_VIEW_BYTES) > RA_VIEW_INLINE_BYTES;
}

// Whether runs [first, end), all of one array, show at most as many bytes as its buffers have: else
// views overlap, and the buffers are copied as they are.
static bool should_pack(const ra_run *runs, int64_t n_runs) {
    const ra_array *a = runs->array;
    int64_t there = 0, shown = 0;
    for (int b = 0; b < a->n_variadic; b++)
        there += a->variadic[b].bytes;
    for (int64_t r = 0; r < n_runs; r++)
        for (int64_t i = runs[r].from; i < runs[r].from + runs[r].n && shown <= there; i++)
            if (is_far(a, i))
                shown += ra_view_size(a->buffers[0].data + i * RA_VIEW_BYTES);
    return shown <= there;
}

static int pack_group(packer *p, const ra_run *runs, int64_t n_runs, uint8_t *views,
                      ra_error *err) {
    for (int64_t r = 0; r < n_runs; r++)
        for (int64_t i = runs[r].from; i < runs[r].from + runs[r].n; i++, views += RA_VIEW_BYTES) {
            const ra_array *a = runs[r].array;
            const uint8_t *view = a->buffers[0].data + i * RA_VIEW_BYTES;
            if (is_far(a, i)) {
                int64_t at;
                ra_span text = ra_array_bytes(a, i);
                RA_TRY(pack(p, (int32_t)text.bytes, &at, err));
                if (!p->data)
                    continue;
                memcpy(p->data[p->open] + at, text.data, (size_t)text.bytes);
                memcpy(views, view, 8);
                ra_store_i32(views + 8, p->open);
                ra_store_i32(views + 12, (int32_t)at);
            } else if (p->data && ra_array_is_valid(a, i)) {
                memcpy(views, view, RA_VIEW_BYTES);
            }
        }
    return 0;
}

static int copy_group(packer *p, const ra_run *runs, int64_t n_runs, uint8_t *views,
                      ra_error *err) {
    const ra_array *a = runs->array;
    int base = p->n;
    for (int b = 0; b < a->n_variadic; b++) {
        ra_span from = a->variadic[b];
        RA_TRY(add_buffer(p, from.bytes, err));
        if (p->data && from.bytes > 0)
            memcpy(p->data[base + b], from.data, (size_t)from.bytes);
    }
    for (int64_t r = 0; p->data && r < n_runs; r++)
        for (int64_t i = runs[r].from; i < runs[r].from + runs[r].n; i++, views += RA_VIEW_BYTES) {
            if (!ra_array_is_valid(a, i))
                continue;
            memcpy(views, a->buffers[0].data + i * RA_VIEW_BYTES, RA_VIEW_BYTES);
            if (is_far(a, i))
                ra_store_i32(views + 8, base + ra_view_buffer(views));
        }
    return 0;
}

// One pass over all runs, those of one array at a time.
static int add_groups(packer *p, const ra_run_list *runs, uint8_t *views, ra_error *err) {
    for (int64_t first = 0, end; first < runs->n; first = end) {
        const ra_run *run = &runs->items[first];
        int64_t rows = 0;
        for (end = first; end < runs->n && runs->items[end].array == run->array; end++)
            rows += runs->items[end].n;
        if (should_pack(run, end - first))
            RA_TRY(pack_group(p, run, end - first, views, err));
        else
            RA_TRY(copy_group(p, run, end - first, views, err));
        views += rows * RA_VIEW_BYTES;
    }
    return 0;
}

static int alloc_buffers(ra_batch *batch, ra_array *out, packer *p, ra_error *err) {
    out->variadic = ra_arena_alloc(&batch->arena, (size_t)p->n, sizeof *out->variadic);
    p->data = ra_calloc((size_t)p->n, sizeof *p->data);
    if (!out->variadic || !p->data)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for view buffers");
    for (int b = 0; b < p->n; b++) {
        RA_TRY(ra_batch_alloc(batch, p->bytes[b], &p->data[b], err));
        out->variadic[b] = (ra_span){p->data[b], p->bytes[b]};
    }
    out->n_variadic = p->n;
    p->n = 0;
    p->open = -1;
    return 0;
}

int ra_join_views(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_error *err) {
    uint8_t *views;
    int64_t bytes;
    if (!ra_mul_i64(out->length, RA_VIEW_BYTES, &bytes))
        return ra_join_overflow(out, "too many rows", err);
    RA_TRY(ra_batch_alloc(batch, bytes, &views, err));
    out->buffers[0] = (ra_span){views, bytes};
    packer p = {.open = -1};
    int rc;
    RA_GOTO(add_groups(&p, runs, views, err), done);
    RA_GOTO(alloc_buffers(batch, out, &p, err), done);
    RA_GOTO(add_groups(&p, runs, views, err), done);
done:
    ra_free(p.bytes);
    ra_free(p.data);
    return rc;
}
