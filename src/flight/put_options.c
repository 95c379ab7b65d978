#include "flight/put_options.h"

#include <inttypes.h>
#include <jansson.h>

#include "flight/descriptor.h"
#include "query/json_reader.h"

enum { MAX_NAME_BYTES = 255 };

void ra_put_options_init(ra_put_options *options) {
    *options = (ra_put_options){.if_version = -1};
    ra_bytes_init(&options->name, MAX_NAME_BYTES + 1);
}

void ra_put_options_fini(ra_put_options *options) {
    ra_bytes_fini(&options->name);
}

int ra_if_exists_read(ra_str word, ra_if_exists *out, ra_error *err) {
    static const struct {
        const char *word;
        ra_if_exists value;
    } words[] = {{"error", RA_IF_EXISTS_ERROR},
                 {"replace", RA_IF_EXISTS_REPLACE},
                 {"append", RA_IF_EXISTS_APPEND},
                 {"reuse", RA_IF_EXISTS_REUSE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ra_str_eq(word, ra_str_of(words[i].word))) {
            *out = words[i].value;
            return 0;
        }
    RA_FAIL(err, INVALID_ARGUMENT, "if_exists is error, replace, append or reuse, not '%.*s'",
            RA_STR_ARG(word));
}

static int set_name(ra_put_options *options, ra_str name, ra_error *err) {
    RA_TRY(ra_name_check(name, err));
    return ra_bytes_append(&options->name, name.data, name.len, err);
}

static ra_str json_text(const json_t *value) {
    return (ra_str){json_string_value(value), json_string_length(value)};
}

static int read_option(ra_put_options *options, const char *key, const json_t *value,
                       ra_error *err) {
    if (strcmp(key, "name") == 0 && json_is_string(value))
        return set_name(options, json_text(value), err);
    if (strcmp(key, "if_exists") == 0 && json_is_string(value))
        return ra_if_exists_read(json_text(value), &options->if_exists, err);
    if (strcmp(key, "if_version") == 0 && json_is_integer(value) && json_integer_value(value) > 0) {
        options->if_version = json_integer_value(value);
        return 0;
    }
    RA_FAIL(err, INVALID_ARGUMENT,
            "\"put\" takes \"name\" (text), \"if_exists\" (text) and \"if_version\" (a number "
            "from 1), not \"%.100s\" like this",
            key);
}

static int read_put(ra_put_options *options, const json_t *root, ra_error *err) {
    json_t *put = json_object_get(root, "put"), *value;
    const char *key;
    if (!json_is_object(put) || json_object_size(root) != 1)
        RA_FAIL(err, INVALID_ARGUMENT, "an upload's command is {\"put\": {…}}");
    json_object_foreach(put, key, value) {
        RA_TRY(read_option(options, key, value, err));
    }
    return 0;
}

static int read_command(ra_put_options *options, ra_str command, ra_error *err) {
    json_t *root;
    RA_TRY(ra_json_read(command, &root, err));
    int rc = read_put(options, root, err);
    json_decref(root);
    return rc;
}

int ra_put_options_read(ra_put_options *options, ra_str descriptor, ra_str if_exists_header,
                        ra_error *err) {
    ra_target target;
    RA_TRY(ra_descriptor_read(descriptor, &target, err));
    if (target.by == RA_NAMED_BY_COMMAND)
        return read_command(options, target.command, err);
    if (target.by != RA_NAMED_BY_NAME || target.version != 0)
        RA_FAIL(err, INVALID_ARGUMENT, "an upload goes to a name, not to an id or a version");
    if (if_exists_header.len > 0)
        RA_TRY(ra_if_exists_read(if_exists_header, &options->if_exists, err));
    return set_name(options, target.name, err);
}

static int check_existing(const ra_put_options *options, const ra_flight *flight, ra_error *err) {
    int64_t newest = ra_flight_newest(flight)->number;
    ra_str name = ra_bytes_str(&options->name);
    int rc = 0;
    if (options->if_version >= 0 && options->if_version != newest)
        rc = ra_error_set(err, RA_REASON_VERSION_CONFLICT,
                          "Flight '%.*s' is at version %" PRId64 ", not at %" PRId64,
                          RA_STR_ARG(name), newest, options->if_version);
    else if (options->if_exists == RA_IF_EXISTS_ERROR)
        rc = ra_error_set(err, RA_REASON_FLIGHT_EXISTS, "Flight '%.*s' exists (id %" PRId64 ")",
                          RA_STR_ARG(name), flight->id);
    if (rc != 0 && err) {
        ra_error_set_subject(err, "name", name.data, name.len);
        err->flight = flight->id;
    }
    return rc;
}

static int check_missing(const ra_put_options *options, ra_error *err) {
    ra_str name = ra_bytes_str(&options->name);
    if (options->if_version < 0)
        return 0;
    ra_error_set(err, RA_REASON_FLIGHT_NOT_FOUND, "Flight '%.*s' does not exist", RA_STR_ARG(name));
    ra_error_set_subject(err, "name", name.data, name.len);
    return RA_REASON_CODE_FLIGHT_NOT_FOUND;
}

int ra_put_options_check(const ra_put_options *options, ra_store *store, ra_error *err) {
    if (options->name.len == 0 &&
        (options->if_exists != RA_IF_EXISTS_ERROR || options->if_version >= 0))
        RA_FAIL(err, INVALID_ARGUMENT, "if_exists and if_version need a name");
    if (options->name.len == 0)
        return 0;
    ra_snapshot *snapshot = ra_store_snapshot(store);
    ra_flight *flight = ra_snapshot_find(snapshot, ra_bytes_str(&options->name));
    int rc = flight ? check_existing(options, flight, err) : check_missing(options, err);
    ra_snapshot_unref(snapshot);
    return rc;
}
