#include "store/arrow_file.h"

#include "arrow/slice.h"
#include "base/checked.h"
#include "base/os.h"
#include "store/dictionaries.h"
#include "store/internal.h"
#include "store/segment_file.h"

typedef struct {
    ra_content *content;
    const atomic_bool *cancelled;
    ra_segment_file *file;
    ra_ipc_encoded encoded;
} job;

static int write_dictionaries(job *j, const ra_batch *batch, ra_error *err) {
    size_t n = (size_t)batch->schema->n_dictionaries;
    const ra_batch **by_id = ra_calloc(n, sizeof(const ra_batch *));
    int *ids = ra_calloc(n, sizeof *ids);
    int rc = by_id && ids
                 ? ra_dictionaries_collect(batch, by_id, err)
                 : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for %zu dictionaries", n);
    if (rc == 0)
        ra_dictionaries_order(batch->schema, ids);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const ra_batch *dictionary = by_id[ids[i]];
        rc = ra_ipc_encode_dictionary(dictionary, ids[i], &j->encoded, err);
        if (rc == 0)
            rc = ra_segment_file_add_dictionary(j->file, &j->encoded, ids[i], dictionary->n_rows,
                                                err);
    }
    ra_free(by_id);
    ra_free(ids);
    return rc;
}

// The first batch brings the dictionaries of all.
static int write_batch(job *j, const ra_batch *batch, bool is_first, ra_error *err) {
    if (atomic_load(j->cancelled))
        RA_FAIL(err, CANCELLED, "the caller is gone");
    if (is_first && batch->schema->n_dictionaries > 0)
        RA_TRY(write_dictionaries(j, batch, err));
    RA_TRY(ra_ipc_encode_batch(batch, &j->encoded, err));
    return ra_segment_file_add_batch(j->file, batch, &j->encoded, NULL, err);
}

static int write_one_by_one(job *j, ra_error *err) {
    for (int64_t i = 0; i < j->content->n_batches; i++) {
        ra_batch *batch;
        RA_TRY(ra_content_batch(j->content, i, &batch, err));
        int rc = write_batch(j, batch, i == 0, err);
        ra_batch_unref(batch);
        RA_TRY(rc);
    }
    return 0;
}

static int write_all(job *j, ra_batch *const *batches, int n, ra_error *err) {
    for (int i = 0; i < n; i++)
        RA_TRY(write_batch(j, batches[i], i == 0, err));
    return 0;
}

static void unref_all(ra_batch **batches, int n) {
    for (int i = 0; i < n; i++)
        ra_batch_unref(batches[i]);
}

static int read_and_unify(job *j, ra_batch **batches, ra_batch **unified, ra_error *err) {
    int n = (int)j->content->n_batches, n_read = 0, rc = 0;
    while (n_read < n && rc == 0) {
        rc = ra_content_batch(j->content, n_read, &batches[n_read], err);
        n_read += rc == 0;
    }
    if (rc == 0)
        rc = ra_batches_unify_dictionaries(batches, n, unified, err);
    unref_all(batches, n_read);
    if (rc != 0)
        return rc;
    rc = write_all(j, unified, n, err);
    unref_all(unified, n);
    return rc;
}

// Dictionaries can be unified only together: all batches are open, all indices may be rewritten.
static int write_unified(job *j, ra_error *err) {
    const ra_content *content = j->content;
    if (content->n_batches > RA_MAX_PARTS)
        RA_FAIL(err, LIMIT, "%lld batches with several dictionaries are too many for one file",
                (long long)content->n_batches);
    size_t n = (size_t)content->n_batches;
    // Of run ends there may be more rows than bytes.
    int64_t row_bytes = (int64_t)sizeof(int64_t) * content->schema->n_dictionaries, bytes;
    if (!ra_mul_i64(content->n_rows, row_bytes, &bytes) || bytes > content->n_bytes)
        bytes = content->n_bytes;
    RA_TRY(ra_budget_charge(content->store->options.budget, bytes, err));
    ra_batch **batches = ra_calloc(2 * n, sizeof *batches);
    int rc = batches ? read_and_unify(j, batches, batches + n, err)
                     : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for %zu batches", n);
    ra_free(batches);
    ra_budget_release(content->store->options.budget, bytes);
    return rc;
}

int ra_content_write_file(ra_content *content, const atomic_bool *cancelled, char *path,
                          int64_t *n_bytes, ra_error *err) {
    job j = {.content = content, .cancelled = cancelled};
    RA_TRY(ra_segment_file_new(content->store, content->schema, RA_WRITE_DURABLE, &j.file, err));
    ra_ipc_encoded_init(&j.encoded);
    // A part lies in one segment, which has one dictionary a column.
    int rc = content->schema->n_dictionaries > 0 && content->n_parts > 1
                 ? write_unified(&j, err)
                 : write_one_by_one(&j, err);
    if (rc == 0)
        rc = ra_segment_file_leave(j.file, path, n_bytes, err);
    ra_ipc_encoded_fini(&j.encoded);
    ra_segment_file_free(j.file);
    return rc;
}
