#include <inttypes.h>

#include "base/os.h"
#include "store/changes.h"
#include "store/record.h"
#include "store/rows.h"

static int fail_exists(const ra_change *change, const ra_flight *flight, const char *why,
                       ra_error *err) {
    int rc = ra_error_set(err, RA_REASON_FLIGHT_EXISTS, "Flight '%.*s' exists (id %" PRId64 ")%s",
                          RA_STR_ARG(change->name), flight->id, why);
    ra_error_set_subject(err, "name", change->name.data, change->name.len);
    err->flight = flight->id;
    return rc;
}

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

static int publish_version(ra_transaction *t, ra_request *request, const ra_flight *old,
                           ra_content *content, ra_error *err) {
    const ra_change *change = &request->change;
    ra_flight draft = ra_flight_draft(old);
    ra_version *versions[RA_KEEP_VERSIONS];
    int n_kept = old->n_versions < RA_KEEP_VERSIONS ? old->n_versions : RA_KEEP_VERSIONS - 1;
    for (int i = 0; i < n_kept; i++)
        versions[i] = old->versions[old->n_versions - n_kept + i];
    if (change->kind == RA_KIND_DATASET)
        draft.kind = RA_KIND_DATASET;
    if (draft.kind == RA_KIND_DATASET)
        RA_TRY(sync_versions(t, old, content, err));
    draft.lineage = change->lineage;
    draft.has_command_key = false;
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
    if (newest->is_lost)
        RA_FAIL(err, DATA_LOSS, "Flight %" PRId64 ": a file of version %" PRId64 " is missing",
                old->id, newest->number);
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
    if (newest->is_lost || !equal_content(newest->content, change->content))
        return fail_exists(change, flight, " with other content", err);
    // Who uploads a table may rely on it being on disk.
    if (change->kind == RA_KIND_DATASET && flight->kind == RA_KIND_RESULT)
        RA_TRY(ra_change_keep_flight(t, flight, &flight, err));
    ra_request_answer(request, flight, true);
    return 0;
}

static int check_version(const ra_change *change, const ra_flight *flight, ra_error *err) {
    if (change->if_version < 0)
        return 0;
    int rc = 0;
    if (change->name.len == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "if_version needs a name");
    int64_t newest = flight ? ra_flight_newest(flight)->number : 0;
    if (!flight)
        rc = ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND,
                          "Flight '%.*s' does not exist; version %" PRId64 " was required",
                          RA_STR_ARG(change->name), change->if_version);
    else if (newest != change->if_version)
        rc = ra_error_set(err, RA_REASON_VERSION_CONFLICT,
                          "Flight '%.*s' (id %" PRId64 ") is at version %" PRId64 ", not %" PRId64,
                          RA_STR_ARG(change->name), flight->id, newest, change->if_version);
    if (rc != 0)
        ra_error_set_subject(err, "name", change->name.data, change->name.len);
    if (rc != 0 && flight)
        err->flight = flight->id;
    return rc;
}

int ra_change_publish(ra_transaction *t, ra_request *request, ra_error *err) {
    const ra_change *change = &request->change;
    if (change->name.len > 0)
        RA_TRY(ra_name_check(change->name, err));
    if (change->name.len == 0 && change->has_command_key) {
        ra_flight *same = ra_state_find_command(&t->state, change->command_key);
        if (same) {
            ra_request_answer(request, same, true);
            return 0;
        }
    }
    ra_flight *flight = change->name.len > 0 ? ra_state_find(&t->state, change->name) : NULL;
    if (flight && change->if_exists == RA_IF_EXISTS_ERROR)
        return fail_exists(change, flight, "", err);
    RA_TRY(check_version(change, flight, err));
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
    return fail_exists(change, flight, "", err);
}
