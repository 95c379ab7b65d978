// For tests only: whole IPC streams, and messages taken apart and put together otherwise. A fault
// of these helpers ends the test program.
#ifndef RA_ARROW_TESTING_IPC_H
#define RA_ARROW_TESTING_IPC_H

#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"
#include "base/os.h"

enum { TESTING_CEILING_BYTES = 256 * 1024 * 1024 };

static inline void testing_ok(int rc, const ra_error *err) {
    if (rc != 0) {
        fprintf(stderr, "testing_ipc: %s\n", err->message);
        abort();
    }
}

static inline ra_span testing_span(const ra_bytes *bytes) {
    return (ra_span){bytes->data, (int64_t)bytes->len};
}

// A message and its body in memory of its own, the body `shift` bytes off alignment.
typedef struct {
    ra_bytes message;
    ra_blob *blob;
    ra_span body;
} testing_message;

static inline void testing_message_fini(testing_message *m) {
    ra_bytes_fini(&m->message);
    ra_blob_unref(m->blob);
}

static inline testing_message testing_assemble(const ra_ipc_encoded *encoded, int shift) {
    testing_message m;
    ra_error err;
    ra_bytes_init(&m.message, TESTING_CEILING_BYTES);
    testing_ok(ra_bytes_append(&m.message, encoded->message.data, encoded->message.len, &err),
               &err);
    testing_ok(ra_blob_new((size_t)(encoded->body_bytes + shift), &m.blob, &err), &err);
    memset(m.blob->data, 0, m.blob->bytes);
    uint8_t *at = m.blob->data + shift;
    for (int i = 0; i < encoded->n_pieces; i++) {
        if (encoded->pieces[i].bytes)
            memcpy(at, encoded->pieces[i].data, (size_t)encoded->pieces[i].bytes);
        at += ra_round_up(encoded->pieces[i].bytes, 64);
    }
    m.body = (ra_span){m.blob->data + shift, encoded->body_bytes};
    return m;
}

static inline testing_message testing_encode_batch(const ra_batch *batch) {
    ra_ipc_encoded encoded;
    ra_error err;
    ra_ipc_encoded_init(&encoded);
    testing_ok(ra_ipc_encode_batch(batch, &encoded, &err), &err);
    testing_message m = testing_assemble(&encoded, 1);
    ra_ipc_encoded_fini(&encoded);
    return m;
}

static inline testing_message testing_encode_dictionary(const ra_batch *dictionary, int64_t id) {
    ra_ipc_encoded encoded;
    ra_error err;
    ra_ipc_encoded_init(&encoded);
    testing_ok(ra_ipc_encode_dictionary(dictionary, id, &encoded, &err), &err);
    testing_message m = testing_assemble(&encoded, 3);
    ra_ipc_encoded_fini(&encoded);
    return m;
}

static inline ra_bytes testing_encode_schema(const ra_schema *schema) {
    ra_bytes out;
    ra_error err;
    ra_bytes_init(&out, TESTING_CEILING_BYTES);
    testing_ok(ra_ipc_encode_schema(schema, &out, &err), &err);
    return out;
}

// The dictionary batch that an array's dictionary belongs to.
static inline ra_batch *testing_dictionary_of(const ra_batch *batch, const ra_array *values) {
    for (int i = 0; i < batch->n_dictionaries; i++) {
        ra_batch *dictionary = batch->dictionaries[i];
        if (&dictionary->columns[0] == values)
            return dictionary;
    }
    for (int i = 0; i < batch->n_dictionaries; i++) {
        ra_batch *dictionary = testing_dictionary_of(batch->dictionaries[i], values);
        if (dictionary)
            return dictionary;
    }
    return NULL;
}

// Calls `visit` with each dictionary of the array, inner ones first.
static inline void testing_each_dictionary(const ra_batch *batch, const ra_array *array,
                                           void (*visit)(void *context, ra_batch *dictionary,
                                                         int64_t id),
                                           void *context) {
    for (int i = 0; i < array->n_children; i++)
        testing_each_dictionary(batch, &array->children[i], visit, context);
    if (!array->dictionary)
        return;
    testing_each_dictionary(batch, array->dictionary, visit, context);
    ra_batch *dictionary = testing_dictionary_of(batch, array->dictionary);
    if (!dictionary)
        abort();
    visit(context, dictionary, array->field->dictionary_id);
}

static inline void testing_append_message(ra_bytes *stream, testing_message m) {
    ra_error err;
    uint32_t prefix[2] = {UINT32_MAX, (uint32_t)m.message.len};
    testing_ok(ra_bytes_append(stream, prefix, sizeof prefix, &err), &err);
    testing_ok(ra_bytes_append(stream, m.message.data, m.message.len, &err), &err);
    testing_ok(ra_bytes_append(stream, m.body.data, (size_t)m.body.bytes, &err), &err);
    testing_message_fini(&m);
}

static inline void testing_append_dictionary(void *context, ra_batch *dictionary, int64_t id) {
    testing_append_message(context, testing_encode_dictionary(dictionary, id));
}

// Appends a stream: schema, and each batch after its dictionaries.
static inline void testing_write_stream(ra_schema *schema, ra_batch *const *batches, int n,
                                        ra_bytes *out) {
    static const uint8_t end[8] = {0xff, 0xff, 0xff, 0xff};
    ra_error err;
    testing_ok(ra_ipc_encode_framed_schema(schema, out, &err), &err);
    for (int b = 0; b < n; b++) {
        for (int i = 0; i < batches[b]->n_columns; i++)
            testing_each_dictionary(batches[b], &batches[b]->columns[i], testing_append_dictionary,
                                    out);
        testing_append_message(out, testing_encode_batch(batches[b]));
    }
    testing_ok(ra_bytes_append(out, end, sizeof end, &err), &err);
}

// A RecordBatch's numbers to be changed and written again.
typedef struct {
    int version;  // 4 or 5
    int64_t dictionary_id;
    bool is_dictionary;
    bool is_delta;
    int64_t n_rows;
    ra_bytes nodes;            // int64 pairs
    ra_bytes buffers;          // int64 pairs
    ra_bytes variadic_counts;  // int64
    ra_ipc_codec codec;
    ra_bytes body;
} testing_parts;

static inline ra_bytes testing_copy_bytes(const void *data, int64_t bytes) {
    ra_bytes copy;
    ra_error err;
    ra_bytes_init(&copy, TESTING_CEILING_BYTES);
    testing_ok(ra_bytes_append(&copy, data, (size_t)bytes, &err), &err);
    return copy;
}

// Takes the message.
static inline testing_parts testing_take_apart(testing_message m) {
    ra_ipc_message opened;
    ra_ipc_batch_metadata metadata;
    ra_error err;
    testing_ok(ra_ipc_open_message(testing_span(&m.message), &opened, &err), &err);
    testing_ok(ra_ipc_read_batch_metadata(&opened, &metadata, &err), &err);
    testing_parts parts = {
        .version = 5,
        .dictionary_id = opened.header.dictionary_id,
        .is_dictionary = opened.header.kind == RA_IPC_DICTIONARY,
        .n_rows = metadata.n_rows,
        .nodes = testing_copy_bytes(metadata.nodes.data, 16 * metadata.nodes.n),
        .buffers = testing_copy_bytes(metadata.buffers.data, 16 * metadata.buffers.n),
        .variadic_counts =
            testing_copy_bytes(metadata.variadic_counts.data, 8 * metadata.variadic_counts.n),
        .body = testing_copy_bytes(m.body.data, m.body.bytes),
    };
    testing_message_fini(&m);
    return parts;
}

static inline void testing_append_compressed(ra_bytes *body, const uint8_t *data, int64_t bytes,
                                             ra_ipc_codec codec) {
    ra_error err;
    size_t n = (size_t)bytes;
    size_t most = codec == RA_CODEC_LZ4 ? LZ4F_compressFrameBound(n, NULL) : ZSTD_compressBound(n);
    testing_ok(ra_bytes_append(body, &bytes, 8, &err), &err);
    testing_ok(ra_bytes_reserve(body, most, &err), &err);
    uint8_t *at = body->data + body->len;
    size_t used = codec == RA_CODEC_LZ4 ? LZ4F_compressFrame(at, most, data, n, NULL)
                                        : ZSTD_compress(at, most, data, n, 1);
    if (used > most)
        abort();
    body->len += used;
}

// Compresses each buffer behind its size; every third is stored as it is.
static inline void testing_compress(testing_parts *p, ra_ipc_codec codec) {
    static const int64_t stored = -1;
    ra_bytes body;
    ra_error err;
    ra_bytes_init(&body, TESTING_CEILING_BYTES);
    for (size_t i = 0; i < p->buffers.len / 16; i++) {
        uint8_t *buffer = p->buffers.data + 16 * i;
        const uint8_t *data = p->body.data + ra_load_i64(buffer);
        int64_t bytes = ra_load_i64(buffer + 8);
        size_t begin = body.len;
        if (bytes && i % 3 == 2) {
            testing_ok(ra_bytes_append(&body, &stored, 8, &err), &err);
            testing_ok(ra_bytes_append(&body, data, (size_t)bytes, &err), &err);
        } else if (bytes) {
            testing_append_compressed(&body, data, bytes, codec);
        }
        ra_store_i64(buffer, (int64_t)begin);
        ra_store_i64(buffer + 8, (int64_t)(body.len - begin));
        testing_ok(ra_bytes_append_zeros(&body, (0 - body.len) & 7, &err), &err);
    }
    ra_bytes_fini(&p->body);
    p->body = body;
    p->codec = codec;
}

static inline uint32_t testing_put_batch(ra_flatbuf_writer *w, const testing_parts *p) {
    ra_flatbuf_slot slots[] = {
        [FB_BATCH_LENGTH] = RA_SLOT_I64(p->n_rows),
        [FB_BATCH_NODES] = RA_SLOT_REF,
        [FB_BATCH_BUFFERS] = RA_SLOT_REF,
        [FB_BATCH_COMPRESSION] = p->codec ? RA_SLOT_REF : RA_SLOT_NONE,
        [FB_BATCH_VARIADIC_COUNTS] = RA_SLOT_REF,
    };
    uint32_t at[5];
    uint32_t position = ra_flatbuf_put_table(w, slots, 5, at);
    ra_flatbuf_link(w, at[1], ra_flatbuf_put_vector(w, p->nodes.data, p->nodes.len / 16, 16));
    ra_flatbuf_link(w, at[2], ra_flatbuf_put_vector(w, p->buffers.data, p->buffers.len / 16, 16));
    ra_flatbuf_link(
        w, at[4], ra_flatbuf_put_vector(w, p->variadic_counts.data, p->variadic_counts.len / 8, 8));
    if (p->codec) {
        ra_flatbuf_slot codec[] = {RA_SLOT_I8(p->codec == RA_CODEC_ZSTD ? 1 : 0), RA_SLOT_I8(0)};
        ra_flatbuf_link(w, at[3], ra_flatbuf_put_table(w, codec, 2, NULL));
    }
    return position;
}

// Takes the parts.
static inline testing_message testing_put_together(testing_parts p) {
    testing_message m;
    ra_error err;
    ra_flatbuf_writer w;
    ra_bytes_init(&m.message, TESTING_CEILING_BYTES);
    ra_flatbuf_begin(&w, &m.message, &err);
    ra_flatbuf_slot slots[] = {
        RA_SLOT_I16(p.version - 1),
        RA_SLOT_I8(p.is_dictionary ? RA_IPC_DICTIONARY : RA_IPC_BATCH),
        RA_SLOT_REF,
        RA_SLOT_I64(p.body.len),
    };
    uint32_t at[4];
    ra_flatbuf_link(&w, 0, ra_flatbuf_put_table(&w, slots, 4, at));
    uint32_t header = at[2];
    if (p.is_dictionary) {
        ra_flatbuf_slot dictionary[] = {RA_SLOT_I64(p.dictionary_id), RA_SLOT_REF,
                                        RA_SLOT_BOOL(p.is_delta)};
        ra_flatbuf_link(&w, header, ra_flatbuf_put_table(&w, dictionary, 3, at));
        header = at[1];
    }
    ra_flatbuf_link(&w, header, testing_put_batch(&w, &p));
    testing_ok(ra_flatbuf_end(&w), &err);
    testing_ok(ra_blob_new(p.body.len, &m.blob, &err), &err);
    memcpy(m.blob->data, p.body.data, p.body.len);
    m.body = (ra_span){m.blob->data, (int64_t)p.body.len};
    ra_bytes_fini(&p.nodes);
    ra_bytes_fini(&p.buffers);
    ra_bytes_fini(&p.variadic_counts);
    ra_bytes_fini(&p.body);
    return m;
}

#endif
