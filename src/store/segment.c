#include "store/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "store/disk.h"
#include "store/xxh3.h"

void ra_segment_print_path(const ra_store *store, uint64_t id, bool placed, char *path) {
    snprintf(path, RA_SEGMENT_PATH_BYTES, "%s/%016" PRIx64 ".arrow",
             placed ? store->segments_dir : store->tmp_dir, id);
}

static void free_memory(ra_segment *segment) {
    if (segment->app_metadata) {
        for (int i = 0; i < segment->n_batches; i++)
            ra_blob_unref(segment->app_metadata[i]);
    }
    ra_free(segment->entries);
    ra_free(segment->row_starts);
    ra_free(segment->column_bytes);
    ra_free(segment->app_metadata);
    ra_free(segment->verified);
    ra_free(segment->dictionaries);
    ra_schema_unref(segment->schema);
    pthread_mutex_destroy(&segment->lock);
    ra_free(segment);
}

int ra_segment_new(ra_store *store, uint64_t id, ra_schema *schema, int64_t file_bytes,
                   int n_dictionaries, int n_batches, ra_segment **out, ra_error *err) {
    *out = NULL;
    ra_segment *segment = ra_calloc(1, sizeof *segment);
    if (!segment)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a segment");
    size_t n_entries = (size_t)n_dictionaries + (size_t)n_batches;
    segment->schema = ra_schema_ref(schema);
    segment->entries = ra_calloc(n_entries, sizeof *segment->entries);
    segment->row_starts = ra_calloc((size_t)n_batches + 1, sizeof *segment->row_starts);
    segment->column_bytes = ra_calloc((size_t)schema->n_fields, sizeof *segment->column_bytes);
    segment->verified = ra_calloc(n_entries, sizeof *segment->verified);
    segment->dictionaries = ra_calloc((size_t)n_dictionaries, sizeof *segment->dictionaries);
    pthread_mutex_init(&segment->lock, NULL);
    if (!segment->entries || !segment->row_starts || !segment->column_bytes || !segment->verified ||
        !segment->dictionaries) {
        free_memory(segment);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a segment of %d batches", n_batches);
    }
    atomic_init(&segment->refs, 1);
    segment->store = store;
    segment->id = id;
    segment->file_bytes = file_bytes;
    segment->n_dictionaries = n_dictionaries;
    segment->n_batches = n_batches;
    segment->fd = -1;
    for (int i = 0; i < n_dictionaries; i++)
        segment->dictionaries[i].segment = segment;
    atomic_fetch_add(&store->n_segments, 1);
    atomic_fetch_add(&store->segment_bytes, file_bytes);
    *out = segment;
    return 0;
}

void ra_segment_seal(ra_segment *segment) {
    for (int i = 0; i < segment->n_batches; i++) {
        const ra_segment_entry *entry = &segment->entries[segment->n_dictionaries + i];
        segment->row_starts[i + 1] = segment->row_starts[i] + entry->n_rows;
    }
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    for (int i = 0; i < segment->n_dictionaries; i++)
        XXH3_64bits_update(&hash, &segment->entries[i].checksum, sizeof(uint64_t));
    segment->dictionary_hash = segment->n_dictionaries ? XXH3_64bits_digest(&hash) : 0;
}

static void remove_file(const ra_segment *segment) {
    char path[RA_SEGMENT_PATH_BYTES];
    ra_segment_print_path(segment->store, segment->id, segment->placed, path);
    ra_error err;
    if (ra_os_unlink(path, &err) != 0)
        ra_log(RA_LOG_WARNING, "store", "%s", err.message);
}

// Nobody has a reference any more.
static void destroy(ra_segment *segment) {
    ra_store *store = segment->store;
    ra_segment_cache_remove(store->cache, segment);
    if (segment->in_memory) {
        ra_free((void *)(uintptr_t)segment->map);
        ra_budget_release(store->options.budget, segment->file_bytes);
        atomic_fetch_sub(&store->memory_bytes, segment->file_bytes);
    } else if (segment->map) {
        ra_os_unmap(segment->map, (size_t)segment->file_bytes);
        ra_os_close(segment->fd);
        atomic_fetch_sub(&store->open_segments, 1);
    }
    if (!segment->in_memory && !atomic_load(&segment->adopted))
        remove_file(segment);
    if (atomic_load(&segment->damaged))
        atomic_fetch_sub(&store->n_damaged_segments, 1);
    atomic_fetch_sub(&store->n_segments, 1);
    atomic_fetch_sub(&store->segment_bytes, segment->file_bytes);
    free_memory(segment);
}

static void destroy_later(ra_task *task) {
    destroy((ra_segment *)((char *)task - offsetof(ra_segment, removal)));
}

// Removing a file of 640 MB takes 30 ms: too long for a thread that serves all connections.
static void destroy_off_io_thread(ra_segment *segment) {
    ra_workers *workers = segment->store->file_workers;
    if (segment->in_memory || !workers || !ra_os_thread_is_nonblocking()) {
        destroy(segment);
        return;
    }
    segment->removal.run = destroy_later;
    ra_workers_submit(workers, &segment->removal);
}

ra_segment *ra_segment_ref(ra_segment *segment) {
    int before = atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return segment;
}

void ra_segment_unref(ra_segment *segment) {
    if (!segment)
        return;
    int before = atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before == 1)
        destroy_off_io_thread(segment);
}

void ra_segment_hold(ra_segment *segment) {
    pthread_mutex_lock(&segment->lock);
    segment->n_holds++;
    pthread_mutex_unlock(&segment->lock);
}

void ra_segment_drop_hold(ra_segment *segment) {
    pthread_mutex_lock(&segment->lock);
    ra_assert(segment->n_holds > 0);
    segment->n_holds--;
    pthread_mutex_unlock(&segment->lock);
    ra_segment_unref(segment);
}

int ra_segment_fd(const ra_segment *segment) {
    return segment->fd;
}

void ra_segment_adopt(ra_segment *segment) {
    ra_assert(!segment->in_memory);
    atomic_store(&segment->adopted, true);
}

void ra_segment_orphan(ra_segment *segment) {
    atomic_store(&segment->adopted, false);
}

int ra_segment_set_app_metadata(ra_segment *segment, int batch, ra_span bytes, ra_error *err) {
    ra_assert(batch >= 0 && batch < segment->n_batches);
    if (!segment->app_metadata) {
        segment->app_metadata =
            ra_calloc((size_t)segment->n_batches, sizeof *segment->app_metadata);
        if (!segment->app_metadata)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for app_metadata");
    }
    ra_blob *blob;
    RA_TRY(ra_blob_new((size_t)bytes.bytes, &blob, err));
    if (bytes.bytes > 0)
        memcpy(blob->data, bytes.data, (size_t)bytes.bytes);
    ra_blob_unref(segment->app_metadata[batch]);
    segment->app_metadata[batch] = blob;
    segment->entries[segment->n_dictionaries + batch].app_metadata_bytes = bytes.bytes;
    return 0;
}

void ra_segment_note_damage(ra_segment *segment) {
    if (!atomic_exchange(&segment->damaged, true))
        atomic_fetch_add(&segment->store->n_damaged_segments, 1);
}

static int sync_file(ra_segment *segment, ra_error *err) {
    RA_TRY(ra_os_sync(segment->fd, err));
    return ra_os_sync_dir(segment->store->segments_dir, err);
}

int ra_segment_sync(ra_segment *segment, ra_error *err) {
    ra_store *store = segment->store;
    if (!store->options.durable)
        return 0;
    if (atomic_load(&segment->synced))
        return 0;
    RA_TRY(ra_segment_use(segment, err));
    int rc = sync_file(segment, err);
    if (rc != 0)
        rc = ra_store_word_sync_failure(store, err);
    else
        atomic_store(&segment->synced, true);
    ra_segment_unref(segment);
    return rc;
}
