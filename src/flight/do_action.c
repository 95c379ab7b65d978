// DoAction: finds the action in the table, checks who may, reads the body, runs it.
#include "base/os.h"
#include "flight/action_job.h"
#include "flight/request.h"
#include "query/json_reader.h"
#include "wire/protobuf.h"

enum { TYPE = 1, BODY = 2 };

static int check_allowed(const ra_call *call, const ra_app *app, const ra_action *action,
                         ra_error *err) {
    if (action->changes && app->read_only)
        RA_FAIL(err, READ_ONLY, "the server is read-only");
    if (action->local_only && !ra_call_peer_is_local(call) &&
        !ra_action_is_listed(action, app->remote_actions))
        RA_FAIL(err, PERMISSION_DENIED, "'%s' is allowed to local clients only", action->type);
    return 0;
}

static int read_body(ra_action_call *action, ra_error *err) {
    size_t blanks = 0;
    while (blanks < action->body.len && strchr(" \t\r\n", action->body.data[blanks]))
        blanks++;
    bool looks_like_json = blanks < action->body.len && action->body.data[blanks] == '{';
    if (action->action->json_body && action->body.len == 0) {
        action->json = json_object();
        if (!action->json)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
        return 0;
    }
    if (!looks_like_json && !action->action->json_body)
        return 0;
    RA_TRY(ra_json_read(action->body, &action->json, err));
    if (!json_is_object(action->json))
        RA_FAIL(err, MALFORMED_REQUEST, "the body of '%s' is not a JSON object",
                action->action->type);
    return 0;
}

static void body_read(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    ra_error err;
    if (call && action->err.code != RA_OK)
        ra_call_finish(call, &action->err);
    else if (call && action->action->start(call, action, &err) != 0)
        ra_call_finish(call, &err);
    ra_action_unref(action);
}

static void read_large_body(ra_task *task) {
    ra_action_call *action = (ra_action_call *)((char *)task - offsetof(ra_action_call, task));
    if (read_body(action, &action->err) != 0)
        ra_assert(action->err.code != RA_OK);
    ra_action_post(action, body_read);
}

static int read_request(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_app *app = action->app;
    ra_str type;
    RA_TRY(ra_request_field(ra_bytes_str(&action->request), TYPE, &type, err));
    RA_TRY(ra_request_field(ra_bytes_str(&action->request), BODY, &action->body, err));
    action->action = ra_action_find(app, type);
    ra_call_note(call, type, action->body);
    if (!action->action)
        RA_FAIL(err, UNKNOWN_ACTION, "there is no action '%.*s'", RA_STR_ARG(type));
    return check_allowed(call, app, action->action, err);
}

static int start(ra_call *call, ra_bytes *message, ra_error *err) {
    ra_action_call *action = ra_calloc(1, sizeof *action);
    if (!action)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    atomic_init(&action->refs, 1);
    ra_error_init(&action->err);
    action->app = ra_app_of(call);
    action->call = ra_call_get_ref(call);
    action->request = ra_bytes_move(message);
    ra_call_set_state(call, action);
    RA_TRY(read_request(call, action, err));
    if (action->body.len > RA_QUICK_COMMAND_BYTES) {
        action->task.run = read_large_body;
        ra_action_ref(action);
        ra_workers_submit(action->app->workers, &action->task);
        return 0;
    }
    RA_TRY(read_body(action, err));
    return action->action->start(call, action, err);
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    if (start(call, message, &err) != 0)
        ra_call_finish(call, &err);
    ra_bytes_fini(message);
}

static void on_output(ra_call *call) {
    ra_action_call *action = ra_call_state(call);
    if (action && action->action && action->action->on_output)
        action->action->on_output(call, action);
}

static void on_drain(ra_call *call) {
    const ra_action_call *action = ra_call_state(call);
    if (action && action->action && action->action->on_drain)
        action->action->on_drain(call);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    ra_action_call *action = ra_call_state(call);
    if (!action)
        return;
    if (action->action && action->action->on_end)
        action->action->on_end(action);
    if (action->job)
        ra_action_job_end(action->job);
    int64_t run_ns = atomic_load(&action->run_ns);
    if (run_ns != 0)
        ra_call_account_of(call)->run_ns = run_ns;
    ra_action_unref(action);
}

const ra_method ra_method_do_action = {.path = RA_FLIGHT_PATH("DoAction"),
                                       .max_message_bytes = RA_SMALL_MESSAGE_BYTES,
                                       .on_message = on_message,
                                       .on_output = on_output,
                                       .on_drain = on_drain,
                                       .on_end = on_end};
