#include <inttypes.h>

#include "base/os.h"
#include "store/changes.h"
#include "store/record.h"
#include "store/rows.h"

// `draft` becomes a Flight of the list, in the place of `old`; the answer shows it.
static int put_version(ra_transaction *t, ra_request *request, const ra_flight *old,
                       const ra_flight *draft, ra_error *err) {
    ra_flight *flight;
    RA_TRY(ra_flight_new(draft, &flight, err));
    int rc = ra_transaction_put(t, old, flight, err);
    if (rc == 0)
        rc = ra_transaction_event(t, old ? RA_EVENT_VERSION : RA_EVENT_CREATED, flight, err);
    if (rc == 0)
        ra_request_answer(request, flight, false);
    ra_flight_unref(flight);
    return rc;
}

static int publish_new(ra_transaction *t, ra_request *request, ra_error *err) {
    const ra_change *change = &request->change;
    bool is_upload = change->kind == RA_KIND_DATASET;
    if (change->name.len > 0)
        RA_TRY(ra_change_claim_name(t, change->name, is_upload, err));
    if (is_upload)
        RA_TRY(ra_change_sync(t, change->content, err));
    ra_str name = change->name;
    ra_version *version;
    ra_flight draft = {.id = ra_transaction_give_id(t),
                       .kind = change->kind,
                       .n_names = name.len > 0,
                       .names = &name,
                       .n_versions = 1,
                       .versions = &version,
                       .created_ns = ra_os_wall_ns(),
                       .created_by = change->caller,
                       .lineage = change->lineage,
                       .legacy_command = change->legacy_command,
                       .row = t->state.next_row++};
    ra_os_random(draft.uid, sizeof draft.uid);
    if (change->has_command_key && !ra_state_find_command(&t->state, change->command_key)) {
        draft.has_command_key = true;
        memcpy(draft.command_key, change->command_key, sizeof draft.command_key);
    }
    RA_TRY(ra_version_new(&draft, 1, draft.created_ns, change->content, &version, err));
    int rc = put_version(t, request, NULL, &draft, err);
    ra_version_unref(version);
    return rc;
}

// Of a Flight that is or becomes a dataset every version is on disk.
static int sync_versions(ra_transaction *t, const ra_flight *old, ra_content *content,
                         ra_error *err) {
    RA_TRY(ra_change_sync(t, content, err));
    if (old->kind == RA_KIND_DATASET)
        return 0;
    for (int i = 0; i < old->n_versions; i++) {
        RA_TRY(ra_change_sync(t, old->versions[i]->content, err));
        RA_TRY(ra_rows_mark_synced(t->sql, old->versions[i]->content, err));
    }
    return 0;
}

static bool answers_same_command(const ra_change *change, const ra_flight *old) {
    return change->has_command_key && old->has_command_key &&
           memcmp(change->command_key, old->command_key, sizeof old->command_key) == 0;
}

static int publish_version(ra_transaction *t, ra_request *request, const ra_flight *old,
                           ra_content *content, ra_error *err) {
    const ra_change *change = &request->change;
    ra_flight draft = ra_flight_draft(old);
    ra_version *versions[RA_MAX_KEEP_VERSIONS];
    int n_kept = t->catalog->store->options.keep_versions - 1;
    if (n_kept > old->n_versions)
        n_kept = old->n_versions;
    for (int i = 0; i < n_kept; i++)
        versions[i] = old->versions[old->n_versions - n_kept + i];
    if (change->kind == RA_KIND_DATASET)
        draft.kind = RA_KIND_DATASET;
    if (draft.kind == RA_KIND_DATASET)
        RA_TRY(sync_versions(t, old, content, err));
    draft.lineage = change->lineage;
    draft.has_command_key = answers_same_command(change, old);
    draft.n_versions = n_kept + 1;
    draft.versions = versions;
    RA_TRY(ra_version_new(old, ra_flight_newest(old)->number + 1, ra_os_wall_ns(), content,
                          &versions[n_kept], err));
    int rc = put_version(t, request, old, &draft, err);
    ra_version_unref(versions[n_kept]);
    if (rc == 0)
        ra_flight_touch(request->result.flight);
    return rc;
}

static int append(ra_transaction *t, ra_request *request, ra_flight *old, ra_error *err) {
    const ra_version *newest = ra_flight_newest(old);
    if (ra_version_is_failed(newest))
        RA_FAIL(err, DATA_LOSS,
                "Flight %" PRId64 ": a file of version %" PRId64 " is missing or damaged", old->id,
                newest->number);
    ra_content *both[] = {newest->content, request->change.content}, *joined;
    RA_TRY(ra_content_concat(both, 2, &joined, err));
    int rc = publish_version(t, request, old, joined, err);
    ra_content_unref(joined);
    return rc;
}

static bool equal_content(const ra_content *a, const ra_content *b) {
    return a->n_rows == b->n_rows && a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] &&
           ra_schema_equal(a->schema, b->schema, true);
}

static int reuse(ra_transaction *t, ra_request *request, ra_flight *flight, ra_error *err) {
    const ra_change *change = &request->change;
    const ra_version *newest = ra_flight_newest(flight);
    if (ra_version_is_failed(newest) || !equal_content(newest->content, change->content))
        return ra_flight_fail_exists(flight, change->name, " with other content", err);
    // Who uploads a table may rely on it being on disk.
    if (change->kind == RA_KIND_DATASET && flight->kind == RA_KIND_RESULT)
        RA_TRY(ra_change_keep_flight(t, flight, &flight, err));
    ra_request_answer(request, flight, true);
    return 0;
}

int ra_change_publish(ra_transaction *t, ra_request *request, ra_error *err) {
    const ra_change *change = &request->change;
    if (change->name.len > 0)
        RA_TRY(ra_name_check(change->name, err));
    if (change->name.len == 0 && change->has_command_key) {
        ra_flight *same = ra_state_find_command(&t->state, change->command_key);
        if (same && request->remakes && ra_version_is_failed(ra_flight_newest(same)))
            return publish_version(t, request, same, change->content, err);
        if (same) {
            ra_request_answer(request, same, true);
            return 0;
        }
    }
    ra_flight *flight = change->name.len > 0 ? ra_state_find(&t->state, change->name) : NULL;
    RA_TRY(ra_if_exists_check(change->name, flight, change->if_exists, change->if_version, err));
    if (!flight)
        return publish_new(t, request, err);
    switch (change->if_exists) {
        case RA_IF_EXISTS_REPLACE:
            return publish_version(t, request, flight, change->content, err);
        case RA_IF_EXISTS_APPEND:
            return append(t, request, flight, err);
        case RA_IF_EXISTS_REUSE:
            return reuse(t, request, flight, err);
        case RA_IF_EXISTS_ERROR:
            break;
    }
    RA_FAIL(err, INTERNAL, "a name that exists was not refused");
}
