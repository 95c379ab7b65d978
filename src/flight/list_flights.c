// ListFlights: every Flight in id order, position = id, tombstones included; or what criteria ask
// for.
#include <jansson.h>

#include "base/glob.h"
#include "base/os.h"
#include "flight/flight_info.h"
#include "flight/request.h"
#include "query/json_reader.h"

enum {
    INFO_CEILING = 64 * 1024 * 1024,
    PATTERN_BYTES = 512,
    CRITERIA_BYTES = 64 * 1024,
    LOOKED_AT_ONCE = 4096
};

typedef struct {
    bool with_deleted;
    bool only_mine;
    bool has_kind;
    ra_kind kind;
    char name[PATTERN_BYTES];  // a glob pattern, empty = any
    int64_t after;
    int64_t limit;
} criteria;

typedef struct {
    ra_snapshot *snapshot;
    criteria criteria;
    int64_t next;
    int64_t n_sent;
    char caller[RA_CALLER_BYTES];
} list_call;

static int read_kind(criteria *out, const char *word, ra_error *err) {
    out->has_kind = true;
    out->kind = strcmp(word, "dataset") == 0 ? RA_KIND_DATASET : RA_KIND_RESULT;
    if (out->kind == RA_KIND_RESULT && strcmp(word, "result") != 0)
        RA_FAIL(err, INVALID_ARGUMENT, "\"kind\" is \"dataset\" or \"result\", not \"%.100s\"",
                word);
    return 0;
}

static int read_criterion(criteria *out, const char *key, const json_t *value, ra_error *err) {
    if (strcmp(key, "deleted") == 0 && json_is_boolean(value)) {
        out->with_deleted = json_is_true(value);
    } else if (strcmp(key, "mine") == 0 && json_is_boolean(value)) {
        out->only_mine = json_is_true(value);
    } else if (strcmp(key, "name") == 0 && json_is_string(value) &&
               json_string_length(value) < PATTERN_BYTES) {
        memcpy(out->name, json_string_value(value), json_string_length(value) + 1);
    } else if (strcmp(key, "kind") == 0 && json_is_string(value)) {
        return read_kind(out, json_string_value(value), err);
    } else if (strcmp(key, "after") == 0 && json_is_integer(value)) {
        out->after = json_integer_value(value);
    } else if (strcmp(key, "limit") == 0 && json_is_integer(value) &&
               json_integer_value(value) >= 0) {
        out->limit = json_integer_value(value);
    } else {
        RA_FAIL(err, INVALID_ARGUMENT,
                "criteria are deleted (true/false), name (a pattern), kind (dataset/result), mine "
                "(true/false), after (an id) and limit (a count), not \"%.100s\" like this",
                key);
    }
    return 0;
}

static int read_criteria(ra_str text, criteria *out, ra_error *err) {
    *out = (criteria){.with_deleted = true, .after = -1, .limit = INT64_MAX};
    if (text.len == 0)
        return 0;
    json_t *root, *value;
    RA_TRY(ra_json_read(text, &root, err));
    if (!json_is_object(root)) {
        json_decref(root);
        RA_FAIL(err, MALFORMED_REQUEST, "the criteria are not a JSON object");
    }
    const char *key;
    int rc = 0;
    json_object_foreach(root, key, value) {
        if ((rc = read_criterion(out, key, value, err)) != 0)
            break;
    }
    json_decref(root);
    return rc;
}

static bool name_matches(const ra_flight *flight, const char *pattern) {
    if (!pattern[0])
        return true;
    for (int i = 0; i < flight->n_names; i++)
        if (ra_glob_match(ra_str_of(pattern), flight->names[i]))
            return true;
    return false;
}

static bool is_wanted(const list_call *list, const ra_flight *flight) {
    const criteria *c = &list->criteria;
    if (!flight)
        return c->with_deleted && !c->name[0] && !c->has_kind && !c->only_mine;
    return (!c->has_kind || flight->kind == c->kind) && name_matches(flight, c->name) &&
           (!c->only_mine || ra_str_eq(flight->created_by, ra_str_of(list->caller)));
}

static int send_one(ra_call *call, list_call *list, int64_t id, ra_error *err) {
    const ra_flight *flight = ra_snapshot_get(list->snapshot, id);
    if (!is_wanted(list, flight))
        return 0;
    ra_bytes info;
    ra_bytes_init(&info, INFO_CEILING);
    int rc = flight ? ra_flight_info_write(call, flight, ra_flight_newest(flight), NULL, &info, err)
                    : ra_flight_info_write_tombstone(id, &info, err);
    if (rc == 0)
        ra_reply_send(call, &info);
    ra_bytes_fini(&info);
    list->n_sent++;
    return rc;
}

static void pump(ra_call *call) {
    list_call *list = ra_call_state(call);
    ra_error err;
    int rc = 0;
    int64_t count = ra_snapshot_count(list->snapshot);
    for (int n = 0; rc == 0 && list->next < count && list->n_sent < list->criteria.limit; n++) {
        if (n == LOOKED_AT_ONCE || !ra_call_can_send(call)) {
            ra_call_want_output(call);
            return;
        }
        rc = send_one(call, list, list->next++, &err);
    }
    ra_reply_end(call, rc, &err);
}

static int start(ra_call *call, ra_str message, ra_error *err) {
    list_call *list = ra_calloc(1, sizeof *list);
    if (!list)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    ra_call_set_state(call, list);
    ra_str expression;
    RA_TRY(ra_request_field(message, 1, &expression, err));
    RA_TRY(read_criteria(expression, &list->criteria, err));
    char buffer[RA_CALLER_BYTES];
    ra_str caller = ra_app_caller(call, buffer);
    memcpy(list->caller, caller.data, caller.len);
    int64_t after = list->criteria.after;
    list->next = after < 0 ? 0 : after == INT64_MAX ? after : after + 1;
    list->snapshot = ra_store_snapshot(ra_app_of(call)->store);
    return 0;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    if (start(call, ra_bytes_str(message), &err) != 0)
        ra_call_finish(call, &err);
    else
        pump(call);
    ra_bytes_fini(message);
}

static void on_output(ra_call *call) {
    list_call *list = ra_call_state(call);
    if (list && list->snapshot)
        pump(call);
}

static void on_end(ra_call *call, bool cancelled) {
    (void)cancelled;
    list_call *list = ra_call_state(call);
    if (!list)
        return;
    if (list->snapshot)
        ra_snapshot_unref(list->snapshot);
    ra_free(list);
}

const ra_method ra_method_list_flights = {.path = RA_FLIGHT_PATH("ListFlights"),
                                          .max_message_bytes = CRITERIA_BYTES,
                                          .on_message = on_message,
                                          .on_output = on_output,
                                          .on_end = on_end};
