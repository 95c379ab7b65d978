// Actions that tell something at once: versions, explain, server-info; and CancelFlightInfo and
// RenewFlightEndpoint, which here have little to do.
#include <inttypes.h>

#include "arrow/ipc.h"
#include "base/base64.h"
#include "base/json_text.h"
#include "base/os.h"
#include "base/version.h"
#include "flight/action.h"
#include "flight/descriptor.h"
#include "flight/flight_info.h"
#include "flight/polled.h"
#include "flight/request.h"
#include "query/json_writer.h"
#include "wire/protobuf.h"

enum {
    SCHEMA_CEILING = 2 * RA_MAX_SCHEMA_BYTES,
    TYPE_CEILING = 64 * 1024,
    PLAN_CEILING = 256 * 1024 * 1024
};

static json_t *version_json(const ra_version *version, const ra_version *newest) {
    char created[RA_TIME_TEXT_BYTES];
    ra_time_text(version->created_ns, created);
    const ra_content *content = version->content;
    return json_pack("{s:I, s:s, s:I, s:I, s:s, s:b}", "version", (json_int_t)version->number,
                     "state", ra_version_state(version), "rows", (json_int_t)content->n_rows,
                     "bytes", (json_int_t)content->n_bytes, "created", created, "schema_equal",
                     (int)ra_schema_equal(content->schema, newest->content->schema, false));
}

// Without memory for an item there is no list: NULL.
static void append(json_t **list, json_t *item) {
    if (json_array_append_new(*list, item) == 0)
        return;
    json_decref(*list);
    *list = NULL;
}

int ra_action_versions(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"id", "name", NULL};
    ra_flight *flight;
    ra_version *version;
    RA_TRY(ra_action_find_flight(action, keys, &flight, &version, err));
    json_t *list = json_array();
    for (int i = 0; i < flight->n_versions; i++)
        append(&list, version_json(flight->versions[i], version));
    json_t *answer = json_pack("{s:I, s:o}", "id", (json_int_t)flight->id, "versions", list);
    ra_flight_unref(flight);
    ra_version_unref(version);
    return ra_action_reply_json(call, answer, err);
}

static json_t *field_json(const ra_field *field) {
    ra_bytes type;
    ra_bytes_init(&type, TYPE_CEILING);
    ra_type_print(field, &type);
    json_t *json = json_pack("{s:s%, s:s%, s:b}", "name", field->name.data, field->name.len, "type",
                             (const char *)type.data, type.len, "nullable", (int)field->nullable);
    ra_bytes_fini(&type);
    return json;
}

static int put_schema(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    ra_bytes framed;
    ra_bytes_init(&framed, SCHEMA_CEILING);
    int rc = ra_ipc_encode_framed_schema(schema, &framed, err);
    if (rc == 0)
        rc = ra_base64_encode(ra_bytes_str(&framed), true, out, err);
    ra_bytes_fini(&framed);
    return rc;
}

static int put_fields(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    json_t *fields = json_array();
    for (int i = 0; i < schema->n_fields; i++)
        append(&fields, field_json(&schema->fields[i]));
    int rc = ra_json_write(fields, out, err);
    json_decref(fields);
    return rc;
}

static int put_plan(const ra_plan *plan, ra_bytes *out, ra_error *err) {
    ra_str canonical = ra_plan_canonical(plan);
    RA_TRY(ra_bytes_printf(out, err, "{\"plan\": "));
    RA_TRY(ra_bytes_append(out, canonical.data, canonical.len, err));
    RA_TRY(ra_bytes_printf(out, err, ", \"schema\": \""));
    RA_TRY(put_schema(ra_plan_schema(plan), out, err));
    RA_TRY(ra_bytes_printf(out, err, "\", \"fields\": "));
    RA_TRY(put_fields(ra_plan_schema(plan), out, err));
    return ra_bytes_append(out, "}", 1, err);
}

static int reply_plan(ra_call *call, const ra_plan *plan, ra_error *err) {
    ra_bytes text;
    ra_bytes_init(&text, PLAN_CEILING);
    int rc = put_plan(plan, &text, err);
    if (rc == 0)
        rc = ra_action_send(call, ra_bytes_str(&text), err);
    ra_bytes_fini(&text);
    if (rc == 0)
        ra_call_finish(call, NULL);
    return rc;
}

static void explained(ra_call *call, void *owner, const ra_answer *answer) {
    (void)owner;
    ra_error err;
    if (answer->err->code != RA_OK)
        ra_call_finish(call, answer->err);
    else if (reply_plan(call, answer->plan, &err) != 0)
        ra_call_finish(call, &err);
}

static void end_command(void *state) {
    ra_command_end(state);
}

int ra_action_explain(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_command *command;
    action->free_state = end_command;
    ra_action_ref(action);
    int rc =
        ra_command_start(call, action->body, RA_COMMAND_PLAN, explained, action, &command, err);
    action->state = command;
    ra_action_unref(action);
    return rc;
}

static json_t *limits_json(const ra_app *app) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "batch_bytes", (json_int_t)RA_BATCH_LIMIT_BYTES,
                     "command_bytes", (json_int_t)RA_COMMAND_MESSAGE_BYTES, "columns",
                     (json_int_t)RA_MAX_COLUMNS, "nesting", (json_int_t)RA_MAX_NESTING,
                     "memory_bytes", (json_int_t)app->budget->limit_bytes);
}

static json_t *store_json(const ra_app *app, int64_t free_bytes, int64_t total_bytes) {
    ra_store_status status;
    ra_store_get_status(app->store, &status);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "flights", (json_int_t)status.n_flights,
                     "segments", (json_int_t)status.n_segments, "segment_bytes",
                     (json_int_t)status.segment_bytes, "spool_bytes",
                     (json_int_t)status.spool_bytes, "disk_free_bytes", (json_int_t)free_bytes,
                     "disk_total_bytes", (json_int_t)total_bytes, "read_only",
                     (int)(status.read_only || app->read_only));
}

static json_t *wire_json(const ra_app *app) {
    ra_wire_status status;
    ra_wire_get_status(app->wire, &status);
    return json_pack("{s:I, s:I}", "connections", (json_int_t)status.connections, "calls",
                     (json_int_t)status.calls);
}

int ra_action_server_info(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const none[] = {NULL};
    const ra_app *app = action->app;
    int64_t free_bytes, total_bytes;
    RA_TRY(ra_json_check_keys(action->json, none, err));
    RA_TRY(ra_os_disk(app->data_dir, &free_bytes, &total_bytes, err));
    json_t *answer =
        json_pack("{s:s, s:o, s:o, s:o, s:[s, s, s, s]}", "version", RA_VERSION, "limits",
                  limits_json(app), "store", store_json(app, free_bytes, total_bytes), "wire",
                  wire_json(app), "features", "put", "command", "exchange", "watch");
    return ra_action_reply_json(call, answer, err);
}

// Gives up the polled run of this client that a FlightInfo's descriptor names.
static bool cancel_polled(ra_call *call, ra_str info) {
    ra_str descriptor;
    ra_target target;
    ra_error err;
    ra_command *command = NULL;
    if (ra_request_field(info, 2, &descriptor, &err) == 0 &&
        ra_descriptor_read(descriptor, &target, &err) == 0 && target.by == RA_NAMED_BY_COMMAND)
        command = ra_polled_take(call, target.command);
    ra_command_end(command);
    return command != NULL;
}

// Other infos that we hand out are finished, and shared: there is nothing to cancel (F-80, F-82).
int ra_action_cancel_flight_info(ra_call *call, ra_action_call *action, ra_error *err) {
    enum { CANCELLED = 1, NOT_CANCELLABLE = 3 };
    ra_str info;
    RA_TRY(ra_request_field(action->body, 1, &info, err));
    ra_bytes result;
    ra_bytes_init(&result, 64);
    uint64_t status = cancel_polled(call, info) ? CANCELLED : NOT_CANCELLABLE;
    int rc = ra_pb_put_varint(&result, 1, status, err);
    if (rc == 0)
        rc = ra_action_send(call, ra_bytes_str(&result), err);
    ra_bytes_fini(&result);
    if (rc == 0)
        ra_call_finish(call, NULL);
    return rc;
}

static int check_ticket(const ra_app *app, ra_str endpoint, ra_error *err) {
    ra_str ticket, text;
    ra_target target;
    ra_flight *flight;
    ra_version *version;
    RA_TRY(ra_request_field(endpoint, 1, &ticket, err));
    RA_TRY(ra_request_field(ticket, 1, &text, err));
    RA_TRY(ra_ticket_read(text, &target, err));
    if (target.by == RA_NAMED_BY_COMMAND)
        return 0;
    RA_TRY(ra_target_find(app->store, &target, &flight, &version, err));
    ra_flight_unref(flight);
    ra_version_unref(version);
    return 0;
}

// Our tickets do not expire while the Flight lives: the endpoint comes back as it is.
int ra_action_renew_endpoint(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_str endpoint;
    RA_TRY(ra_request_field(action->body, 1, &endpoint, err));
    RA_TRY(check_ticket(action->app, endpoint, err));
    RA_TRY(ra_action_send(call, endpoint, err));
    ra_call_finish(call, NULL);
    return 0;
}
