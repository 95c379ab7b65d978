// Reading an open segment: checksums, faulting in, decoding.
#include <inttypes.h>
#include <string.h>

#include "arrow/ipc.h"
#include "base/os.h"
#include "store/internal.h"
#include "store/mapped_io.h"

static int fail_read(ra_segment *segment, int64_t offset, const char *what, ra_error *err) {
    ra_segment_note_damage(segment);
    RA_FAIL(err, DATA_LOSS, "segment %016" PRIx64 ".arrow: %s at offset %" PRId64, segment->id,
            what, offset);
}

int ra_segment_verify(ra_segment *segment, int i, ra_error *err) {
    if (ra_segment_is_verified(segment, i))
        return 0;
    const ra_segment_entry *entry = &segment->entries[i];
    int64_t offset = entry->message_offset;
    uint64_t hash;
    if (!ra_mapped_io_hash(segment->map + offset, (size_t)(ra_segment_entry_end(entry) - offset),
                           &hash))
        return fail_read(segment, offset, "the file cannot be read", err);
    if (hash != entry->checksum)
        return fail_read(segment, offset, "bytes do not match their checksum", err);
    atomic_store_explicit(&segment->verified[i], 1, memory_order_release);
    return 0;
}

int ra_segment_fault_in(ra_segment *segment, int64_t offset, int64_t bytes, ra_error *err) {
    if (!ra_mapped_io_fault_in(segment->map + offset, (size_t)bytes))
        return fail_read(segment, offset, "the file cannot be read", err);
    return 0;
}

static void release_use(void *owner) {
    ra_segment_unref(owner);
}

// The mapping that a decoded dictionary points into is no longer needed: the dictionary dies.
static void forget_dictionary(void *owner) {
    ra_segment_dictionary *slot = owner;
    ra_segment *segment = slot->segment;
    pthread_mutex_lock(&segment->lock);
    slot->batch = NULL;
    pthread_mutex_unlock(&segment->lock);
    ra_segment_unref(segment);
}

// The dictionary in a slot with a reference, or NULL. One that is dying has no references left, but
// is there until forget_dictionary has passed the lock.
static ra_batch *share_dictionary(ra_segment_dictionary *slot) {
    pthread_mutex_lock(&slot->segment->lock);
    ra_batch *batch = slot->batch;
    int refs = batch ? atomic_load(&batch->refs) : 0;
    while (refs > 0 && !atomic_compare_exchange_weak(&batch->refs, &refs, refs + 1))
        ;
    pthread_mutex_unlock(&slot->segment->lock);
    return refs > 0 ? batch : NULL;
}

static ra_span message_of(const ra_segment *segment, const ra_segment_entry *entry) {
    return (ra_span){segment->map + entry->message_offset, entry->message_bytes};
}

static ra_span body_of(const ra_segment *segment, const ra_segment_entry *entry) {
    return (ra_span){segment->map + entry->body_offset, entry->body_bytes};
}

// Decodes the dictionary of entry `i`; `by_id` has those inside it.
static int decode_dictionary(ra_segment *segment, int i, ra_batch *const *by_id, ra_batch **out,
                             ra_error *err) {
    RA_TRY(ra_segment_verify(segment, i, err));
    ra_segment_dictionary *slot = &segment->dictionaries[i];
    ra_blob *mapping;
    RA_TRY(ra_blob_wrap(segment->map, (size_t)segment->file_bytes, forget_dictionary, slot,
                        &mapping, err));
    ra_segment_ref(segment);
    const ra_segment_entry *entry = &segment->entries[i];
    int64_t id;
    ra_batch *batch = NULL;
    int rc = ra_ipc_decode_own(segment->schema, message_of(segment, entry), body_of(segment, entry),
                               mapping, by_id, &id, &batch, err);
    if (rc == 0)
        rc = ra_batch_own(batch, mapping, err);
    if (rc == 0) {
        pthread_mutex_lock(&segment->lock);
        slot->batch = batch;
        pthread_mutex_unlock(&segment->lock);
        *out = batch;
    } else {
        ra_batch_unref(batch);
    }
    ra_blob_unref(mapping);
    return rc;
}

// All dictionaries by id, references; what others use already is shared, so that equal dictionaries
// are the same object. `by_id` is to be released by the caller also after an error.
static int read_dictionaries(ra_segment *segment, ra_batch **by_id, ra_error *err) {
    for (int i = 0; i < segment->n_dictionaries; i++) {
        int id = segment->entries[i].dictionary_id;
        ra_assert(!by_id[id]);
        by_id[id] = share_dictionary(&segment->dictionaries[i]);
        if (!by_id[id])
            RA_TRY(decode_dictionary(segment, i, by_id, &by_id[id], err));
    }
    return 0;
}

static int decode_batch(ra_segment *segment, int i, ra_schema *schema, ra_blob *mapping,
                        ra_batch **out, ra_error *err) {
    ra_batch **by_id = ra_calloc((size_t)segment->n_dictionaries, sizeof *by_id);
    if (!by_id)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d dictionaries", segment->n_dictionaries);
    const ra_segment_entry *entry = &segment->entries[segment->n_dictionaries + i];
    int64_t id;
    int rc = ra_segment_verify(segment, segment->n_dictionaries + i, err);
    if (rc == 0)
        rc = read_dictionaries(segment, by_id, err);
    if (rc == 0)
        rc = ra_ipc_decode_own(schema, message_of(segment, entry), body_of(segment, entry), mapping,
                               by_id, &id, out, err);
    for (int d = 0; d < segment->n_dictionaries; d++)
        ra_batch_unref(by_id[d]);
    ra_free(by_id);
    return rc;
}

int ra_segment_read_batch(ra_segment *segment, int i, ra_schema *schema, ra_batch **out,
                          ra_error *err) {
    *out = NULL;
    ra_assert(i >= 0 && i < segment->n_batches);
    RA_TRY(ra_segment_use(segment, err));
    ra_blob *mapping;
    int rc = ra_blob_wrap(segment->map, (size_t)segment->file_bytes, release_use, segment, &mapping,
                          err);
    if (rc != 0) {
        ra_segment_unref(segment);
        return rc;
    }
    rc = decode_batch(segment, i, schema, mapping, out, err);
    ra_blob_unref(mapping);
    return rc;
}
