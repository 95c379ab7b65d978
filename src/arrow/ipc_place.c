// From a RecordBatch's nodes and buffers to arrays: the walk in pre-order.
#include <inttypes.h>

#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"

typedef struct {
    const ra_ipc_batch_metadata *metadata;
    ra_span body;
    bool unions_have_validity;  // up to V4
    int64_t next_node;
    int64_t next_buffer;
    int64_t next_view;
    ra_batch *batch;
    ra_batch *const *dictionaries;
    ra_error *err;
} placer;

static int next_node(placer *p, int64_t *length, int64_t *null_count) {
    if (p->next_node >= p->metadata->nodes.n)
        RA_FAIL(p->err, MALFORMED_ARROW, "there are only %" PRId64 " field nodes",
                p->metadata->nodes.n);
    const uint8_t *node = p->metadata->nodes.data + FB_NODE_BYTES * p->next_node++;
    *length = ra_load_i64(node);
    *null_count = ra_load_i64(node + 8);
    if (*length < 0 || *null_count < 0 || *null_count > *length)
        RA_FAIL(p->err, MALFORMED_ARROW, "a field node of %" PRId64 " rows, %" PRId64 " nulls",
                *length, *null_count);
    if (*length > INT32_MAX)
        RA_FAIL(p->err, LIMIT, "an array of %" PRId64 " rows: at most 2147483647 are possible",
                *length);
    return 0;
}

static int next_buffer(placer *p, ra_span *out) {
    int64_t i = p->next_buffer++;
    if (i >= p->metadata->buffers.n)
        RA_FAIL(p->err, MALFORMED_ARROW, "there are only %" PRId64 " buffers",
                p->metadata->buffers.n);
    const uint8_t *buffer = p->metadata->buffers.data + FB_BUFFER_BYTES * i;
    int64_t offset = ra_load_i64(buffer), bytes = ra_load_i64(buffer + 8);
    if (offset < 0 || bytes < 0 || offset > p->body.bytes || bytes > p->body.bytes - offset)
        RA_FAIL(p->err, MALFORMED_ARROW,
                "buffer %" PRId64 " (offset %" PRId64 ", %" PRId64
                " bytes) is outside of the body of %" PRId64 " bytes",
                i, offset, bytes, p->body.bytes);
    if (bytes > 0 && offset % 8 != 0)
        RA_FAIL(p->err, MALFORMED_ARROW,
                "buffer %" PRId64 " is at offset %" PRId64 ", which is no multiple of 8", i,
                offset);
    *out = bytes ? (ra_span){p->body.data + offset, bytes} : (ra_span){ra_zero_bytes, 0};
    return 0;
}

static int place_validity(placer *p, ra_array *array) {
    bool of_union =
        array->layout == RA_LAYOUT_SPARSE_UNION || array->layout == RA_LAYOUT_DENSE_UNION;
    ra_span validity;
    if (of_union && p->unions_have_validity) {
        RA_TRY(next_buffer(p, &validity));
        if (array->null_count != 0)
            RA_FAIL(p->err, NOT_IMPLEMENTED, "a union of metadata V4 with nulls of its own");
    }
    if (!ra_layout_has_validity(array->layout)) {
        array->null_count = array->layout == RA_LAYOUT_NULL ? array->length : 0;
        return 0;
    }
    RA_TRY(next_buffer(p, &validity));
    if (array->null_count == 0)  // then what a validity buffer says does not count
        return 0;
    if (validity.bytes == 0)
        RA_FAIL(p->err, MALFORMED_ARROW, "%" PRId64 " nulls, but no validity bitmap",
                array->null_count);
    array->validity = validity;
    return 0;
}

static int place_variadic(placer *p, ra_array *array) {
    if (p->next_view >= p->metadata->variadic_counts.n)
        RA_FAIL(p->err, MALFORMED_ARROW, "there are only %" PRId64 " variadic buffer counts",
                p->metadata->variadic_counts.n);
    int64_t n = ra_load_i64(p->metadata->variadic_counts.data + 8 * p->next_view++);
    if (n < 0 || n > p->metadata->buffers.n - p->next_buffer)
        RA_FAIL(p->err, MALFORMED_ARROW,
                "%" PRId64 " variadic buffers, but there are only %" PRId64 " buffers", n,
                p->metadata->buffers.n);
    array->variadic = ra_arena_alloc(&p->batch->arena, (size_t)n, sizeof *array->variadic);
    if (!array->variadic)
        RA_FAIL(p->err, OUT_OF_MEMORY, "no memory for %" PRId64 " buffers of views", n);
    array->n_variadic = (int)n;
    for (int i = 0; i < array->n_variadic; i++)
        RA_TRY(next_buffer(p, &array->variadic[i]));
    return 0;
}

static int attach(ra_batch *batch, ra_array *array, ra_batch *const *dictionaries, ra_error *err) {
    ra_batch *dictionary = dictionaries[array->field->dictionary_id];
    array->dictionary = &dictionary->columns[0];
    return ra_batch_own_dictionary(batch, dictionary, err);
}

static int place_array(placer *p, ra_array *array) {
    RA_TRY(next_node(p, &array->length, &array->null_count));
    RA_TRY(place_validity(p, array));
    int n_buffers = ra_layout_n_buffers(array->layout);
    for (int i = 0; i < n_buffers; i++) {
        ra_span buffer;
        RA_TRY(next_buffer(p, &buffer));
        bool is_empty_offsets = i == 0 && array->length == 0 && buffer.bytes == 0;
        if (!is_empty_offsets)  // those have the zero they need from ra_array_init
            array->buffers[i] = buffer;
    }
    if (array->layout == RA_LAYOUT_VIEW)
        RA_TRY(place_variadic(p, array));
    if (array->field->is_dictionary && !array->of_dictionary)
        RA_TRY(attach(p->batch, array, p->dictionaries, p->err));
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(place_array(p, &array->children[i]));
    return 0;
}

static int check_all_used(const placer *p) {
    const ra_ipc_batch_metadata *m = p->metadata;
    if (p->next_node != m->nodes.n || p->next_buffer != m->buffers.n ||
        p->next_view != m->variadic_counts.n)
        RA_FAIL(p->err, MALFORMED_ARROW,
                "%" PRId64 " field nodes, %" PRId64 " buffers, %" PRId64
                " variadic buffer counts, where the schema asks for %" PRId64 ", %" PRId64
                ", %" PRId64,
                m->nodes.n, m->buffers.n, m->variadic_counts.n, p->next_node, p->next_buffer,
                p->next_view);
    return 0;
}

int ra_ipc_place_batch(const ra_ipc_message *message, const ra_ipc_batch_metadata *metadata,
                       ra_span body, ra_batch *const *dictionaries, ra_batch *batch,
                       ra_error *err) {
    placer p = {.metadata = metadata,
                .body = body,
                .unions_have_validity = message->header.version < 5,
                .batch = batch,
                .dictionaries = dictionaries,
                .err = err};
    if (body.bytes != message->header.body_bytes)
        RA_FAIL(err, MALFORMED_ARROW,
                "a body of %" PRId64 " bytes, where its metadata says %" PRId64, body.bytes,
                message->header.body_bytes);
    for (int i = 0; i < batch->n_columns; i++) {
        int rc = place_array(&p, &batch->columns[i]);
        if (rc) {
            ra_str name = batch->columns[i].field->name;
            ra_error_prefix(err, "column '%.*s'", RA_STR_ARG(name));
            ra_error_set_subject(err, "column", name.data, name.len);
            return rc;
        }
    }
    return check_all_used(&p);
}

int ra_ipc_attach_dictionaries(ra_batch *batch, ra_array *array, ra_batch *const *dictionaries,
                               ra_error *err) {
    if (array->field->is_dictionary && !array->of_dictionary)
        return attach(batch, array, dictionaries, err);
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(ra_ipc_attach_dictionaries(batch, &array->children[i], dictionaries, err));
    return 0;
}
