#include "sql/worker/stream.h"

#include <errno.h>
#include <unistd.h>

#include "sql/worker/protocol.h"

static int read_all(void *context, void *data, size_t bytes, ra_error *err) {
    (void)context;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(RA_SQL_STREAM_FD, (char *)data + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            RA_FAIL(err, IO_ERROR, "the table's stream was cut");
        done += (size_t)n;
    }
    return 0;
}

static int read_body(void *context, int64_t bytes, ra_blob **out, ra_error *err) {
    RA_TRY(ra_blob_new((size_t)bytes, out, err));
    int rc = read_all(context, (*out)->data, (size_t)bytes, err);
    if (rc != 0)
        ra_blob_unref(*out);
    return rc;
}

int ra_stream_open(ra_ipc_reader *out, ra_error *err) {
    ra_ipc_source source = {.read = read_all, .read_body = read_body};
    return ra_ipc_reader_open(source, NULL, out, err);
}
