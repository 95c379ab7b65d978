// PollFlightInfo: GetFlightInfo for runs that take long (F-70).
//
// A poll waits for the run, but not longer than a limit. Then it answers with the descriptor to
// poll again, and the run goes on for the next poll of this client (polled.h). The answer with the
// FlightInfo has no descriptor: it is complete.
#include "base/os.h"
#include "flight/describe.h"
#include "flight/flight_info.h"
#include "flight/polled.h"
#include "flight/request.h"
#include "wire/protobuf.h"

enum {
    INFO_CEILING = RA_COMMAND_MESSAGE_BYTES + 32 * 1024 * 1024,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    PLANNING_MS = 50  // until the next look at a command that is being planned
};
enum { INFO = 1, DESCRIPTOR = 2, PROGRESS = 3, EXPIRATION_TIME = 4, TIMESTAMP_BYTES = 32 };

typedef struct {
    ra_describe_call describe;
    ra_call *call;
    ra_timer timer;
    bool is_to_poll_again;
} poll_call;

static int describe(const ra_call *call, ra_str descriptor, ra_str command, const ra_answer *answer,
                    ra_bytes *out, ra_error *err) {
    static const double finished = 1.0;
    uint64_t progress;
    memcpy(&progress, &finished, sizeof progress);
    ra_bytes info;
    ra_bytes_init(&info, INFO_CEILING);
    int rc = ra_flight_info_write_answer(call, descriptor, command, answer, &info, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, INFO, ra_bytes_str(&info), err);
    if (rc == 0)
        rc = ra_pb_put_fixed64(out, PROGRESS, progress, err);
    ra_bytes_fini(&info);
    return rc;
}

static int write_poll_again(const poll_call *poll, ra_bytes *out, ra_error *err) {
    int64_t until_ns = ra_polled_until_ns(poll->call);
    ra_bytes time;
    ra_bytes_init(&time, TIMESTAMP_BYTES);
    int rc = ra_pb_put_bytes(out, DESCRIPTOR, poll->describe.target.encoded, err);
    if (rc == 0)
        rc = ra_pb_put_varint(&time, 1, (uint64_t)(until_ns / NS_PER_S), err);
    if (rc == 0)
        rc = ra_pb_put_varint(&time, 2, (uint64_t)(until_ns % NS_PER_S), err);
    if (rc == 0)
        rc = ra_pb_put_bytes(out, EXPIRATION_TIME, ra_bytes_str(&time), err);
    ra_bytes_fini(&time);
    return rc;
}

static void fire(ra_timer *timer) {
    poll_call *poll = (poll_call *)((char *)timer - offsetof(poll_call, timer));
    const ra_command *command = poll->describe.command;
    if (ra_command_is_answered(command))
        return;
    // Only a run can go on without its call: a large command is planned first.
    if (!ra_command_is_planned(command)) {
        ra_timers_set(ra_call_timers(poll->call), timer, ra_os_now_ns() + PLANNING_MS * NS_PER_MS);
        return;
    }
    ra_bytes message;
    ra_error err;
    ra_bytes_init(&message, poll->describe.target.encoded.len + 2 * TIMESTAMP_BYTES);
    int rc = write_poll_again(poll, &message, &err);
    if (rc == 0)
        ra_reply_send(poll->call, &message);
    ra_bytes_fini(&message);
    ra_reply_end(poll->call, rc, &err);
    poll->is_to_poll_again = rc == 0;
}

// Not longer than the limit, and so that the answer comes before the call's own deadline.
static void set_timer(poll_call *poll) {
    const ra_call *call = poll->call;
    int64_t now_ns = ra_os_now_ns(), deadline_ns = ra_call_deadline_ns(call);
    int64_t wait_ns = ra_app_of(call)->limits.poll_ms * NS_PER_MS;
    if (deadline_ns != INT64_MAX && wait_ns > (deadline_ns - now_ns) / 4 * 3)
        wait_ns = (deadline_ns - now_ns) / 4 * 3;
    poll->timer.fire = fire;
    ra_timers_set(ra_call_timers(call), &poll->timer, now_ns + wait_ns);
}

static int start(ra_call *call, ra_bytes *message, ra_error *err) {
    poll_call *poll = ra_calloc(1, sizeof *poll);
    if (!poll)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    ra_call_set_state(call, poll);
    poll->call = call;
    ra_describe_call *state = &poll->describe;
    RA_TRY(ra_describe_read(state, message, describe, err));
    if (state->target.by == RA_NAMED_BY_COMMAND)
        state->command = ra_polled_take(call, state->target.command);
    if (state->command)
        ra_command_adopt(state->command, call, state);
    else
        RA_TRY(ra_describe_start(call, state, RA_COMMAND_RUN_IF_PUBLISHED, err));
    if (state->command && !ra_command_is_answered(state->command))
        set_timer(poll);
    return 0;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    if (start(call, message, &err) != 0)
        ra_call_finish(call, &err);
    ra_bytes_fini(message);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    poll_call *poll = ra_call_state(call);
    if (!poll)
        return;
    ra_timers_clear(ra_call_timers(call), &poll->timer);
    if (poll->is_to_poll_again)
        ra_polled_keep(call, poll->describe.target.command, poll->describe.command);
    else
        ra_command_end(poll->describe.command);
    ra_bytes_fini(&poll->describe.request);
    ra_free(poll);
}

const ra_method ra_method_poll_flight_info = {.path = RA_FLIGHT_PATH("PollFlightInfo"),
                                              .max_message_bytes = RA_COMMAND_MESSAGE_BYTES,
                                              .on_message = on_message,
                                              .on_end = on_end};
