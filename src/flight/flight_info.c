#include "flight/flight_info.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "arrow/ipc.h"
#include "base/json_text.h"
#include "base/log.h"
#include "wire/protobuf.h"

enum {
    INFO_CEILING = 32 * 1024 * 1024,
    JSON_CEILING = 4 * 1024 * 1024,
    TYPE_PATH = 1,
    TYPE_CMD = 2,
    LISTED_NAMES = 16,
    LISTED_LINEAGE_BYTES = 64 * 1024,
    TICKET_COMMAND_BYTES = 31 * 1024 * 1024  // within INFO_CEILING, with what is around it
};

static int put_hex(ra_bytes *out, const uint8_t *data, size_t bytes, ra_error *err) {
    for (size_t i = 0; i < bytes; i++)
        RA_TRY(ra_bytes_printf(out, err, "%02x", data[i]));
    return 0;
}

static int put_time(ra_bytes *out, const char *key, int64_t wall_ns, ra_error *err) {
    char text[RA_TIME_TEXT_BYTES];
    ra_time_text(wall_ns, text);
    return ra_bytes_printf(out, err, ", \"%s\": \"%s\"", key, text);
}

static int put_names(const ra_flight *flight, ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_printf(out, err, ", \"names\": ["));
    for (int i = 0; i < flight->n_names && i < LISTED_NAMES; i++) {
        RA_TRY(ra_bytes_append(out, ", ", i ? 2 : 0, err));
        RA_TRY(ra_json_put_string(out, flight->names[i], err));
    }
    return ra_bytes_append(out, "]", 1, err);
}

// A plan may be as long as a command; a list of Flights must stay readable for clients that take
// messages of 4 MiB.
static int put_lineage(ra_str lineage, ra_bytes *out, ra_error *err) {
    if (lineage.len > LISTED_LINEAGE_BYTES)
        return ra_bytes_printf(out, err, ", \"lineage\": {\"omitted_bytes\": %zu}", lineage.len);
    RA_TRY(ra_bytes_printf(out, err, ", \"lineage\": "));
    return ra_bytes_append(out, lineage.data, lineage.len, err);
}

const char *ra_version_state(const ra_version *version) {
    return ra_version_is_failed(version) ? "failed" : "ready";
}

int ra_flight_json(const ra_flight *flight, const ra_version *version, bool with_lineage,
                   ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_printf(out, err, "{\"id\": %" PRId64 ", \"uid\": \"", flight->id));
    RA_TRY(put_hex(out, flight->uid, sizeof flight->uid, err));
    RA_TRY(ra_bytes_printf(out, err, "\", \"version\": %" PRId64 ", \"kind\": \"%s\"",
                           version->number,
                           flight->kind == RA_KIND_DATASET ? "dataset" : "result"));
    RA_TRY(put_names(flight, out, err));
    RA_TRY(put_time(out, "created", version->created_ns, err));
    RA_TRY(ra_bytes_printf(out, err, ", \"created_by\": "));
    RA_TRY(ra_json_put_string(out, flight->created_by, err));
    RA_TRY(put_time(out, "last_used", atomic_load(flight->last_used_ns), err));
    if (ra_flight_expires_ns(flight) != INT64_MAX)
        RA_TRY(put_time(out, "expires", ra_flight_expires_ns(flight), err));
    RA_TRY(ra_bytes_printf(out, err, ", \"state\": \"%s\", \"kept\": %s, \"combined\": %s",
                           ra_version_state(version),
                           flight->kept || flight->kind == RA_KIND_DATASET ? "true" : "false",
                           version->content->combined ? "true" : "false"));
    if (with_lineage && flight->lineage.len > 0)
        RA_TRY(put_lineage(flight->lineage, out, err));
    return ra_bytes_append(out, "}", 1, err);
}

enum { PORT_DIGITS = 5 };

// Whether the authority is host:port with nothing that a URI would take for something else.
static bool is_host_and_port(ra_str authority) {
    size_t digits = 0;
    int64_t port = 0, factor = 1;
    for (; digits < authority.len && digits <= PORT_DIGITS; digits++, factor *= 10) {
        unsigned char c = (unsigned char)authority.data[authority.len - 1 - digits];
        if (!isdigit(c))
            break;
        port += factor * (c - '0');
    }
    if (digits == 0 || port > UINT16_MAX || authority.len < digits + 2 ||
        authority.data[authority.len - 1 - digits] != ':')
        return false;
    for (size_t i = 0; i < authority.len - digits - 1; i++) {
        unsigned char c = (unsigned char)authority.data[i];
        if (!isalnum(c) && !strchr(".-_[]:", c))
            return false;
    }
    return true;
}

int ra_flight_location(const ra_call *call, ra_bytes *out, ra_error *err) {
    const ra_app *app = ra_app_of(call);
    ra_str authority = ra_call_authority(call);
    if (ra_call_is_unix(call))
        return app->socket_path ? ra_bytes_printf(out, err, "grpc+unix://%s", app->socket_path) : 0;
    if (is_host_and_port(authority))
        return ra_bytes_printf(out, err, "grpc+tcp://%.*s", (int)authority.len, authority.data);
    return app->advertise ? ra_bytes_printf(out, err, "%s", app->advertise) : 0;
}

static int put_message(ra_bytes *out, uint32_t number, const ra_bytes *message, ra_error *err) {
    return ra_pb_put_bytes(out, number, ra_bytes_str(message), err);
}

static int put_endpoint(const ra_call *call, ra_str ticket, ra_bytes *out, ra_error *err) {
    ra_bytes endpoint, part;
    ra_bytes_init(&endpoint, INFO_CEILING);
    ra_bytes_init(&part, INFO_CEILING);
    int rc;
    RA_GOTO(ra_pb_put_bytes(&part, 1, ticket, err), done);
    RA_GOTO(put_message(&endpoint, 1, &part, err), done);
    ra_bytes_clear(&part);
    RA_GOTO(ra_flight_location(call, &part, err), done);
    if (part.len > 0) {
        ra_bytes location;
        ra_bytes_init(&location, INFO_CEILING);
        rc = put_message(&location, 1, &part, err);
        if (rc == 0)
            rc = put_message(&endpoint, 2, &location, err);
        ra_bytes_fini(&location);
        if (rc != 0)
            goto done;
    }
    rc = put_message(out, 3, &endpoint, err);
done:
    ra_bytes_fini(&part);
    ra_bytes_fini(&endpoint);
    return rc;
}

static int put_descriptor(uint64_t type, ra_str text, ra_bytes *out, ra_error *err) {
    ra_bytes descriptor;
    ra_bytes_init(&descriptor, INFO_CEILING);
    int rc = ra_pb_put_varint(&descriptor, 1, type, err);
    if (rc == 0)
        rc = ra_pb_put_bytes(&descriptor, type == TYPE_PATH ? 3 : 2, text, err);
    if (rc == 0)
        rc = put_message(out, 2, &descriptor, err);
    ra_bytes_fini(&descriptor);
    return rc;
}

// The legacy client parses every listed CMD and fails on others, so only legacy commands appear as
// one.
static int put_listed_descriptor(const ra_flight *flight, ra_bytes *out, ra_error *err) {
    if (flight->n_names > 0)
        return put_descriptor(TYPE_PATH, flight->names[0], out, err);
    if (flight->kind == RA_KIND_RESULT && flight->legacy_command.len > 0)
        return put_descriptor(TYPE_CMD, flight->legacy_command, out, err);
    char id[32];
    int n = snprintf(id, sizeof id, "#%" PRId64, flight->id);
    return put_descriptor(TYPE_PATH, (ra_str){id, (size_t)n}, out, err);
}

static int put_totals(int64_t rows, int64_t bytes, ra_bytes *out, ra_error *err) {
    RA_TRY(ra_pb_put_varint(out, 4, (uint64_t)rows, err));
    return ra_pb_put_varint(out, 5, (uint64_t)bytes, err);
}

static int put_json(const ra_flight *flight, const ra_version *version, ra_bytes *out,
                    ra_error *err) {
    ra_bytes json;
    ra_bytes_init(&json, JSON_CEILING);
    int rc = ra_flight_json(flight, version, true, &json, err);
    if (rc == 0)
        rc = put_message(out, 7, &json, err);
    ra_bytes_fini(&json);
    return rc;
}

int ra_flight_info_write(const ra_call *call, const ra_flight *flight, const ra_version *version,
                         const ra_str *descriptor, ra_bytes *out, ra_error *err) {
    const ra_content *content = version->content;
    uint8_t ticket[RA_TICKET_BYTES];
    ra_ticket_write(version, ticket);
    ra_str schema = {(const char *)content->framed_schema->data, content->framed_schema->bytes};
    RA_TRY(ra_pb_put_bytes(out, 1, schema, err));
    if (descriptor)
        RA_TRY(ra_pb_put_bytes(out, 2, *descriptor, err));
    else
        RA_TRY(put_listed_descriptor(flight, out, err));
    RA_TRY(put_endpoint(call, (ra_str){(const char *)ticket, sizeof ticket}, out, err));
    RA_TRY(put_totals(content->n_rows, content->n_bytes, out, err));
    return put_json(flight, version, out, err);
}

static int put_schema(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    ra_bytes framed;
    ra_bytes_init(&framed, INFO_CEILING);
    int rc = ra_ipc_encode_framed_schema(schema, &framed, err);
    if (rc == 0)
        rc = put_message(out, 1, &framed, err);
    ra_bytes_fini(&framed);
    return rc;
}

int ra_flight_info_write_tombstone(int64_t id, ra_bytes *out, ra_error *err) {
    ra_schema *schema;
    RA_TRY(ra_schema_new(0, &schema, err));
    int rc = ra_schema_seal(schema, err);
    if (rc == 0)
        rc = put_schema(schema, out, err);
    ra_schema_unref(schema);
    RA_TRY(rc);
    RA_TRY(put_descriptor(TYPE_CMD, RA_STR("DELETED"), out, err));
    RA_TRY(put_totals(0, 0, out, err));
    char json[64];
    int n = snprintf(json, sizeof json, "{\"id\": %" PRId64 ", \"state\": \"deleted\"}", id);
    return ra_pb_put_bytes(out, 7, (ra_str){json, (size_t)n}, err);
}

int ra_flight_info_write_unpublished(const ra_call *call, const ra_plan *plan, ra_str command,
                                     ra_str descriptor, ra_bytes *out, ra_error *err) {
    if (command.len > TICKET_COMMAND_BYTES)
        RA_FAIL(
            err, MESSAGE_TOO_LARGE,
            "a command of %zu bytes is too long for the ticket of a FlightInfo, which takes %d: "
            "it can be the ticket of a DoGet itself",
            command.len, TICKET_COMMAND_BYTES);
    RA_TRY(put_schema(ra_plan_schema(plan), out, err));
    RA_TRY(ra_pb_put_bytes(out, 2, descriptor, err));
    RA_TRY(put_endpoint(call, command, out, err));
    return put_totals(-1, -1, out, err);
}

int ra_flight_info_write_answer(const ra_call *call, ra_str descriptor, ra_str command,
                                const ra_answer *answer, ra_bytes *out, ra_error *err) {
    if (answer->version)
        return ra_flight_info_write(call, answer->flight, answer->version, &descriptor, out, err);
    return ra_flight_info_write_unpublished(call, answer->plan, command, descriptor, out, err);
}

void ra_flight_label(const ra_flight *flight, char out[RA_FLIGHT_LABEL_BYTES]) {
    int n = snprintf(out, RA_FLIGHT_LABEL_BYTES, "Flight %" PRId64, flight->id);
    if (flight->n_names > 0)
        snprintf(out + n, (size_t)(RA_FLIGHT_LABEL_BYTES - n), " ('%.*s')",
                 (int)flight->names[0].len, flight->names[0].data);
}

void ra_flight_trailer(ra_call *call, const ra_flight *flight, const ra_version *version) {
    ra_bytes json;
    ra_bytes_init(&json, RA_TRAILER_JSON_BYTES);
    int rc = ra_flight_json(flight, version, false, &json, NULL);
    if (rc == 0)
        rc = ra_call_add_trailer(call, "remote-arrow-flight", ra_bytes_str(&json), NULL);
    if (rc != 0)
        ra_log(RA_LOG_WARNING, "flight", "no trailer for Flight %" PRId64, flight->id);
    ra_bytes_fini(&json);
}
