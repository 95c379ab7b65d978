// The keys of sort_by.
#include "base/os.h"
#include "query/bind.h"
#include "query/canonical.h"

enum { MAX_PATH = RA_MAX_NESTING + 1 };

// One part of a path: a name, or a position.
typedef struct {
    bool by_name;
    ra_str name;
    int64_t position;
} part;

typedef struct {
    part parts[MAX_PATH];
    int n;
    ra_str text;         // as it was given, for messages
    ra_bytes unescaped;  // names of a dotted path
} path;

static int fail_no_match(ra_binder *b, const path *p, const char *what, ra_error *err) {
    char text[256];
    ra_bytes schema;
    ra_bytes_init(&schema, sizeof text);
    ra_shape_print(b->shape, &schema);
    ra_str columns = ra_bytes_str(&schema);
    int rc;
    const part *first = &p->parts[0];
    if (p->n == 1 && !first->by_name)
        rc = ra_error_set(err, RA_REASON_COLUMN_NOT_FOUND,
                          "Invalid sort key column: %s for FieldRef.FieldPath(%lld) in %.*s", what,
                          (long long)first->position, RA_STR_ARG(columns));
    else
        rc = ra_error_set(err, RA_REASON_COLUMN_NOT_FOUND,
                          "Invalid sort key column: %s for FieldRef.%s(%.*s) in %.*s", what,
                          p->n == 1 ? "Name" : "Nested",
                          RA_STR_ARG(p->n == 1 ? first->name : p->text), RA_STR_ARG(columns));
    ra_bytes_fini(&schema);
    ra_str subject = p->n == 1 && first->by_name ? first->name : p->text;
    ra_error_set_subject(err, "column", subject.data ? subject.data : "", subject.len);
    return rc;
}

static int add_part(path *p, part given, ra_error *err) {
    if (p->n == MAX_PATH)
        RA_FAIL(err, INVALID_ARGUMENT, "a sort key may name %d levels", MAX_PATH);
    p->parts[p->n++] = given;
    return 0;
}

// ".name" up to the next '.' or '[' that has no backslash before it; returns what follows.
static int read_dotted_name(path *p, size_t *at, ra_error *err) {
    size_t from = p->unescaped.len;
    for (++*at; *at < p->text.len; ++*at) {
        char c = p->text.data[*at];
        if (c == '.' || c == '[')
            break;
        if (c == '\\' && *at + 1 < p->text.len)
            ++*at;
        RA_TRY(ra_bytes_append(&p->unescaped, &p->text.data[*at], 1, err));
    }
    ra_str name = {(const char *)p->unescaped.data + from, p->unescaped.len - from};
    return add_part(p, (part){.by_name = true, .name = name}, err);
}

static int read_bracket(path *p, size_t *at, ra_error *err) {
    int64_t position = 0;
    for (++*at; *at < p->text.len; ++*at) {
        int digit = p->text.data[*at] - '0';
        if (digit < 0 || digit > 9)
            break;
        position = position < RA_MAX_COLUMNS ? position * 10 + digit : position;
    }
    if (*at == p->text.len || p->text.data[*at] != ']')
        RA_FAIL(err, INVALID_ARGUMENT, "Dot path '%.*s' contained an unterminated index",
                RA_STR_ARG(p->text));
    ++*at;
    return add_part(p, (part){.position = position}, err);
}

// A name that begins with '.' is a path: ".s.x", ".s[0]".
static int read_dotted(path *p, ra_error *err) {
    // Reserved at once: names point into it.
    RA_TRY(ra_bytes_reserve(&p->unescaped, p->text.len, err));
    for (size_t at = 0; at < p->text.len;) {
        if (p->text.data[at] == '.')
            RA_TRY(read_dotted_name(p, &at, err));
        else if (p->text.data[at] == '[')
            RA_TRY(read_bracket(p, &at, err));
        else
            RA_FAIL(err, INVALID_ARGUMENT, "Dot path must begin with '[' or '.', got '%.*s'",
                    RA_STR_ARG(p->text));
    }
    return 0;
}

static int read_part(path *p, json_t *given, ra_error *err) {
    if (json_is_integer(given))
        return add_part(p, (part){.position = json_integer_value(given)}, err);
    if (json_is_string(given))
        return add_part(p, (part){.by_name = true, .name = ra_json_str(given)}, err);
    RA_FAIL(err, TYPE_ERROR,
            "Expected a field reference as a str or int, or a list of str or int, as sort key");
}

static int read_path(json_t *given, path *p, ra_error *err) {
    if (json_is_string(given) && json_string_length(given) > 1 &&
        json_string_value(given)[0] == '.') {
        p->text = ra_json_str(given);
        return read_dotted(p, err);
    }
    if (!json_is_array(given))
        return read_part(p, given, err);
    if (json_array_size(given) == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "a sort key may not be an empty list");
    p->text = RA_STR("…");
    size_t i;
    json_t *item;
    json_array_foreach(given, i, item) {
        RA_TRY(read_part(p, item, err));
    }
    return 0;
}

// The child of a struct field that a part means: -1 none, -2 several.
static int find_child(const ra_field *field, const part *wanted) {
    if (field->type != RA_TYPE_STRUCT || field->is_dictionary)
        return -1;
    if (!wanted->by_name)
        return wanted->position >= 0 && wanted->position < field->n_children ? (int)wanted->position
                                                                             : -1;
    int found = -1;
    for (int i = 0; i < field->n_children; i++) {
        if (!ra_str_eq(field->children[i].name, wanted->name))
            continue;
        if (found >= 0)
            return -2;
        found = i;
    }
    return found;
}

static int resolve(ra_binder *b, const path *p, ra_sort_path *key, ra_error *err) {
    const part *first = &p->parts[0];
    if (first->by_name)
        key->column = ra_shape_find(b->shape, first->name);
    else if (first->position >= 0 && first->position < b->shape->n_columns)
        key->column = (int)first->position;
    else
        key->column = -1;
    if (key->column < 0)
        return fail_no_match(b, p, key->column == -1 ? "No match" : "Multiple matches", err);
    key->n_children = p->n - 1;
    if (key->n_children == 0)
        return 0;
    RA_TRY(ra_plan_alloc(b->plan, (size_t)key->n_children, sizeof(int), &key->children, err));
    const ra_field *field = b->shape->columns[key->column].field;
    for (int i = 0; i < key->n_children; i++) {
        int child = key->children[i] = find_child(field, &p->parts[i + 1]);
        if (child < 0)
            return fail_no_match(b, p, child == -1 ? "No match" : "Multiple matches", err);
        field = &field->children[child];
    }
    return 0;
}

static int bind_path(ra_binder *b, json_t *given, ra_sort_path *key, ra_error *err) {
    path p = {0};
    ra_bytes_init(&p.unescaped, RA_MAX_COMMAND_TEXT_BYTES);
    int rc = read_path(given, &p, err);
    if (rc == 0)
        rc = resolve(b, &p, key, err);
    ra_bytes_fini(&p.unescaped);
    return rc;
}

// One of two words; `what` for the message.
static int read_word(json_t *given, const char *no, const char *yes, const char *what, bool *out,
                     ra_error *err) {
    ra_str word = json_is_string(given) ? ra_json_str(given) : RA_STR("None");
    *out = ra_str_eq(word, ra_str_of(yes));
    if (*out || ra_str_eq(word, ra_str_of(no)))
        return 0;
    RA_FAIL(err, INVALID_ARGUMENT, "\"%.*s\" is not a valid %s", RA_STR_ARG(word), what);
}

// [key, order] or [key, order, null placement]
static int bind_key(ra_binder *b, json_t *given, ra_sort_path *key, ra_error *err) {
    size_t n = json_array_size(given);
    if (n != 2 && n != 3)
        RA_FAIL(err, INVALID_ARGUMENT,
                "sort_by: a sort key must be a list of key and order, and perhaps null placement");
    RA_TRY(read_word(json_array_get(given, 1), "ascending", "descending", "sort order",
                     &key->descending, err));
    if (n == 3)
        RA_TRY(read_word(json_array_get(given, 2), "at_end", "at_start", "null placement",
                         &key->nulls_first, err));
    return bind_path(b, json_array_get(given, 0), key, err);
}

static int put_key(ra_binder *b, const ra_sort_path *key, const char *comma, ra_error *err) {
    RA_TRY(ra_canonical_printf(b, err, "%s[", comma));
    if (key->n_children == 0) {
        RA_TRY(ra_canonical_column(b, key->column, err));
    } else {
        RA_TRY(ra_canonical_printf(b, err, "[%d", key->column));
        for (int i = 0; i < key->n_children; i++)
            RA_TRY(ra_canonical_printf(b, err, ",%d", key->children[i]));
        RA_TRY(ra_canonical_printf(b, err, "]"));
    }
    return ra_canonical_printf(b, err, ",\"%s\",\"%s\"]",
                               key->descending ? "descending" : "ascending",
                               key->nulls_first ? "at_start" : "at_end");
}

// A column that is a key already decides nothing any more.
static int bind_keys(ra_binder *b, ra_step *step, json_t *sorting, json_t *placement, bool *seen,
                     ra_error *err) {
    size_t n = json_is_array(sorting) ? json_array_size(sorting) : 1;
    bool overrides = placement && !json_is_null(placement), nulls_first = false;
    if (overrides)
        RA_TRY(read_word(placement, "at_end", "at_start", "null placement", &nulls_first, err));
    for (size_t i = 0; i < n; i++) {
        ra_sort_path key = {0};
        if (json_is_array(sorting))
            RA_TRY(bind_key(b, json_array_get(sorting, i), &key, err));
        else
            RA_TRY(bind_path(b, sorting, &key, err));
        if (overrides)
            key.nulls_first = nulls_first;
        if (key.n_children == 0 && seen[key.column])
            continue;
        seen[key.column] |= key.n_children == 0;
        RA_TRY(put_key(b, &key, step->sort.n > 0 ? "," : "", err));
        step->sort.keys[step->sort.n++] = key;
    }
    return 0;
}

int ra_bind_sort_by(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    json_t *sorting = args[0];
    if (json_is_object(sorting))
        RA_FAIL(err, INVALID_ARGUMENT, "sort_by: sorting must be a column name or a list of keys");
    if (!json_is_array(sorting) && !json_is_string(sorting))
        RA_FAIL(err, TYPE_ERROR, "sort_by: sorting must be a column name or a list of keys");
    size_t n = json_is_array(sorting) ? json_array_size(sorting) : 1;
    if (n == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "Must specify one or more sort keys");
    RA_TRY(ra_plan_alloc(b->plan, n, sizeof step->sort.keys[0], &step->sort.keys, err));
    RA_TRY(ra_canonical_printf(b, err, "\"sorting\":["));
    bool *seen = ra_calloc((size_t)b->shape->n_columns, sizeof *seen);
    if (!seen)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    int rc = bind_keys(b, step, sorting, args[1], seen, err);
    ra_free(seen);
    RA_TRY(rc);
    return ra_canonical_printf(b, err, "],\"null_placement\":null");
}
