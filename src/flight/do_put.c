// DoPut: admit, receive, check, commit, answer.
//
// The descriptor says where the table goes: PATH [name], or CMD {"put": {…}} with options. Rows are
// received by flight/upload.h into a durable segment; the half-close finishes it and asks the
// catalog to publish; OK is sent after that commit.
#include "base/os.h"
#include "flight/descriptor.h"
#include "flight/flight_info.h"
#include "flight/put_options.h"
#include "flight/upload.h"

typedef struct {
    ra_app *app;
    ra_call_ref call;
    ra_put_options options;
    char if_exists_header[16];
    char caller[RA_CALLER_BYTES];
    ra_content *content;
    ra_upload *upload;  // a reference while the catalog works
    ra_post post;
    ra_change_result result;
} put_call;

static int begin(void *owner, const ra_flight_data *first, ra_error *err) {
    put_call *put = owner;
    ra_str header = ra_str_of(put->if_exists_header);
    RA_TRY(ra_put_options_read(&put->options, first->descriptor, header, err));
    return ra_put_options_check(&put->options, put->app->store, err);
}

// On the I/O thread, after the commit, which stands even if the client is gone by then. The
// result's references became ours with `published` and are given back by put_free.
static void answer(ra_call *call, ra_post *post) {
    put_call *put = (put_call *)((char *)post - offsetof(put_call, post));
    ra_change_result *result = &put->result;
    ra_upload *upload = put->upload;
    if (call && result->err.code == RA_OK) {
        ra_call_account *account = ra_call_account_of(call);
        account->flight = result->flight->id;
        account->rows = put->content->n_rows;
        account->bytes = put->content->n_bytes;
        ra_flight_trailer(call, result->flight, result->version);
    }
    if (call)
        ra_call_finish(call, result->err.code == RA_OK ? NULL : &result->err);
    ra_upload_unref(upload);
}

static void published(void *context, ra_change_result *result) {
    put_call *put = context;
    put->result = *result;
    ra_wire_post(put->app->wire, &put->post);
}

// On the upload's strand. The change's strings are copied by ra_store_change; `published` is called
// exactly once if that succeeds, perhaps before it returns.
static int complete(void *owner, ra_upload *upload, ra_error *err) {
    put_call *put = owner;
    RA_TRY(ra_upload_finish_content(upload, &put->content, err));
    ra_change change = {.change = RA_CHANGE_PUBLISH,
                        .name = ra_bytes_str(&put->options.name),
                        .if_exists = put->options.if_exists,
                        .if_version = put->options.if_version,
                        .kind = RA_KIND_DATASET,
                        .content = put->content,
                        .caller = ra_str_of(put->caller)};
    put->post = (ra_post){.to = put->call, .fn = answer};
    put->upload = ra_upload_ref(upload);
    int rc = ra_store_change(put->app->store, &change, published, put, err);
    if (rc != 0)
        ra_upload_unref(upload);
    return rc;
}

static void put_free(void *owner) {
    put_call *put = owner;
    ra_flight_unref(put->result.flight);
    ra_version_unref(put->result.version);
    ra_content_unref(put->content);
    ra_put_options_fini(&put->options);
    ra_free(put);
}

static const ra_upload_events put_events = {
    .acknowledges = true, .begin = begin, .complete = complete, .free = put_free};

static void copy_text(char *to, size_t capacity, ra_str text) {
    size_t n = text.len < capacity - 1 ? text.len : capacity - 1;
    if (n)
        memcpy(to, text.data, n);
    to[n] = 0;
}

static int put_new(ra_call *call, put_call **out, ra_error *err) {
    put_call *put = *out = ra_calloc(1, sizeof *put);
    if (!put)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an upload");
    put->app = ra_app_of(call);
    put->call = ra_call_get_ref(call);
    ra_put_options_init(&put->options);
    char buffer[RA_CALLER_BYTES];
    copy_text(put->caller, sizeof put->caller, ra_app_caller(call, buffer));
    copy_text(put->if_exists_header, sizeof put->if_exists_header,
              ra_call_header(call, "remote-arrow-if-exists"));
    return 0;
}

static int start(ra_call *call, ra_error *err) {
    ra_app *app = ra_app_of(call);
    if (atomic_load(&app->draining))
        RA_FAIL(err, UNAVAILABLE, "the server is shutting down");
    if (app->read_only)
        RA_FAIL(err, READ_ONLY, "the server is read-only");
    put_call *put;
    ra_upload *upload;
    RA_TRY(put_new(call, &put, err));
    int rc = ra_upload_new(call, RA_WRITE_DURABLE, &put_events, put, &upload, err);
    if (rc != 0) {
        put_free(put);
        return rc;
    }
    ra_call_set_state(call, upload);
    ra_call_admit_upload(call);
    return 0;
}

static void on_start(ra_call *call) {
    ra_error err;
    if (start(call, &err) != 0)
        ra_call_finish(call, &err);
    else
        ra_call_send_headers(call);  // G-22: lock-step clients wait for them
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    ra_upload_on_message(ra_call_state(call), call, message, last);
}

static void on_half_close(ra_call *call) {
    ra_upload_on_half_close(ra_call_state(call), call);
}

static void on_output(ra_call *call) {
    ra_upload *upload = ra_call_state(call);
    if (upload)
        ra_upload_on_output(upload, call);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    ra_upload_end(ra_call_state(call));
}

const ra_method ra_method_do_put = {.path = RA_FLIGHT_PATH("DoPut"),
                                    .streams_in = true,
                                    .max_message_bytes = INT32_MAX,
                                    .part_bytes = RA_UPLOAD_PART_BYTES,
                                    .on_start = on_start,
                                    .on_message = on_message,
                                    .on_half_close = on_half_close,
                                    .on_output = on_output,
                                    .on_end = on_end};
