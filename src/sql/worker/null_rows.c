#include "sql/worker/null_rows.h"

#include "arrow/access.h"

// One run of one null.
static int make_null_run(ra_batch *batch, const ra_array *like, ra_array *out, ra_error *err) {
    ra_array *ends = &out->children[0];
    uint8_t *end;
    RA_TRY(ra_array_init(batch, ends, ends->field, 1, false, err));
    RA_TRY(ra_batch_alloc(batch, ends->byte_width, &end, err));
    ra_store_int(end, ends->byte_width, 0, out->length);
    ends->buffers[0] = (ra_span){end, ends->byte_width};
    return ra_array_make_null(batch, &like->children[1], &out->children[1], 1, err);
}

// Zeros stand for whatever lies under a null.
int ra_array_make_null(ra_batch *batch, const ra_array *like, ra_array *out, int64_t length,
                       ra_error *err) {
    RA_TRY(ra_array_init(batch, out, like->field, length, like->of_dictionary, err));
    if (length == 0 || out->layout == RA_LAYOUT_NULL)
        return 0;
    if (out->layout == RA_LAYOUT_RUN_END)
        return make_null_run(batch, like, out, err);
    uint8_t *zeros;
    int64_t bytes = (length + 1) * (out->byte_width + RA_VIEW_BYTES);
    RA_TRY(ra_batch_alloc(batch, bytes, &zeros, err));
    out->validity = out->buffers[0] = out->buffers[1] = (ra_span){zeros, bytes};
    out->null_count = length;
    bool is_struct = out->layout == RA_LAYOUT_STRUCT;
    if (!is_struct && out->layout != RA_LAYOUT_FIXED_LIST)
        return 0;
    int64_t n = is_struct ? length : length * out->field->list_size;
    for (int i = 0; i < out->n_children; i++)
        RA_TRY(ra_array_make_null(batch, &like->children[i], &out->children[i], n, err));
    return 0;
}
