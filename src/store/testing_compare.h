// For tests only: whether a store is the world that a story told.
#ifndef RA_STORE_TESTING_COMPARE_H
#define RA_STORE_TESTING_COMPARE_H

#include "store/testing_story.h"

// What may be otherwise than told.
typedef struct {
    bool results_may_be_lost;  // gone, or DATA_LOSS when read
    bool data_loss;            // any read may end so
    bool hidden_is_hidden;     // the store was not started since: what clear hid is not listed
} compare_rules;

typedef struct {
    char text[512];  // the first difference, empty if none
} compare_result;

#define COMPARE_FAIL(result, ...)                                    \
    do {                                                             \
        snprintf((result)->text, sizeof(result)->text, __VA_ARGS__); \
        return false;                                                \
    } while (0)

static inline bool compare_rows(const ra_batch *a, int64_t a_from, const ra_batch *b,
                                int64_t b_from, int64_t n) {
    ra_error err;
    ra_batch *x, *y;
    if (a->n_columns != b->n_columns)
        return false;
    testing_check(ra_batch_slice(a, a_from, n, &x, &err), &err);
    testing_check(ra_batch_slice(b, b_from, n, &y, &err), &err);
    bool equal = true;
    for (int i = 0; i < a->n_columns && equal; i++)
        equal = ra_array_equal(&x->columns[i], &y->columns[i], true);
    ra_batch_unref(x);
    ra_batch_unref(y);
    return equal;
}

static inline bool compare_note(ra_content *content, int64_t i, const char *note) {
    ra_error err;
    ra_blob *blob;
    testing_check(ra_content_app_metadata(content, i, &blob, &err), &err);
    size_t bytes = blob ? blob->bytes : 0;
    bool equal = bytes == strlen(note) && (bytes == 0 || memcmp(blob->data, note, bytes) == 0);
    ra_blob_unref(blob);
    return equal;
}

// A place among the rows of a table.
typedef struct {
    const story_table *table;
    int batch;
    int64_t row;
} compare_place;

// Whether the rows of `batch` are the next ones of the table.
static inline bool compare_batch(compare_place *at, const ra_batch *batch) {
    for (int64_t row = 0; row < batch->n_rows;) {
        while (at->batch < at->table->n && at->row == at->table->batches[at->batch]->n_rows) {
            at->batch++;
            at->row = 0;
        }
        if (at->batch == at->table->n)
            return false;
        const ra_batch *expected = at->table->batches[at->batch];
        int64_t n = expected->n_rows - at->row;
        n = n < batch->n_rows - row ? n : batch->n_rows - row;
        if (!compare_rows(batch, row, expected, at->row, n))
            return false;
        at->row += n;
        row += n;
    }
    return true;
}

// Reads all of a content. A read that fails is `lost`, which must be DATA_LOSS.
static inline bool compare_content(ra_content *content, const story_table *table, bool *lost,
                                   compare_result *result) {
    *lost = false;
    if (!table->may_be_compacted && memcmp(content->hash, table->hash, sizeof table->hash) != 0)
        COMPARE_FAIL(result, "another content hash");
    if (!ra_schema_equal(content->schema, table->schema, true))
        COMPARE_FAIL(result, "another schema");
    if (table->as_received && content->n_batches != table->n)
        COMPARE_FAIL(result, "%" PRId64 " batches, not %d", content->n_batches, table->n);
    compare_place place = {.table = table};
    int64_t n_rows = 0;
    for (int i = 0; i < table->n; i++)
        n_rows += table->batches[i]->n_rows;
    if (content->n_rows != n_rows)
        COMPARE_FAIL(result, "%" PRId64 " rows, not %" PRId64, content->n_rows, n_rows);
    for (int64_t i = 0; i < content->n_batches; i++) {
        ra_error err;
        ra_batch *batch;
        if (ra_content_batch(content, i, &batch, &err) != 0) {
            *lost = err.reason == RA_REASON_DATA_LOSS;
            COMPARE_FAIL(result, "batch %" PRId64 ": %.300s", i, err.message);
        }
        bool equal = compare_batch(&place, batch);
        n_rows -= batch->n_rows;
        ra_batch_unref(batch);
        if (!equal)
            COMPARE_FAIL(result, "batch %" PRId64 " has other rows", i);
        if (table->as_received && !compare_note(content, i, table->notes[i]))
            COMPARE_FAIL(result, "batch %" PRId64 " has other app_metadata", i);
    }
    if (n_rows != 0)
        COMPARE_FAIL(result, "%" PRId64 " rows too few", n_rows);
    return true;
}

static inline bool compare_version(const ra_version *version, const struct story_version *known,
                                   bool may_be_lost, compare_result *result) {
    if (version->number != known->number)
        COMPARE_FAIL(result, "version %" PRId64 ", not %" PRId64, version->number, known->number);
    if (version->is_lost) {
        snprintf(result->text, sizeof result->text, "a file is lost");
        return may_be_lost;
    }
    bool lost;
    return compare_content(version->content, known->table, &lost, result) || (lost && may_be_lost);
}

static inline bool compare_flight(const ra_flight *flight, const story_flight *known,
                                  bool may_be_lost, compare_result *result) {
    if (flight->id != known->id && !known->hidden)
        COMPARE_FAIL(result, "it has id %" PRId64, flight->id);
    if ((flight->kind == RA_KIND_RESULT) != known->is_result || flight->kept != known->kept)
        COMPARE_FAIL(result, "another kind, or kept");
    bool named = flight->n_names == 1 && ra_str_eq(flight->names[0], ra_str_of(known->name));
    if (known->name[0] ? !named : flight->n_names != 0)
        COMPARE_FAIL(result, "another name");
    if (flight->n_versions != known->n_versions)
        COMPARE_FAIL(result, "%d versions, not %d", flight->n_versions, known->n_versions);
    for (int i = 0; i < known->n_versions; i++) {
        compare_result why = {""};
        if (!compare_version(flight->versions[i], &known->versions[i], may_be_lost, &why))
            COMPARE_FAIL(result, "version %d: %.400s", i, why.text);
    }
    return true;
}

// Whether the listed Flights are those of `world`, each with all it has to give.
static inline bool compare_snapshot(const ra_snapshot *snapshot, const story_world *world,
                                    compare_rules rules, compare_result *result) {
    int64_t n_found = 0, n_listed = 0, next_id = -1;
    for (int i = 0; i < world->n_flights; i++) {
        const story_flight *known = &world->flights[i];
        const ra_flight *flight = story_find_uid(snapshot, known->uid);
        bool may_be_lost = rules.results_may_be_lost && known->is_result;
        bool may_be_gone = may_be_lost || (known->is_result && !known->written);
        if (known->hidden && rules.hidden_is_hidden ? flight != NULL : !flight && !may_be_gone)
            COMPARE_FAIL(result, "Flight %" PRId64 " '%s': %s", known->id, known->name,
                         flight ? "it is listed" : "it is missing");
        if (!flight)
            continue;
        n_found++;
        // What was hidden comes back in order, behind the others.
        bool in_place = next_id < 0 ? flight->id >= world->floor : flight->id == next_id;
        if (known->hidden && !in_place)
            COMPARE_FAIL(result, "Flight '%s' came back as %" PRId64, known->name, flight->id);
        next_id = known->hidden ? flight->id + 1 : next_id;
        compare_result why = {""};
        if (!compare_flight(flight, known, may_be_lost || rules.data_loss, &why))
            COMPARE_FAIL(result, "Flight %" PRId64 " '%s': %.400s", known->id, known->name,
                         why.text);
    }
    for (int64_t id = 0; id < ra_snapshot_count(snapshot); id++) {
        const ra_flight *flight = ra_snapshot_get(snapshot, id);
        n_listed += flight != NULL;
        for (int i = 0; flight && i < flight->n_names; i++) {
            if (ra_snapshot_find(snapshot, flight->names[i]) != flight)
                COMPARE_FAIL(result, "Flight %" PRId64 ": its name is another's", id);
        }
    }
    if (n_listed != n_found)
        COMPARE_FAIL(result, "%" PRId64 " Flights too many", n_listed - n_found);
    return true;
}

static inline bool compare_store(ra_store *store, const story_world *world, compare_rules rules,
                                 compare_result *result) {
    ra_snapshot *snapshot = ra_store_snapshot(store);
    bool equal = compare_snapshot(snapshot, world, rules, result);
    ra_snapshot_unref(snapshot);
    return equal;
}

#endif
