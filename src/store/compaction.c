#include "store/compaction.h"

#include <string.h>

#include "store/content_parts.h"
#include "store/record.h"
#include "store/writer.h"

enum { SMALL_BYTES = 1024 * 1024, MAX_RATIO = 2 };

// Bodies of the segment's batches, of some columns too; what is not small need not be exact.
static int64_t part_bytes(const ra_part *part) {
    const ra_segment *segment = part->segment;
    const ra_segment_entry *entries =
        &segment->entries[segment->n_dictionaries + part->first_batch];
    int64_t bytes = 0;
    for (int i = 0; i < part->n_batches && bytes < SMALL_BYTES; i++)
        bytes += entries[i].body_bytes;
    return bytes;
}

static int count_generations(const ra_content *content, int first) {
    int n = 0;
    uint64_t in_force = 0;
    for (int i = first; i < content->n_parts; i++) {
        uint64_t key = ra_part_dictionary_key(content, &content->parts[i]);
        n += key != in_force;
        in_force = key;
    }
    return n;
}

// Dictionaries stay as they were sent while there are few.
static bool may_unify(const ra_content *content) {
    return count_generations(content, 0) > RA_MAX_DICTIONARY_GENERATIONS;
}

bool ra_compaction_find(const ra_content *content, int *first) {
    int min_parts = content->store->options.compact_parts;
    int begin = content->n_parts;  // of the small parts at the end
    while (begin > 0 && content->n_parts - begin < min_parts &&
           part_bytes(&content->parts[begin - 1]) < SMALL_BYTES)
        begin--;
    if (content->n_parts - begin < min_parts)
        return false;
    int64_t bytes = 0;
    for (*first = content->n_parts; *first > 0; --*first) {
        int64_t more = part_bytes(&content->parts[*first - 1]);
        if (more >= SMALL_BYTES || (bytes > 0 && more > MAX_RATIO * bytes))
            break;
        bytes += more;
    }
    int n = content->n_parts - *first;
    return n > 1 && (may_unify(content) || count_generations(content, *first) <= n / 2);
}

int ra_compaction_work(ra_request *request, ra_error *err) {
    ra_content *content = request->change.content;
    int first;
    bool found = ra_compaction_find(content, &first);
    ra_assert(found && !request->merged);
    ra_write_kind kind =
        request->change.kind == RA_KIND_DATASET ? RA_WRITE_DURABLE : RA_WRITE_RESULT;
    ra_writer *writer;
    RA_TRY(ra_writer_new(content->store, content->schema, kind, &writer, err));
    ra_writer_merge_all(writer, may_unify(content));
    int rc = ra_content_write_batches(content, content->batch_starts[first], content->n_batches,
                                      writer, err);
    if (rc == 0)
        rc = ra_writer_finish(writer, &request->merged, err);
    ra_writer_free(writer);
    return rc;
}

static bool is_same_part(const ra_part *a, const ra_part *b) {
    return a->segment == b->segment && a->first_batch == b->first_batch &&
           a->n_batches == b->n_batches && a->n_columns == b->n_columns &&
           (a->n_columns <= 0 ||
            memcmp(a->columns, b->columns, (size_t)a->n_columns * sizeof *a->columns) == 0);
}

static bool begins_with(const ra_content *longer, const ra_content *shorter) {
    if (longer->n_parts < shorter->n_parts)
        return false;
    for (int i = 0; i < shorter->n_parts; i++) {
        if (!is_same_part(&longer->parts[i], &shorter->parts[i]))
            return false;
    }
    return true;
}

static int add_parts(ra_part_list *list, const ra_content *content, int first, int end,
                     ra_error *err) {
    for (int i = first; i < end; i++) {
        const ra_part *part = &content->parts[i];
        RA_TRY(ra_part_list_add(list, part->segment, part->first_batch, part->n_batches,
                                part->columns, part->n_columns, err));
    }
    return 0;
}

// `now` with the parts [first, end) replaced.
static int replace_parts(const ra_content *now, int first, int end, const ra_content *merged,
                         ra_content **out, ra_error *err) {
    ra_part_list list = {0};
    int rc = add_parts(&list, now, 0, first, err);
    if (rc == 0)
        rc = add_parts(&list, merged, 0, merged->n_parts, err);
    if (rc == 0)
        rc = add_parts(&list, now, end, now->n_parts, err);
    if (rc != 0) {
        ra_part_list_fini(&list);
        return rc;
    }
    return ra_content_from_list(now->store, now->schema, &list, now->combined, out, err);
}

// The Flight with the same versions, but for the newest one's content.
static int put_content(ra_transaction *t, ra_request *request, const ra_flight *old,
                       ra_content *content, ra_error *err) {
    const ra_version *newest = ra_flight_newest(old);
    ra_flight draft = ra_flight_draft(old), *flight;
    ra_version *versions[RA_MAX_KEEP_VERSIONS];
    memcpy(versions, old->versions, (size_t)old->n_versions * sizeof *versions);
    draft.versions = versions;
    ra_version *version;
    RA_TRY(ra_version_new(old, newest->number, newest->created_ns, content, &version, err));
    versions[old->n_versions - 1] = version;
    int rc = ra_flight_new(&draft, &flight, err);
    ra_version_unref(version);
    if (rc != 0)
        return rc;
    rc = ra_transaction_put(t, old, flight, err);
    if (rc == 0)
        ra_request_answer(request, flight, false);
    ra_flight_unref(flight);
    return rc;
}

// Hardly fewer parts: the next attempt would find as many again, and so for ever.
static bool is_in_vain(int n_before, int n_after) {
    return n_after > n_before - n_before / 4;
}

int ra_compaction_commit(ra_transaction *t, ra_request *request, ra_error *err) {
    const ra_content *before = request->change.content;
    const ra_flight *flight = ra_id_tree_get(&t->state.flights, request->change.flight_id);
    if (!flight || !begins_with(ra_flight_newest(flight)->content, before)) {
        request->result.reused = true;
        return 0;
    }
    int first;
    bool found = ra_compaction_find(before, &first);
    ra_assert(found);
    if (is_in_vain(before->n_parts - first, request->merged->n_parts)) {
        request->result.reused = true;
        return 0;
    }
    if (flight->kind == RA_KIND_DATASET)
        RA_TRY(ra_change_sync(t, request->merged, err));
    ra_content *compact;
    RA_TRY(replace_parts(ra_flight_newest(flight)->content, first, before->n_parts, request->merged,
                         &compact, err));
    int rc = put_content(t, request, flight, compact, err);
    ra_content_unref(compact);
    return rc;
}
