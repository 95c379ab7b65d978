#include "query/json_writer.h"

typedef struct {
    ra_bytes *out;
    ra_error *err;
    int rc;
} json_sink;

static int put(const char *text, size_t bytes, void *context) {
    json_sink *sink = context;
    if (sink->rc == 0)
        sink->rc = ra_bytes_append(sink->out, text, bytes, sink->err);
    return sink->rc;
}

int ra_json_write(const json_t *json, ra_bytes *out, ra_error *err) {
    json_sink sink = {.out = out, .err = err};
    int dumped =
        json ? json_dump_callback(json, put, &sink, JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : -1;
    if (dumped != 0 && sink.rc == 0)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for JSON");
    return sink.rc;
}
