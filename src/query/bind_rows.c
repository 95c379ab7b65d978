// Steps that choose rows: the schema stays (but for flatten).
#include <inttypes.h>

#include "query/array_argument.h"
#include "query/bind.h"
#include "query/canonical.h"

// Methods without arguments, or with only the memory pool that pyarrow has.
int ra_bind_none(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    (void)b;
    if (args[0] && !json_is_null(args[0]))
        RA_FAIL(err, TYPE_ERROR, "%s: memory_pool must be null", step->method->name);
    return 0;
}

int ra_bind_take(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    RA_TRY(ra_canonical_printf(b, err, "\"indices\":"));
    return ra_array_argument_bind(b, args[0], RA_ROLE_INDICES, &step->indices, err);
}

int ra_bind_slice(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    int64_t offset = 0, length = INT64_MAX;
    if (args[0] && !json_is_integer(args[0]))
        RA_FAIL(err, TYPE_ERROR, "slice: offset must be an integer");
    if (args[1] && !json_is_integer(args[1]) && !json_is_null(args[1]))
        RA_FAIL(err, TYPE_ERROR, "slice: length must be an integer or null");
    if (args[0])
        offset = json_integer_value(args[0]);
    if (offset < 0)
        RA_FAIL(err, INDEX_OUT_OF_BOUNDS, "Offset must be non-negative");
    if (json_is_integer(args[1]))
        length = json_integer_value(args[1]);
    if (length < 0)
        length = 0;
    step->slice.offset = offset;
    step->slice.length = length;
    RA_TRY(ra_canonical_printf(b, err, "\"offset\":%" PRId64 ",\"length\":", offset));
    if (length == INT64_MAX)
        return ra_canonical_printf(b, err, "null");
    return ra_canonical_printf(b, err, "%" PRId64, length);
}

int ra_bind_filter(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    ra_str word = RA_STR("drop");
    if (args[1])
        word = json_is_string(args[1]) ? ra_json_str(args[1]) : RA_STR("");
    bool emit_null = ra_str_eq(word, RA_STR("emit_null"));
    if (!emit_null && !ra_str_eq(word, RA_STR("drop")))
        RA_FAIL(err, INVALID_ARGUMENT, "\"%.*s\" is not a valid null selection behavior",
                RA_STR_ARG(word));
    step->filter.emit_null = emit_null;
    RA_TRY(ra_canonical_printf(b, err, "\"mask\":"));
    RA_TRY(ra_array_argument_bind(b, args[0], RA_ROLE_MASK, &step->filter.mask, err));
    return ra_canonical_printf(b, err, ",\"null_selection_behavior\":\"%s\"",
                               emit_null ? "emit_null" : "drop");
}

int ra_bind_flatten(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    RA_TRY(ra_bind_none(b, step, args, err));
    bool has_struct = false;
    for (int i = 0; i < b->shape->n_columns && !has_struct; i++) {
        const ra_field *field = b->shape->columns[i].field;
        has_struct = field->type == RA_TYPE_STRUCT && !field->is_dictionary;
    }
    if (!has_struct)
        return 0;
    ra_schema *schema, *flat;
    RA_TRY(ra_shape_schema(b->shape, &schema, err));
    int rc = ra_flatten_schema(schema, &flat, err);
    ra_schema_unref(schema);
    RA_TRY(rc);
    ra_shape_fini(b->shape);
    rc = ra_shape_init(b->shape, flat, err);
    ra_schema_unref(flat);
    return rc;
}
