#include "flight/upload.h"

#include <inttypes.h>

#include "arrow/ipc.h"
#include "base/os.h"
#include "flight/request.h"
#include "store/spool.h"
#include "wire/protobuf.h"

struct ra_upload {
    atomic_int refs;
    atomic_bool ended;  // the call is gone or failed: later messages are dropped
    ra_app *app;
    ra_call_ref call;
    ra_strand *strand;
    ra_write_kind kind;
    size_t max_descriptor_bytes;
    const ra_upload_events *events;
    void *owner;
    // Of the I/O thread. Used up, but not said so while acknowledgements wait to be sent:
    int64_t held_messages;
    size_t held_bytes;
    int n_steps;  // that are on their way
    bool is_half_closed;
    ra_task teardown;  // the strand's last task
    // Of the strand:
    bool begun;
    bool failed;
    int64_t n_batches;
    ra_error err;
    ra_budget budget;  // of decoder and writer
    ra_ipc_decoder *decoder;
    ra_writer *writer;
    ra_spool spool;
};

// One message, message part or half-close on its way through the strand and back to the I/O thread.
typedef struct {
    ra_task task;
    ra_post post;
    ra_upload *upload;
    ra_bytes message;
    bool last;
    bool half_close;
    bool is_message;
    size_t received_bytes;
    bool has_ack;
    ra_bytes ack;  // an encoded PutResult
    bool failed;   // this step failed the upload
} upload_step;

static void upload_free(ra_upload *upload) {
    upload->events->free(upload->owner);
    ra_writer_free(upload->writer);
    ra_ipc_decoder_free(upload->decoder);
    ra_spool_fini(&upload->spool);
    ra_budget_fini(&upload->budget);
    ra_strand_free(upload->strand);
    ra_free(upload);
}

static void tear_down(ra_task *task) {
    upload_free((ra_upload *)((char *)task - offsetof(ra_upload, teardown)));
}

ra_upload *ra_upload_ref(ra_upload *upload) {
    atomic_fetch_add(&upload->refs, 1);
    return upload;
}

void ra_upload_unref(ra_upload *upload) {
    if (!upload || atomic_fetch_sub(&upload->refs, 1) != 1)
        return;
    // Unlinking segments and closing a spool may take long: not on a thread that serves
    // connections. While one of those runs, the workers do too (ra_wire_stop).
    if (ra_os_thread_is_nonblocking())
        ra_strand_submit(upload->strand, &upload->teardown);
    else
        upload_free(upload);
}

void *ra_upload_owner(const ra_upload *upload) {
    return upload->owner;
}

bool ra_upload_has_schema(const ra_upload *upload) {
    return upload->decoder != NULL;
}

int ra_upload_new(ra_call *call, ra_write_kind kind, const ra_upload_events *events, void *owner,
                  ra_upload **out, ra_error *err) {
    ra_upload *upload = *out = ra_calloc(1, sizeof *upload);
    if (!upload)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an upload");
    ra_app *app = ra_app_of(call);
    int rc = ra_strand_new(app->workers, &upload->strand, err);
    if (rc != 0) {
        ra_free(upload);
        *out = NULL;
        return rc;
    }
    atomic_init(&upload->refs, 1);
    upload->app = app;
    upload->call = ra_call_get_ref(call);
    upload->kind = kind;
    // An exchange's descriptor is a command, which may carry inline Arrow; an upload's are options.
    upload->max_descriptor_bytes =
        kind == RA_WRITE_DURABLE ? RA_QUICK_COMMAND_BYTES : RA_COMMAND_MESSAGE_BYTES;
    upload->events = events;
    upload->owner = owner;
    upload->teardown.run = tear_down;
    ra_error_init(&upload->err);
    ra_budget_init_share(&upload->budget, app->budget, "memory limit of an upload");
    ra_spool_init(&upload->spool, app->store);
    return 0;
}

static void step_free(upload_step *step) {
    ra_bytes_fini(&step->message);
    ra_bytes_fini(&step->ack);
    ra_upload_unref(step->upload);
    ra_free(step);
}

// A client that does not read its acknowledgements gets no credit to send more.
void ra_upload_on_output(ra_upload *upload, ra_call *call) {
    if (upload->held_messages == 0)
        return;
    if (!ra_call_can_send(call)) {
        ra_call_want_output(call);
        return;
    }
    int64_t n_messages = upload->held_messages;
    size_t bytes = upload->held_bytes;
    upload->held_messages = 0;
    upload->held_bytes = 0;
    ra_call_consumed(call, n_messages, bytes);
}

static upload_step *step_new(ra_upload *upload, ra_call *call);

// The table is completed only when nothing before it can fail the call any more, such as an
// acknowledgement without memory: the client would be told of a failure and find its table.
static void submit_half_close(ra_upload *upload, ra_call *call) {
    if (!upload->is_half_closed || upload->n_steps > 0 || !ra_call_is_open(call))
        return;
    upload->is_half_closed = false;
    upload_step *step = step_new(upload, call);
    if (!step)
        return;
    step->half_close = true;
    ra_strand_submit(upload->strand, &step->task);
}

// Back on the I/O thread: acknowledges, gives credit for what was used up, or fails the call.
static void step_done(ra_call *call, ra_post *post) {
    upload_step *step = (upload_step *)((char *)post - offsetof(upload_step, post));
    ra_upload *upload = step->upload;
    upload->n_steps--;
    if (call) {
        if (step->has_ack)
            ra_reply_send(call, &step->ack);
        upload->held_messages += step->is_message;
        upload->held_bytes += step->received_bytes;
        ra_upload_on_output(upload, call);
        if (step->failed)
            ra_call_finish(call, &upload->err);
        submit_half_close(upload, call);
    }
    step_free(step);
}

static int read_schema(ra_upload *upload, ra_span header, ra_error *err) {
    if (upload->decoder)
        RA_FAIL(err, MALFORMED_ARROW, "a second schema in one upload");
    RA_TRY(ra_ipc_decoder_new(header, &upload->budget, &upload->decoder, err));
    RA_TRY(ra_writer_new(upload->app->store, ra_ipc_decoder_schema(upload->decoder), upload->kind,
                         &upload->writer, err));
    ra_writer_set_budget(upload->writer, &upload->budget);
    return 0;
}

static int read_arrow(ra_upload *upload, const ra_flight_data *data, ra_blob *owner,
                      ra_error *err) {
    ra_ipc_header header;
    RA_TRY(ra_ipc_peek(data->header, &header, err));
    if (header.kind == RA_IPC_SCHEMA)
        return read_schema(upload, data->header, err);
    if (!upload->decoder)
        RA_FAIL(err, MALFORMED_ARROW, "a %s before the schema",
                header.kind == RA_IPC_BATCH ? "record batch" : "dictionary");
    ra_batch *batch;
    int rc = ra_ipc_decode(upload->decoder, data->header, data->body, owner, &batch, err);
    if (rc == 0 && batch) {
        rc = ra_writer_add(upload->writer, batch, data->app_metadata, err);
        upload->n_batches++;
        ra_batch_unref(batch);
    }
    if (rc == RA_INVALID && header.kind == RA_IPC_BATCH)
        ra_error_prefix(err, "record batch %" PRId64, upload->n_batches);
    return rc;
}

// F-22: one PutResult for each record batch or metadata-only message that carries app_metadata;
// clients that send none are not waiting for any. An exchange answers with FlightData only.
static int acknowledge(upload_step *step, const ra_flight_data *data, ra_error *err) {
    ra_ipc_header header;
    if (!data->has_app_metadata || !step->upload->events->acknowledges)
        return 0;
    if (data->header.bytes > 0) {
        RA_TRY(ra_ipc_peek(data->header, &header, err));
        if (header.kind != RA_IPC_BATCH)
            return 0;
    }
    ra_str metadata = {(const char *)data->app_metadata.data, (size_t)data->app_metadata.bytes};
    ra_bytes_init(&step->ack, metadata.len + 16);
    step->has_ack = true;
    return ra_pb_put_bytes(&step->ack, 1, metadata, err);
}

// A client whose source of rows broke says so by a message of only this metadata: some clients can
// end a stream in no other way than the one that completes an upload.
static int check_given_up(const ra_flight_data *data, ra_error *err) {
    static const char word[] = "remote-arrow-abort";
    if (data->header.bytes == 0 && data->app_metadata.bytes == sizeof word - 1 &&
        memcmp(data->app_metadata.data, word, sizeof word - 1) == 0)
        RA_FAIL(err, CANCELLED, "the client gave the upload up");
    return 0;
}

static int process_message(ra_upload *upload, upload_step *step, ra_blob *message, ra_error *err) {
    ra_flight_data data;
    RA_TRY(ra_flight_data_read((ra_str){(const char *)message->data, message->bytes}, &data, err));
    if (!upload->begun) {
        if (!data.has_descriptor)
            RA_FAIL(err, INVALID_ARGUMENT, "Descriptor missing on first message");  // F-20
        if (data.descriptor.len > upload->max_descriptor_bytes)
            RA_FAIL(err, MESSAGE_TOO_LARGE, "a descriptor of %zu bytes; at most %zu here",
                    data.descriptor.len, upload->max_descriptor_bytes);
        upload->begun = true;
        RA_TRY(upload->events->begin(upload->owner, &data, err));
    }
    if (data.app_metadata.bytes > RA_MAX_APP_METADATA_BYTES)
        RA_FAIL(err, MESSAGE_TOO_LARGE, "app_metadata of %" PRId64 " bytes; at most %d",
                data.app_metadata.bytes, RA_MAX_APP_METADATA_BYTES);
    RA_TRY(check_given_up(&data, err));
    if (data.header.bytes > 0)
        RA_TRY(read_arrow(upload, &data, message, err));
    return acknowledge(step, &data, err);
}

// A whole message in memory, or the last part of one that went to the spool.
static int take_message(ra_upload *upload, upload_step *step, ra_blob **out, ra_error *err) {
    if (step->last && !ra_spool_is_open(&upload->spool)) {
        size_t bytes = step->message.len;
        return ra_blob_take(ra_bytes_take(&step->message), bytes, out, err);
    }
    *out = NULL;
    ra_str part = ra_bytes_str(&step->message);
    if (!ra_spool_is_open(&upload->spool))
        RA_TRY(ra_spool_open(&upload->spool, ra_flight_data_body_start(part), err));
    RA_TRY(ra_spool_append(&upload->spool, part, err));
    return step->last ? ra_spool_take(&upload->spool, out, err) : 0;
}

static int run_message(ra_upload *upload, upload_step *step, ra_error *err) {
    ra_blob *message;
    RA_TRY(take_message(upload, step, &message, err));
    int rc = message ? process_message(upload, step, message, err) : 0;
    ra_blob_unref(message);
    return rc;
}

static int run_half_close(ra_upload *upload, ra_error *err) {
    if (!upload->begun)
        RA_FAIL(err, INVALID_ARGUMENT, "the stream ended before its first message");
    return upload->events->complete(upload->owner, upload, err);
}

static void run_step(ra_task *task) {
    upload_step *step = (upload_step *)task;
    ra_upload *upload = step->upload;
    if (!upload->failed && !atomic_load(&upload->ended)) {
        int rc = step->half_close ? run_half_close(upload, &upload->err)
                                  : run_message(upload, step, &upload->err);
        step->failed = upload->failed = rc != 0;
        if (upload->failed) {
            ra_writer_free(upload->writer);  // nothing half-made stays
            upload->writer = NULL;
        }
    }
    ra_bytes_fini(&step->message);
    ra_wire_post(upload->app->wire, &step->post);
}

static upload_step *step_new(ra_upload *upload, ra_call *call) {
    upload_step *step = ra_calloc(1, sizeof *step);
    if (!step) {
        ra_error err;
        ra_error_set(&err, RA_REASON_OUT_OF_MEMORY, "no memory for a message of an upload");
        ra_call_finish(call, &err);
        return NULL;
    }
    step->task.run = run_step;
    step->upload = ra_upload_ref(upload);
    step->post = (ra_post){.to = upload->call, .fn = step_done};
    upload->n_steps++;
    return step;
}

void ra_upload_on_message(ra_upload *upload, ra_call *call, ra_bytes *message, bool last) {
    upload_step *step = step_new(upload, call);
    if (!step) {
        ra_bytes_fini(message);
        return;
    }
    step->is_message = true;
    step->received_bytes = message->len;
    step->message = ra_bytes_move(message);
    step->last = last;
    ra_strand_submit(upload->strand, &step->task);
}

void ra_upload_on_half_close(ra_upload *upload, ra_call *call) {
    upload->is_half_closed = true;
    submit_half_close(upload, call);
}

void ra_upload_end(ra_upload *upload) {
    if (!upload)
        return;
    atomic_store(&upload->ended, true);
    ra_upload_unref(upload);
}

int ra_upload_finish_content(ra_upload *upload, ra_content **out, ra_error *err) {
    *out = NULL;
    if (!upload->writer)
        RA_FAIL(err, INVALID_ARGUMENT, "the stream ended without a schema");
    int rc = ra_writer_finish(upload->writer, out, err);
    ra_writer_free(upload->writer);
    upload->writer = NULL;
    return rc;
}
