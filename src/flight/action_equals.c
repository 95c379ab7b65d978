// equals: whether two tables (Flights, or results of commands that are not published) are equal as
// pyarrow.Table.equals says.
#include "base/os.h"
#include "flight/action.h"
#include "flight/client.h"
#include "query/content_equal.h"
#include "query/json_writer.h"

typedef struct {
    ra_action_call *action;
    ra_command *commands[2];
    ra_content *contents[2];
    bool check_metadata;
    bool equal;
    ra_error err;
    ra_turn turn;  // comparing reads whole tables, as a job does
    ra_task task;
    atomic_bool cancelled;
} equals_state;

static void free_equals(void *state) {
    equals_state *equals = state;
    for (int side = 0; side < 2; side++) {
        ra_command_end(equals->commands[side]);
        ra_content_unref(equals->contents[side]);
    }
    ra_free(equals);
}

static void compared(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    equals_state *equals = action->state;
    ra_error err;
    ra_turn_give(&equals->turn);
    if (call && equals->err.code != RA_OK)
        ra_call_finish(call, &equals->err);
    else if (call &&
             ra_action_reply_json(call, json_pack("{s:b}", "equal", (int)equals->equal), &err) != 0)
        ra_call_finish(call, &err);
    ra_action_unref(action);
}

static void compare(ra_task *task) {
    equals_state *equals = (equals_state *)((char *)task - offsetof(equals_state, task));
    atomic_store(&equals->action->run_ns, ra_os_now_ns());
    if (ra_content_equal(equals->contents[0], equals->contents[1], equals->check_metadata,
                         &equals->cancelled, &equals->equal, &equals->err) != 0)
        ra_assert(equals->err.code != RA_OK);
    ra_action_post(equals->action, compared);
}

static void start_comparing(equals_state *equals) {
    ra_action_ref(equals->action);
    equals->task.run = compare;
    ra_workers_submit(equals->action->app->jobs, &equals->task);
}

static void turn_came(ra_call *call, ra_post *post) {
    equals_state *equals = (equals_state *)((char *)post - offsetof(equals_state, turn.post));
    if (call)
        start_comparing(equals);
    else
        ra_turn_give(&equals->turn);
    ra_action_unref(equals->action);
}

static void side_done(ra_call *call, equals_state *equals, int side, const ra_answer *answer) {
    if (answer->err->code != RA_OK) {
        ra_call_finish(call, answer->err);
        return;
    }
    equals->contents[side] = ra_content_ref(answer->content);
    if (!equals->contents[1 - side])
        return;
    bool now;
    ra_error err;
    if (ra_turn_take(call, &equals->turn, turn_came, &now, &err) != 0)
        ra_call_finish(call, &err);
    else if (now)
        start_comparing(equals);
    else
        ra_action_ref(equals->action);
}

static void left_done(ra_call *call, void *owner, const ra_answer *answer) {
    side_done(call, owner, 0, answer);
}

static void right_done(ra_call *call, void *owner, const ra_answer *answer) {
    side_done(call, owner, 1, answer);
}

// A source such as {"id": 3} becomes {"from": {"id": 3}}; nothing is published either way.
static int side_command(json_t *side, ra_bytes *out, ra_error *err) {
    json_t *command = json_object();
    int rc = json_object_get(side, "from") ? json_object_update(command, side)
                                           : json_object_set(command, "from", side);
    if (rc != 0 || json_object_set_new(command, "publish", json_false()) != 0)
        rc = ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for a request");
    else
        rc = ra_json_write(command, out, err);
    json_decref(command);
    return rc;
}

static int start_side(ra_call *call, equals_state *equals, int side, const char *key,
                      ra_error *err) {
    json_t *json = json_object_get(equals->action->json, key);
    if (!json_is_object(json))
        RA_FAIL(err, INVALID_ARGUMENT, "\"%s\" must be a source or a command", key);
    ra_bytes text;
    ra_bytes_init(&text, RA_COMMAND_MESSAGE_BYTES);
    int rc = side_command(json, &text, err);
    if (rc == 0)
        rc = ra_command_start(call, ra_bytes_str(&text), RA_COMMAND_RUN,
                              side ? right_done : left_done, equals, &equals->commands[side], err);
    ra_bytes_fini(&text);
    return rc;
}

int ra_action_equals(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"left", "right", "check_metadata", NULL};
    RA_TRY(ra_json_check_keys(action->json, keys, err));
    equals_state *equals = ra_calloc(1, sizeof *equals);
    if (!equals)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    equals->action = action;
    equals->check_metadata = json_is_true(json_object_get(action->json, "check_metadata"));
    ra_error_init(&equals->err);
    action->state = equals;
    action->free_state = free_equals;
    RA_TRY(start_side(call, equals, 0, "left", err));
    return start_side(call, equals, 1, "right", err);
}

void ra_action_equals_end(ra_action_call *action) {
    equals_state *equals = action->state;
    if (!equals)
        return;
    atomic_store(&equals->cancelled, true);
    if (ra_turn_leave(&equals->turn))
        ra_action_unref(action);
}
