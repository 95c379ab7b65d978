// equals: whether two tables (Flights, or results of commands that are not published) are equal as
// pyarrow.Table.equals says.
#include "base/os.h"
#include "flight/action_job.h"
#include "query/content_equal.h"
#include "query/json_writer.h"

typedef struct {
    ra_action_job job;  // comparing reads whole tables
    ra_action_call *action;
    ra_command *commands[2];
    ra_content *contents[2];
    bool check_metadata;
    bool equal;
} equals_state;

static void free_equals(void *state) {
    equals_state *equals = state;
    for (int side = 0; side < 2; side++) {
        ra_command_end(equals->commands[side]);
        ra_content_unref(equals->contents[side]);
    }
    ra_free(equals);
}

static int compare(ra_action_job *job, ra_error *err) {
    equals_state *equals = (equals_state *)job;
    return ra_content_equal(equals->contents[0], equals->contents[1], equals->check_metadata,
                            &job->cancelled, &equals->equal, err);
}

static int answer(ra_call *call, ra_action_job *job, ra_error *err) {
    const equals_state *equals = (const equals_state *)job;
    return ra_action_reply_json(call, json_pack("{s:b}", "equal", (int)equals->equal), err);
}

static void side_done(ra_call *call, equals_state *equals, int side, const ra_answer *answer) {
    if (answer->err->code != RA_OK) {
        ra_call_finish(call, answer->err);
        return;
    }
    equals->contents[side] = ra_content_ref(answer->content);
    if (!equals->contents[1 - side])
        return;
    ra_error err;
    if (ra_action_job_start(call, equals->action, &equals->job, &err) != 0)
        ra_call_finish(call, &err);
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
    equals->job.work = compare;
    equals->job.answer = answer;
    action->state = equals;
    action->free_state = free_equals;
    RA_TRY(start_side(call, equals, 0, "left", err));
    return start_side(call, equals, 1, "right", err);
}
