#include <stdio.h>
#include <stdlib.h>

#include "arrow/access.h"
#include "base/os.h"
#include "sql/worker/c_data.h"

enum { NULLABLE = 2, MAP_KEYS_SORTED = 4 };

static const char extension_key[] = "ARROW:extension:name";

static const struct {
    const char *format;
    ra_type_id type;
} known[] = {
    {"n", RA_TYPE_NULL},    {"c", RA_TYPE_INT8},     {"C", RA_TYPE_UINT8},
    {"s", RA_TYPE_INT16},   {"S", RA_TYPE_UINT16},   {"i", RA_TYPE_INT32},
    {"I", RA_TYPE_UINT32},  {"l", RA_TYPE_INT64},    {"L", RA_TYPE_UINT64},
    {"f", RA_TYPE_FLOAT},   {"g", RA_TYPE_DOUBLE},   {"u", RA_TYPE_UTF8},
    {"z", RA_TYPE_BINARY},  {"tdD", RA_TYPE_DATE32}, {"+l", RA_TYPE_LIST},
    {"+s", RA_TYPE_STRUCT}, {"+m", RA_TYPE_MAP},     {"tin", RA_TYPE_INTERVAL_MONTH_DAY_NANO}};

static bool read_time(const char *format, ra_field *out) {
    static const char units[] = "smun";
    const char *unit = format[2] ? strchr(units, format[2]) : NULL;
    if (!unit)
        return false;
    out->unit = (ra_time_unit)(unit - units);
    if (format[1] == 't')
        out->type = out->unit < RA_UNIT_MICRO ? RA_TYPE_TIME32 : RA_TYPE_TIME64;
    if (format[1] == 's' && format[3] == ':') {
        out->type = RA_TYPE_TIMESTAMP;
        out->has_timezone = format[4] != 0;
        out->timezone = ra_str_of(format + 4);
    }
    return format[1] == 't' || format[1] == 's';
}

// The type in `out`, whose strings are borrowed. False when there is none for the format.
static bool read_format(const char *format, ra_field *out) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(format, known[i].format) != 0)
            continue;
        out->type = known[i].type;
        return true;
    }
    int bits = 128;
    if (sscanf(format, "d:%d,%d,%d", &out->precision, &out->scale, &bits) >= 2) {
        out->type = RA_TYPE_DECIMAL128;
        return bits == 128;
    }
    if (sscanf(format, "w:%d", &out->byte_width) == 1) {
        out->type = RA_TYPE_FIXED_SIZE_BINARY;
        return true;
    }
    return format[0] == 't' && read_time(format, out);
}

// The value of the extension's name in metadata as the C data interface has it: numbers of pairs
// and of bytes in front of them. Empty when there is none.
static ra_str extension_of(const char *metadata) {
    int32_t n = metadata ? ra_load_i32(metadata) : 0;
    const char *at = metadata ? metadata + 4 : NULL;
    for (int32_t i = 0; i < n; i++) {
        ra_str key = {at + 4, (size_t)ra_load_i32(at)};
        at += 4 + key.len;
        ra_str value = {at + 4, (size_t)ra_load_i32(at)};
        at += 4 + value.len;
        if (ra_str_eq(key, ra_str_of(extension_key)))
            return value;
    }
    return (ra_str){0};
}

static int keep_uuid(ra_schema *schema, ra_field *field, ra_error *err) {
    ra_key_value items[] = {{ra_str_of(extension_key), RA_STR("arrow.uuid")},
                            {RA_STR("ARROW:extension:metadata"), RA_STR("")}};
    ra_metadata metadata = {.present = true, .n = 2, .items = items};
    return ra_metadata_copy(schema, &metadata, &field->metadata, err);
}

static int fail_type(const char *column, ra_str type, ra_error *err) {
    ra_error_set(err, RA_REASON_NOT_IMPLEMENTED,
                 "column '%s' has a type that is not in Arrow: %.*s", column, RA_STR_ARG(type));
    ra_error_set_subject(err, "column", column, strlen(column));
    return RA_UNIMPLEMENTED;
}

static int read_field(ra_schema *schema, const struct ArrowSchema *from, ra_field *out,
                      ra_error *err) {
    ra_str extension = extension_of(from->metadata);
    bool is_uuid = ra_str_eq(extension, RA_STR("arrow.uuid"));
    out->nullable = (from->flags & NULLABLE) != 0;
    out->keys_sorted = (from->flags & MAP_KEYS_SORTED) != 0;
    out->name = ra_arena_str(&schema->arena, ra_str_of(from->name));
    out->n_children = (int)from->n_children;
    out->children = ra_arena_alloc(&schema->arena, (size_t)from->n_children, sizeof *out->children);
    if (!out->name.data || !out->children)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
    if (from->dictionary || !read_format(from->format, out) ||
        (out->type == RA_TYPE_FIXED_SIZE_BINARY && !is_uuid))
        return fail_type(from->name, extension.len ? extension : ra_str_of(from->format), err);
    if (ra_str_eq(extension, RA_STR("arrow.bool8")))
        out->type = RA_TYPE_BOOL;
    out->timezone = ra_arena_str(&schema->arena, out->timezone);
    for (int64_t i = 0; i < from->n_children; i++)
        RA_TRY(read_field(schema, from->children[i], &out->children[i], err));
    return is_uuid ? keep_uuid(schema, out, err) : 0;
}

int ra_c_read_schema(const struct ArrowSchema *from, ra_schema **out, ra_error *err) {
    RA_TRY(ra_schema_new((int)from->n_children, out, err));
    int rc = 0;
    for (int i = 0; i < (*out)->n_fields && rc == 0; i++)
        rc = read_field(*out, from->children[i], &(*out)->fields[i], err);
    return ra_schema_end(*out, rc, err);
}

static void release(void *owner) {
    struct ArrowArray *array = owner;
    if (array->release)
        array->release(array);
    ra_free(array);
}

// As many bytes as the rows need: DuckDB does not say how many there are.
static void read_buffers(const struct ArrowArray *from, ra_array *to) {
    int at = ra_layout_has_validity(to->layout) ? 1 : 0;
    int64_t n = from->length;
    int64_t bytes = to->layout == RA_LAYOUT_BIT     ? ra_bit_bytes(n)
                    : to->layout == RA_LAYOUT_FIXED ? n * to->byte_width
                                                    : (n + 1) * 4;
    if (at > 0 && from->buffers[0]) {
        to->validity = (ra_span){from->buffers[0], ra_bit_bytes(n)};
        to->null_count = n - ra_count_bits(to->validity.data, n);
    }
    if (to->null_count == 0)
        to->validity = (ra_span){0};
    if (ra_layout_n_buffers(to->layout) > 0)
        to->buffers[0] = (ra_span){from->buffers[at], bytes};
    if (to->layout == RA_LAYOUT_VAR32)
        to->buffers[1] = (ra_span){from->buffers[at + 1], ra_array_offset(to, n)};
    if (to->layout == RA_LAYOUT_NULL)
        to->null_count = n;
}

// DuckDB gives booleans as bytes when it is asked for types without loss.
static int pack_bits(const struct ArrowArray *from, ra_batch *batch, ra_array *to, ra_error *err) {
    const uint8_t *bytes = from->buffers[1];
    uint8_t *bits;
    RA_TRY(ra_batch_alloc(batch, ra_bit_bytes(from->length), &bits, err));
    for (int64_t i = 0; i < from->length; i++)
        bits[i >> 3] |= (uint8_t)((bytes[i] != 0) << (i & 7));
    to->buffers[0] = (ra_span){bits, ra_bit_bytes(from->length)};
    return 0;
}

static int read_array(const struct ArrowArray *from, ra_batch *batch, ra_array *to, ra_error *err) {
    if (from->offset != 0 || from->n_children != to->n_children)
        RA_FAIL(err, INTERNAL, "DuckDB gives a column of another form than it said");
    to->length = from->length;
    if (from->length == 0)
        return 0;
    read_buffers(from, to);
    if (to->layout == RA_LAYOUT_BIT)
        RA_TRY(pack_bits(from, batch, to, err));
    for (int i = 0; i < to->n_children; i++)
        RA_TRY(read_array(from->children[i], batch, &to->children[i], err));
    return 0;
}

static int read_columns(const struct ArrowArray *from, ra_batch *batch, ra_error *err) {
    if (from->n_children != batch->n_columns)
        RA_FAIL(err, INTERNAL, "DuckDB gives other columns than it said");
    for (int i = 0; i < batch->n_columns; i++)
        RA_TRY(read_array(from->children[i], batch, &batch->columns[i], err));
    return 0;
}

int ra_c_read_batch(struct ArrowArray *from, ra_schema *schema, ra_batch **out, ra_error *err) {
    ra_blob *blob;
    struct ArrowArray *held = ra_malloc(sizeof *held);
    if (!held) {
        from->release(from);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for rows");
    }
    *held = *from;
    from->release = NULL;
    int rc = ra_blob_wrap(NULL, 0, release, held, &blob, err);
    if (rc != 0) {
        release(held);
        return rc;
    }
    rc = ra_batch_new(schema, held->length, out, err);
    if (rc == 0) {
        rc = ra_batch_own(*out, blob, err);
        if (rc == 0)
            rc = read_columns(held, *out, err);
        if (rc != 0)
            ra_batch_unref(*out);
    }
    ra_blob_unref(blob);
    return rc;
}
