// Batches and dictionaries to messages: metadata here, the body as pieces that point into arrays.
#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"
#include "base/os.h"

enum { BODY_ALIGNMENT = 64, ENVELOPE_BYTES = 512 };

void ra_ipc_encoded_init(ra_ipc_encoded *encoded) {
    *encoded = (ra_ipc_encoded){0};
    ra_bytes_init(&encoded->message, RA_MAX_BATCH_METADATA_BYTES);
}

void ra_ipc_encoded_fini(ra_ipc_encoded *encoded) {
    ra_bytes_fini(&encoded->message);
    ra_free(encoded->pieces);
    ra_ipc_encoded_init(encoded);
}

// The vectors of a RecordBatch as they grow.
typedef struct {
    ra_ipc_encoded *out;
    ra_bytes nodes;
    ra_bytes buffers;
    ra_bytes variadic_counts;
} batch_encoder;

static void encoder_init(batch_encoder *e, ra_ipc_encoded *out) {
    ra_bytes_clear(&out->message);
    out->n_pieces = 0;
    out->body_bytes = 0;
    e->out = out;
    ra_bytes_init(&e->nodes, RA_MAX_BATCH_METADATA_BYTES);
    ra_bytes_init(&e->buffers, RA_MAX_BATCH_METADATA_BYTES);
    ra_bytes_init(&e->variadic_counts, RA_MAX_BATCH_METADATA_BYTES);
}

static void encoder_fini(batch_encoder *e) {
    ra_bytes_fini(&e->nodes);
    ra_bytes_fini(&e->buffers);
    ra_bytes_fini(&e->variadic_counts);
}

static int add_piece(batch_encoder *e, ra_span piece, ra_error *err) {
    ra_ipc_encoded *out = e->out;
    if (out->n_pieces == out->piece_capacity) {
        int capacity = out->piece_capacity ? 2 * out->piece_capacity : 16;
        ra_span *grown = ra_realloc(out->pieces, (size_t)capacity * sizeof *grown);
        if (!grown)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a message of %d buffers", capacity);
        out->pieces = grown;
        out->piece_capacity = capacity;
    }
    int64_t buffer[2] = {out->body_bytes, piece.bytes};
    RA_TRY(ra_bytes_append(&e->buffers, buffer, sizeof buffer, err));
    out->pieces[out->n_pieces++] = piece;
    out->body_bytes += ra_round_up(piece.bytes, BODY_ALIGNMENT);
    return 0;
}

static int add_array(batch_encoder *e, const ra_array *array, ra_error *err) {
    int64_t node[2] = {array->length, array->null_count};
    RA_TRY(ra_bytes_append(&e->nodes, node, sizeof node, err));
    ra_span spans[RA_MAX_OWN_BUFFERS];
    int n_spans = ra_array_stored_spans(array, spans);
    for (int i = 0; i < n_spans; i++)
        RA_TRY(add_piece(e, spans[i], err));
    if (array->layout == RA_LAYOUT_VIEW) {
        int64_t count = array->n_variadic;
        RA_TRY(ra_bytes_append(&e->variadic_counts, &count, sizeof count, err));
    }
    for (int i = 0; i < array->n_variadic; i++)
        RA_TRY(add_piece(e, array->variadic[i], err));
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(add_array(e, &array->children[i], err));
    return 0;
}

static uint32_t put_vector(ra_flatbuf_writer *w, const ra_bytes *elements, size_t bytes) {
    return ra_flatbuf_put_vector(w, elements->data, elements->len / bytes, bytes);
}

static uint32_t put_record_batch(ra_flatbuf_writer *w, const batch_encoder *e, int64_t n_rows) {
    ra_flatbuf_slot slots[] = {
        [FB_BATCH_LENGTH] = RA_SLOT_I64(n_rows),
        [FB_BATCH_NODES] = RA_SLOT_REF,
        [FB_BATCH_BUFFERS] = RA_SLOT_REF,
        [FB_BATCH_COMPRESSION] = RA_SLOT_NONE,
        [FB_BATCH_VARIADIC_COUNTS] = e->variadic_counts.len ? RA_SLOT_REF : RA_SLOT_NONE,
    };
    uint32_t at[5];
    uint32_t position = ra_flatbuf_put_table(w, slots, 5, at);
    ra_flatbuf_link(w, at[FB_BATCH_NODES], put_vector(w, &e->nodes, FB_NODE_BYTES));
    ra_flatbuf_link(w, at[FB_BATCH_BUFFERS], put_vector(w, &e->buffers, FB_BUFFER_BYTES));
    if (e->variadic_counts.len)
        ra_flatbuf_link(w, at[FB_BATCH_VARIADIC_COUNTS], put_vector(w, &e->variadic_counts, 8));
    return position;
}

static uint32_t put_dictionary_batch(ra_flatbuf_writer *w, int64_t id, uint32_t *data_at) {
    ra_flatbuf_slot slots[] = {
        [FB_DICTIONARY_BATCH_ID] = RA_SLOT_I64(id),
        [FB_DICTIONARY_BATCH_DATA] = RA_SLOT_REF,
    };
    uint32_t at[2];
    uint32_t position = ra_flatbuf_put_table(w, slots, 2, at);
    *data_at = at[FB_DICTIONARY_BATCH_DATA];
    return position;
}

static int encode(const ra_batch *batch, bool is_dictionary, int64_t id, ra_ipc_encoded *out,
                  ra_error *err) {
    int rc = 0;
    batch_encoder e;
    encoder_init(&e, out);
    for (int i = 0; i < batch->n_columns && rc == 0; i++)
        rc = add_array(&e, &batch->columns[i], err);
    if (rc == 0) {
        ra_flatbuf_writer w;
        ra_flatbuf_begin(&w, &out->message, err);
        ra_ipc_kind kind = is_dictionary ? RA_IPC_DICTIONARY : RA_IPC_BATCH;
        uint32_t header = ra_ipc_put_message(&w, kind, out->body_bytes), data = 0;
        if (is_dictionary) {
            ra_flatbuf_link(&w, header, put_dictionary_batch(&w, id, &data));
            header = data;
        }
        ra_flatbuf_link(&w, header, put_record_batch(&w, &e, batch->n_rows));
        rc = ra_flatbuf_end(&w);
    }
    encoder_fini(&e);
    return rc;
}

int ra_ipc_encode_batch(const ra_batch *batch, ra_ipc_encoded *out, ra_error *err) {
    return encode(batch, false, 0, out, err);
}

int ra_ipc_encode_dictionary(const ra_batch *dictionary, int64_t id, ra_ipc_encoded *out,
                             ra_error *err) {
    return encode(dictionary, true, id, out, err);
}

static int64_t metadata_bound(const ra_array *array) {
    int64_t bytes = FB_NODE_BYTES + FB_BUFFER_BYTES * (1 + ra_layout_n_buffers(array->layout)) +
                    (FB_BUFFER_BYTES * (int64_t)array->n_variadic) + 8;
    for (int i = 0; i < array->n_children; i++)
        bytes += metadata_bound(&array->children[i]);
    return bytes;
}

int64_t ra_ipc_encoded_bound(const ra_batch *batch) {
    int64_t bytes = ENVELOPE_BYTES + ra_batch_body_bytes(batch);
    for (int i = 0; i < batch->n_columns; i++)
        bytes += metadata_bound(&batch->columns[i]);
    return bytes;
}
