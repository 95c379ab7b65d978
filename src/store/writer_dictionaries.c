// Which dictionaries are in force. An IPC file holds one dictionary an id, so another one ends the
// segment. After RA_MAX_DICTIONARY_GENERATIONS sets the last one only grows: further dictionaries
// are unified into it by value, and it is written to the file again at its end.
#include <inttypes.h>
#include <string.h>

#include "arrow/equal.h"
#include "arrow/slice.h"
#include "base/os.h"
#include "store/dictionaries.h"
#include "store/writer.h"

enum { HELD_BYTES = 8 * 1024 * 1024 };  // of batches that wait to be unified, dictionaries included

static int n_ids(const ra_writer *writer) {
    return writer->schema->n_dictionaries;
}

static void drop_held(ra_writer *writer) {
    for (int i = 0; i < writer->n_held; i++) {
        ra_batch_unref(writer->held[i].batch);
        ra_blob_unref(writer->held[i].app_metadata);
    }
    writer->n_held = 0;
    ra_writer_release(writer, writer->held_bytes);
    writer->held_bytes = 0;
}

void ra_writer_drop_dictionaries(ra_writer *writer) {
    drop_held(writer);
    for (int i = 0; i < n_ids(writer); i++)
        ra_batch_unref(writer->dictionaries[i].batch);
    memset(writer->dictionaries, 0, (size_t)n_ids(writer) * sizeof *writer->dictionaries);
}

static XXH128_hash_t hash_encoded(const ra_ipc_encoded *encoded) {
    XXH3_state_t hash;
    XXH3_128bits_reset(&hash);
    XXH3_128bits_update(&hash, encoded->message.data, encoded->message.len);
    for (int i = 0; i < encoded->n_pieces; i++) {
        if (encoded->pieces[i].bytes > 0)
            XXH3_128bits_update(&hash, encoded->pieces[i].data, (size_t)encoded->pieces[i].bytes);
    }
    return XXH3_128bits_digest(&hash);
}

static int hash_dictionary(ra_writer *writer, const ra_batch *dictionary, int id,
                           XXH128_hash_t *hash, ra_error *err) {
    RA_TRY(ra_ipc_encode_dictionary(dictionary, id, &writer->encoded, err));
    *hash = hash_encoded(&writer->encoded);
    return 0;
}

// Whether the incoming dictionary `id` has the content of the one in force.
static int is_equal(ra_writer *writer, int id, bool *equal, ra_error *err) {
    ra_writer_dictionary *known = &writer->dictionaries[id];
    *equal = false;
    if (writer->incoming[id]->n_rows != known->batch->n_rows)
        return 0;
    if (!known->is_hashed)
        RA_TRY(hash_dictionary(writer, known->batch, id, &known->hash, err));
    known->is_hashed = true;
    XXH128_hash_t hash;
    RA_TRY(hash_dictionary(writer, writer->incoming[id], id, &hash, err));
    *equal = XXH128_isEqual(hash, known->hash);
    return 0;
}

// Dictionaries of SAME_CONTENT may also be missing where no row needs them.
typedef enum { SAME_OBJECTS, SAME_CONTENT, OTHERS } comparison;

static int compare_incoming(ra_writer *writer, comparison *out, ra_error *err) {
    *out = SAME_OBJECTS;
    for (int id = 0; id < n_ids(writer); id++) {
        const ra_batch *incoming = writer->incoming[id];
        if (incoming == writer->dictionaries[id].batch)
            continue;
        bool equal = true;
        if (incoming)
            RA_TRY(is_equal(writer, id, &equal, err));
        *out = equal ? SAME_CONTENT : OTHERS;
        if (!equal)
            return 0;
    }
    return 0;
}

static const ra_field *find_field(const ra_field *fields, int n, int64_t id) {
    for (int i = 0; i < n; i++) {
        if (fields[i].is_dictionary && fields[i].dictionary_id == id)
            return &fields[i];
        const ra_field *inner = find_field(fields[i].children, fields[i].n_children, id);
        if (inner)
            return inner;
    }
    return NULL;
}

// Takes the reference.
static void put_in_force(ra_writer *writer, int id, ra_batch *dictionary) {
    ra_batch_unref(writer->dictionaries[id].batch);
    writer->dictionaries[id] = (ra_writer_dictionary){.batch = dictionary};
}

// The incoming dictionaries are the ones in force from here on; an empty one stands for one that
// the batch does without, for IPC files must have them all.
static int adopt_incoming(ra_writer *writer, ra_error *err) {
    for (int id = 0; id < n_ids(writer); id++) {
        if (writer->incoming[id] == writer->dictionaries[id].batch && writer->incoming[id])
            continue;
        if (writer->incoming[id]) {
            put_in_force(writer, id, ra_batch_ref((ra_batch *)(uintptr_t)writer->incoming[id]));
        } else if (!writer->dictionaries[id].batch) {
            const ra_field *field =
                find_field(writer->schema->fields, writer->schema->n_fields, id);
            ra_batch *empty;
            RA_TRY(ra_dictionary_new(writer->schema, field, 0, &empty, err));
            put_in_force(writer, id, empty);
        }
    }
    return 0;
}

// A dictionary is sent as one message, with its metadata.
enum { MAX_DICTIONARY_BYTES = INT32_MAX - 64 * 1024 * 1024 };

static ra_batch *const *in_force(ra_writer *writer) {
    for (int id = 0; id < n_ids(writer); id++)
        writer->in_force[id] = writer->dictionaries[id].batch;
    return writer->in_force;
}

// Ends the segment; the next one has the incoming dictionaries.
static int begin_generation(ra_writer *writer, ra_error *err) {
    RA_TRY(ra_writer_flush_merge(writer, err));
    RA_TRY(ra_writer_end_segment(writer, err));
    writer->n_generations++;
    return adopt_incoming(writer, err);
}

int ra_writer_store_dictionaries(ra_writer *writer, ra_error *err) {
    int *ids = ra_calloc((size_t)n_ids(writer), sizeof *ids);
    if (!ids)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d dictionaries", n_ids(writer));
    ra_dictionaries_order(writer->schema, ids);
    int rc = 0;
    for (int i = 0; i < n_ids(writer) && rc == 0; i++) {
        const ra_batch *dictionary = writer->dictionaries[ids[i]].batch;
        rc = ra_ipc_encode_dictionary(dictionary, ids[i], &writer->encoded, err);
        if (rc == 0 && writer->encoded.body_bytes > MAX_DICTIONARY_BYTES)
            rc = ra_error_set(err, RA_REASON_LIMIT,
                              "a dictionary of %" PRId64 " bytes is larger than a message can be",
                              writer->encoded.body_bytes);
        if (rc == 0)
            rc = ra_segment_file_add_dictionary(writer->file, &writer->encoded, ids[i],
                                                dictionary->n_rows, err);
        if (rc == 0)
            writer->body_bytes += writer->encoded.body_bytes;
    }
    ra_free(ids);
    writer->dictionaries_grew = false;
    return rc;
}

// Whether `longer` begins with the values of `shorter`, so that rows that are in the file keep
// their meaning.
static bool begins_with(const ra_batch *longer, const ra_batch *shorter) {
    return longer == shorter || (longer->n_rows >= shorter->n_rows &&
                                 ra_array_ranges_equal(&longer->columns[0], 0, &shorter->columns[0],
                                                       0, shorter->n_rows, RA_FLOATS_AS_KEYS));
}

// Puts the dictionaries of a unified batch in force if those in force are their beginnings.
static int grow_dictionaries(ra_writer *writer, const ra_batch *unified, bool *done,
                             ra_error *err) {
    RA_TRY(ra_dictionaries_collect(unified, writer->incoming, err));
    *done = true;
    for (int id = 0; id < n_ids(writer) && *done; id++) {
        if (writer->incoming[id])
            *done = begins_with(writer->incoming[id], writer->dictionaries[id].batch);
    }
    if (!*done)
        return 0;
    RA_TRY(ra_writer_flush_merge(writer, err));
    writer->dictionaries_grew = writer->file != NULL;
    return adopt_incoming(writer, err);
}

// A batch without rows that has the dictionaries in force: the first one to be unified with.
static int make_carrier(ra_writer *writer, const ra_batch *like, ra_batch **out, ra_error *err) {
    ra_batch *empty;
    RA_TRY(ra_batch_slice(like, 0, 0, &empty, err));
    int rc =
        ra_batch_rebind(empty, writer->schema, NULL, empty->n_columns, in_force(writer), out, err);
    ra_batch_unref(empty);
    return rc;
}

// Passes a batch on whose dictionaries have the values of those in force, or their beginnings, or
// are missing: it gets the ones in force, so that batches can be joined.
static int pass_in_force(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata, ra_error *err) {
    RA_TRY(ra_dictionaries_collect(batch, writer->incoming, err));
    bool has_them = true;
    for (int id = 0; id < n_ids(writer); id++)
        has_them &= writer->incoming[id] == writer->dictionaries[id].batch;
    if (has_them)
        return ra_writer_merge(writer, batch, app_metadata, err);
    ra_batch *rebound;
    RA_TRY(ra_batch_rebind(batch, writer->schema, NULL, batch->n_columns, in_force(writer),
                           &rebound, err));
    int rc = ra_writer_merge(writer, rebound, app_metadata, err);
    ra_batch_unref(rebound);
    return rc;
}

typedef struct {
    ra_batch *batches[RA_WRITER_HELD + 1];
    int n;
    int n_carriers;  // in front of the held batches: 0 or 1
} unified_batches;

static void unified_fini(unified_batches *unified) {
    for (int i = 0; i < unified->n; i++)
        ra_batch_unref(unified->batches[i]);
    unified->n = 0;
}

// Unifies held batches [from, from + n), with the dictionaries in force if there is a carrier.
// Gives none when the index types are too narrow for that.
static int unify(ra_writer *writer, int from, int n, ra_batch *carrier, unified_batches *out,
                 ra_error *err) {
    ra_batch *batches[RA_WRITER_HELD + 1];
    *out = (unified_batches){.n_carriers = carrier ? 1 : 0};
    batches[0] = carrier;
    for (int i = 0; i < n; i++)
        batches[out->n_carriers + i] = writer->held[from + i].batch;
    ra_error why;
    int rc = ra_batches_unify_dictionaries(batches, out->n_carriers + n, out->batches, &why);
    if (rc == 0)
        out->n = out->n_carriers + n;
    if (rc == 0 || why.reason == RA_REASON_LIMIT)
        return 0;
    if (err)
        *err = why;
    return rc;
}

static int pass_unified(ra_writer *writer, int from, const unified_batches *unified,
                        ra_error *err) {
    for (int i = unified->n_carriers; i < unified->n; i++)
        RA_TRY(pass_in_force(writer, unified->batches[i],
                             writer->held[from + i - unified->n_carriers].app_metadata, err));
    return 0;
}

// Passes held batches on after their dictionaries were added to those in force, if that can be.
static int pass_grown(ra_writer *writer, int from, int n, bool *done, ra_error *err) {
    ra_batch *carrier;
    RA_TRY(make_carrier(writer, writer->held[from].batch, &carrier, err));
    unified_batches unified;
    int rc = unify(writer, from, n, carrier, &unified, err);
    ra_batch_unref(carrier);
    RA_TRY(rc);
    *done = false;
    if (unified.n > 0)
        rc = grow_dictionaries(writer, unified.batches[0], done, err);
    if (*done && rc == 0)
        rc = pass_unified(writer, from, &unified, err);
    unified_fini(&unified);
    return rc;
}

// Begins a segment with what held batches have in common, if that can be.
static int pass_anew(ra_writer *writer, int from, int n, bool *done, ra_error *err) {
    unified_batches unified;
    RA_TRY(unify(writer, from, n, NULL, &unified, err));
    *done = unified.n > 0;
    if (!*done)
        return 0;
    int rc = ra_dictionaries_collect(unified.batches[0], writer->incoming, err);
    if (rc == 0)
        rc = begin_generation(writer, err);
    if (rc == 0)
        rc = pass_unified(writer, from, &unified, err);
    unified_fini(&unified);
    return rc;
}

// Passes held batches on. Those in force cannot always grow: an index type may be too narrow, or
// values that are repeated would lose their numbers.
static int pass_held(ra_writer *writer, int from, int n, ra_error *err) {
    bool done;
    RA_TRY(pass_grown(writer, from, n, &done, err));
    if (!done)
        RA_TRY(pass_anew(writer, from, n, &done, err));
    if (done)
        return 0;
    if (n > 1) {
        RA_TRY(pass_held(writer, from, n / 2, err));
        return pass_held(writer, from + n / 2, n - n / 2, err);
    }
    RA_TRY(ra_dictionaries_collect(writer->held[from].batch, writer->incoming, err));
    RA_TRY(begin_generation(writer, err));
    return pass_in_force(writer, writer->held[from].batch, writer->held[from].app_metadata, err);
}

int ra_writer_flush_dictionaries(ra_writer *writer, ra_error *err) {
    if (writer->n_held > 0)
        RA_TRY(pass_held(writer, 0, writer->n_held, err));
    drop_held(writer);
    return 0;
}

static int hold(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata, ra_error *err) {
    int64_t bytes = ra_batch_body_bytes(batch);
    for (int id = 0; id < n_ids(writer); id++) {
        if (writer->incoming[id])
            bytes += ra_batch_body_bytes(writer->incoming[id]);
    }
    RA_TRY(ra_writer_charge(writer, bytes, err));
    writer->held_bytes += bytes;
    writer->held[writer->n_held++] =
        (ra_writer_held){ra_batch_ref(batch), app_metadata ? ra_blob_ref(app_metadata) : NULL};
    if (writer->n_held == RA_WRITER_HELD || writer->held_bytes >= HELD_BYTES)
        return ra_writer_flush_dictionaries(writer, err);
    return 0;
}

int ra_writer_pass_dictionaries(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata,
                                ra_error *err) {
    if (n_ids(writer) == 0)
        return ra_writer_merge(writer, batch, app_metadata, err);
    RA_TRY(ra_dictionaries_collect(batch, writer->incoming, err));
    if (writer->n_held > 0)
        return hold(writer, batch, app_metadata, err);
    comparison result = OTHERS;
    if (writer->n_generations > 0)
        RA_TRY(compare_incoming(writer, &result, err));
    if (result == SAME_OBJECTS)
        return ra_writer_merge(writer, batch, app_metadata, err);
    if (result == OTHERS && writer->n_generations >= writer->max_generations)
        return hold(writer, batch, app_metadata, err);
    if (result == OTHERS)
        RA_TRY(begin_generation(writer, err));
    return pass_in_force(writer, batch, app_metadata, err);
}
