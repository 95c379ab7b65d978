#include "query/array_argument.h"

#include "arrow/ipc.h"
#include "base/base64.h"
#include "base/checked.h"
#include "base/os.h"
#include "query/canonical.h"

int ra_array_role_check(ra_array_role role, const ra_field *field, ra_error *err) {
    bool plain = !field->is_dictionary;
    if (role == RA_ROLE_MASK) {
        bool runs = plain && field->type == RA_TYPE_RUN_END_ENCODED &&
                    field->children[1].type == RA_TYPE_BOOL && !field->children[1].is_dictionary;
        if (runs || (plain && field->type == RA_TYPE_BOOL))
            return 0;
        RA_FAIL(err, NOT_IMPLEMENTED, "Filter argument must be boolean type");
    }
    if (plain && (ra_type_is_integer(field->type) || field->type == RA_TYPE_NULL))
        return 0;
    char text[128];
    ra_bytes type;
    ra_bytes_init(&type, sizeof text);
    ra_type_print(field, &type);
    int n = type.len < sizeof text ? (int)type.len : (int)sizeof text;
    memcpy(text, type.data ? type.data : (uint8_t *)"", (size_t)n);
    ra_bytes_fini(&type);
    RA_FAIL(err, NOT_IMPLEMENTED,
            "Function 'array_take' has no kernel matching input types: indices are of type %.*s", n,
            text);
}

static int fail_shape(ra_array_role role, ra_error *err) {
    if (role == RA_ROLE_MASK)
        RA_FAIL(err, TYPE_ERROR,
                "Filter should be array-like: a list, {\"arrow\": …}, {\"from\": …, \"column\": …} "
                "or {\"stream\": true}");
    RA_FAIL(err, NOT_IMPLEMENTED,
            "Unsupported types for take operation: indices must be a list, {\"arrow\": …}, "
            "{\"from\": …, \"column\": …} or {\"stream\": true}");
}

static int fail_value(ra_array_role role, size_t i, ra_error *err) {
    if (role == RA_ROLE_MASK)
        RA_FAIL(err, NOT_IMPLEMENTED,
                "Filter argument must be boolean type: item %zu of the mask is neither true, false "
                "nor null",
                i);
    RA_FAIL(err, NOT_IMPLEMENTED,
            "Function 'array_take' has no kernel matching input types: item %zu of the indices is "
            "neither an integer nor null",
            i);
}

// The type of a list: that of its values, or null when there are none.
static int infer_type(json_t *list, ra_array_role role, ra_type_id *type, ra_error *err) {
    size_t i;
    json_t *item;
    *type = RA_TYPE_NULL;
    json_array_foreach(list, i, item) {
        if (json_is_null(item))
            continue;
        if (role == RA_ROLE_MASK ? !json_is_boolean(item) : !json_is_integer(item))
            return fail_value(role, i, err);
        *type = role == RA_ROLE_MASK ? RA_TYPE_BOOL : RA_TYPE_INT64;
    }
    return 0;
}

static void fill_values(json_t *list, ra_array *column, uint8_t *values, uint8_t *validity) {
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        if (json_is_null(item)) {
            column->null_count++;
            continue;
        }
        ra_bit_set(validity, (int64_t)i);
        if (column->layout == RA_LAYOUT_FIXED)
            ra_store_i64(values + 8 * i, json_integer_value(item));
        else if (json_is_true(item))
            ra_bit_set(values, (int64_t)i);
    }
}

static int fill_column(json_t *list, ra_batch *batch, ra_error *err) {
    ra_array *column = &batch->columns[0];
    int64_t n = batch->n_rows;
    if (column->layout == RA_LAYOUT_NULL) {
        column->null_count = n;
        return 0;
    }
    int64_t bitmap_bytes = ra_bit_bytes(n);
    int64_t value_bytes = column->layout == RA_LAYOUT_FIXED ? 8 * n : bitmap_bytes;
    uint8_t *values, *validity;
    RA_TRY(ra_batch_alloc(batch, value_bytes, &values, err));
    RA_TRY(ra_batch_alloc(batch, bitmap_bytes, &validity, err));
    fill_values(list, column, values, validity);
    column->buffers[0] = (ra_span){values, value_bytes};
    if (column->null_count > 0)
        column->validity = (ra_span){validity, bitmap_bytes};
    return 0;
}

static int make_schema(ra_type_id type, ra_schema **out, ra_error *err) {
    RA_TRY(ra_schema_new(1, out, err));
    (*out)->fields[0].name = RA_STR("");
    (*out)->fields[0].type = type;
    (*out)->fields[0].nullable = true;
    return ra_schema_end(*out, 0, err);
}

static int read_list(ra_binder *b, json_t *list, ra_array_role role, ra_array_argument *argument,
                     ra_error *err) {
    ra_type_id type;
    ra_schema *schema;
    int64_t n = (int64_t)json_array_size(list);
    RA_TRY(infer_type(list, role, &type, err));
    RA_TRY(ra_plan_charge(b->plan, 9 * n, err));
    argument->batches = ra_calloc(1, sizeof argument->batches[0]);
    if (!argument->batches)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an array argument");
    RA_TRY(make_schema(type, &schema, err));
    int rc = ra_array_role_check(role, &schema->fields[0], err);
    if (rc == 0)
        rc = ra_batch_new(schema, n, &argument->batches[0], err);
    ra_schema_unref(schema);
    RA_TRY(rc);
    argument->n_batches = 1;
    argument->length = n;
    return fill_column(list, argument->batches[0], err);
}

static int read_arrow(ra_binder *b, json_t *text, ra_array_role role, ra_array_argument *argument,
                      ra_error *err) {
    if (!json_is_string(text))
        RA_FAIL(err, TYPE_ERROR, "\"arrow\" must be a string: an Arrow IPC stream in base64");
    ra_str encoded = {json_string_value(text), json_string_length(text)};
    ra_bytes decoded;
    ra_blob *stream;
    size_t bound = encoded.len / 4 * 3 + 3;
    RA_TRY(ra_plan_charge(b->plan, (int64_t)bound, err));
    ra_bytes_init(&decoded, bound);
    int rc = ra_bytes_reserve(&decoded, bound, err);
    if (rc == 0)
        rc = ra_base64_decode(encoded, &decoded, err);
    size_t bytes = decoded.len;
    if (rc == 0)
        rc = ra_blob_take(ra_bytes_take(&decoded), bytes, &stream, err);
    ra_bytes_fini(&decoded);
    RA_TRY(rc);
    ra_schema *schema = NULL;
    rc = ra_ipc_read_stream(stream, b->plan->budget, &schema, &argument->batches,
                            &argument->n_batches, err);
    ra_blob_unref(stream);
    if (rc == 0 && schema->n_fields == 0)
        rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT, "an array argument has no column");
    if (rc == 0)
        rc = ra_array_role_check(role, &schema->fields[0], err);
    for (int i = 0; rc == 0 && i < argument->n_batches; i++)
        argument->length += argument->batches[i]->n_rows;
    if (schema)
        ra_schema_unref(schema);
    return rc;
}

// A list, or what {"arrow": …} holds.
static int bind_values(ra_binder *b, json_t *value, ra_array_role role, ra_array_argument *argument,
                       ra_error *err) {
    argument->source = RA_ARRAY_VALUES;
    if (json_is_array(value))
        RA_TRY(read_list(b, value, role, argument, err));
    else
        RA_TRY(read_arrow(b, json_object_get(value, "arrow"), role, argument, err));
    return ra_canonical_array(b, argument->batches, argument->n_batches, role == RA_ROLE_MASK, err);
}

// {"from": …, "do": […], "column": …}
static int bind_column(ra_binder *b, json_t *value, ra_array_role role, ra_array_argument *argument,
                       ra_error *err) {
    ra_shape shape;
    argument->source = RA_ARRAY_COLUMN;
    static const char *const keys[] = {"column", NULL};
    RA_TRY(ra_bind_relation(b, value, keys, &shape, &argument->relation, err));
    int rc = ra_bind_column(&shape, json_object_get(value, "column"), &argument->column, err);
    if (rc == 0)
        rc = ra_array_role_check(role, shape.columns[argument->column].field, err);
    if (rc == 0)
        rc = ra_canonical_printf(b, err, ",\"column\":%d}", argument->column);
    ra_shape_fini(&shape);
    return rc;
}

static int bind_stream(ra_binder *b, json_t *value, ra_array_argument *argument, ra_error *err) {
    argument->source = RA_ARRAY_STREAM;
    if (!json_is_true(json_object_get(value, "stream")))
        RA_FAIL(err, TYPE_ERROR, "\"stream\" must be true");
    if (b->plan->has_stream)
        RA_FAIL(err, INVALID_ARGUMENT, "only one argument of a command can be streamed");
    b->plan->has_stream = true;
    return ra_canonical_printf(b, err, "{\"stream\":true}");
}

int ra_array_argument_bind(ra_binder *b, json_t *value, ra_array_role role, ra_array_argument **out,
                           ra_error *err) {
    ra_array_argument *argument;
    RA_TRY(ra_plan_alloc(b->plan, 1, sizeof *argument, &argument, err));
    argument->next = b->plan->arrays;
    b->plan->arrays = *out = argument;
    if (json_is_array(value)) {
        RA_TRY(bind_values(b, value, role, argument, err));
    } else if (json_is_object(value) && json_object_get(value, "column")) {
        return bind_column(b, value, role, argument, err);
    } else if (json_object_size(value) == 1 && json_object_get(value, "stream")) {
        return bind_stream(b, value, argument, err);
    } else if (json_object_size(value) == 1 && json_object_get(value, "arrow")) {
        RA_TRY(bind_values(b, value, role, argument, err));
    } else {
        return fail_shape(role, err);
    }
    return 0;
}
