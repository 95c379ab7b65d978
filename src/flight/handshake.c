// Handshake: gives the token back in the form that the client will send it (F-40 … F-43).
//
// The wire has let the call through: with tokens configured it carried one as Basic password,
// Bearer or will carry it in the first message (BasicAuth); without tokens everybody gets one that
// says so.
#include <inttypes.h>

#include "base/base64.h"
#include "base/os.h"
#include "flight/app.h"
#include "flight/request.h"
#include "wire/protobuf.h"

enum { TOKEN_CEILING = 8192, PAYLOAD = 2, PASSWORD = 3, NS_PER_MS = 1000000 };

typedef struct {
    ra_call *call;
    ra_timer timer;
    bool is_answered;  // credentials came in a message: clients wait for the answer to it
} handshake;

static ra_str accepted_token(const ra_call *call) {
    ra_str token = ra_call_token(call);
    return token.len > 0 ? token : RA_STR("anonymous");
}

static void fire(ra_timer *timer) {
    const handshake *state = (handshake *)((char *)timer - offsetof(handshake, timer));
    ra_error err;
    ra_error_set(&err, RA_REASON_DEADLINE, "the handshake took longer than %" PRId64 " ms",
                 ra_app_of(state->call)->limits.handshake_ms);
    ra_call_finish(state->call, &err);
}

static int start(ra_call *call, ra_error *err) {
    handshake *state = ra_calloc(1, sizeof *state);
    if (!state)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a handshake");
    ra_call_set_state(call, state);
    ra_app *app = ra_app_of(call);
    state->call = call;
    state->timer.fire = fire;
    ra_timers_set(ra_call_timers(call), &state->timer,
                  ra_os_now_ns() + app->limits.handshake_ms * NS_PER_MS);
    if (app->has_tokens && ra_call_token(call).len == 0)
        return 0;  // credentials must come in the first message
    ra_bytes header;
    ra_bytes_init(&header, TOKEN_CEILING);
    ra_str token = accepted_token(call);
    int rc = ra_bytes_append(&header, "Bearer ", 7, err);
    if (rc == 0)
        rc = ra_bytes_append(&header, token.data, token.len, err);
    if (rc == 0)
        rc = ra_call_add_header(call, "authorization", ra_bytes_str(&header), err);
    ra_bytes_fini(&header);
    if (rc == 0)
        ra_call_send_headers(call);  // F-42
    return rc;
}

static void on_start(ra_call *call) {
    ra_error err;
    if (start(call, &err) != 0)
        ra_call_finish(call, &err);
}

static int read_message(ra_call *call, ra_str message, ra_error *err) {
    handshake *state = ra_call_state(call);
    ra_str payload, password;
    RA_TRY(ra_request_field(message, PAYLOAD, &payload, err));
    if (payload.len == 0)
        return 0;  // F-40: Java sends one empty request
    RA_TRY(ra_request_field(payload, PASSWORD, &password, err));
    if (ra_app_of(call)->has_tokens && !ra_wire_token_is_valid(ra_app_of(call)->wire, password))
        RA_FAIL(err, UNAUTHENTICATED, "the password is not one of this server's tokens");
    state->is_answered = true;
    ra_str token = ra_app_of(call)->has_tokens ? password : RA_STR("anonymous");
    return ra_reply_send_field(call, PAYLOAD, token, err);
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    if (read_message(call, ra_bytes_str(message), &err) != 0)
        ra_call_finish(call, &err);
    ra_call_consumed(call, 1, message->len);
    ra_bytes_fini(message);
}

static void on_half_close(ra_call *call) {
    handshake *state = ra_call_state(call);
    ra_error err;
    int rc = 0;
    if (!state->is_answered && ra_app_of(call)->has_tokens && ra_call_token(call).len == 0)
        rc = ra_error_set(&err, RA_REASON_UNAUTHENTICATED, "no credentials in the handshake");
    ra_reply_end(call, rc, &err);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    handshake *state = ra_call_state(call);
    if (!state)
        return;
    ra_timers_clear(ra_call_timers(call), &state->timer);
    ra_free(state);
}

const ra_method ra_method_handshake = {.path = RA_FLIGHT_PATH("Handshake"),
                                       .streams_in = true,
                                       .authenticates = true,
                                       .max_message_bytes = TOKEN_CEILING,
                                       .on_start = on_start,
                                       .on_message = on_message,
                                       .on_half_close = on_half_close,
                                       .on_end = on_end};
