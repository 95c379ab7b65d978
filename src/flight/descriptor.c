#include "flight/descriptor.h"

#include "base/checked.h"
#include "wire/protobuf.h"

enum { TYPE_PATH = 1, TYPE_CMD = 2, TICKET_MARK = 'F', TICKET_FORMAT = 1, MAX_PATH = 2 };

bool ra_number_read(ra_str text, int64_t *out) {
    if (text.len == 0 || text.len > 18)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool read_marked_number(ra_str text, char mark, int64_t *out) {
    return text.len > 1 && text.data[0] == mark &&
           ra_number_read((ra_str){text.data + 1, text.len - 1}, out);
}

static int read_path(const ra_str *path, int n, ra_target *out, ra_error *err) {
    if (n < 1 || n > MAX_PATH)
        RA_FAIL(err, INVALID_ARGUMENT,
                "a path is [name], [name, \"@VERSION\"], [\"#ID\"] or [\"#ID\", \"@VERSION\"], "
                "not of %d parts",
                n);
    if (n == 2 && (!read_marked_number(path[1], '@', &out->version) || out->version == 0))
        RA_FAIL(err, INVALID_ARGUMENT, "'%.*s' is not a version such as \"@2\"",
                RA_STR_ARG(path[1]));
    if (read_marked_number(path[0], '#', &out->id)) {
        out->by = RA_NAMED_BY_ID;
        return 0;
    }
    out->by = RA_NAMED_BY_NAME;
    out->name = path[0];
    return ra_name_check(path[0], err);
}

static bool is_command(ra_str text) {
    return text.len > 0 && (text.data[0] == '{' || (text.data[0] >= '0' && text.data[0] <= '9'));
}

static int read_command(ra_str command, ra_target *out, ra_error *err) {
    if (!is_command(command))
        RA_FAIL(err, INVALID_ARGUMENT,
                "a command is a JSON object or <id>$<method>$<args>$<kwargs>; this begins with "
                "neither '{' nor a digit");
    out->by = RA_NAMED_BY_COMMAND;
    out->command = command;
    return 0;
}

int ra_descriptor_read(ra_str message, ra_target *out, ra_error *err) {
    *out = (ra_target){.encoded = message, .id = -1};
    ra_pb_reader reader = ra_pb_reader_of(message);
    ra_pb_field field;
    ra_str path[MAX_PATH], command = {NULL, 0};
    uint64_t type = 0;
    int n_path = 0, more;
    while ((more = ra_pb_next(&reader, &field)) > 0) {
        if (field.number == 1 && field.type == RA_PB_VARINT)
            type = field.value;
        if (field.number == 2 && field.type == RA_PB_LEN)
            command = field.bytes;
        if (field.number == 3 && field.type == RA_PB_LEN) {
            if (n_path < MAX_PATH)
                path[n_path] = field.bytes;
            n_path++;
        }
    }
    if (more < 0)
        RA_FAIL(err, MALFORMED_REQUEST, "the FlightDescriptor is not valid protobuf");
    if (type == TYPE_PATH)
        return read_path(path, n_path, out, err);
    if (type == TYPE_CMD)
        return read_command(command, out, err);
    RA_FAIL(err, INVALID_ARGUMENT, "a FlightDescriptor must be of type PATH or CMD");
}

int ra_ticket_read(ra_str ticket, ra_target *out, ra_error *err) {
    *out = (ra_target){.id = -1};
    if (is_command(ticket))
        return read_command(ticket, out, err);
    if (ticket.len != RA_TICKET_BYTES || ticket.data[0] != TICKET_MARK ||
        ticket.data[1] != TICKET_FORMAT)
        RA_FAIL(err, FLIGHT_NOT_FOUND,
                "this ticket is neither one of this server's nor a command "
                "such as {\"from\": {\"name\": \"taxi\"}}");
    out->by = RA_NAMED_BY_TICKET;
    memcpy(out->uid, ticket.data + 2, sizeof out->uid);
    out->id = ra_load_i64(ticket.data + 18);
    out->version = ra_load_i64(ticket.data + 26);
    if (out->id < 0 || out->version < 1)
        RA_FAIL(err, FLIGHT_NOT_FOUND, "this ticket is not one of this server's");
    return 0;
}

void ra_ticket_write(const ra_version *version, uint8_t out[RA_TICKET_BYTES]) {
    out[0] = TICKET_MARK;
    out[1] = TICKET_FORMAT;
    memcpy(out + 2, version->uid, sizeof version->uid);
    ra_store_i64(out + 18, version->flight_id);
    ra_store_i64(out + 26, version->number);
}

int ra_target_find(ra_store *store, const ra_target *target, ra_flight **flight,
                   ra_version **version, ra_error *err) {
    ra_assert(target->by != RA_NAMED_BY_COMMAND);
    if (target->by == RA_NAMED_BY_NAME)
        return ra_store_find(store, target->name, target->version, flight, version, err);
    RA_TRY(ra_store_get(store, target->id, target->version, flight, version, err));
    if (target->by == RA_NAMED_BY_TICKET &&
        memcmp((*flight)->uid, target->uid, sizeof target->uid) != 0) {
        ra_flight_unref(*flight);
        ra_version_unref(*version);
        *flight = NULL;
        *version = NULL;
        RA_FAIL(err, FLIGHT_NOT_FOUND, "the Flight of this ticket does not exist any more");
    }
    return 0;
}
