#include "sql/import_source.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/os.h"
#include "sql/process.h"
#include "store/spool.h"

enum { PART_BYTES = 1024 * 1024, PREFIX_BYTES = 8, TRAILER_BYTES = 10 };
static const int64_t small_bytes = 4 * 1024 * 1024;

static int read_large(const ra_import *import, const ra_ipc_source *source, int64_t bytes,
                      uint8_t *part, ra_blob **out, ra_error *err) {
    ra_spool spool;
    ra_spool_init(&spool, import->store);
    int rc = ra_spool_open(&spool, 0, err);
    for (int64_t left = bytes, n; left > 0 && rc == 0; left -= n) {
        n = left < PART_BYTES ? left : PART_BYTES;
        rc = source->read(source->context, part, (size_t)n, err);
        if (rc == 0)
            rc = ra_spool_append(&spool, (ra_str){(const char *)part, (size_t)n}, err);
    }
    if (rc == 0)
        rc = ra_spool_take(&spool, out, err);
    else
        ra_spool_fini(&spool);
    return rc;
}

int ra_import_body(const ra_import *import, const ra_ipc_source *source, int64_t bytes,
                   ra_blob **out, ra_error *err) {
    if (bytes > small_bytes) {
        uint8_t *part = ra_malloc(PART_BYTES);
        int rc = part ? read_large(import, source, bytes, part, out, err)
                      : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory to read a file");
        ra_free(part);
        return rc;
    }
    RA_TRY(ra_blob_new((size_t)bytes, out, err));
    int rc = source->read(source->context, (*out)->data, (size_t)bytes, err);
    if (rc != 0)
        ra_blob_unref(*out);
    return rc;
}

static int check_cancelled(const ra_import *import, ra_error *err) {
    if (atomic_load(import->cancelled))
        RA_FAIL(err, CANCELLED, "the server stops");
    return 0;
}

static int copy_batches(const ra_import *import, ra_ipc_reader *reader, ra_writer *writer,
                        ra_error *err) {
    for (;;) {
        ra_batch *batch;
        RA_TRY(check_cancelled(import, err));
        RA_TRY(ra_ipc_reader_next(reader, &batch, err));
        if (!batch)
            return 0;
        int rc = ra_writer_add(writer, batch, (ra_span){0}, err);
        ra_batch_unref(batch);
        RA_TRY(rc);
    }
}

static int write_rows(const ra_import *import, ra_ipc_reader *reader, ra_budget *budget,
                      ra_content **out, ra_error *err) {
    ra_writer *writer;
    RA_TRY(ra_writer_new(import->store, ra_ipc_decoder_schema(reader->decoder), RA_WRITE_DURABLE,
                         &writer, err));
    ra_writer_set_budget(writer, budget);
    int rc = copy_batches(import, reader, writer, err);
    if (rc == 0)
        rc = ra_writer_finish(writer, out, err);
    ra_writer_free(writer);
    return rc;
}

int ra_import_rows(const ra_import *import, ra_ipc_source source, ra_content **out, ra_error *err) {
    ra_budget budget;
    ra_ipc_reader reader;
    ra_budget_init_share(&budget, import->budget, "memory limit of an import");
    int rc = ra_ipc_reader_open(source, &budget, &reader, err);
    if (rc == 0) {
        rc = write_rows(import, &reader, &budget, out, err);
        ra_ipc_reader_close(&reader);
    }
    ra_budget_fini(&budget);
    return rc;
}

typedef struct {
    const ra_import *import;
    ra_ipc_source source;
    int64_t at;
    int64_t end;  // of the stream in the file
} file_stream;

static int read_file(void *context, void *data, size_t bytes, ra_error *err) {
    file_stream *s = context;
    RA_TRY(check_cancelled(s->import, err));
    if ((int64_t)bytes > s->end - s->at)
        RA_FAIL(err, MALFORMED_ARROW, "the file ends within a message");
    RA_TRY(ra_os_pread(s->import->fd, data, bytes, s->at, err));
    s->at += (int64_t)bytes;
    return 0;
}

// Bodies begin where the file is aligned; in a stream they follow the message in any case.
static int read_file_body(void *context, int64_t bytes, ra_blob **out, ra_error *err) {
    file_stream *s = context;
    if (bytes > s->end - s->at)
        RA_FAIL(err, MALFORMED_ARROW, "the file ends within a message");
    return ra_import_body(s->import, &s->source, bytes, out, err);
}

static bool file_at_end(void *context) {
    const file_stream *s = context;
    return s->at == s->end;
}

// A file is a stream between a magic word and a footer, which only repeats where messages lie.
static int find_stream(file_stream *s, ra_error *err) {
    int64_t bytes = s->import->mark.bytes;
    uint8_t magic[PREFIX_BYTES], trailer[TRAILER_BYTES];
    if (bytes < PREFIX_BYTES)
        RA_FAIL(err, MALFORMED_ARROW, "the file is too short");
    RA_TRY(ra_os_pread(s->import->fd, magic, sizeof magic, 0, err));
    s->end = bytes;
    if (memcmp(magic, "ARROW1", 6) != 0)
        return 0;
    s->at = PREFIX_BYTES;
    if (bytes < PREFIX_BYTES + TRAILER_BYTES)
        RA_FAIL(err, MALFORMED_ARROW, "the file is too short");
    RA_TRY(ra_os_pread(s->import->fd, trailer, sizeof trailer, bytes - TRAILER_BYTES, err));
    s->end = bytes - TRAILER_BYTES - ra_load_i32(trailer);
    if (memcmp(trailer + 4, "ARROW1", 6) != 0 || s->end < s->at || s->end > bytes - TRAILER_BYTES)
        RA_FAIL(err, MALFORMED_ARROW, "the file has no footer: it was not written to its end");
    return 0;
}

int ra_import_arrow(const ra_import *import, ra_content **out, ra_error *err) {
    file_stream s = {.import = import};
    RA_TRY(find_stream(&s, err));
    s.source = (ra_ipc_source){read_file, read_file_body, file_at_end, &s};
    return ra_import_rows(import, s.source, out, err);
}

typedef struct {
    const ra_import *import;
    ra_ipc_source source;
    ra_sql_process process;
} worker_stream;

static int read_worker(void *context, void *data, size_t bytes, ra_error *err) {
    worker_stream *s = context;
    bool end;
    RA_TRY(ra_sql_process_receive(&s->process, data, (int64_t)bytes, &end, err));
    if (end)
        RA_FAIL(err, IO_ERROR, "the SQL worker's stream was cut");
    return 0;
}

static int read_worker_body(void *context, int64_t bytes, ra_blob **out, ra_error *err) {
    worker_stream *s = context;
    return ra_import_body(s->import, &s->source, bytes, out, err);
}

// What is wrong with a stream that was cut is in the worker's answer.
static int finish_worker(const worker_stream *s, ra_content *content, int rc, ra_error *err) {
    int64_t n_rows = 0;
    ra_error why;
    if (rc != 0 && err->reason != RA_REASON_IO_ERROR)
        return rc;
    int worker_rc = ra_sql_process_finish(&s->process, &n_rows, &why);
    if (worker_rc != 0)
        *err = why;
    if (worker_rc != 0 || rc != 0)
        return worker_rc ? worker_rc : rc;
    if (n_rows != content->n_rows)
        RA_FAIL(err, INTERNAL, "the SQL worker read %" PRId64 " rows and sent %" PRId64, n_rows,
                content->n_rows);
    return 0;
}

int ra_import_by_worker(const ra_import *import, ra_content **out, ra_error *err) {
    const char *words[] = {"read", ra_format_name(import->format), NULL};
    worker_stream s = {.import = import};
    RA_TRY(ra_sql_process_start(&s.process, import->budget, words, import->fd, import->cancelled,
                                err));
    s.source = (ra_ipc_source){read_worker, read_worker_body, NULL, &s};
    *out = NULL;
    int rc = ra_import_rows(import, s.source, out, err);
    ra_sql_process_hang_up(&s.process);
    rc = finish_worker(&s, *out, rc, err);
    ra_sql_process_end(&s.process);
    if (rc != 0) {
        ra_content_unref(*out);
        *out = NULL;
    }
    return rc;
}
