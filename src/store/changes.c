#include "store/changes.h"

#include <inttypes.h>

#include "base/os.h"
#include "store/compaction.h"
#include "store/record.h"
#include "store/rows.h"

int ra_change_sync(ra_transaction *t, const ra_content *content, ra_error *err) {
    if (!t->catalog->store->options.durable)
        return 0;
    for (int i = 0; i < content->n_parts; i++)
        RA_TRY(ra_segment_sync(content->parts[i].segment, err));
    return 0;
}

// Puts a record made of `draft` in the place of `old`.
static int put_draft(ra_transaction *t, const ra_flight *old, const ra_flight *draft,
                     ra_flight **out, ra_error *err) {
    RA_TRY(ra_flight_new(draft, out, err));
    int rc = ra_transaction_put(t, old, *out, err);
    ra_flight_unref(*out);  // the state has it
    return rc;
}

int ra_change_keep_flight(ra_transaction *t, ra_flight *old, ra_flight **out, ra_error *err) {
    ra_flight draft = ra_flight_draft(old);
    draft.kind = RA_KIND_DATASET;
    draft.kept = true;
    for (int i = 0; i < old->n_versions; i++)
        RA_TRY(ra_change_sync(t, old->versions[i]->content, err));
    RA_TRY(put_draft(t, old, &draft, out, err));
    for (int i = 0; i < old->n_versions; i++)
        RA_TRY(ra_rows_mark_synced(t->sql, old->versions[i]->content, err));
    return 0;
}

static int keep(ra_transaction *t, ra_request *request, ra_error *err) {
    ra_flight *flight;
    RA_TRY(ra_state_get(&t->state, request->change.flight_id, &flight, err));
    bool is_kept = flight->kind == RA_KIND_DATASET;
    if (!is_kept) {
        RA_TRY(ra_store_check_disk(t->catalog->store, 0, err));
        RA_TRY(ra_change_keep_flight(t, flight, &flight, err));
    }
    ra_request_answer(request, flight, is_kept);
    return 0;
}

static int unkeep(ra_transaction *t, ra_request *request, ra_error *err) {
    ra_flight *flight;
    RA_TRY(ra_state_get(&t->state, request->change.flight_id, &flight, err));
    bool is_result = flight->kind == RA_KIND_RESULT;
    if (!is_result && !flight->kept)
        RA_FAIL(err, INVALID_ARGUMENT, "Flight %" PRId64 " was uploaded, not kept", flight->id);
    if (!is_result) {
        ra_flight draft = ra_flight_draft(flight);
        draft.kind = RA_KIND_RESULT;
        draft.kept = false;
        RA_TRY(put_draft(t, flight, &draft, &flight, err));
    }
    ra_request_answer(request, flight, is_result);
    return 0;
}

static int delete_flight(ra_transaction *t, ra_request *request, ra_error *err) {
    ra_flight *flight;
    RA_TRY(ra_state_get(&t->state, request->change.flight_id, &flight, err));
    if (request->change.if_expired && !ra_janitor_is_expired(flight)) {
        request->result.reused = true;
        return 0;
    }
    RA_TRY(ra_transaction_event(t, RA_EVENT_DELETED, flight, err));
    return ra_transaction_put(t, flight, NULL, err);
}

// A copy of `names` without `name` in `out`, which has room for all; returns how many.
static int names_without(const ra_flight *flight, ra_str name, ra_str *out) {
    int n = 0;
    for (int i = 0; i < flight->n_names; i++) {
        if (!ra_str_eq(flight->names[i], name))
            out[n++] = flight->names[i];
    }
    return n;
}

static int take_name_from_hidden(ra_transaction *t, ra_flight *old, ra_str name, ra_error *err) {
    ra_str *names = ra_calloc((size_t)old->n_names, sizeof *names);
    if (!names)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to change the names of a Flight");
    ra_flight draft = ra_flight_draft(old);
    draft.n_names = names_without(old, name, names);
    draft.names = names;
    ra_flight *new;
    int rc = ra_flight_new(&draft, &new, err);
    ra_free(names);
    if (rc != 0)
        return rc;
    rc = RA_SQL_RUN(t->sql, err, DELETE_NAME, ra_sql_str(name));
    if (rc == 0)
        rc = ra_state_unhide(&t->state, old, err);
    if (rc == 0)
        rc = ra_state_add_hidden(&t->state, new, err);
    ra_flight_unref(new);
    return rc;
}

int ra_change_claim_name(ra_transaction *t, ra_str name, bool is_upload, ra_error *err) {
    ra_flight *hidden = ra_state_find_hidden(&t->state, name);
    if (!hidden)
        return 0;
    if (!is_upload)
        return take_name_from_hidden(t, hidden, name, err);
    for (int i = 0; i < hidden->n_versions; i++)
        RA_TRY(ra_request_release(t->request, hidden->versions[i]->content, err));
    RA_TRY(ra_rows_write(t, hidden, NULL, err));
    return ra_state_unhide(&t->state, hidden, err);
}

// The Flight that has the name now remains, without it.
static int take_name_from(ra_transaction *t, ra_flight *other, ra_str name, ra_error *err) {
    ra_str *names = ra_calloc((size_t)other->n_names, sizeof *names);
    if (!names)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to change the names of a Flight");
    ra_flight draft = ra_flight_draft(other), *new;
    draft.n_names = names_without(other, name, names);
    draft.names = names;
    int rc = put_draft(t, other, &draft, &new, err);
    ra_free(names);
    return rc ? rc : ra_transaction_event(t, RA_EVENT_RENAMED, new, err);
}

static int rename_flight(ra_transaction *t, ra_request *request, ra_error *err) {
    const ra_change *change = &request->change;
    RA_TRY(ra_name_check(change->name, err));
    ra_flight *flight;
    RA_TRY(ra_state_get(&t->state, change->flight_id, &flight, err));
    ra_flight *other = ra_state_find(&t->state, change->name);
    if (other == flight && flight->n_names == 1) {
        ra_request_answer(request, flight, true);
        return 0;
    }
    if (other && other != flight) {
        if (change->if_exists != RA_IF_EXISTS_REPLACE)
            return ra_flight_fail_exists(other, change->name, "", err);
        RA_TRY(take_name_from(t, other, change->name, err));
    }
    RA_TRY(ra_change_claim_name(t, change->name, false, err));
    ra_flight draft = ra_flight_draft(flight), *renamed;
    ra_str name = change->name;
    draft.n_names = 1;
    draft.names = &name;
    RA_TRY(put_draft(t, flight, &draft, &renamed, err));
    ra_request_answer(request, renamed, false);
    return ra_transaction_event(t, RA_EVENT_RENAMED, renamed, err);
}

static int set_legacy_command(ra_transaction *t, ra_request *request, ra_error *err) {
    ra_flight *flight;
    RA_TRY(ra_state_get(&t->state, request->change.flight_id, &flight, err));
    if (flight->legacy_command.len > 0)
        return 0;
    ra_flight draft = ra_flight_draft(flight);
    draft.legacy_command = request->change.legacy_command;
    return put_draft(t, flight, &draft, &flight, err);
}

static int run_kind(ra_transaction *t, ra_request *request, ra_error *err) {
    switch (request->change.change) {
        case RA_CHANGE_PUBLISH:
            return ra_change_publish(t, request, err);
        case RA_CHANGE_DELETE:
            return delete_flight(t, request, err);
        case RA_CHANGE_RENAME:
            return rename_flight(t, request, err);
        case RA_CHANGE_KEEP:
            return keep(t, request, err);
        case RA_CHANGE_UNKEEP:
            return unkeep(t, request, err);
        case RA_CHANGE_CLEAR:
            return ra_change_clear(t, request, err);
        case RA_CHANGE_FILE:
            return 0;
        case RA_CHANGE_LEGACY_COMMAND:
            return set_legacy_command(t, request, err);
        case RA_CHANGE_COMPACT:
            return ra_compaction_commit(t, request, err);
    }
    RA_FAIL(err, INTERNAL, "unknown change %d", (int)request->change.change);
}

static int remember_file(const ra_transaction *t, ra_request *request, ra_error *err) {
    ra_file_mark *mark = &request->file->mark;
    const ra_flight *flight = request->result.flight;
    if (flight) {
        mark->has_uid = true;
        memcpy(mark->uid, flight->uid, sizeof mark->uid);
    }
    return RA_SQL_RUN(t->sql, err, PUT_FILE, ra_sql_str(request->file->name),
                      ra_sql_int(mark->bytes), ra_sql_int(mark->time_ns),
                      ra_sql_bytes(mark->hash, sizeof mark->hash),
                      mark->has_uid ? ra_sql_bytes(mark->uid, sizeof mark->uid) : ra_sql_null());
}

int ra_change_run(ra_transaction *t, ra_request *request, ra_error *err) {
    RA_TRY(run_kind(t, request, err));
    return request->file ? remember_file(t, request, err) : 0;
}
