// watch: a stream of events, from a sequence number on; one JSON object a Result.
#include "base/glob.h"
#include "base/json_text.h"
#include "base/os.h"
#include "flight/action.h"
#include "flight/request.h"
#include "query/json_writer.h"

enum { EVENTS_AT_ONCE = 32, PATTERN_BYTES = 512, EVENT_CEILING = 4096 };

typedef struct {
    ra_action_call *action;
    int64_t sequence;  // of the last event that was looked at
    char name[PATTERN_BYTES];
    int64_t subscription;
    bool subscribed;
    atomic_bool waking;  // a post is on its way
} watch_state;

static const char *event_name(ra_event_kind kind) {
    static const char *const names[] = {
        [RA_EVENT_CREATED] = "created", [RA_EVENT_VERSION] = "version",
        [RA_EVENT_RENAMED] = "renamed", [RA_EVENT_DELETED] = "deleted",
        [RA_EVENT_EVICTED] = "evicted", [RA_EVENT_FAILED] = "failed",
        [RA_EVENT_CLEARED] = "cleared"};
    return names[kind];
}

static int send_event(ra_call *call, const ra_event *event, ra_error *err) {
    char when[RA_TIME_TEXT_BYTES];
    ra_time_text(event->time_ns, when);
    json_t *json =
        json_pack("{s:I, s:s, s:I, s:I, s:s, s:s}", "sequence", (json_int_t)event->sequence,
                  "event", event_name(event->kind), "id", (json_int_t)event->flight_id, "version",
                  (json_int_t)event->version, "name", event->name, "time", when);
    ra_bytes text;
    ra_bytes_init(&text, EVENT_CEILING);
    int rc = ra_json_write(json, &text, err);
    json_decref(json);
    if (rc == 0)
        rc = ra_action_send(call, ra_bytes_str(&text), err);
    ra_bytes_fini(&text);
    return rc;
}

static int64_t newest_sequence(const ra_app *app) {
    ra_snapshot *snapshot = ra_store_snapshot(app->store);
    int64_t sequence = ra_snapshot_sequence(snapshot);
    ra_snapshot_unref(snapshot);
    return sequence;
}

// A number that is not reached yet is of another store: what follows counts from now on.
static int send_lost(ra_call *call, watch_state *watch, ra_error *err) {
    int64_t newest = newest_sequence(watch->action->app);
    if (watch->sequence > newest)
        watch->sequence = newest;
    return ra_action_send(call, RA_STR("{\"event\": \"lost\"}"), err);
}

void ra_action_watch_output(ra_call *call, ra_action_call *action) {
    watch_state *watch = action->state;
    ra_event events[EVENTS_AT_ONCE];
    ra_error err;
    int n = 1, rc = 0;
    while (watch && rc == 0 && n > 0 && ra_call_can_send(call)) {
        bool lost;
        n = ra_store_events(action->app->store, watch->sequence, events, EVENTS_AT_ONCE, &lost);
        if (lost)
            rc = send_lost(call, watch, &err);
        for (int i = 0; i < n && rc == 0; i++) {
            if (!watch->name[0] || ra_glob_match(ra_str_of(watch->name), ra_str_of(events[i].name)))
                rc = send_event(call, &events[i], &err);
            watch->sequence = events[i].sequence;
        }
    }
    if (rc != 0)
        ra_call_finish(call, &err);
    else if (!ra_call_can_send(call))
        ra_call_want_output(call);
}

static void woken(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    watch_state *watch = action->state;
    atomic_store(&watch->waking, false);
    if (call)
        ra_action_watch_output(call, action);
    ra_action_unref(action);
}

// Catalog thread, after every commit.
static void wake(void *context) {
    watch_state *watch = context;
    if (atomic_exchange(&watch->waking, true))
        return;
    ra_action_ref(watch->action);
    ra_action_post(watch->action, woken);
}

static int read_watch(const ra_action_call *action, watch_state *watch, ra_error *err) {
    static const char *const keys[] = {"after", "name", NULL};
    RA_TRY(ra_json_check_keys(action->json, keys, err));
    const json_t *after = json_object_get(action->json, "after");
    const json_t *name = json_object_get(action->json, "name");
    if (after && (!json_is_integer(after) || json_integer_value(after) < 0))
        RA_FAIL(err, INVALID_ARGUMENT, "\"after\" must be a sequence number");
    if (name && (!json_is_string(name) || json_string_length(name) >= sizeof watch->name))
        RA_FAIL(err, INVALID_ARGUMENT, "\"name\" must be a pattern of at most %d bytes",
                PATTERN_BYTES - 1);
    if (name)
        memcpy(watch->name, json_string_value(name), json_string_length(name) + 1);
    watch->sequence = after ? json_integer_value(after) : newest_sequence(action->app);
    return 0;
}

static int fail_draining(ra_error *err) {
    RA_FAIL(err, UNAVAILABLE, "the server is shutting down");
}

void ra_action_watch_drain(ra_call *call) {
    ra_error err;
    int rc = fail_draining(&err);
    ra_reply_end(call, rc, &err);
}

int ra_action_watch(ra_call *call, ra_action_call *action, ra_error *err) {
    if (atomic_load(&action->app->draining))
        return fail_draining(err);
    watch_state *watch = ra_calloc(1, sizeof *watch);
    if (!watch)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    watch->action = action;
    action->state = watch;
    action->free_state = ra_free;
    RA_TRY(read_watch(action, watch, err));
    RA_TRY(ra_store_subscribe(action->app->store, wake, watch, &watch->subscription, err));
    watch->subscribed = true;
    ra_call_account_of(call)->waits = true;
    ra_call_send_headers(call);
    ra_action_watch_output(call, action);
    return 0;
}

void ra_action_watch_end(ra_action_call *action) {
    watch_state *watch = action->state;
    if (watch && watch->subscribed)
        ra_store_unsubscribe(action->app->store, watch->subscription);
}
