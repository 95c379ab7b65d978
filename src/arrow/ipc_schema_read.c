#include <inttypes.h>

#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"
#include "base/os.h"

typedef struct {
    ra_schema *schema;
    int64_t n_fields;  // met so far
} schema_reader;

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
}

static int copy_str(schema_reader *r, ra_str from, ra_str *to, ra_error *err) {
    *to = ra_arena_str(&r->schema->arena, from);
    return to->data ? 0 : no_memory(err);
}

static int read_metadata(schema_reader *r, const ra_flatbuf_table *t, int slot, ra_metadata *out,
                         ra_error *err) {
    ra_flatbuf_vector items;
    *out = (ra_metadata){0};
    RA_TRY(ra_flatbuf_get_table_vector(t, slot, &items, &out->present, err));
    if (items.n == 0)
        return 0;
    out->items = ra_arena_alloc(&r->schema->arena, (size_t)items.n, sizeof *out->items);
    if (!out->items)
        return no_memory(err);
    out->n = (int)items.n;
    for (int i = 0; i < out->n; i++) {
        ra_flatbuf_table item;
        ra_str key, value;
        bool has_key, has_value;
        RA_TRY(ra_flatbuf_vector_table(&items, i, &item, err));
        RA_TRY(ra_flatbuf_get_string(&item, FB_KEY_VALUE_KEY, &key, &has_key, err));
        RA_TRY(ra_flatbuf_get_string(&item, FB_KEY_VALUE_VALUE, &value, &has_value, err));
        if (!has_key || !has_value)
            RA_FAIL(err, MALFORMED_ARROW, "custom metadata without key or value");
        RA_TRY(copy_str(r, key, &out->items[i].key, err));
        RA_TRY(copy_str(r, value, &out->items[i].value, err));
    }
    return 0;
}

static int unknown(ra_error *err, const char *what, int value) {
    RA_FAIL(err, MALFORMED_ARROW, "%s %d does not exist", what, value);
}

static int read_int(const ra_flatbuf_table *t, ra_type_id *out, ra_error *err) {
    int32_t bits;
    bool is_signed;
    RA_TRY(ra_flatbuf_get_i32(t, FB_INT_BIT_WIDTH, 0, &bits, err));
    RA_TRY(ra_flatbuf_get_bool(t, FB_INT_IS_SIGNED, false, &is_signed, err));
    switch (bits) {
        case 8:
            *out = is_signed ? RA_TYPE_INT8 : RA_TYPE_UINT8;
            return 0;
        case 16:
            *out = is_signed ? RA_TYPE_INT16 : RA_TYPE_UINT16;
            return 0;
        case 32:
            *out = is_signed ? RA_TYPE_INT32 : RA_TYPE_UINT32;
            return 0;
        case 64:
            *out = is_signed ? RA_TYPE_INT64 : RA_TYPE_UINT64;
            return 0;
        default:
            return unknown(err, "integer width", bits);
    }
}

// One of n types by an enum's value in `slot`.
static int read_choice(const ra_flatbuf_table *t, int slot, int16_t absent,
                       const ra_type_id *choices, int n, ra_type_id *out, ra_error *err) {
    int16_t value;
    RA_TRY(ra_flatbuf_get_i16(t, slot, absent, &value, err));
    if (value < 0 || value >= n)
        return unknown(err, "type parameter", value);
    *out = choices[value];
    return 0;
}

static int read_unit(const ra_flatbuf_table *t, int slot, int16_t absent, ra_time_unit *out,
                     ra_error *err) {
    int16_t value;
    RA_TRY(ra_flatbuf_get_i16(t, slot, absent, &value, err));
    if (value < RA_UNIT_SECOND || value > RA_UNIT_NANO)
        return unknown(err, "time unit", value);
    *out = (ra_time_unit)value;
    return 0;
}

static int read_decimal(const ra_flatbuf_table *t, ra_field *field, ra_error *err) {
    int32_t bits;
    RA_TRY(ra_flatbuf_get_i32(t, FB_DECIMAL_PRECISION, 0, &field->precision, err));
    RA_TRY(ra_flatbuf_get_i32(t, FB_DECIMAL_SCALE, 0, &field->scale, err));
    RA_TRY(ra_flatbuf_get_i32(t, FB_DECIMAL_BIT_WIDTH, 128, &bits, err));
    switch (bits) {
        case 32:
            field->type = RA_TYPE_DECIMAL32;
            return 0;
        case 64:
            field->type = RA_TYPE_DECIMAL64;
            return 0;
        case 128:
            field->type = RA_TYPE_DECIMAL128;
            return 0;
        case 256:
            field->type = RA_TYPE_DECIMAL256;
            return 0;
        default:
            return unknown(err, "decimal width", bits);
    }
}

static int read_time(const ra_flatbuf_table *t, ra_field *field, ra_error *err) {
    int32_t bits;
    RA_TRY(ra_flatbuf_get_i32(t, FB_TIME_BIT_WIDTH, 32, &bits, err));
    if (bits != 32 && bits != 64)
        return unknown(err, "time width", bits);
    field->type = bits == 32 ? RA_TYPE_TIME32 : RA_TYPE_TIME64;
    return read_unit(t, FB_TIME_UNIT, RA_UNIT_MILLI, &field->unit, err);
}

static int read_timestamp(schema_reader *r, const ra_flatbuf_table *t, ra_field *field,
                          ra_error *err) {
    ra_str timezone;
    field->type = RA_TYPE_TIMESTAMP;
    RA_TRY(read_unit(t, FB_TIMESTAMP_UNIT, RA_UNIT_SECOND, &field->unit, err));
    RA_TRY(ra_flatbuf_get_string(t, FB_TIMESTAMP_TIMEZONE, &timezone, &field->has_timezone, err));
    return field->has_timezone ? copy_str(r, timezone, &field->timezone, err) : 0;
}

// The children were read before; without type ids they are numbered from 0.
static int read_union(schema_reader *r, const ra_flatbuf_table *t, ra_field *field, ra_error *err) {
    static const ra_type_id modes[] = {
        [FB_UNION_SPARSE] = RA_TYPE_SPARSE_UNION, [FB_UNION_DENSE] = RA_TYPE_DENSE_UNION};
    ra_flatbuf_vector ids;
    bool present;
    RA_TRY(read_choice(t, FB_UNION_MODE, 0, modes, 2, &field->type, err));
    RA_TRY(ra_flatbuf_get_vector(t, FB_UNION_TYPE_IDS, 4, &ids, &present, err));
    int64_t n = present ? ids.n : field->n_children;
    if (n != field->n_children || n > 128)
        RA_FAIL(err, MALFORMED_ARROW, "a union of %d children with %" PRId64 " type ids",
                field->n_children, n);
    field->n_type_ids = (int)n;
    field->type_ids = ra_arena_alloc(&r->schema->arena, (size_t)n, 1);
    if (!field->type_ids)
        return no_memory(err);
    for (int i = 0; i < (int)n; i++) {
        int32_t id = present ? ra_load_i32(ids.data + 4 * i) : i;
        if (id < 0 || id > INT8_MAX)
            RA_FAIL(err, MALFORMED_ARROW, "a union's type id %d: 0 to 127 are possible", id);
        field->type_ids[i] = (int8_t)id;
    }
    return 0;
}

// Types without parameters, by their tag in the union Type.
static const struct {
    bool known;
    ra_type_id type;
} plain_types[] = {
    [FB_TYPE_NULL] = {true, RA_TYPE_NULL},
    [FB_TYPE_BINARY] = {true, RA_TYPE_BINARY},
    [FB_TYPE_UTF8] = {true, RA_TYPE_UTF8},
    [FB_TYPE_BOOL] = {true, RA_TYPE_BOOL},
    [FB_TYPE_LIST] = {true, RA_TYPE_LIST},
    [FB_TYPE_STRUCT] = {true, RA_TYPE_STRUCT},
    [FB_TYPE_LARGE_BINARY] = {true, RA_TYPE_LARGE_BINARY},
    [FB_TYPE_LARGE_UTF8] = {true, RA_TYPE_LARGE_UTF8},
    [FB_TYPE_LARGE_LIST] = {true, RA_TYPE_LARGE_LIST},
    [FB_TYPE_RUN_END_ENCODED] = {true, RA_TYPE_RUN_END_ENCODED},
    [FB_TYPE_BINARY_VIEW] = {true, RA_TYPE_BINARY_VIEW},
    [FB_TYPE_UTF8_VIEW] = {true, RA_TYPE_UTF8_VIEW},
    [FB_TYPE_LIST_VIEW] = {true, RA_TYPE_LIST_VIEW},
    [FB_TYPE_LARGE_LIST_VIEW] = {true, RA_TYPE_LARGE_LIST_VIEW},
};

static int read_plain_type(int tag, ra_field *field, ra_error *err) {
    int n = (int)(sizeof plain_types / sizeof *plain_types);
    if (tag < 0 || tag >= n || !plain_types[tag].known)
        RA_FAIL(err, NOT_IMPLEMENTED, "type %d of the Arrow format is not known", tag);
    field->type = plain_types[tag].type;
    return 0;
}

static int read_type(schema_reader *r, int tag, const ra_flatbuf_table *t, ra_field *field,
                     ra_error *err) {
    static const ra_type_id floats[] = {RA_TYPE_HALF_FLOAT, RA_TYPE_FLOAT, RA_TYPE_DOUBLE};
    static const ra_type_id dates[] = {RA_TYPE_DATE32, RA_TYPE_DATE64};
    static const ra_type_id intervals[] = {RA_TYPE_INTERVAL_MONTHS, RA_TYPE_INTERVAL_DAY_TIME,
                                           RA_TYPE_INTERVAL_MONTH_DAY_NANO};
    switch (tag) {
        case FB_TYPE_INT:
            return read_int(t, &field->type, err);
        case FB_TYPE_FLOATING_POINT:
            return read_choice(t, FB_FLOATING_POINT_PRECISION, 0, floats, 3, &field->type, err);
        case FB_TYPE_DECIMAL:
            return read_decimal(t, field, err);
        case FB_TYPE_DATE:
            return read_choice(t, FB_DATE_UNIT, FB_DATE_MILLISECOND, dates, 2, &field->type, err);
        case FB_TYPE_TIME:
            return read_time(t, field, err);
        case FB_TYPE_TIMESTAMP:
            return read_timestamp(r, t, field, err);
        case FB_TYPE_DURATION:
            field->type = RA_TYPE_DURATION;
            return read_unit(t, FB_DURATION_UNIT, RA_UNIT_MILLI, &field->unit, err);
        case FB_TYPE_INTERVAL:
            return read_choice(t, FB_INTERVAL_UNIT, 0, intervals, 3, &field->type, err);
        case FB_TYPE_UNION:
            return read_union(r, t, field, err);
        case FB_TYPE_FIXED_SIZE_BINARY:
            field->type = RA_TYPE_FIXED_SIZE_BINARY;
            return ra_flatbuf_get_i32(t, FB_FIXED_SIZE_BINARY_BYTE_WIDTH, 0, &field->byte_width,
                                      err);
        case FB_TYPE_FIXED_SIZE_LIST:
            field->type = RA_TYPE_FIXED_SIZE_LIST;
            return ra_flatbuf_get_i32(t, FB_FIXED_SIZE_LIST_SIZE, 0, &field->list_size, err);
        case FB_TYPE_MAP:
            field->type = RA_TYPE_MAP;
            return ra_flatbuf_get_bool(t, FB_MAP_KEYS_SORTED, false, &field->keys_sorted, err);
        default:
            return read_plain_type(tag, field, err);
    }
}

static int read_dictionary_encoding(const ra_flatbuf_table *t, ra_field *field, ra_error *err) {
    ra_flatbuf_table encoding, indices;
    bool has_indices;
    RA_TRY(ra_flatbuf_get_table(t, FB_FIELD_DICTIONARY, &encoding, &field->is_dictionary, err));
    if (!field->is_dictionary)
        return 0;
    RA_TRY(ra_flatbuf_get_i64(&encoding, FB_DICTIONARY_ID, 0, &field->dictionary_id, err));
    RA_TRY(ra_flatbuf_get_bool(&encoding, FB_DICTIONARY_ORDERED, false, &field->dictionary_ordered,
                               err));
    RA_TRY(ra_flatbuf_get_table(&encoding, FB_DICTIONARY_INDEX_TYPE, &indices, &has_indices, err));
    field->index_type = RA_TYPE_INT32;
    return has_indices ? read_int(&indices, &field->index_type, err) : 0;
}

static int read_fields(schema_reader *r, const ra_flatbuf_vector *fields, int depth, ra_field *out,
                       ra_error *err);

static int read_children(schema_reader *r, const ra_flatbuf_table *t, int depth, ra_field *field,
                         ra_error *err) {
    ra_flatbuf_vector children;
    bool present;
    RA_TRY(ra_flatbuf_get_table_vector(t, FB_FIELD_CHILDREN, &children, &present, err));
    if (children.n == 0)
        return 0;
    if (depth >= RA_MAX_NESTING)
        RA_FAIL(err, LIMIT, "fields are nested more than %d deep", RA_MAX_NESTING);
    r->n_fields += children.n;
    if (r->n_fields > RA_MAX_FIELDS)
        RA_FAIL(err, LIMIT, "a schema has more than %d fields", RA_MAX_FIELDS);
    field->children =
        ra_arena_alloc(&r->schema->arena, (size_t)children.n, sizeof *field->children);
    if (!field->children)
        return no_memory(err);
    field->n_children = (int)children.n;
    return read_fields(r, &children, depth + 1, field->children, err);
}

static int read_field(schema_reader *r, const ra_flatbuf_table *t, int depth, ra_field *field,
                      ra_error *err) {
    ra_str name;
    ra_flatbuf_table type;
    bool present;
    int8_t tag;
    RA_TRY(ra_flatbuf_get_string(t, FB_FIELD_NAME, &name, &present, err));
    RA_TRY(copy_str(r, name, &field->name, err));
    RA_TRY(ra_flatbuf_get_bool(t, FB_FIELD_NULLABLE, false, &field->nullable, err));
    RA_TRY(read_dictionary_encoding(t, field, err));
    RA_TRY(read_children(r, t, depth, field, err));
    RA_TRY(ra_flatbuf_get_i8(t, FB_FIELD_TYPE_TYPE, 0, &tag, err));
    RA_TRY(ra_flatbuf_need_table(t, FB_FIELD_TYPE, "a field's type", &type, err));
    RA_TRY(read_type(r, tag, &type, field, err));
    return read_metadata(r, t, FB_FIELD_METADATA, &field->metadata, err);
}

static int read_fields(schema_reader *r, const ra_flatbuf_vector *fields, int depth, ra_field *out,
                       ra_error *err) {
    for (int64_t i = 0; i < fields->n; i++) {
        ra_flatbuf_table t;
        RA_TRY(ra_flatbuf_vector_table(fields, i, &t, err));
        int rc = read_field(r, &t, depth, &out[i], err);
        if (rc && depth == 1 && out[i].name.data) {
            ra_error_prefix(err, "column '%.*s'", RA_STR_ARG(out[i].name));
            ra_error_set_subject(err, "column", out[i].name.data, out[i].name.len);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static void collect_ids(const ra_field *fields, int n, int64_t *ids, int *n_ids) {
    for (int i = 0; i < n; i++) {
        if (fields[i].is_dictionary) {
            if (ids)
                ids[*n_ids] = fields[i].dictionary_id;
            ++*n_ids;
        }
        collect_ids(fields[i].children, fields[i].n_children, ids, n_ids);
    }
}

// The sender's dictionary ids in the order in which sealing numbers ours.
static int take_sender_ids(const ra_schema *schema, int64_t **out, ra_error *err) {
    int n = 0, n_again = 0;
    collect_ids(schema->fields, schema->n_fields, NULL, &n);
    *out = ra_calloc((size_t)n, sizeof **out);
    if (!*out)
        return no_memory(err);
    collect_ids(schema->fields, schema->n_fields, *out, &n_again);
    return 0;
}

static int read_schema_table(const ra_flatbuf_table *t, schema_reader *r, int64_t **sender_ids,
                             ra_error *err) {
    ra_flatbuf_vector fields;
    bool present;
    int16_t endianness;
    RA_TRY(ra_flatbuf_get_i16(t, FB_SCHEMA_ENDIANNESS, 0, &endianness, err));
    if (endianness != 0)
        RA_FAIL(err, NOT_IMPLEMENTED, "big-endian Arrow data");
    RA_TRY(ra_flatbuf_get_table_vector(t, FB_SCHEMA_FIELDS, &fields, &present, err));
    if (fields.n > RA_MAX_COLUMNS)
        RA_FAIL(err, LIMIT, "a schema of %" PRId64 " columns: at most %d are possible", fields.n,
                RA_MAX_COLUMNS);
    RA_TRY(ra_schema_new((int)fields.n, &r->schema, err));
    r->n_fields = fields.n;
    RA_TRY(read_fields(r, &fields, 1, r->schema->fields, err));
    RA_TRY(read_metadata(r, t, FB_SCHEMA_METADATA, &r->schema->metadata, err));
    RA_TRY(take_sender_ids(r->schema, sender_ids, err));
    return ra_schema_seal(r->schema, err);
}

int ra_ipc_read_schema(ra_span span, ra_schema **out, int64_t **sender_ids, ra_error *err) {
    ra_ipc_message message;
    schema_reader r = {0};
    *out = NULL;
    *sender_ids = NULL;
    if (span.bytes > RA_MAX_SCHEMA_BYTES)
        RA_FAIL(err, LIMIT, "a schema of %" PRId64 " bytes: at most %d are possible", span.bytes,
                RA_MAX_SCHEMA_BYTES);
    RA_TRY(ra_ipc_open_message(span, &message, err));
    if (message.header.kind != RA_IPC_SCHEMA)
        RA_FAIL(err, MALFORMED_ARROW, "the first message of a stream must be its schema");
    int rc = read_schema_table(&message.table, &r, sender_ids, err);
    if (rc) {
        ra_schema_unref(r.schema);
        ra_free(*sender_ids);
        *sender_ids = NULL;
        return rc;
    }
    *out = r.schema;
    return 0;
}

int ra_ipc_decode_schema(ra_span message, ra_schema **out, ra_error *err) {
    int64_t *sender_ids;
    RA_TRY(ra_ipc_read_schema(message, out, &sender_ids, err));
    ra_free(sender_ids);
    return 0;
}

int ra_ipc_decode_framed_schema(ra_span framed, ra_schema **out, ra_error *err) {
    *out = NULL;
    if (framed.bytes < 8 || ra_load_u32(framed.data) != UINT32_MAX)
        RA_FAIL(err, MALFORMED_ARROW, "an encapsulated schema without its prefix");
    int64_t bytes = ra_load_i32(framed.data + 4);
    if (bytes < 0 || bytes > framed.bytes - 8)
        RA_FAIL(err, MALFORMED_ARROW, "an encapsulated schema of %" PRId64 " bytes in %" PRId64,
                bytes, framed.bytes);
    return ra_ipc_decode_schema((ra_span){framed.data + 8, bytes}, out, err);
}
