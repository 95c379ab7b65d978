#include "arrow/slice.h"

#include "arrow/access.h"
#include "arrow/join.h"
#include "base/os.h"

// View buffers are shared by a slice that shows at least half of their bytes, or little less.
enum { VIEW_WASTE_BYTES = 1024 };

static int slice_array(ra_batch *batch, const ra_array *in, int64_t from, int64_t n, ra_array *out,
                       ra_error *err);

static ra_span share(ra_span span, int64_t from, int64_t bytes) {
    return bytes > 0 ? (ra_span){span.data + from, bytes} : (ra_span){ra_zero_bytes, 0};
}

static int slice_bits(ra_batch *batch, ra_span in, int64_t from, int64_t n, ra_span *out,
                      ra_error *err) {
    int64_t bytes = ra_bit_bytes(n);
    if (from % 8 == 0 || n == 0) {
        *out = share(in, from / 8, bytes);
        return 0;
    }
    uint8_t *bits;
    RA_TRY(ra_batch_alloc(batch, bytes, &bits, err));
    ra_copy_bits(bits, 0, in.data, from, n);
    *out = (ra_span){bits, bytes};
    return 0;
}

static int slice_validity(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                          ra_error *err) {
    out->null_count = out->layout == RA_LAYOUT_NULL ? out->length : 0;
    if (!in->validity.data || out->length == 0)
        return 0;
    ra_span bits;
    RA_TRY(slice_bits(batch, in->validity, from, out->length, &bits, err));
    out->null_count = out->length - ra_count_bits(bits.data, out->length);
    if (out->null_count > 0)
        out->validity = bits;
    return 0;
}

// Offsets from 0 on; *first and *n_elements tell what they reach.
static int slice_offsets(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                         int64_t *first, int64_t *n_elements, ra_error *err) {
    int32_t width = ra_layout_offset_width(in->layout);
    int64_t bytes = (out->length + 1) * width;
    *first = ra_array_offset(in, from);
    *n_elements = ra_array_offset(in, from + out->length) - *first;
    const uint8_t *old = in->buffers[0].data + from * width;
    if (*first == 0) {
        out->buffers[0] = (ra_span){old, bytes};
        return 0;
    }
    uint8_t *offsets;
    RA_TRY(ra_batch_alloc(batch, bytes, &offsets, err));
    for (int64_t i = 0; width == 4 && i <= out->length; i++)
        ra_store_i32(offsets + i * 4, (int32_t)(ra_load_i32(old + i * 4) - *first));
    for (int64_t i = 0; width == 8 && i <= out->length; i++)
        ra_store_i64(offsets + i * 8, ra_load_i64(old + i * 8) - *first);
    out->buffers[0] = (ra_span){offsets, bytes};
    return 0;
}

static int slice_strings(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                         ra_error *err) {
    int64_t first, bytes;
    RA_TRY(slice_offsets(batch, in, from, out, &first, &bytes, err));
    out->buffers[1] = share(in->buffers[1], first, bytes);
    return 0;
}

static int slice_lists(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                       ra_error *err) {
    int64_t first, n;
    RA_TRY(slice_offsets(batch, in, from, out, &first, &n, err));
    return slice_array(batch, &in->children[0], first, n, &out->children[0], err);
}

static int slice_views(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                       ra_error *err) {
    int64_t there = 0, shown = 0;
    for (int b = 0; b < in->n_variadic; b++)
        there += in->variadic[b].bytes;
    const uint8_t *views = in->buffers[0].data + from * RA_VIEW_BYTES;
    for (int64_t i = 0; i < out->length && shown * 2 + VIEW_WASTE_BYTES < there; i++) {
        int32_t size = ra_view_size(views + i * RA_VIEW_BYTES);
        if (ra_array_is_valid(in, from + i) && size > RA_VIEW_INLINE_BYTES)
            shown += size;
    }
    if (shown * 2 + VIEW_WASTE_BYTES < there) {
        ra_run run = {in, from, out->length};
        ra_run_list runs = {&run, 1, 1, out->length};
        return ra_join_views(batch, out, &runs, err);
    }
    out->buffers[0] = share(in->buffers[0], from * RA_VIEW_BYTES, out->length * RA_VIEW_BYTES);
    out->variadic = ra_arena_alloc(&batch->arena, (size_t)in->n_variadic, sizeof *out->variadic);
    if (!out->variadic)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for view buffers");
    for (int b = 0; b < in->n_variadic; b++)
        out->variadic[b] = in->variadic[b];
    out->n_variadic = in->n_variadic;
    return 0;
}

// A child that is needed in one piece is a slice, one that is needed in several is copied.
static int slice_runs(ra_batch *batch, const ra_array *in, const ra_run_list *runs, ra_array *out,
                      ra_error *err) {
    if (runs->n == 1)
        return slice_array(batch, in, runs->items[0].from, runs->items[0].n, out, err);
    return ra_array_join(batch, out, in, runs, err);
}

static int alloc_buffer(ra_batch *batch, ra_array *out, int i, int64_t bytes, uint8_t **data,
                        ra_error *err) {
    RA_TRY(ra_batch_alloc(batch, bytes, data, err));
    out->buffers[i] = (ra_span){*data, bytes};
    return 0;
}

static int slice_list_views(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                            ra_error *err) {
    int64_t bytes = out->length * ra_layout_offset_width(in->layout);
    uint8_t *offsets, *sizes;
    RA_TRY(alloc_buffer(batch, out, 0, bytes, &offsets, err));
    RA_TRY(alloc_buffer(batch, out, 1, bytes, &sizes, err));
    ra_run run = {in, from, out->length};
    ra_run_list child = {0};
    int rc = ra_list_view_runs(&run, offsets, sizes, &child, err);
    if (rc == 0)
        rc = slice_runs(batch, &in->children[0], &child, &out->children[0], err);
    ra_run_list_fini(&child);
    return rc;
}

static int slice_dense_union(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                             ra_error *err) {
    uint8_t *offsets;
    out->buffers[0] = share(in->buffers[0], from, out->length);
    RA_TRY(alloc_buffer(batch, out, 1, out->length * 4, &offsets, err));
    ra_run run = {in, from, out->length};
    ra_run_list children[128] = {0};
    int rc = ra_dense_union_runs(&run, offsets, children, err);
    for (int c = 0; c < in->n_children && rc == 0; c++)
        rc = slice_runs(batch, &in->children[c], &children[c], &out->children[c], err);
    for (int c = 0; c < in->n_children; c++)
        ra_run_list_fini(&children[c]);
    return rc;
}

static int slice_run_end(ra_batch *batch, const ra_array *in, int64_t from, ra_array *out,
                         ra_error *err) {
    ra_array *ends = &out->children[0];
    ra_run run = {in, from, out->length};
    ra_run_list values = {0};
    uint8_t *at;
    ends->length = ra_run_end_count(&run);
    RA_TRY(alloc_buffer(batch, ends, 0, ends->length * ends->byte_width, &at, err));
    int rc = ra_run_end_runs(&run, 0, at, &values, err);
    if (rc == 0)
        rc = slice_runs(batch, &in->children[1], &values, &out->children[1], err);
    ra_run_list_fini(&values);
    return rc;
}

static int slice_children(ra_batch *batch, const ra_array *in, int64_t from, int64_t n,
                          ra_array *out, ra_error *err) {
    for (int c = 0; c < in->n_children; c++)
        RA_TRY(slice_array(batch, &in->children[c], from, n, &out->children[c], err));
    return 0;
}

// Of no rows: no buffers but those that ra_array_init gave, and the dictionaries.
static int slice_nothing(ra_batch *batch, const ra_array *in, ra_array *out, ra_error *err) {
    for (int c = 0; c < in->n_children; c++)
        RA_TRY(slice_array(batch, &in->children[c], 0, 0, &out->children[c], err));
    return 0;
}

static int slice_array(ra_batch *batch, const ra_array *in, int64_t from, int64_t n, ra_array *out,
                       ra_error *err) {
    out->length = n;
    out->dictionary = in->dictionary;
    RA_TRY(slice_validity(batch, in, from, out, err));
    if (n == 0)
        return slice_nothing(batch, in, out, err);
    int32_t width = in->byte_width, list_size = in->field->list_size;
    switch (in->layout) {
        case RA_LAYOUT_BIT:
            return slice_bits(batch, in->buffers[0], from, n, &out->buffers[0], err);
        case RA_LAYOUT_FIXED:
            out->buffers[0] = share(in->buffers[0], from * width, n * width);
            return 0;
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
            return slice_strings(batch, in, from, out, err);
        case RA_LAYOUT_VIEW:
            return slice_views(batch, in, from, out, err);
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
            return slice_lists(batch, in, from, out, err);
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            return slice_list_views(batch, in, from, out, err);
        case RA_LAYOUT_FIXED_LIST:
            return slice_children(batch, in, from * list_size, n * list_size, out, err);
        case RA_LAYOUT_STRUCT:
            return slice_children(batch, in, from, n, out, err);
        case RA_LAYOUT_SPARSE_UNION:
            out->buffers[0] = share(in->buffers[0], from, n);
            return slice_children(batch, in, from, n, out, err);
        case RA_LAYOUT_DENSE_UNION:
            return slice_dense_union(batch, in, from, out, err);
        case RA_LAYOUT_RUN_END:
            return slice_run_end(batch, in, from, out, err);
        default:
            return 0;
    }
}

int ra_batch_slice(const ra_batch *batch, int64_t offset, int64_t n_rows, ra_batch **out,
                   ra_error *err) {
    ra_assert(offset >= 0 && n_rows >= 0 && n_rows <= batch->n_rows - offset);
    ra_batch *slice;
    RA_TRY(ra_batch_new(batch->schema, n_rows, &slice, err));
    int rc = ra_batch_own_all(slice, batch, err);
    for (int i = 0; i < batch->n_columns && rc == 0; i++)
        rc = slice_array(slice, &batch->columns[i], offset, n_rows, &slice->columns[i], err);
    if (rc != 0) {
        ra_batch_unref(slice);
        slice = NULL;
    }
    *out = slice;
    return rc;
}
