// Floods of tiny batches. A run of them is merged in two steps, RA_WRITER_RUN tiny ones into one
// and those up to the size of a batch, so that never more than that many are held.
#include "arrow/slice.h"
#include "base/checked.h"
#include "store/dictionaries.h"
#include "store/writer.h"

enum {
    TINY_BYTES = 16 * 1024,      // bodies below this
    MERGED_BYTES = 1024 * 1024,  // what they are merged to
    HELD_OVERHEAD_BYTES = 1024   // of a batch object
};

static void clear(ra_writer *writer) {
    for (int i = 0; i < writer->n_merged; i++)
        ra_batch_unref(writer->merged[i]);
    for (int i = 0; i < writer->n_tiny; i++)
        ra_batch_unref(writer->tiny[i]);
    ra_writer_release(writer, writer->tiny_bytes + writer->merged_bytes);
    writer->n_merged = writer->n_tiny = 0;
    writer->run_rows = writer->tiny_bytes = writer->merged_bytes = 0;
}

void ra_writer_drop_merge(ra_writer *writer) {
    clear(writer);
}

// Joins batches; `*out` is NULL when they cannot be one (narrow run ends, 32-bit offsets).
static int join(ra_batch *const *batches, int n, ra_batch **out, ra_error *err) {
    ra_error why;
    int rc = ra_batch_concat(batches, n, out, &why);
    if (rc == 0)
        return 0;
    *out = NULL;
    if (why.reason == RA_REASON_LIMIT)
        return 0;
    if (err)
        *err = why;
    return rc;
}

// Stores everything held, as it is.
static int store_each(ra_writer *writer, ra_error *err) {
    for (int i = 0; i < writer->n_merged; i++)
        RA_TRY(ra_writer_store(writer, writer->merged[i], NULL, err));
    for (int i = 0; i < writer->n_tiny; i++)
        RA_TRY(ra_writer_store(writer, writer->tiny[i], NULL, err));
    return 0;
}

// Stores everything held as one batch if that is possible.
static int store_joined(ra_writer *writer, ra_error *err) {
    ra_batch *all[2 * RA_WRITER_RUN];
    int n = 0;
    for (int i = 0; i < writer->n_merged; i++)
        all[n++] = writer->merged[i];
    for (int i = 0; i < writer->n_tiny; i++)
        all[n++] = writer->tiny[i];
    ra_batch *joined;
    RA_TRY(join(all, n, &joined, err));
    if (!joined)
        return store_each(writer, err);
    int rc = ra_writer_store(writer, joined, NULL, err);
    ra_batch_unref(joined);
    return rc;
}

static bool is_long_enough(const ra_writer *writer) {
    return writer->merges_all || writer->run_length >= RA_WRITER_RUN;
}

// Stores what is held; the run goes on.
static int store_held(ra_writer *writer, ra_error *err) {
    int n = writer->n_merged + writer->n_tiny;
    if (n > 0)
        RA_TRY(n > 1 && is_long_enough(writer) ? store_joined(writer, err)
                                               : store_each(writer, err));
    clear(writer);
    return 0;
}

static int64_t held_bytes(const ra_batch *batch) {
    return ra_batch_body_bytes(batch) + HELD_OVERHEAD_BYTES;
}

// Merges a full set of tiny batches into one, which is held instead.
static int fold_tiny(ra_writer *writer, ra_error *err) {
    ra_batch *merged;
    RA_TRY(join(writer->tiny, writer->n_tiny, &merged, err));
    if (!merged)
        return store_held(writer, err);
    int64_t bytes = held_bytes(merged);
    int rc = ra_writer_charge(writer, bytes, err);
    if (rc != 0) {
        ra_batch_unref(merged);
        return rc;
    }
    for (int i = 0; i < writer->n_tiny; i++)
        ra_batch_unref(writer->tiny[i]);
    ra_writer_release(writer, writer->tiny_bytes);
    writer->n_tiny = 0;
    writer->tiny_bytes = 0;
    writer->merged[writer->n_merged++] = merged;
    writer->merged_bytes += bytes;
    return 0;
}

static int hold(ra_writer *writer, ra_batch *batch, ra_error *err) {
    if (writer->run_rows > INT32_MAX - batch->n_rows)
        RA_TRY(store_held(writer, err));
    ra_batch *held = ra_batch_ref(batch);
    if (batch->schema != writer->schema) {
        ra_batch_unref(held);
        RA_TRY(ra_batch_rebind(batch, writer->schema, NULL, batch->n_columns, NULL, &held, err));
    }
    int64_t bytes = held_bytes(batch);
    int rc = ra_writer_charge(writer, bytes, err);
    if (rc != 0) {
        ra_batch_unref(held);
        return rc;
    }
    writer->tiny[writer->n_tiny++] = held;
    writer->run_rows += batch->n_rows;
    writer->tiny_bytes += bytes;
    writer->run_length++;
    if (writer->n_tiny == RA_WRITER_RUN)
        RA_TRY(fold_tiny(writer, err));
    bool is_full = writer->merged_bytes >= MERGED_BYTES || writer->n_merged == RA_WRITER_RUN ||
                   (writer->merges_all && writer->tiny_bytes >= MERGED_BYTES);
    if (is_full && is_long_enough(writer))
        RA_TRY(store_held(writer, err));
    return 0;
}

int ra_writer_flush_merge(ra_writer *writer, ra_error *err) {
    RA_TRY(store_held(writer, err));
    writer->run_length = 0;
    return 0;
}

int ra_writer_merge(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata, ra_error *err) {
    int64_t limit = writer->merges_all ? MERGED_BYTES / 2 : TINY_BYTES;
    if (!app_metadata && ra_batch_body_bytes(batch) < limit && batch->n_rows < INT32_MAX)
        return hold(writer, batch, err);
    RA_TRY(ra_writer_flush_merge(writer, err));
    return ra_writer_store(writer, batch, app_metadata, err);
}
