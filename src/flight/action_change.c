// Actions that change the list: delete, clear, rename, keep, unkeep; and shutdown.
#include <inttypes.h>
#include <stdio.h>

#include "base/os.h"
#include "flight/action.h"
#include "flight/descriptor.h"
#include "flight/flight_info.h"
#include "flight/put_options.h"

enum { JSON_CEILING = 4 * 1024 * 1024, TEXT_BYTES = 128 };

typedef struct {
    ra_action_call *action;
    ra_change_result result;
    int64_t flight_id;
    // Words the answer of a change that was made.
    int (*answer)(ra_call *call, ra_action_call *action, ra_error *err);
} change_state;

static void free_state(void *state) {
    change_state *change = state;
    ra_flight_unref(change->result.flight);
    ra_version_unref(change->result.version);
    ra_free(change);
}

static void changed(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    change_state *state = action->state;
    ra_error err;
    if (call && state->result.err.code != RA_OK)
        ra_call_finish(call, &state->result.err);
    else if (call && state->answer(call, action, &err) != 0)
        ra_call_finish(call, &err);
    ra_action_unref(action);
}

static void change_done(void *context, ra_change_result *result) {
    change_state *state = context;
    state->result = *result;
    ra_action_post(state->action, changed);
}

static int start_change(ra_call *call, ra_action_call *action, ra_change *change,
                        int (*answer)(ra_call *call, ra_action_call *action, ra_error *err),
                        ra_error *err) {
    char caller[RA_CALLER_BYTES];
    change->caller = ra_app_caller(call, caller);
    change_state *state = ra_calloc(1, sizeof *state);
    if (!state)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    state->action = action;
    state->answer = answer;
    state->flight_id = change->flight_id;
    action->state = state;
    action->free_state = free_state;
    ra_action_ref(action);
    int rc = ra_store_change(action->app->store, change, change_done, state, err);
    if (rc != 0)
        ra_action_unref(action);
    return rc;
}

// The Flight that the body names: JSON, or (legacy) the id as text.
static int named_flight(const ra_action_call *action, const char *const *allowed, int64_t *id,
                        ra_error *err) {
    ra_flight *flight;
    ra_version *version;
    if (!action->json && !ra_number_read(action->body, id))
        RA_FAIL(err, INVALID_ARGUMENT, "the body is the id of a Flight or {\"id\": …}, not '%.*s'",
                RA_STR_ARG(action->body));
    RA_TRY(action->json ? ra_action_find_flight(action, allowed, &flight, &version, err)
                        : ra_store_get(action->app->store, *id, 0, &flight, &version, err));
    *id = flight->id;
    ra_flight_unref(flight);
    ra_version_unref(version);
    return 0;
}

static const char *const target_keys[] = {"id", "name", NULL};

static int answer_deleted(ra_call *call, ra_action_call *action, ra_error *err) {
    const change_state *state = action->state;
    if (!action->json) {
        char text[TEXT_BYTES];
        snprintf(text, sizeof text, "Flight %" PRId64 " deleted", state->flight_id);
        return ra_action_reply_text(call, text, err);
    }
    json_t *json = json_pack("{s:I, s:I, s:I}", "deleted", (json_int_t)state->flight_id,
                             "bytes_freed", (json_int_t)state->result.bytes_freed, "bytes_later",
                             (json_int_t)state->result.bytes_later);
    return ra_action_reply_json(call, json, err);
}

int ra_action_delete(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_change change = {.change = RA_CHANGE_DELETE};
    RA_TRY(named_flight(action, target_keys, &change.flight_id, err));
    ra_call_account_of(call)->flight = change.flight_id;
    return start_change(call, action, &change, answer_deleted, err);
}

static int answer_cleared(ra_call *call, ra_action_call *action, ra_error *err) {
    const change_state *state = action->state;
    if (!action->json)
        return ra_action_reply_text(call, "all Flights cleared", err);
    json_t *json = json_pack("{s:b, s:I, s:I}", "cleared", 1, "bytes_freed",
                             (json_int_t)state->result.bytes_freed, "bytes_later",
                             (json_int_t)state->result.bytes_later);
    return ra_action_reply_json(call, json, err);
}

int ra_action_clear(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"kind", "purge", NULL};
    ra_change change = {.change = RA_CHANGE_CLEAR};
    if (action->json) {
        const json_t *kind = json_object_get(action->json, "kind");
        const json_t *purge = json_object_get(action->json, "purge");
        RA_TRY(ra_json_check_keys(action->json, keys, err));
        if (kind && (!json_is_string(kind) || strcmp(json_string_value(kind), "result") != 0))
            RA_FAIL(err, INVALID_ARGUMENT, "\"kind\" can only be \"result\"");
        if (purge && !json_is_boolean(purge))
            RA_FAIL(err, INVALID_ARGUMENT, "\"purge\" is true or false");
        change.results_only = kind != NULL;
        change.purge = json_is_true(purge);
    }
    if (!action->json && action->body.len > 0)
        RA_FAIL(err, INVALID_ARGUMENT, "the body of 'clear' is empty or a JSON object");
    return start_change(call, action, &change, answer_cleared, err);
}

static int answer_flight(ra_call *call, ra_action_call *action, ra_error *err) {
    const change_state *state = action->state;
    const ra_change_result *result = &state->result;
    ra_bytes json;
    ra_bytes_init(&json, JSON_CEILING);
    int rc = ra_flight_json(result->flight, result->version, false, &json, err);
    if (rc == 0)
        rc = ra_action_send(call, ra_bytes_str(&json), err);
    ra_bytes_fini(&json);
    if (rc == 0)
        ra_call_finish(call, NULL);
    return rc;
}

int ra_action_rename(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"id", "name", "to", "if_exists", NULL};
    ra_change change = {.change = RA_CHANGE_RENAME};
    RA_TRY(named_flight(action, keys, &change.flight_id, err));
    ra_call_account_of(call)->flight = change.flight_id;
    const json_t *to = json_object_get(action->json, "to");
    const json_t *if_exists = json_object_get(action->json, "if_exists");
    if (!json_is_string(to))
        RA_FAIL(err, INVALID_ARGUMENT, "\"to\" must be the new name");
    if (if_exists) {
        const char *word = json_string_value(if_exists);
        RA_TRY(ra_if_exists_read(ra_str_of(word ? word : ""), &change.if_exists, err));
        if (change.if_exists != RA_IF_EXISTS_ERROR && change.if_exists != RA_IF_EXISTS_REPLACE)
            RA_FAIL(err, INVALID_ARGUMENT, "\"if_exists\" of a rename is \"error\" or \"replace\"");
    }
    change.name = (ra_str){json_string_value(to), json_string_length(to)};
    RA_TRY(ra_name_check(change.name, err));
    return start_change(call, action, &change, answer_flight, err);
}

static int keep(ra_call *call, ra_action_call *action, ra_change_kind kind, ra_error *err) {
    ra_change change = {.change = kind};
    RA_TRY(named_flight(action, target_keys, &change.flight_id, err));
    ra_call_account_of(call)->flight = change.flight_id;
    return start_change(call, action, &change, answer_flight, err);
}

int ra_action_keep(ra_call *call, ra_action_call *action, ra_error *err) {
    return keep(call, action, RA_CHANGE_KEEP, err);
}

int ra_action_unkeep(ra_call *call, ra_action_call *action, ra_error *err) {
    return keep(call, action, RA_CHANGE_UNKEEP, err);
}

int ra_action_shutdown(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_app *app = action->app;
    RA_TRY(ra_action_reply_text(call, "shutting down", err));
    app->request_shutdown(app->shutdown_context);
    return 0;
}
