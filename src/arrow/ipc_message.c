// Opening messages: the table Message, and RecordBatch inside of batches and dictionaries.
#include <inttypes.h>

#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"

static int read_version(const ra_flatbuf_table *t, int *version, ra_error *err) {
    int16_t value;
    RA_TRY(ra_flatbuf_get_i16(t, FB_MESSAGE_VERSION, 0, &value, err));
    if (value != FB_VERSION_V4 && value != FB_VERSION_V5)
        RA_FAIL(err, NOT_IMPLEMENTED, "Arrow metadata version V%d: V4 and V5 are known", value + 1);
    *version = value + 1;
    return 0;
}

int ra_ipc_open_message(ra_span span, ra_ipc_message *out, ra_error *err) {
    ra_flatbuf_table message;
    ra_ipc_header *header = &out->header;
    int8_t kind;
    *header = (ra_ipc_header){0};
    RA_TRY(ra_flatbuf_open(&out->buffer, span, &message, err));
    RA_TRY(read_version(&message, &header->version, err));
    RA_TRY(ra_flatbuf_get_i8(&message, FB_MESSAGE_HEADER_TYPE, 0, &kind, err));
    if (kind < RA_IPC_SCHEMA || kind > RA_IPC_BATCH)
        RA_FAIL(err, MALFORMED_ARROW, "a message of kind %d: neither schema, dictionary nor batch",
                kind);
    header->kind = (ra_ipc_kind)kind;
    RA_TRY(ra_flatbuf_get_i64(&message, FB_MESSAGE_BODY_LENGTH, 0, &header->body_bytes, err));
    if (header->body_bytes < 0)
        RA_FAIL(err, MALFORMED_ARROW, "a message whose body has %" PRId64 " bytes",
                header->body_bytes);
    RA_TRY(ra_flatbuf_need_table(&message, FB_MESSAGE_HEADER, "the message's header", &out->table,
                                 err));
    if (header->kind == RA_IPC_DICTIONARY) {
        ra_flatbuf_table dictionary = out->table;
        RA_TRY(ra_flatbuf_get_i64(&dictionary, FB_DICTIONARY_BATCH_ID, 0, &header->dictionary_id,
                                  err));
        RA_TRY(ra_flatbuf_get_bool(&dictionary, FB_DICTIONARY_BATCH_IS_DELTA, false,
                                   &header->is_delta, err));
        RA_TRY(ra_flatbuf_need_table(&dictionary, FB_DICTIONARY_BATCH_DATA, "the dictionary's data",
                                     &out->table, err));
    }
    if (header->kind != RA_IPC_SCHEMA)
        RA_TRY(ra_flatbuf_get_i64(&out->table, FB_BATCH_LENGTH, 0, &header->n_rows, err));
    return 0;
}

int ra_ipc_peek(ra_span message, ra_ipc_header *out, ra_error *err) {
    ra_ipc_message opened;
    RA_TRY(ra_ipc_open_message(message, &opened, err));
    *out = opened.header;
    return 0;
}

static int read_codec(const ra_flatbuf_table *batch, ra_ipc_codec *out, ra_error *err) {
    ra_flatbuf_table compression;
    bool present;
    int8_t codec, method;
    *out = RA_CODEC_NONE;
    RA_TRY(ra_flatbuf_get_table(batch, FB_BATCH_COMPRESSION, &compression, &present, err));
    if (!present)
        return 0;
    RA_TRY(ra_flatbuf_get_i8(&compression, FB_COMPRESSION_CODEC, 0, &codec, err));
    RA_TRY(ra_flatbuf_get_i8(&compression, FB_COMPRESSION_METHOD, 0, &method, err));
    if (method != 0 || (codec != FB_CODEC_LZ4_FRAME && codec != FB_CODEC_ZSTD))
        RA_FAIL(err, NOT_IMPLEMENTED, "compression codec %d, method %d", codec, method);
    *out = codec == FB_CODEC_ZSTD ? RA_CODEC_ZSTD : RA_CODEC_LZ4;
    return 0;
}

int ra_ipc_read_batch_metadata(const ra_ipc_message *message, ra_ipc_batch_metadata *out,
                               ra_error *err) {
    const ra_flatbuf_table *t = &message->table;
    bool present;
    out->n_rows = message->header.n_rows;
    if (out->n_rows < 0)
        RA_FAIL(err, MALFORMED_ARROW, "a batch of %" PRId64 " rows", out->n_rows);
    if (out->n_rows > INT32_MAX)
        RA_FAIL(err, LIMIT, "a batch of %" PRId64 " rows: at most 2147483647 are possible",
                out->n_rows);
    if (message->buffer.bytes > RA_MAX_BATCH_METADATA_BYTES)
        RA_FAIL(err, LIMIT, "a batch with %" PRId64 " bytes of metadata: at most %d are possible",
                message->buffer.bytes, RA_MAX_BATCH_METADATA_BYTES);
    RA_TRY(ra_flatbuf_get_vector(t, FB_BATCH_NODES, FB_NODE_BYTES, &out->nodes, &present, err));
    RA_TRY(
        ra_flatbuf_get_vector(t, FB_BATCH_BUFFERS, FB_BUFFER_BYTES, &out->buffers, &present, err));
    RA_TRY(ra_flatbuf_get_vector(t, FB_BATCH_VARIADIC_COUNTS, 8, &out->variadic_counts, &present,
                                 err));
    return read_codec(t, &out->codec, err);
}
