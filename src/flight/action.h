// Actions: one table, from which DoAction, ListActions and docs/actions.md come.
#ifndef RA_FLIGHT_ACTION_H
#define RA_FLIGHT_ACTION_H

#include <jansson.h>

#include "flight/app.h"
#include "flight/command.h"

typedef struct ra_action ra_action;

// One DoAction call. Referenced by the call and by whatever works for it elsewhere.
typedef struct ra_action_call {
    atomic_int refs;
    ra_app *app;
    ra_call_ref call;
    const ra_action *action;
    ra_bytes request;
    ra_str body;   // points into `request`
    json_t *json;  // the body as an object, or NULL when it is not JSON (legacy, protobuf, empty)
    void *state;   // of the action
    struct ra_action_job *job;  // in `state`, or NULL; ends with the call
    void (*free_state)(void *state);
    ra_task task;                 // reads a large body on a worker
    ra_error err;                 // of that
    ra_post post;                 // for one answer from elsewhere
    atomic_int_least64_t run_ns;  // when a job began to work for it; 0: none has
} ra_action_call;

struct ra_action {
    const char *type;
    const char *description;
    bool changes;     // refused by a read-only server
    bool local_only;  // refused to peers that are not local unless --allow-remote-action names it
    bool json_body;   // the body must be a JSON object (or empty, which stands for {})
    // Answers now or later: sends Results and ends the call. On failure the caller ends it.
    int (*start)(ra_call *call, ra_action_call *action, ra_error *err);
    void (*on_output)(ra_call *call, ra_action_call *action);  // or NULL
    void (*on_drain)(ra_call *call);                           // or NULL
    void (*on_end)(ra_action_call *action);                    // or NULL
};

extern const ra_action ra_actions[];
extern const int ra_n_actions;
// NULL when there is none of that type, or it is disabled on this server.
const ra_action *ra_action_find(const ra_app *app, ra_str type);
// Whether a comma-separated list of types (may be NULL) holds this one.
bool ra_action_is_listed(const ra_action *action, const char *list);
// Refuses a list that names an action which does not exist; `option` is named in the error.
RA_MUST int ra_action_list_check(const char *list, const char *option, ra_error *err);
bool ra_action_is_disabled(const ra_app *app, const ra_action *action);

ra_action_call *ra_action_ref(ra_action_call *action);
void ra_action_unref(ra_action_call *action);
// Runs fn(call, post) on the I/O thread, with call == NULL when it has ended; fn gives back the
// reference that the caller holds for it (ra_action_of_post, ra_action_unref).
void ra_action_post(ra_action_call *action, void (*fn)(ra_call *call, struct ra_post *post));
static inline ra_action_call *ra_action_of_post(ra_post *post) {
    return (ra_action_call *)((char *)post - offsetof(ra_action_call, post));
}

// Sends one Result whose body is the text.
RA_MUST int ra_action_send(ra_call *call, ra_str body, ra_error *err);
// Sends one Result with JSON (taken) and ends the call.
RA_MUST int ra_action_reply_json(ra_call *call, json_t *json, ra_error *err);
RA_MUST int ra_action_reply_text(ra_call *call, const char *text, ra_error *err);

// The Flight that {"id": 3} or {"name": "x"} (and "version") names, as references; other keys of
// the body must be among `allowed` (NULL-terminated). KEY: INVALID_ARGUMENT, FLIGHT_NOT_FOUND.
RA_MUST int ra_action_find_flight(const ra_action_call *action, const char *const *allowed,
                                  ra_flight **flight, ra_version **version, ra_error *err);
// Refuses keys of a JSON object that are not among `allowed`.
RA_MUST int ra_json_check_keys(const json_t *json, const char *const *allowed, ra_error *err);

// The actions themselves, a file for each kind.
RA_MUST int ra_action_delete(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_clear(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_rename(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_keep(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_unkeep(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_shutdown(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_versions(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_explain(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_equals(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_export(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_backup(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_save(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_server_info(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_watch(ra_call *call, ra_action_call *action, ra_error *err);
void ra_action_watch_output(ra_call *call, ra_action_call *action);
void ra_action_watch_drain(ra_call *call);
void ra_action_watch_end(ra_action_call *action);
RA_MUST int ra_action_cancel_flight_info(ra_call *call, ra_action_call *action, ra_error *err);
RA_MUST int ra_action_renew_endpoint(ra_call *call, ra_action_call *action, ra_error *err);

#endif
