#include "flight/describe.h"

#include "base/os.h"
#include "flight/request.h"

// A reply echoes the descriptor, which may be as long as a request, or twice a shorter one.
enum { REPLY_CEILING = RA_COMMAND_MESSAGE_BYTES + 32 * 1024 * 1024 };

static void reply(ra_call *call, ra_describe_call *state, const ra_answer *answer) {
    ra_bytes message;
    ra_error err;
    ra_bytes_init(&message, REPLY_CEILING);
    int rc =
        state->describe(call, state->target.encoded, state->target.command, answer, &message, &err);
    if (rc == 0)
        ra_reply_send(call, &message);
    ra_bytes_fini(&message);
    if (answer->flight)
        ra_call_account_of(call)->flight = answer->flight->id;
    ra_reply_end(call, rc, &err);
}

void ra_describe_done(ra_call *call, void *owner, const ra_answer *answer) {
    if (answer->err->code != RA_OK)
        ra_call_finish(call, answer->err);
    else
        reply(call, owner, answer);
}

static int describe_version(ra_call *call, ra_describe_call *state, ra_error *err) {
    ra_answer answer = {.err = NULL};
    RA_TRY(ra_target_find(ra_app_of(call)->store, &state->target, &answer.flight, &answer.version,
                          err));
    answer.content = answer.version->content;
    reply(call, state, &answer);
    ra_flight_unref(answer.flight);
    ra_version_unref(answer.version);
    return 0;
}

int ra_describe_read(ra_describe_call *state, ra_bytes *message, ra_describe_fn describe,
                     ra_error *err) {
    state->request = ra_bytes_move(message);
    state->describe = describe;
    return ra_descriptor_read(ra_bytes_str(&state->request), &state->target, err);
}

int ra_describe_start(ra_call *call, ra_describe_call *state, ra_command_mode mode, ra_error *err) {
    if (state->target.by == RA_NAMED_BY_COMMAND)
        return ra_command_start(call, state->target.command, mode, ra_describe_done, state,
                                &state->command, err);
    return describe_version(call, state, err);
}

static int start(ra_call *call, ra_bytes *message, ra_command_mode mode, ra_describe_fn describe,
                 ra_error *err) {
    ra_describe_call *state = ra_calloc(1, sizeof *state);
    if (!state)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    ra_call_set_state(call, state);
    RA_TRY(ra_describe_read(state, message, describe, err));
    return ra_describe_start(call, state, mode, err);
}

void ra_describe_on_message(ra_call *call, ra_bytes *message, ra_command_mode mode,
                            ra_describe_fn describe) {
    ra_error err;
    if (start(call, message, mode, describe, &err) != 0)
        ra_call_finish(call, &err);
    ra_bytes_fini(message);
}

void ra_describe_on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    ra_describe_call *state = ra_call_state(call);
    if (!state)
        return;
    ra_command_end(state->command);
    ra_bytes_fini(&state->request);
    ra_free(state);
}
