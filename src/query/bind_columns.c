// Steps that leave, drop and rename columns, and the schema's metadata.
#include "base/base64.h"
#include "base/os.h"
#include "query/bind.h"
#include "query/canonical.h"
#include "query/renaming.h"

int ra_bind_column(ra_shape *shape, json_t *given, int *out, ra_error *err) {
    if (json_is_integer(given)) {
        json_int_t i = json_integer_value(given);
        if (i < -(json_int_t)shape->n_columns || i >= shape->n_columns)
            RA_FAIL(err, INDEX_OUT_OF_BOUNDS, "index out of bounds");
        *out = (int)(i < 0 ? i + shape->n_columns : i);
        return 0;
    }
    if (!json_is_string(given))
        RA_FAIL(err, TYPE_ERROR, "Index must either be string or integer");
    ra_str name = ra_json_str(given);
    *out = ra_shape_find(shape, name);
    if (*out >= 0)
        return 0;
    if (*out == -1)
        ra_error_set(err, RA_REASON_KEY_ERROR, "Field \"%.*s\" does not exist in schema",
                     RA_STR_ARG(name));
    else
        ra_error_set(err, RA_REASON_KEY_ERROR, "Field \"%.*s\" exists %d times in schema",
                     RA_STR_ARG(name), ra_shape_count(shape, name));
    ra_error_set_subject(err, "column", name.data, name.len);
    return RA_NOT_FOUND;
}

static int fail_not_found(ra_str name, ra_error *err) {
    int rc = ra_error_set(err, RA_REASON_KEY_ERROR, "Column '%.*s' not found", RA_STR_ARG(name));
    ra_error_set_subject(err, "column", name.data, name.len);
    return rc;
}

// What stays of the columns; the array is the plan's.
static int leave_columns(ra_binder *b, ra_step *step, int *columns, int n, ra_error *err) {
    step->select.columns = columns;
    step->select.n = n;
    return ra_shape_select(b->shape, columns, n, err);
}

// In the legacy form a string means its characters, as pyarrow iterates over it.
static int split_characters(ra_str text, json_t **out, ra_error *err) {
    *out = json_array();
    for (size_t from = 0, to = 1; *out && from < text.len; from = to++) {
        while (to < text.len && ((unsigned char)text.data[to] & 0xC0) == 0x80)
            to++;
        if (json_array_append_new(*out, json_stringn(text.data + from, to - from)) == 0)
            continue;
        json_decref(*out);
        *out = NULL;
    }
    if (!*out)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    return 0;
}

static int select_columns(ra_binder *b, ra_step *step, json_t *list, ra_error *err) {
    size_t n = json_array_size(list), i;
    json_t *item;
    int *columns;
    if (n > RA_MAX_COLUMNS)
        RA_FAIL(err, LIMIT, "a table may have %d columns, not %zu", RA_MAX_COLUMNS, n);
    RA_TRY(ra_plan_alloc(b->plan, n, sizeof *columns, &columns, err));
    RA_TRY(ra_canonical_printf(b, err, "\"columns\":["));
    json_array_foreach(list, i, item) {
        RA_TRY(ra_bind_column(b->shape, item, &columns[i], err));
        if (i > 0)
            RA_TRY(ra_canonical_printf(b, err, ","));
        RA_TRY(ra_canonical_column(b, columns[i], err));
    }
    RA_TRY(ra_canonical_printf(b, err, "]"));
    return leave_columns(b, step, columns, (int)n, err);
}

int ra_bind_select(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    if (json_is_array(args[0]))
        return select_columns(b, step, args[0], err);
    if (!b->is_legacy || !json_is_string(args[0]))
        RA_FAIL(err, TYPE_ERROR, "select: columns must be a list of column names and positions");
    json_t *list;
    RA_TRY(split_characters(ra_json_str(args[0]), &list, err));
    int rc = select_columns(b, step, list, err);
    json_decref(list);
    return rc;
}

// How often each column is named to be dropped.
static int count_drops(ra_binder *b, json_t *given, int *n_drops, ra_error *err) {
    size_t n = json_is_array(given) ? json_array_size(given) : 1;
    for (size_t i = 0; i < n; i++) {
        json_t *item = json_is_array(given) ? json_array_get(given, i) : given;
        if (!json_is_string(item))
            RA_FAIL(err, TYPE_ERROR, "drop_columns: columns must be column names");
        int column = ra_shape_find(b->shape, ra_json_str(item));
        if (column < 0)
            return fail_not_found(ra_json_str(item), err);
        n_drops[column]++;
    }
    return 0;
}

// As pyarrow does, columns are removed one by one from the last to the first: a name that is given
// twice removes its column and then the one that slid into its place. `stays` is a stack of what is
// left behind column i, the nearest on top.
static int apply_drops(const int *n_drops, int n_columns, int *stays, int *n_stays, ra_error *err) {
    int n = 0;
    for (int i = n_columns - 1; i >= 0; i--) {
        stays[n++] = i;
        if (n_drops[i] > n)
            RA_FAIL(err, INVALID_ARGUMENT, "Invalid column index to remove field.");
        n -= n_drops[i];
    }
    for (int i = 0; i < n / 2; i++) {
        int swap = stays[i];
        stays[i] = stays[n - 1 - i];
        stays[n - 1 - i] = swap;
    }
    *n_stays = n;
    return 0;
}

static int put_drops(ra_binder *b, const int *n_drops, ra_error *err) {
    const char *comma = "";
    RA_TRY(ra_canonical_printf(b, err, "\"columns\":["));
    for (int i = 0; i < b->shape->n_columns; i++) {
        for (int k = 0; k < n_drops[i]; k++, comma = ",") {
            RA_TRY(ra_canonical_printf(b, err, "%s", comma));
            RA_TRY(ra_canonical_string(b, b->shape->columns[i].name, err));
        }
    }
    return ra_canonical_printf(b, err, "]");
}

int ra_bind_drop_columns(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    if (!json_is_array(args[0]) && !json_is_string(args[0]))
        RA_FAIL(err, TYPE_ERROR, "drop_columns: columns must be a column name or a list of them");
    int n_columns = b->shape->n_columns, n, *stays;
    RA_TRY(ra_plan_alloc(b->plan, (size_t)n_columns, sizeof *stays, &stays, err));
    int *n_drops = ra_calloc((size_t)n_columns, sizeof n_drops[0]);
    if (!n_drops)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    int rc = count_drops(b, args[0], n_drops, err);
    if (rc == 0)
        rc = put_drops(b, n_drops, err);
    if (rc == 0)
        rc = apply_drops(n_drops, n_columns, stays, &n, err);
    ra_free(n_drops);
    RA_TRY(rc);
    return leave_columns(b, step, stays, n, err);
}

int ra_bind_remove_column(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    if (!json_is_integer(args[0]))
        RA_FAIL(err, TYPE_ERROR, "remove_column: i must be an integer");
    json_int_t column = json_integer_value(args[0]);
    int n_columns = b->shape->n_columns, *stays, n = 0;
    if (column < 0 || column >= n_columns)
        RA_FAIL(err, INVALID_ARGUMENT, "Invalid column index to remove field.");
    RA_TRY(ra_plan_alloc(b->plan, (size_t)n_columns, sizeof *stays, &stays, err));
    for (int i = 0; i < n_columns; i++)
        if (i != column)
            stays[n++] = i;
    RA_TRY(ra_canonical_printf(b, err, "\"i\":%d", (int)column));
    return leave_columns(b, step, stays, n, err);
}

static int take_names(ra_binder *b, json_t *given, ra_renaming *renaming, ra_error *err) {
    size_t n = json_array_size(given), i;
    json_t *name;
    if (n != (size_t)b->shape->n_columns)
        RA_FAIL(err, INVALID_ARGUMENT,
                "tried to rename a table of %d columns but only %zu names were provided",
                b->shape->n_columns, n);
    renaming->by_position = true;
    renaming->n = (int)n;
    RA_TRY(ra_plan_alloc(b->plan, n, sizeof renaming->pairs[0], &renaming->pairs, err));
    RA_TRY(ra_canonical_printf(b, err, "\"names\":["));
    json_array_foreach(given, i, name) {
        if (!json_is_string(name))
            RA_FAIL(err, TYPE_ERROR, "rename_columns: a name must be a string");
        RA_TRY(ra_plan_copy(b->plan, ra_json_str(name), &renaming->pairs[i].to, err));
        RA_TRY(ra_canonical_printf(b, err, "%s", i > 0 ? "," : ""));
        RA_TRY(ra_canonical_string(b, renaming->pairs[i].to, err));
    }
    return ra_canonical_printf(b, err, "]");
}

static int take_name_pairs(ra_binder *b, json_t *given, ra_renaming *renaming, ra_error *err) {
    size_t n = json_object_size(given), key_len;
    const char *key;
    json_t *name;
    RA_TRY(ra_plan_alloc(b->plan, n, sizeof renaming->pairs[0], &renaming->pairs, err));
    json_object_keylen_foreach(given, key, key_len, name) {
        ra_str from = {key, key_len};
        if (ra_shape_find(b->shape, from) == -1)
            return fail_not_found(from, err);
        if (!json_is_string(name))
            RA_FAIL(err, TYPE_ERROR, "rename_columns: a name must be a string");
        int i = renaming->n++;
        RA_TRY(ra_plan_copy(b->plan, from, &renaming->pairs[i].from, err));
        RA_TRY(ra_plan_copy(b->plan, ra_json_str(name), &renaming->pairs[i].to, err));
    }
    ra_renaming_sort(renaming);
    RA_TRY(ra_canonical_printf(b, err, "\"names\":{"));
    for (int i = 0; i < renaming->n; i++) {
        RA_TRY(ra_canonical_printf(b, err, "%s", i > 0 ? "," : ""));
        RA_TRY(ra_canonical_string(b, renaming->pairs[i].from, err));
        RA_TRY(ra_canonical_printf(b, err, ":"));
        RA_TRY(ra_canonical_string(b, renaming->pairs[i].to, err));
    }
    return ra_canonical_printf(b, err, "}");
}

int ra_bind_rename_columns(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    ra_renaming *renaming = &step->renaming;
    if (json_is_array(args[0]))
        RA_TRY(take_names(b, args[0], renaming, err));
    else if (json_is_object(args[0]))
        RA_TRY(take_name_pairs(b, args[0], renaming, err));
    else
        RA_FAIL(err, TYPE_ERROR, "rename_columns: names must be a list or an object (dict)");
    for (int i = 0; i < b->shape->n_columns; i++)
        b->shape->columns[i].name = ra_renaming_apply(renaming, i, b->shape->columns[i].name);
    ra_shape_renamed(b->shape);
    ra_shape_set_metadata(b->shape, &(ra_metadata){0});
    return 0;
}

// Text, or {"base64": …} for bytes that are not UTF-8.
static int take_bytes(ra_binder *b, json_t *given, ra_str *out, ra_error *err) {
    if (json_is_string(given))
        return ra_plan_copy(b->plan, ra_json_str(given), out, err);
    json_t *encoded = json_object_size(given) == 1 ? json_object_get(given, "base64") : NULL;
    if (!json_is_string(encoded))
        RA_FAIL(err, TYPE_ERROR,
                "replace_schema_metadata: keys and values must be strings or {\"base64\": …}");
    ra_bytes decoded;
    ra_bytes_init(&decoded, RA_MAX_COMMAND_TEXT_BYTES);
    int rc = ra_base64_decode(ra_json_str(encoded), &decoded, err);
    if (rc == 0)
        rc = ra_plan_copy(b->plan, ra_bytes_str(&decoded), out, err);
    ra_bytes_fini(&decoded);
    return rc;
}

static int take_metadata_item(ra_binder *b, json_t *key, json_t *value, ra_metadata *metadata,
                              ra_error *err) {
    ra_key_value *item = &metadata->items[metadata->n++];
    RA_TRY(take_bytes(b, key, &item->key, err));
    return take_bytes(b, value, &item->value, err);
}

static int take_metadata(ra_binder *b, json_t *given, ra_metadata *metadata, ra_error *err) {
    size_t n = json_is_array(given) ? json_array_size(given) : json_object_size(given), key_len, i;
    const char *key;
    json_t *value;
    metadata->present = true;
    RA_TRY(ra_plan_alloc(b->plan, n, sizeof metadata->items[0], &metadata->items, err));
    json_array_foreach(given, i, value) {
        if (!json_is_array(value) || json_array_size(value) != 2)
            RA_FAIL(err, INVALID_ARGUMENT,
                    "replace_schema_metadata: a list must hold pairs of key and value");
        RA_TRY(take_metadata_item(b, json_array_get(value, 0), json_array_get(value, 1), metadata,
                                  err));
    }
    json_object_keylen_foreach(given, key, key_len, value) {
        ra_key_value *item = &metadata->items[metadata->n++];
        RA_TRY(ra_plan_copy(b->plan, (ra_str){key, key_len}, &item->key, err));
        RA_TRY(take_bytes(b, value, &item->value, err));
    }
    return 0;
}

int ra_bind_replace_schema_metadata(ra_binder *b, ra_step *step, json_t *const *args,
                                    ra_error *err) {
    ra_metadata *metadata = &step->metadata;
    json_t *given = args[0];
    if (!given || json_is_null(given)) {
        RA_TRY(ra_canonical_printf(b, err, "\"metadata\":null"));
    } else if (json_is_array(given) || json_is_object(given)) {
        RA_TRY(take_metadata(b, given, metadata, err));
        RA_TRY(ra_canonical_printf(b, err, "\"metadata\":["));
        for (int i = 0; i < metadata->n; i++) {
            RA_TRY(ra_canonical_printf(b, err, "%s", i > 0 ? ",[" : "["));
            RA_TRY(ra_canonical_bytes(b, metadata->items[i].key, err));
            RA_TRY(ra_canonical_printf(b, err, ","));
            RA_TRY(ra_canonical_bytes(b, metadata->items[i].value, err));
            RA_TRY(ra_canonical_printf(b, err, "]"));
        }
        RA_TRY(ra_canonical_printf(b, err, "]"));
    } else if (json_is_string(given)) {
        RA_FAIL(err, INVALID_ARGUMENT,
                "replace_schema_metadata: metadata must be an object, a list of pairs or null");
    } else {
        RA_FAIL(err, TYPE_ERROR,
                "replace_schema_metadata: metadata must be an object, a list of pairs or null");
    }
    ra_shape_set_metadata(b->shape, metadata);
    return 0;
}
