#include "flight/action.h"

#include <inttypes.h>

#include "base/os.h"
#include "flight/request.h"
#include "query/json_writer.h"

enum { ANSWER_CEILING = 64 * 1024 * 1024 };

const ra_action ra_actions[] = {
    {.type = "delete",
     .description = "Ends a Flight: {\"id\": 3} or {\"name\": \"x\"}, or the id as text",
     .changes = true,
     .start = ra_action_delete},
    {.type = "clear",
     .description =
         "Empties the list; {\"kind\": \"result\"} only results, {\"purge\": true} for good",
     .changes = true,
     .local_only = true,
     .start = ra_action_clear},
    {.type = "shutdown",
     .description = "Finishes the calls that run, then ends the server",
     .local_only = true,
     .start = ra_action_shutdown},
    {.type = "rename",
     .description =
         "Gives a Flight another name: {\"id\": 3, \"to\": \"x\", \"if_exists\": \"error\"}",
     .changes = true,
     .json_body = true,
     .start = ra_action_rename},
    {.type = "keep",
     .description = "Makes a result a durable dataset: {\"id\": 3}",
     .changes = true,
     .json_body = true,
     .start = ra_action_keep},
    {.type = "unkeep",
     .description = "Makes a kept result a result again: {\"id\": 3}",
     .changes = true,
     .json_body = true,
     .start = ra_action_unkeep},
    {.type = "versions",
     .description = "Lists the versions of a Flight: {\"id\": 3}",
     .json_body = true,
     .start = ra_action_versions},
    {.type = "explain",
     .description = "Canonical plan and schema of a command, which is not run",
     .json_body = true,
     .start = ra_action_explain},
    {.type = "equals",
     .description = "Compares {\"left\": …, \"right\": …, \"check_metadata\": false}",
     .json_body = true,
     .start = ra_action_equals},
    {.type = "export",
     .description = "Writes a file in the data directory: {\"id\": 3, \"file\": \"x.parquet\"}, "
                    "also .csv, .arrow",
     .changes = true,
     .json_body = true,
     .start = ra_action_export},
    {.type = "save",
     .description =
         "Names a Flight, keeps it and exports NAME, Parquet by default: the text <id> <name>",
     .changes = true,
     .start = ra_action_save},
    {.type = "backup",
     .description = "Copies the whole store to a folder of the server: {\"name\": \"monday\"}",
     .local_only = true,
     .json_body = true,
     .start = ra_action_backup},
    {.type = "server-info",
     .description = "Version, limits and features of the server",
     .json_body = true,
     .start = ra_action_server_info},
    {.type = "watch",
     .description = "Streams what happens to Flights: {\"after\": 0, \"name\": \"ta*\"}",
     .json_body = true,
     .start = ra_action_watch,
     .on_output = ra_action_watch_output,
     .on_drain = ra_action_watch_drain,
     .on_end = ra_action_watch_end},
    {.type = "CancelFlightInfo",
     .description = "Explicitly cancel a running FlightInfo.",
     .start = ra_action_cancel_flight_info},
    {.type = "RenewFlightEndpoint",
     .description = "Extend expiration time of the given FlightEndpoint.",
     .start = ra_action_renew_endpoint}};
const int ra_n_actions = sizeof ra_actions / sizeof *ra_actions;

// The next type of a comma-separated list, blanks around it dropped; moves `*at` behind it.
static ra_str next_type(const char **at) {
    ra_str type = {*at, strcspn(*at, ",")};
    *at += type.len + ((*at)[type.len] == ',');
    while (type.len > 0 && type.data[0] == ' ')
        type = (ra_str){type.data + 1, type.len - 1};
    while (type.len > 0 && type.data[type.len - 1] == ' ')
        type.len--;
    return type;
}

bool ra_action_is_listed(const ra_action *action, const char *list) {
    for (const char *at = list; at && *at;)
        if (ra_str_eq(next_type(&at), ra_str_of(action->type)))
            return true;
    return false;
}

static const ra_action *find_type(ra_str type) {
    for (int i = 0; i < ra_n_actions; i++)
        if (ra_str_eq(type, ra_str_of(ra_actions[i].type)))
            return &ra_actions[i];
    return NULL;
}

int ra_action_list_check(const char *list, const char *option, ra_error *err) {
    for (const char *at = list; at && *at;) {
        ra_str type = next_type(&at);
        if (!find_type(type))
            RA_FAIL(err, INVALID_ARGUMENT, "%s: there is no action '%.*s'", option,
                    RA_STR_ARG(type));
    }
    return 0;
}

bool ra_action_is_disabled(const ra_app *app, const ra_action *action) {
    return ra_action_is_listed(action, app->disabled_actions);
}

const ra_action *ra_action_find(const ra_app *app, ra_str type) {
    const ra_action *action = find_type(type);
    return action && !ra_action_is_disabled(app, action) ? action : NULL;
}

ra_action_call *ra_action_ref(ra_action_call *action) {
    atomic_fetch_add(&action->refs, 1);
    return action;
}

void ra_action_unref(ra_action_call *action) {
    if (atomic_fetch_sub(&action->refs, 1) != 1)
        return;
    if (action->free_state)
        action->free_state(action->state);
    json_decref(action->json);
    ra_bytes_fini(&action->request);
    ra_free(action);
}

void ra_action_post(ra_action_call *action, void (*fn)(ra_call *call, struct ra_post *post)) {
    action->post = (ra_post){.to = action->call, .fn = fn};
    ra_wire_post(action->app->wire, &action->post);
}

int ra_action_send(ra_call *call, ra_str body, ra_error *err) {
    return ra_reply_send_field(call, 1, body, err);
}

int ra_action_reply_json(ra_call *call, json_t *json, ra_error *err) {
    ra_bytes text;
    ra_bytes_init(&text, ANSWER_CEILING);
    int rc = ra_json_write(json, &text, err);
    json_decref(json);
    if (rc == 0)
        rc = ra_action_send(call, ra_bytes_str(&text), err);
    ra_bytes_fini(&text);
    if (rc == 0)
        ra_call_finish(call, NULL);
    return rc;
}

int ra_action_reply_text(ra_call *call, const char *text, ra_error *err) {
    RA_TRY(ra_action_send(call, ra_str_of(text), err));
    ra_call_finish(call, NULL);
    return 0;
}

int ra_json_check_keys(const json_t *json, const char *const *allowed, ra_error *err) {
    for (void *i = json_object_iter((json_t *)(uintptr_t)json); i;
         i = json_object_iter_next((json_t *)(uintptr_t)json, i)) {
        const char *const *word = allowed;
        while (*word && strcmp(*word, json_object_iter_key(i)) != 0)
            word++;
        if (!*word)
            RA_FAIL(err, INVALID_ARGUMENT, "unknown key \"%.100s\"", json_object_iter_key(i));
    }
    return 0;
}

// A number from `min` on; absent gives `missing`.
static int read_number(const json_t *json, const char *key, int64_t min, int64_t missing,
                       int64_t *out, ra_error *err) {
    const json_t *value = json_object_get(json, key);
    *out = value ? json_integer_value(value) : missing;
    if (value && (!json_is_integer(value) || *out < min))
        RA_FAIL(err, INVALID_ARGUMENT, "\"%s\" must be a number from %" PRId64, key, min);
    return 0;
}

int ra_action_find_flight(const ra_action_call *action, const char *const *allowed,
                          ra_flight **flight, ra_version **version, ra_error *err) {
    const json_t *name = json_object_get(action->json, "name");
    int64_t id, number;
    RA_TRY(ra_json_check_keys(action->json, allowed, err));
    RA_TRY(read_number(action->json, "id", 0, -1, &id, err));
    RA_TRY(read_number(action->json, "version", 1, 0, &number, err));
    if ((id < 0) == (name == NULL))
        RA_FAIL(err, INVALID_ARGUMENT, "one of \"id\" and \"name\" must name the Flight");
    if (id >= 0)
        return ra_store_get(action->app->store, id, number, flight, version, err);
    if (!json_is_string(name))
        RA_FAIL(err, INVALID_ARGUMENT, "\"name\" must be text");
    return ra_store_find(action->app->store,
                         (ra_str){json_string_value(name), json_string_length(name)}, number,
                         flight, version, err);
}
