// What must hold of every schema, wherever it came from.
#include <inttypes.h>

#include "arrow/schema.h"
#include "base/utf8.h"

typedef struct {
    int n_fields;
    int n_dictionaries;
} seal_state;

static int bad_field(const ra_field *field, ra_error *err, const char *fault) {
    ra_error_set(err, RA_REASON_MALFORMED_ARROW, "field '%.*s': %s", RA_STR_ARG(field->name),
                 fault);
    ra_error_set_subject(err, "column", field->name.data, field->name.len);
    return err ? (int)err->code : RA_INVALID;
}

static const char *decimal_fault(const ra_field *field, int32_t max_precision) {
    return field->precision < 1 || field->precision > max_precision
               ? "a decimal's precision does not fit its width"
               : NULL;
}

static const char *union_fault(const ra_field *field) {
    bool seen[128] = {false};
    if (field->n_type_ids != field->n_children)
        return "a union needs one type id for each child";
    for (int i = 0; i < field->n_type_ids; i++) {
        int id = field->type_ids[i];
        if (id < 0 || seen[id])
            return "a union's type ids must be unique and not negative";
        seen[id] = true;
    }
    return NULL;
}

static const char *map_fault(const ra_field *field) {
    const ra_field *entries = field->children;
    if (entries->nullable || entries->is_dictionary || entries->type != RA_TYPE_STRUCT ||
        entries->n_children != 2)
        return "a map's entries must be a non-nullable struct of key and value";
    return entries->children[0].nullable ? "a map's keys must not be nullable" : NULL;
}

static const char *run_end_fault(const ra_field *field) {
    const ra_field *ends = field->children;
    if (ends->is_dictionary ||
        (ends->type != RA_TYPE_INT16 && ends->type != RA_TYPE_INT32 && ends->type != RA_TYPE_INT64))
        return "run ends must be int16, int32 or int64";
    return NULL;
}

// Children a type must have; -1: any number.
static int n_children_of(ra_type_id type) {
    switch (type) {
        case RA_TYPE_LIST:
        case RA_TYPE_LARGE_LIST:
        case RA_TYPE_LIST_VIEW:
        case RA_TYPE_LARGE_LIST_VIEW:
        case RA_TYPE_FIXED_SIZE_LIST:
        case RA_TYPE_MAP:
            return 1;
        case RA_TYPE_RUN_END_ENCODED:
            return 2;
        case RA_TYPE_STRUCT:
        case RA_TYPE_SPARSE_UNION:
        case RA_TYPE_DENSE_UNION:
            return -1;
        default:
            return 0;
    }
}

// What is wrong with the field's type and parameters; NULL when nothing is.
static const char *type_fault(const ra_field *field) {
    if ((unsigned)field->type >= RA_N_TYPES)
        return "unknown type";
    int n_children = n_children_of(field->type);
    if (n_children >= 0 && field->n_children != n_children)
        return "the type has another number of children";
    if (field->is_dictionary && !ra_type_is_integer(field->index_type))
        return "a dictionary's indices must be integers";
    if ((unsigned)field->unit > RA_UNIT_NANO)
        return "unknown time unit";
    switch (field->type) {
        case RA_TYPE_DECIMAL32:
            return decimal_fault(field, 9);
        case RA_TYPE_DECIMAL64:
            return decimal_fault(field, 18);
        case RA_TYPE_DECIMAL128:
            return decimal_fault(field, 38);
        case RA_TYPE_DECIMAL256:
            return decimal_fault(field, 76);
        case RA_TYPE_TIME32:
            return field->unit > RA_UNIT_MILLI ? "time32 counts seconds or milliseconds" : NULL;
        case RA_TYPE_TIME64:
            return field->unit < RA_UNIT_MICRO ? "time64 counts micro- or nanoseconds" : NULL;
        case RA_TYPE_TIMESTAMP:
            return field->has_timezone &&
                           !ra_utf8_is_valid(field->timezone.data, field->timezone.len)
                       ? "the timezone is not UTF-8"
                       : NULL;
        case RA_TYPE_FIXED_SIZE_BINARY:
            return field->byte_width < 0 ? "the byte width is negative" : NULL;
        case RA_TYPE_FIXED_SIZE_LIST:
            return field->list_size < 0 ? "the list size is negative" : NULL;
        case RA_TYPE_SPARSE_UNION:
        case RA_TYPE_DENSE_UNION:
            return union_fault(field);
        case RA_TYPE_MAP:
            return map_fault(field);
        case RA_TYPE_RUN_END_ENCODED:
            return run_end_fault(field);
        default:
            return NULL;
    }
}

static int seal_field(ra_field *field, int depth, seal_state *state, ra_error *err) {
    if (depth > RA_MAX_NESTING)
        RA_FAIL(err, LIMIT, "fields are nested more than %d deep", RA_MAX_NESTING);
    if (++state->n_fields > RA_MAX_FIELDS)
        RA_FAIL(err, LIMIT, "a schema has more than %d fields", RA_MAX_FIELDS);
    if (!ra_utf8_is_valid(field->name.data, field->name.len))
        return bad_field(field, err, "the name is not UTF-8");
    const char *fault = type_fault(field);
    if (fault)
        return bad_field(field, err, fault);
    if (field->timezone.len == 0)  // Arrow's "no timezone"
        field->has_timezone = false;
    field->dictionary_id = field->is_dictionary ? state->n_dictionaries++ : 0;
    for (int i = 0; i < field->n_children; i++)
        RA_TRY(seal_field(&field->children[i], depth + 1, state, err));
    return 0;
}

int ra_schema_seal(ra_schema *schema, ra_error *err) {
    seal_state state = {0};
    for (int i = 0; i < schema->n_fields; i++)
        RA_TRY(seal_field(&schema->fields[i], 1, &state, err));
    schema->n_dictionaries = state.n_dictionaries;
    return 0;
}

int ra_schema_end(ra_schema *schema, int rc, ra_error *err) {
    if (rc == 0)
        rc = ra_schema_seal(schema, err);
    if (rc != 0)
        ra_schema_unref(schema);
    return rc;
}
