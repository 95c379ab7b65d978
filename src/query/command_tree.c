#include "query/command_tree.h"

#include "base/checked.h"
#include "base/utf8.h"
#include "query/json_reader.h"
#include "query/literal.h"
#include "query/method.h"

// What a byte of text may cost in memory as part of the tree.
enum { TREE_BYTES_PER_TEXT_BYTE = 80 };  // [{},{}, …]

typedef struct {
    ra_str text;
    size_t at;
    bool after_arrow_key;  // the last string was "arrow", and a colon followed
    bool last_is_arrow;    // the last token was the string "arrow"
    size_t inline_bytes;
} scan;

// The position is behind the opening quote; moves behind the closing one.
static void scan_string(scan *s) {
    size_t from = s->at;
    while (s->at < s->text.len && s->text.data[s->at] != '"')
        s->at += s->text.data[s->at] == '\\' ? 2 : 1;
    if (s->at > s->text.len)
        s->at = s->text.len;
    ra_str content = {s->text.data + from, s->at - from};
    if (s->after_arrow_key)
        s->inline_bytes += content.len;
    s->last_is_arrow = !s->after_arrow_key && ra_str_eq(content, RA_STR("arrow"));
    s->after_arrow_key = false;
    s->at++;
}

// The bytes that are values of "arrow" keys.
static size_t count_inline_bytes(ra_str text) {
    scan s = {.text = text};
    while (s.at < text.len) {
        char c = text.data[s.at++];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (c == '"') {
            scan_string(&s);
            continue;
        }
        s.after_arrow_key = c == ':' && s.last_is_arrow;
        s.last_is_arrow = false;
    }
    return s.inline_bytes;
}

static int check_size(ra_str text, size_t inline_bytes, ra_error *err) {
    if (text.len - inline_bytes > RA_MAX_COMMAND_TEXT_BYTES)
        RA_FAIL(err, MESSAGE_TOO_LARGE,
                "a command may have %d bytes of text, inline Arrow not counted; this one has %zu",
                RA_MAX_COMMAND_TEXT_BYTES, text.len - inline_bytes);
    return 0;
}

static int charge(ra_command_tree *command, ra_str text, size_t inline_bytes, ra_error *err) {
    int64_t bytes = (int64_t)((text.len - inline_bytes) * TREE_BYTES_PER_TEXT_BYTE + inline_bytes);
    if (!command->budget)
        return 0;
    RA_TRY(ra_budget_charge(command->budget, bytes, err));
    command->charged_bytes = bytes;
    return 0;
}

static int read_json(ra_str text, ra_command_tree *command, ra_error *err) {
    size_t inline_bytes = count_inline_bytes(text);
    RA_TRY(check_size(text, inline_bytes, err));
    RA_TRY(charge(command, text, inline_bytes, err));
    return ra_json_read(text, &command->root, err);
}

typedef struct {
    ra_str text;
    size_t at;
} legacy;

static int fail_legacy(const legacy *l, const char *what, ra_error *err) {
    RA_FAIL(err, MALFORMED_REQUEST,
            "legacy command: %s at byte %zu (the form is <id>$<method>${0: arg}${'name': arg})",
            what, l->at);
}

static int read_dollar(legacy *l, ra_error *err) {
    while (l->at < l->text.len && l->text.data[l->at] == ' ')
        l->at++;
    if (l->at == l->text.len || l->text.data[l->at] != '$')
        return fail_legacy(l, "expected '$'", err);
    l->at++;
    return 0;
}

static int read_id(legacy *l, int64_t *id, ra_error *err) {
    *id = 0;
    for (; l->at < l->text.len; l->at++) {
        int digit = l->text.data[l->at] - '0';
        if (digit < 0 || digit > 9)
            break;
        if (!ra_mul_i64(*id, 10, id) || !ra_add_i64(*id, digit, id))
            return fail_legacy(l, "an id beyond 64 bits", err);
    }
    return 0;
}

static int read_dict(legacy *l, json_t **out, ra_error *err) {
    RA_TRY(ra_literal_read(l->text, &l->at, out, err));
    if (json_is_object(*out))
        return 0;
    json_decref(*out);
    *out = NULL;
    return fail_legacy(l, "expected a dict, ending", err);
}

// Adds what a dict of arguments holds to `named`, by the method's parameter names.
static int name_arguments(const ra_table_method *method, json_t *arguments, bool positional,
                          json_t *named, ra_error *err) {
    const char *key;
    size_t key_len;
    json_t *value;
    size_t n_positions = json_object_size(arguments), n_params = 0;
    while (method->params[n_params].name)
        n_params++;
    if (positional && n_positions > n_params)
        RA_FAIL(err, TYPE_ERROR, "%s() takes at most %zu positional arguments (%zu given)",
                method->name, n_params, n_positions);
    json_object_keylen_foreach(arguments, key, key_len, value) {
        ra_str name = {key, key_len};
        if (positional) {
            size_t i = key_len == 1 ? (size_t)(unsigned char)key[0] - '0' : n_positions;
            if (i >= n_positions)
                RA_FAIL(err, MALFORMED_REQUEST,
                        "legacy command: positional arguments of %s() must be numbered 0, 1, 2 …, "
                        "not '%.*s'",
                        method->name, RA_STR_ARG(name));
            name = ra_str_of(method->params[i].name);
        }
        if (json_object_getn(named, name.data, name.len))
            RA_FAIL(err, TYPE_ERROR, "%s() got multiple values for argument '%.*s'", method->name,
                    RA_STR_ARG(name));
        if (json_object_setn(named, name.data, name.len, value) != 0)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    }
    return 0;
}

static int read_legacy(ra_str text, json_t **out, ra_error *err) {
    legacy l = {.text = text};
    int64_t id;
    json_t *positions = NULL, *names = NULL, *named = json_object();
    const ra_table_method *method = NULL;
    int rc = 0;
    RA_GOTO(read_id(&l, &id, err), out);
    RA_GOTO(read_dollar(&l, err), out);
    size_t from = l.at;
    while (l.at < text.len && text.data[l.at] != '$')
        l.at++;
    RA_GOTO(ra_method_find((ra_str){text.data + from, l.at - from}, true, &method, err), out);
    RA_GOTO(read_dollar(&l, err), out);
    RA_GOTO(read_dict(&l, &positions, err), out);
    RA_GOTO(read_dollar(&l, err), out);
    RA_GOTO(read_dict(&l, &names, err), out);
    while (l.at < text.len && (text.data[l.at] == ' ' || text.data[l.at] == '\n'))
        l.at++;
    if (l.at < text.len) {
        rc = fail_legacy(&l, "unexpected text", err);
        goto out;
    }
    if (named) {
        RA_GOTO(name_arguments(method, positions, true, named, err), out);
        RA_GOTO(name_arguments(method, names, false, named, err), out);
    }
    *out =
        json_pack("{s:{s:I},s:[{s:O}]}", "from", "id", (json_int_t)id, "do", method->name, named);
    if (!*out)
        rc = ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for a command");
out:
    json_decref(positions);
    json_decref(names);
    json_decref(named);
    return rc;
}

int ra_command_tree_read(ra_str text, ra_budget *budget, ra_command_tree *out, ra_error *err) {
    *out = (ra_command_tree){.budget = budget};
    if (text.len > RA_MAX_COMMAND_BYTES)
        RA_FAIL(err, MESSAGE_TOO_LARGE, "a command may have %d bytes; this one has %zu",
                RA_MAX_COMMAND_BYTES, text.len);
    size_t valid = ra_utf8_valid_prefix(text.data, text.len);
    if (valid < text.len)
        RA_FAIL(err, MALFORMED_REQUEST, "command: invalid UTF-8 at byte %zu", valid);
    int first = text.len > 0 ? (unsigned char)text.data[0] : -1;
    if (first == '{')
        return read_json(text, out, err);
    if (first < '0' || first > '9')
        RA_FAIL(err, INVALID_ARGUMENT,
                "a command is JSON and begins with '{', or is of the legacy form and begins with "
                "the id of a Flight");
    RA_TRY(check_size(text, 0, err));
    RA_TRY(charge(out, text, 0, err));
    const char *nul = memchr(text.data, '\0', text.len);
    if (nul)
        RA_FAIL(err, MALFORMED_REQUEST, "legacy command: a NUL at byte %zu",
                (size_t)(nul - text.data));
    out->is_legacy = true;
    return read_legacy(text, &out->root, err);
}

void ra_command_tree_fini(ra_command_tree *command) {
    json_decref(command->root);
    command->root = NULL;
    if (command->charged_bytes > 0)
        ra_budget_release(command->budget, command->charged_bytes);
    command->charged_bytes = 0;
}
