#include "arrow/ipc_reader.h"

#include "base/checked.h"

enum { MAX_MESSAGE_BYTES = 256 * 1024 * 1024, PART_BYTES = 1024 * 1024 };

// Streams before 0.15 have the length only.
static int read_length(const ra_ipc_source *source, int32_t *out, ra_error *err) {
    uint8_t length[4];
    *out = 0;
    if (source->at_end && source->at_end(source->context))
        return 0;
    RA_TRY(source->read(source->context, length, sizeof length, err));
    if (ra_load_u32(length) == UINT32_MAX)
        RA_TRY(source->read(source->context, length, sizeof length, err));
    *out = ra_load_i32(length);
    if (*out < 0 || *out > MAX_MESSAGE_BYTES)
        RA_FAIL(err, MALFORMED_ARROW, "there is no message where one must be");
    return 0;
}

static int read_flatbuffer(const ra_ipc_source *source, int32_t bytes, ra_bytes *out,
                           ra_error *err) {
    for (size_t left = (size_t)bytes, n; left > 0; left -= n) {
        n = left < PART_BYTES ? left : PART_BYTES;
        RA_TRY(ra_bytes_reserve(out, n, err));
        RA_TRY(source->read(source->context, out->data + out->len, n, err));
        out->len += n;
    }
    return 0;
}

// The next flatbuffer, charged until release_message; none at the end. Memory grows with what has
// come.
static int read_message(ra_ipc_reader *reader, ra_bytes *out, ra_error *err) {
    int32_t bytes;
    ra_bytes_init(out, MAX_MESSAGE_BYTES);
    RA_TRY(read_length(&reader->source, &bytes, err));
    if (reader->budget)
        RA_TRY(ra_budget_charge(reader->budget, bytes, err));
    int rc = read_flatbuffer(&reader->source, bytes, out, err);
    if (rc != 0) {
        ra_bytes_fini(out);
        if (reader->budget)
            ra_budget_release(reader->budget, bytes);
    }
    return rc;
}

static void release_message(ra_ipc_reader *reader, ra_bytes *message) {
    if (reader->budget)
        ra_budget_release(reader->budget, (int64_t)message->len);
    ra_bytes_fini(message);
}

static ra_span span_of(const ra_bytes *bytes) {
    return (ra_span){bytes->data, (int64_t)bytes->len};
}

int ra_ipc_reader_open(ra_ipc_source source, ra_budget *budget, ra_ipc_reader *out, ra_error *err) {
    ra_bytes message;
    *out = (ra_ipc_reader){.source = source, .budget = budget};
    RA_TRY(read_message(out, &message, err));
    int rc = message.len > 0 ? ra_ipc_decoder_new(span_of(&message), budget, &out->decoder, err)
                             : ra_error_set(err, RA_REASON_MALFORMED_ARROW, "there is no schema");
    release_message(out, &message);
    return rc;
}

void ra_ipc_reader_close(ra_ipc_reader *reader) {
    ra_ipc_decoder_free(reader->decoder);
}

static int read_body(ra_ipc_reader *reader, const ra_bytes *message, ra_batch **out,
                     ra_error *err) {
    const ra_ipc_source *source = &reader->source;
    ra_ipc_header header;
    ra_blob *body = NULL;
    RA_TRY(ra_ipc_peek(span_of(message), &header, err));
    if (header.body_bytes < 0)
        RA_FAIL(err, MALFORMED_ARROW, "a message has a body of less than 0 bytes");
    if (header.body_bytes > 0)
        RA_TRY(source->read_body(source->context, header.body_bytes, &body, err));
    ra_span span = body ? (ra_span){body->data, header.body_bytes} : (ra_span){0};
    int rc = ra_ipc_decode(reader->decoder, span_of(message), span, body, out, err);
    ra_blob_unref(body);
    return rc;
}

int ra_ipc_reader_next(ra_ipc_reader *reader, ra_batch **out, ra_error *err) {
    bool at_end = false;
    *out = NULL;
    while (!at_end && !*out) {
        ra_bytes message;
        RA_TRY(read_message(reader, &message, err));
        at_end = message.len == 0;
        int rc = at_end ? 0 : read_body(reader, &message, out, err);
        release_message(reader, &message);
        RA_TRY(rc);
    }
    return 0;
}
