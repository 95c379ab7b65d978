#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"

uint32_t ra_ipc_put_message(ra_flatbuf_writer *w, ra_ipc_kind kind, int64_t body_bytes) {
    ra_flatbuf_slot slots[] = {
        [FB_MESSAGE_VERSION] = RA_SLOT_I16(FB_VERSION_V5),
        [FB_MESSAGE_HEADER_TYPE] = RA_SLOT_I8(kind),
        [FB_MESSAGE_HEADER] = RA_SLOT_REF,
        [FB_MESSAGE_BODY_LENGTH] = RA_SLOT_I64(body_bytes),
    };
    uint32_t at[4];
    ra_flatbuf_link(w, 0, ra_flatbuf_put_table(w, slots, 4, at));
    return at[FB_MESSAGE_HEADER];
}

typedef struct {
    uint8_t tag;  // of the union Type
    ra_flatbuf_slot slots[3];
} type_table;

static type_table int_table(ra_type_id type) {
    bool is_signed = type <= RA_TYPE_INT64;
    int log2_bytes = (int)type - (int)(is_signed ? RA_TYPE_INT8 : RA_TYPE_UINT8);
    return (type_table){FB_TYPE_INT, {RA_SLOT_I32(8 << log2_bytes), RA_SLOT_BOOL(is_signed)}};
}

static type_table decimal_table(const ra_field *field) {
    return (type_table){FB_TYPE_DECIMAL,
                        {RA_SLOT_I32(field->precision), RA_SLOT_I32(field->scale),
                         RA_SLOT_I32(8 * ra_type_byte_width(field))}};
}

static type_table unit_table(uint8_t tag, int unit) {
    return (type_table){tag, {RA_SLOT_I16(unit)}};
}

// The table of the field's type; references in it are linked by put_type.
static type_table table_of_type(const ra_field *field) {
    switch (field->type) {
        case RA_TYPE_NULL:
            return (type_table){.tag = FB_TYPE_NULL};
        case RA_TYPE_BOOL:
            return (type_table){.tag = FB_TYPE_BOOL};
        case RA_TYPE_HALF_FLOAT:
            return unit_table(FB_TYPE_FLOATING_POINT, FB_PRECISION_HALF);
        case RA_TYPE_FLOAT:
            return unit_table(FB_TYPE_FLOATING_POINT, FB_PRECISION_SINGLE);
        case RA_TYPE_DOUBLE:
            return unit_table(FB_TYPE_FLOATING_POINT, FB_PRECISION_DOUBLE);
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            return decimal_table(field);
        case RA_TYPE_DATE32:
            return unit_table(FB_TYPE_DATE, FB_DATE_DAY);
        case RA_TYPE_DATE64:
            return unit_table(FB_TYPE_DATE, FB_DATE_MILLISECOND);
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
            return (type_table){
                FB_TYPE_TIME,
                {RA_SLOT_I16(field->unit), RA_SLOT_I32(8 * ra_type_byte_width(field))}};
        case RA_TYPE_TIMESTAMP:
            return (type_table){
                FB_TYPE_TIMESTAMP,
                {RA_SLOT_I16(field->unit), field->has_timezone ? RA_SLOT_REF : RA_SLOT_NONE}};
        case RA_TYPE_DURATION:
            return unit_table(FB_TYPE_DURATION, (int)field->unit);
        case RA_TYPE_INTERVAL_MONTHS:
            return unit_table(FB_TYPE_INTERVAL, FB_INTERVAL_YEAR_MONTH);
        case RA_TYPE_INTERVAL_DAY_TIME:
            return unit_table(FB_TYPE_INTERVAL, FB_INTERVAL_DAY_TIME);
        case RA_TYPE_INTERVAL_MONTH_DAY_NANO:
            return unit_table(FB_TYPE_INTERVAL, FB_INTERVAL_MONTH_DAY_NANO);
        case RA_TYPE_BINARY:
            return (type_table){.tag = FB_TYPE_BINARY};
        case RA_TYPE_UTF8:
            return (type_table){.tag = FB_TYPE_UTF8};
        case RA_TYPE_LARGE_BINARY:
            return (type_table){.tag = FB_TYPE_LARGE_BINARY};
        case RA_TYPE_LARGE_UTF8:
            return (type_table){.tag = FB_TYPE_LARGE_UTF8};
        case RA_TYPE_BINARY_VIEW:
            return (type_table){.tag = FB_TYPE_BINARY_VIEW};
        case RA_TYPE_UTF8_VIEW:
            return (type_table){.tag = FB_TYPE_UTF8_VIEW};
        case RA_TYPE_FIXED_SIZE_BINARY:
            return (type_table){FB_TYPE_FIXED_SIZE_BINARY, {RA_SLOT_I32(field->byte_width)}};
        case RA_TYPE_LIST:
            return (type_table){.tag = FB_TYPE_LIST};
        case RA_TYPE_LARGE_LIST:
            return (type_table){.tag = FB_TYPE_LARGE_LIST};
        case RA_TYPE_LIST_VIEW:
            return (type_table){.tag = FB_TYPE_LIST_VIEW};
        case RA_TYPE_LARGE_LIST_VIEW:
            return (type_table){.tag = FB_TYPE_LARGE_LIST_VIEW};
        case RA_TYPE_FIXED_SIZE_LIST:
            return (type_table){FB_TYPE_FIXED_SIZE_LIST, {RA_SLOT_I32(field->list_size)}};
        case RA_TYPE_STRUCT:
            return (type_table){.tag = FB_TYPE_STRUCT};
        case RA_TYPE_MAP:
            return (type_table){FB_TYPE_MAP, {RA_SLOT_BOOL(field->keys_sorted)}};
        case RA_TYPE_SPARSE_UNION:
            return (type_table){FB_TYPE_UNION, {RA_SLOT_I16(FB_UNION_SPARSE), RA_SLOT_REF}};
        case RA_TYPE_DENSE_UNION:
            return (type_table){FB_TYPE_UNION, {RA_SLOT_I16(FB_UNION_DENSE), RA_SLOT_REF}};
        case RA_TYPE_RUN_END_ENCODED:
            return (type_table){.tag = FB_TYPE_RUN_END_ENCODED};
        default:
            return int_table(field->type);
    }
}

static uint32_t put_type_ids(ra_flatbuf_writer *w, const ra_field *field) {
    int32_t ids[128];
    for (int i = 0; i < field->n_type_ids; i++)
        ids[i] = field->type_ids[i];
    return ra_flatbuf_put_vector(w, ids, (size_t)field->n_type_ids, sizeof *ids);
}

static uint32_t put_type(ra_flatbuf_writer *w, const ra_field *field, const type_table *table) {
    uint32_t at[3];
    uint32_t position = ra_flatbuf_put_table(w, table->slots, 3, at);
    if (table->tag == FB_TYPE_TIMESTAMP && field->has_timezone)
        ra_flatbuf_link(w, at[FB_TIMESTAMP_TIMEZONE], ra_flatbuf_put_string(w, field->timezone));
    if (table->tag == FB_TYPE_UNION)
        ra_flatbuf_link(w, at[FB_UNION_TYPE_IDS], put_type_ids(w, field));
    return position;
}

static uint32_t put_dictionary_encoding(ra_flatbuf_writer *w, const ra_field *field) {
    ra_flatbuf_slot slots[] = {
        [FB_DICTIONARY_ID] = RA_SLOT_I64(field->dictionary_id),
        [FB_DICTIONARY_INDEX_TYPE] = RA_SLOT_REF,
        [FB_DICTIONARY_ORDERED] = RA_SLOT_BOOL(field->dictionary_ordered),
    };
    uint32_t at[3];
    uint32_t position = ra_flatbuf_put_table(w, slots, 3, at);
    type_table indices = int_table(field->index_type);
    ra_flatbuf_link(w, at[FB_DICTIONARY_INDEX_TYPE],
                    ra_flatbuf_put_table(w, indices.slots, 2, NULL));
    return position;
}

static uint32_t put_metadata(ra_flatbuf_writer *w, const ra_metadata *metadata) {
    static const ra_flatbuf_slot slots[] = {
        [FB_KEY_VALUE_KEY] = RA_SLOT_REF, [FB_KEY_VALUE_VALUE] = RA_SLOT_REF};
    uint32_t vector = ra_flatbuf_put_ref_vector(w, (size_t)metadata->n);
    for (int i = 0; i < metadata->n && w->rc == 0; i++) {
        uint32_t at[2];
        ra_flatbuf_link(w, vector + 4 + 4 * (uint32_t)i, ra_flatbuf_put_table(w, slots, 2, at));
        ra_flatbuf_link(w, at[0], ra_flatbuf_put_string(w, metadata->items[i].key));
        ra_flatbuf_link(w, at[1], ra_flatbuf_put_string(w, metadata->items[i].value));
    }
    return vector;
}

static uint32_t put_fields(ra_flatbuf_writer *w, const ra_field *fields, int n);

static uint32_t put_field(ra_flatbuf_writer *w, const ra_field *field) {
    type_table type = table_of_type(field);
    ra_flatbuf_slot slots[] = {
        [FB_FIELD_NAME] = RA_SLOT_REF,
        [FB_FIELD_NULLABLE] = RA_SLOT_BOOL(field->nullable),
        [FB_FIELD_TYPE_TYPE] = RA_SLOT_I8(type.tag),
        [FB_FIELD_TYPE] = RA_SLOT_REF,
        [FB_FIELD_DICTIONARY] = field->is_dictionary ? RA_SLOT_REF : RA_SLOT_NONE,
        [FB_FIELD_CHILDREN] = RA_SLOT_REF,  // Java demands the vector even when it is empty
        [FB_FIELD_METADATA] = field->metadata.present ? RA_SLOT_REF : RA_SLOT_NONE,
    };
    uint32_t at[7];
    uint32_t position = ra_flatbuf_put_table(w, slots, 7, at);
    ra_flatbuf_link(w, at[FB_FIELD_NAME], ra_flatbuf_put_string(w, field->name));
    ra_flatbuf_link(w, at[FB_FIELD_TYPE], put_type(w, field, &type));
    if (field->is_dictionary)
        ra_flatbuf_link(w, at[FB_FIELD_DICTIONARY], put_dictionary_encoding(w, field));
    ra_flatbuf_link(w, at[FB_FIELD_CHILDREN], put_fields(w, field->children, field->n_children));
    if (field->metadata.present)
        ra_flatbuf_link(w, at[FB_FIELD_METADATA], put_metadata(w, &field->metadata));
    return position;
}

static uint32_t put_fields(ra_flatbuf_writer *w, const ra_field *fields, int n) {
    uint32_t vector = ra_flatbuf_put_ref_vector(w, (size_t)n);
    for (int i = 0; i < n && w->rc == 0; i++)
        ra_flatbuf_link(w, vector + 4 + 4 * (uint32_t)i, put_field(w, &fields[i]));
    return vector;
}

uint32_t ra_ipc_put_schema(ra_flatbuf_writer *w, const ra_schema *schema) {
    ra_flatbuf_slot slots[] = {
        [FB_SCHEMA_ENDIANNESS] = RA_SLOT_I16(0),  // little
        [FB_SCHEMA_FIELDS] = RA_SLOT_REF,
        [FB_SCHEMA_METADATA] = schema->metadata.present ? RA_SLOT_REF : RA_SLOT_NONE,
    };
    uint32_t at[3];
    uint32_t position = ra_flatbuf_put_table(w, slots, 3, at);
    ra_flatbuf_link(w, at[FB_SCHEMA_FIELDS], put_fields(w, schema->fields, schema->n_fields));
    if (schema->metadata.present)
        ra_flatbuf_link(w, at[FB_SCHEMA_METADATA], put_metadata(w, &schema->metadata));
    return position;
}

int ra_ipc_encode_schema(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    ra_flatbuf_writer w;
    ra_flatbuf_begin(&w, out, err);
    uint32_t header = ra_ipc_put_message(&w, RA_IPC_SCHEMA, 0);
    ra_flatbuf_link(&w, header, ra_ipc_put_schema(&w, schema));
    return ra_flatbuf_end(&w);
}

int ra_ipc_encode_framed_schema(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    static const uint8_t prefix[8] = {0xff, 0xff, 0xff, 0xff};
    size_t begin = out->len;
    RA_TRY(ra_bytes_append(out, prefix, sizeof prefix, err));
    RA_TRY(ra_ipc_encode_schema(schema, out, err));
    uint32_t bytes = (uint32_t)(out->len - begin - sizeof prefix);
    memcpy(out->data + begin + 4, &bytes, sizeof bytes);
    return 0;
}
