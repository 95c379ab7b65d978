#include "sql/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file_name.h"
#include "base/os.h"
#include "sql/import_file.h"
#include "sql/process.h"
#include "store/arrow_file.h"

enum { WINDOW_BYTES = 4 * 1024 * 1024 };

int ra_export_check_name(ra_str file, ra_error *err) {
    return ra_file_name_check(file, "a file", err);
}

typedef struct {
    ra_sql_process process;
    bool gone;  // it listens no more: what is wrong is in its answer
} target;

static int send_bytes(target *t, const void *data, int64_t bytes, ra_error *err) {
    return ra_sql_process_send(&t->process, data, bytes, &t->gone, err);
}

static int send_message(target *t, const ra_out_message *message, ra_error *err) {
    int64_t padded = (message->header.bytes + 7) & ~(int64_t)7;
    int32_t prefix[2] = {-1, (int32_t)padded};
    RA_TRY(send_bytes(t, prefix, sizeof prefix, err));
    RA_TRY(send_bytes(t, message->header.data, message->header.bytes, err));
    RA_TRY(send_bytes(t, ra_zero_bytes, padded - message->header.bytes, err));
    int64_t sent = 0;
    for (int i = 0; i < message->n_body; i++) {
        RA_TRY(send_bytes(t, message->body[i].data, message->body[i].bytes, err));
        sent += message->body[i].bytes;
    }
    for (int64_t more; sent < message->body_bytes; sent += more) {
        more = message->body_bytes - sent < 64 ? message->body_bytes - sent : 64;
        RA_TRY(send_bytes(t, ra_zero_bytes, more, err));
    }
    return 0;
}

static int send_messages(target *t, const ra_content *content, ra_cursor *cursor, ra_error *err) {
    static const int32_t end[2] = {-1, 0};
    const ra_blob *schema = content->framed_schema;
    RA_TRY(send_bytes(t, schema->data, (int64_t)schema->bytes, err));
    while (!ra_cursor_at_end(cursor) && !t->gone) {
        RA_TRY(ra_cursor_prepare(cursor, WINDOW_BYTES, err));
        while (!t->gone && !ra_cursor_at_end(cursor) && ra_cursor_is_ready(cursor)) {
            ra_out_message message;
            RA_TRY(ra_cursor_next(cursor, &message, err));
            int rc = send_message(t, &message, err);
            ra_out_message_fini(&message);
            RA_TRY(rc);
        }
    }
    return send_bytes(t, end, sizeof end, err);
}

static int feed(target *t, ra_content *content, int64_t *n_rows, ra_error *err) {
    ra_cursor *cursor;
    RA_TRY(ra_cursor_new(content, 0, &cursor, err));
    int rc = send_messages(t, content, cursor, err);
    ra_cursor_free(cursor);
    RA_TRY(rc);
    RA_TRY(ra_sql_process_finish(&t->process, n_rows, err));
    if (*n_rows != content->n_rows)
        RA_FAIL(err, INTERNAL, "the SQL worker wrote %" PRId64 " rows", *n_rows);
    return 0;
}

static int write_rows(const ra_export *export, int file, int64_t *n_rows, ra_error *err) {
    const char *words[] = {"write", ra_format_name(export->format), NULL};
    target t = {0};
    RA_TRY(ra_sql_process_start(&t.process, export->budget, words, file, export->cancelled, err));
    int rc = feed(&t, export->content, n_rows, err);
    ra_sql_process_end(&t.process);
    return rc;
}

static int fail_exists(const ra_export *export, ra_error *err) {
    RA_FAIL(err, INVALID_ARGUMENT,
            "the file '%s' exists; \"if_exists\": \"replace\" would replace it", export->file);
}

static int read_mark(const ra_export *export, const char *path, ra_file_mark *out, ra_error *err) {
    int file;
    struct stat about;
    *out = (ra_file_mark){0};
    RA_TRY(ra_os_open(path, O_RDONLY, 0, &file, err));
    int rc = ra_import_hash(file, export->cancelled, out->hash, err);
    if (rc == 0 && fstat(file, &about) != 0)
        rc = ra_error_set(err, RA_REASON_IO_ERROR, "stat %s: %s", path, strerror(errno));
    ra_os_close(file);
    RA_TRY(rc);
    out->bytes = about.st_size;
    out->time_ns = ra_import_time_ns(&about.st_mtim);
    return 0;
}

// The name is plain, so that the path cannot leave the folder (crash rule 7). The file is
// remembered before it is there, so that it is not imported.
static int put_in_place(const ra_export *export, const char *temporary, const char *final,
                        const ra_file_mark *mark, ra_error *err) {
    struct stat about;
    ra_change change = {
        .change = RA_CHANGE_FILE, .file_name = ra_str_of(export->file), .file = *mark};
    ra_change_result result = {0};
    if (!export->replace && lstat(final, &about) == 0)
        return fail_exists(export, err);
    RA_TRY(ra_store_change_wait(export->content->store, &change, &result, err));
    if (export->replace)
        return ra_os_rename(temporary, final, err);
    ra_error why;
    int rc = ra_os_rename_new(temporary, final, &why);
    if (rc != 0 && why.reason == RA_REASON_INVALID_ARGUMENT)
        return fail_exists(export, err);
    if (rc != 0)
        *err = why;
    return rc;
}

// One at a time: of two exports of a name, what is remembered must be the one that is there.
static int place(const ra_export *export, const char *temporary, ra_error *err) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    char final[RA_SEGMENT_PATH_BYTES];
    ra_file_mark mark;
    snprintf(final, sizeof final, "%s/%s", export->data_dir, export->file);
    RA_TRY(read_mark(export, temporary, &mark, err));
    pthread_mutex_lock(&one_at_a_time);
    int rc = put_in_place(export, temporary, final, &mark, err);
    pthread_mutex_unlock(&one_at_a_time);
    return rc ? rc : ra_os_sync_dir(export->data_dir, err);
}

static void print_temporary_path(const ra_export *export, char *path) {
    uint64_t random;
    ra_os_random(&random, sizeof random);
    snprintf(path, RA_SEGMENT_PATH_BYTES, "%s/.remote-arrow/tmp/%016" PRIx64 ".export",
             export->data_dir, random);
}

// Makes the synced file at `path`, which is left even on failure if it could be made.
static int write_by_worker(const ra_export *export, const char *path, ra_export_result *out,
                           ra_error *err) {
    int opened;
    struct stat about;
    RA_TRY(ra_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0640, &opened, err));
    int file = ra_sql_raise_fd(opened);
    if (file < 0)
        RA_FAIL(err, LIMIT, "no descriptors for a file");
    int rc = write_rows(export, file, &out->n_rows, err);
    if (rc == 0 && ra_os_sync(file, err) != 0)
        rc = ra_store_word_sync_failure(export->content->store, err);
    if (rc == 0 && fstat(file, &about) == 0)
        out->n_bytes = about.st_size;
    ra_os_close(file);
    return rc;
}

static int write_arrow(const ra_export *export, char *path, ra_export_result *out, ra_error *err) {
    out->n_rows = export->content->n_rows;
    return ra_content_write_file(export->content, export->cancelled, path, &out->n_bytes, err);
}

int ra_export_run(const ra_export *export, ra_export_result *out, ra_error *err) {
    char path[RA_SEGMENT_PATH_BYTES];
    print_temporary_path(export, path);
    int rc = export->format == RA_FORMAT_ARROW ? write_arrow(export, path, out, err)
                                               : write_by_worker(export, path, out, err);
    if (rc == 0 && atomic_load(export->cancelled))
        rc = ra_error_set(err, RA_REASON_CANCELLED, "the caller is gone");
    if (rc == 0)
        rc = place(export, path, err);
    ra_error ignored;
    if (rc != 0 && ra_os_unlink(path, &ignored) != 0)
        ra_error_prefix(err, "a temporary file is left");
    return rc;
}
