// DoExchange: a command whose argument is streamed.
//
// The first message's descriptor is the command. With a {"stream": true} argument the client's
// batches are received like an upload and the run begins at half-close; without one it begins at
// once (F-30). The answer: one message with only app_metadata (the FlightInfo JSON, empty object
// for an unpublished result), then schema and batches as DoGet sends them.
#include "base/os.h"
#include "flight/command.h"
#include "flight/descriptor.h"
#include "flight/flight_info.h"
#include "flight/sender.h"
#include "flight/upload.h"

enum { JSON_CEILING = 4 * 1024 * 1024 };

// Of the call: I/O thread. The owner of the upload is another object, which may outlive it.
typedef struct {
    ra_upload *upload;
    ra_command *command;
    ra_sender *sender;
} exchange_call;

// Of the upload: worker, then posted to the I/O thread once.
typedef struct {
    ra_app *app;
    ra_call_ref call;
    ra_plan *plan;
    ra_content *stream;
    ra_upload *upload;  // whose owner this is
    ra_post post;       // on its way with a reference to the upload
} exchange_input;

static int send_json(ra_call *call, const ra_answer *answer, ra_error *err) {
    ra_bytes json;
    ra_bytes_init(&json, JSON_CEILING);
    int rc = answer->flight ? ra_flight_json(answer->flight, answer->version, true, &json, err)
                            : ra_bytes_append(&json, "{}", 2, err);
    if (rc == 0)
        rc = ra_flight_data_send(call, (ra_span){0}, (ra_span){json.data, (int64_t)json.len}, err);
    ra_bytes_fini(&json);
    return rc;
}

static int send_answer(ra_call *call, exchange_call *exchange, const ra_answer *answer,
                       ra_error *err) {
    RA_TRY(send_json(call, answer, err));
    return ra_sender_start(call, answer->flight, answer->version, answer->content,
                           &exchange->sender, err);
}

static void command_done(ra_call *call, void *owner, const ra_answer *answer) {
    ra_error err;
    if (answer->err->code != RA_OK)
        ra_call_finish(call, answer->err);
    else if (send_answer(call, owner, answer, &err) != 0)
        ra_call_finish(call, &err);
}

static void start_run(ra_call *call, ra_post *post) {
    exchange_input *input = (exchange_input *)((char *)post - offsetof(exchange_input, post));
    ra_error err;
    if (call) {
        exchange_call *exchange = ra_call_state(call);
        if (ra_command_start_plan(call, input->plan, input->stream, command_done, exchange,
                                  &exchange->command, &err) != 0)
            ra_call_finish(call, &err);
    }
    ra_upload_unref(input->upload);
}

static void post_run(exchange_input *input) {
    ra_upload_ref(input->upload);
    input->post = (ra_post){.to = input->call, .fn = start_run};
    ra_wire_post(input->app->wire, &input->post);
}

static int begin(void *owner, const ra_flight_data *first, ra_error *err) {
    exchange_input *input = owner;
    ra_target target;
    RA_TRY(ra_descriptor_read(first->descriptor, &target, err));
    if (target.by != RA_NAMED_BY_COMMAND)
        RA_FAIL(err, INVALID_ARGUMENT, "the descriptor of an exchange is a command (CMD)");
    RA_TRY(ra_plan_new(input->app->engine, target.command, &input->plan, err));
    if (!ra_plan_has_stream(input->plan))
        post_run(input);
    return 0;
}

static int complete(void *owner, ra_upload *upload, ra_error *err) {
    exchange_input *input = owner;
    if (ra_plan_has_stream(input->plan)) {
        RA_TRY(ra_upload_finish_content(upload, &input->stream, err));
        post_run(input);
    } else if (ra_upload_has_schema(upload)) {
        RA_FAIL(err, INVALID_ARGUMENT, "batches were sent, but the command takes no stream");
    }
    return 0;
}

static void input_free(void *owner) {
    exchange_input *input = owner;
    ra_plan_unref(input->plan);
    ra_content_unref(input->stream);
    ra_free(input);
}

static const ra_upload_events input_events = {
    .begin = begin, .complete = complete, .free = input_free};

static int start(ra_call *call, ra_error *err) {
    exchange_call *exchange = ra_calloc(1, sizeof *exchange);
    if (!exchange)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an exchange");
    ra_call_set_state(call, exchange);
    exchange_input *input = ra_calloc(1, sizeof *input);
    if (!input)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an exchange");
    input->app = ra_app_of(call);
    input->call = ra_call_get_ref(call);
    int rc = ra_upload_new(call, RA_WRITE_TEMPORARY, &input_events, input, &exchange->upload, err);
    if (rc != 0)
        input_free(input);
    else
        input->upload = exchange->upload;
    return rc;
}

static void on_start(ra_call *call) {
    ra_error err;
    if (start(call, &err) != 0) {
        ra_call_finish(call, &err);
        return;
    }
    ra_call_admit_upload(call);
    ra_call_send_headers(call);
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    exchange_call *exchange = ra_call_state(call);
    ra_upload_on_message(exchange->upload, call, message, last);
}

static void on_half_close(ra_call *call) {
    exchange_call *exchange = ra_call_state(call);
    ra_upload_on_half_close(exchange->upload, call);
}

static void on_output(ra_call *call) {
    exchange_call *exchange = ra_call_state(call);
    if (exchange && exchange->upload)
        ra_upload_on_output(exchange->upload, call);
    if (exchange && exchange->sender)
        ra_sender_pump(exchange->sender, call);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    exchange_call *exchange = ra_call_state(call);
    if (!exchange)
        return;
    ra_command_end(exchange->command);
    ra_sender_end(exchange->sender);
    ra_upload_end(exchange->upload);
    ra_free(exchange);
}

const ra_method ra_method_do_exchange = {.path = RA_FLIGHT_PATH("DoExchange"),
                                         .streams_in = true,
                                         .max_message_bytes = INT32_MAX,
                                         .part_bytes = RA_UPLOAD_PART_BYTES,
                                         .on_start = on_start,
                                         .on_message = on_message,
                                         .on_half_close = on_half_close,
                                         .on_output = on_output,
                                         .on_end = on_end};
