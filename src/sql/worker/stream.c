#include "sql/worker/stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/checked.h"

enum { PREFIX_BYTES = 8, MAX_MESSAGE_BYTES = 256 * 1024 * 1024 };
static const int64_t max_body_bytes = (int64_t)1 << 32;

static int read_all(int fd, void *data, size_t bytes, ra_error *err) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, (char *)data + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            RA_FAIL(err, IO_ERROR, "the table's stream was cut");
        done += (size_t)n;
    }
    return 0;
}

// The next flatbuffer; NULL at the end mark.
static int read_message(int fd, ra_blob **out, ra_error *err) {
    uint8_t prefix[PREFIX_BYTES];
    *out = NULL;
    RA_TRY(read_all(fd, prefix, sizeof prefix, err));
    int32_t bytes = ra_load_i32(prefix + 4);
    if (bytes == 0)
        return 0;
    if (ra_load_u32(prefix) != UINT32_MAX || bytes < 0 || bytes > MAX_MESSAGE_BYTES)
        RA_FAIL(err, MALFORMED_ARROW, "the table's stream has no message where one must be");
    RA_TRY(ra_blob_new((size_t)bytes, out, err));
    int rc = read_all(fd, (*out)->data, (size_t)bytes, err);
    if (rc != 0) {
        ra_blob_unref(*out);
        *out = NULL;
    }
    return rc;
}

static ra_span span_of(const ra_blob *blob) {
    return blob ? (ra_span){blob->data, (int64_t)blob->bytes} : (ra_span){0};
}

int ra_stream_open(int fd, ra_stream *out, ra_error *err) {
    ra_blob *schema;
    *out = (ra_stream){.fd = fd};
    RA_TRY(read_message(fd, &schema, err));
    if (!schema)
        RA_FAIL(err, MALFORMED_ARROW, "the table's stream has no schema");
    int rc = ra_ipc_decoder_new(span_of(schema), NULL, &out->decoder, err);
    ra_blob_unref(schema);
    return rc;
}

static int read_body(ra_stream *stream, const ra_blob *message, ra_batch **out, ra_error *err) {
    ra_ipc_header header;
    ra_blob *body = NULL;
    RA_TRY(ra_ipc_peek(span_of(message), &header, err));
    if (header.body_bytes < 0 || header.body_bytes > max_body_bytes)
        RA_FAIL(err, MALFORMED_ARROW, "a message of the table's stream is too long");
    if (header.body_bytes > 0)
        RA_TRY(ra_blob_new((size_t)header.body_bytes, &body, err));
    int rc = body ? read_all(stream->fd, body->data, body->bytes, err) : 0;
    if (rc == 0)
        rc = ra_ipc_decode(stream->decoder, span_of(message), span_of(body), body, out, err);
    ra_blob_unref(body);
    return rc;
}

int ra_stream_next(ra_stream *stream, ra_batch **out, ra_error *err) {
    *out = NULL;
    while (!*out) {
        ra_blob *message;
        RA_TRY(read_message(stream->fd, &message, err));
        if (!message)
            return 0;
        int rc = read_body(stream, message, out, err);
        ra_blob_unref(message);
        RA_TRY(rc);
    }
    return 0;
}
