#include "flight/sender.h"

#include <stdio.h>

#include "base/os.h"
#include "flight/flight_data.h"
#include "flight/flight_info.h"

// Bytes that a worker verifies and faults in ahead of what is sent: the page cache gives 4 MiB in
// well under a millisecond, and two windows stay below what one connection queues.
enum { WINDOW_BYTES = 4 * 1024 * 1024 };

struct ra_sender {
    ra_app *app;
    ra_content *content;
    ra_version *version;  // so that it counts as used; NULL when it is none
    ra_cursor *cursor;
    ra_call_ref call;
    bool ended;  // the call is gone; freed when no window is being prepared
    bool preparing;
    int failed;  // code of the last preparation, `err` filled
    ra_error err;
    ra_task task;
    ra_post post;
    char label[RA_FLIGHT_LABEL_BYTES];
};

static ra_sender *sender_of_task(ra_task *task) {
    return (ra_sender *)((char *)task - offsetof(ra_sender, task));
}

static ra_sender *sender_of_post(ra_post *post) {
    return (ra_sender *)((char *)post - offsetof(ra_sender, post));
}

static void sender_free(ra_sender *sender) {
    ra_cursor_free(sender->cursor);
    ra_content_unref(sender->content);
    ra_version_unref(sender->version);
    ra_free(sender);
}

static void prepared(ra_call *call, ra_post *post) {
    ra_sender *sender = sender_of_post(post);
    sender->preparing = false;
    if (sender->ended)
        sender_free(sender);
    else if (call)
        ra_sender_pump(sender, call);
}

static void prepare(ra_task *task) {
    ra_sender *sender = sender_of_task(task);
    sender->failed = ra_cursor_prepare(sender->cursor, WINDOW_BYTES, &sender->err);
    ra_wire_post(sender->app->wire, &sender->post);
}

static int sender_new(ra_call *call, ra_content *content, ra_sender **out, ra_error *err) {
    ra_sender *sender = *out = ra_calloc(1, sizeof *sender);
    if (!sender)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a download");
    sender->app = ra_app_of(call);
    sender->call = ra_call_get_ref(call);
    sender->content = ra_content_ref(content);
    sender->task.run = prepare;
    sender->post = (ra_post){.to = sender->call, .fn = prepared};
    snprintf(sender->label, sizeof sender->label, "result");
    ra_error_init(&sender->err);
    int rc = ra_cursor_new(content, 0, &sender->cursor, err);
    if (rc == 0) {
        ra_span schema = {content->schema_message->data, (int64_t)content->schema_message->bytes};
        rc = ra_flight_data_send(call, schema, (ra_span){0}, err);
    }
    if (rc != 0) {
        sender_free(sender);
        *out = NULL;
    }
    return rc;
}

static void start_prepare(ra_sender *sender) {
    sender->preparing = true;
    ra_workers_submit(sender->app->workers, &sender->task);
}

static void fail(ra_sender *sender, ra_call *call, ra_error *err) {
    if (err->reason == RA_REASON_DATA_LOSS) {
        ra_error_prefix(err, "%s", sender->label);
        err->flight = ra_call_account_of(call)->flight;
    }
    ra_call_finish(call, err);
}

static int send_next(ra_sender *sender, ra_call *call, ra_error *err) {
    ra_out_message message;
    RA_TRY(ra_cursor_next(sender->cursor, &message, err));
    ra_call_account *account = ra_call_account_of(call);
    account->rows += message.is_batch ? message.n_rows : 0;
    account->bytes += message.body_bytes;
    return ra_flight_data_send_message(call, &message, err);
}

void ra_sender_pump(ra_sender *sender, ra_call *call) {
    ra_error err;
    if (sender->preparing)
        return;
    if (sender->failed) {
        fail(sender, call, &sender->err);
        return;
    }
    while (ra_call_can_send(call)) {
        if (ra_cursor_at_end(sender->cursor)) {
            ra_call_finish(call, NULL);
            return;
        }
        if (!ra_cursor_is_ready(sender->cursor)) {
            start_prepare(sender);
            return;
        }
        if (send_next(sender, call, &err) != 0) {
            fail(sender, call, &err);
            return;
        }
    }
    ra_call_want_output(call);
}

int ra_sender_start(ra_call *call, const ra_flight *flight, const ra_version *version,
                    ra_content *content, ra_sender **out, ra_error *err) {
    RA_TRY(sender_new(call, content, out, err));
    if (flight) {
        ra_flight_label(flight, (*out)->label);
        (*out)->version = ra_version_ref((ra_version *)(uintptr_t)version);
        ra_call_account_of(call)->flight = flight->id;
        ra_flight_trailer(call, flight, version);
    }
    ra_sender_pump(*out, call);
    return 0;
}

void ra_sender_end(ra_sender *sender) {
    if (!sender)
        return;
    sender->ended = true;
    if (!sender->preparing)
        sender_free(sender);
}
