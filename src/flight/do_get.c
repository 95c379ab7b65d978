// DoGet: resolve the ticket, open a cursor, send.
//
// The ticket is one of ours (a version) or a command, which is answered from what is published, or
// run. The content is sent by flight/sender.h, which has workers verify and fault in what the I/O
// thread then queues as ranges of the segment.
#include "base/os.h"
#include "flight/command.h"
#include "flight/descriptor.h"
#include "flight/flight_info.h"
#include "flight/request.h"
#include "flight/sender.h"

typedef struct {
    ra_command *command;
    ra_sender *sender;
} get_call;

static void command_done(ra_call *call, void *owner, const ra_answer *answer) {
    get_call *get = owner;
    ra_error err;
    if (answer->err->code != RA_OK)
        ra_call_finish(call, answer->err);
    else if (ra_sender_start(call, answer->flight, answer->version, answer->content, &get->sender,
                             &err) != 0)
        ra_call_finish(call, &err);
}

static int send_version(ra_call *call, get_call *get, const ra_target *target, ra_error *err) {
    ra_flight *flight;
    ra_version *version;
    RA_TRY(ra_target_find(ra_app_of(call)->store, target, &flight, &version, err));
    ra_flight_touch(flight);
    int rc = ra_version_check_lost(flight, version, err);
    if (rc == 0)
        rc = ra_sender_start(call, flight, version, version->content, &get->sender, err);
    ra_flight_unref(flight);
    ra_version_unref(version);
    return rc;
}

static int start(ra_call *call, ra_str message, ra_error *err) {
    get_call *get = ra_calloc(1, sizeof *get);
    if (!get)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a download");
    ra_call_set_state(call, get);
    ra_str ticket;
    ra_target target;
    RA_TRY(ra_request_field(message, 1, &ticket, err));
    RA_TRY(ra_ticket_read(ticket, &target, err));
    if (target.by == RA_NAMED_BY_COMMAND)
        return ra_command_start(call, target.command, RA_COMMAND_RUN, command_done, get,
                                &get->command, err);
    return send_version(call, get, &target, err);
}

// Whatever outlives this callback (a command's text) has been copied.
static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    if (start(call, ra_bytes_str(message), &err) != 0)
        ra_call_finish(call, &err);
    ra_bytes_fini(message);
}

static void on_output(ra_call *call) {
    get_call *get = ra_call_state(call);
    if (get && get->sender)
        ra_sender_pump(get->sender, call);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    get_call *get = ra_call_state(call);
    if (!get)
        return;
    ra_sender_end(get->sender);
    ra_command_end(get->command);
    ra_free(get);
}

const ra_method ra_method_do_get = {.path = RA_FLIGHT_PATH("DoGet"),
                                    .max_message_bytes = RA_COMMAND_MESSAGE_BYTES,
                                    .on_message = on_message,
                                    .on_output = on_output,
                                    .on_end = on_end};
