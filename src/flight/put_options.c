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

int ra_put_options_check(const ra_put_options *options, ra_store *store, ra_error *err) {
    return ra_store_check_publish(store, ra_bytes_str(&options->name), options->if_exists,
                                  options->if_version, err);
}
