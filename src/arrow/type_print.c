// Type names as pyarrow prints them.
#include <stdarg.h>
#include <stdio.h>

#include "arrow/schema.h"

static const char *const names[RA_N_TYPES] = {
    [RA_TYPE_NULL] = "null",
    [RA_TYPE_BOOL] = "bool",
    [RA_TYPE_INT8] = "int8",
    [RA_TYPE_INT16] = "int16",
    [RA_TYPE_INT32] = "int32",
    [RA_TYPE_INT64] = "int64",
    [RA_TYPE_UINT8] = "uint8",
    [RA_TYPE_UINT16] = "uint16",
    [RA_TYPE_UINT32] = "uint32",
    [RA_TYPE_UINT64] = "uint64",
    [RA_TYPE_HALF_FLOAT] = "halffloat",
    [RA_TYPE_FLOAT] = "float",
    [RA_TYPE_DOUBLE] = "double",
    [RA_TYPE_DECIMAL32] = "decimal32",
    [RA_TYPE_DECIMAL64] = "decimal64",
    [RA_TYPE_DECIMAL128] = "decimal128",
    [RA_TYPE_DECIMAL256] = "decimal256",
    [RA_TYPE_DATE32] = "date32[day]",
    [RA_TYPE_DATE64] = "date64[ms]",
    [RA_TYPE_TIME32] = "time32",
    [RA_TYPE_TIME64] = "time64",
    [RA_TYPE_TIMESTAMP] = "timestamp",
    [RA_TYPE_DURATION] = "duration",
    [RA_TYPE_INTERVAL_MONTHS] = "month_interval",
    [RA_TYPE_INTERVAL_DAY_TIME] = "day_time_interval",
    [RA_TYPE_INTERVAL_MONTH_DAY_NANO] = "month_day_nano_interval",
    [RA_TYPE_BINARY] = "binary",
    [RA_TYPE_UTF8] = "string",
    [RA_TYPE_LARGE_BINARY] = "large_binary",
    [RA_TYPE_LARGE_UTF8] = "large_string",
    [RA_TYPE_BINARY_VIEW] = "binary_view",
    [RA_TYPE_UTF8_VIEW] = "string_view",
    [RA_TYPE_FIXED_SIZE_BINARY] = "fixed_size_binary",
    [RA_TYPE_LIST] = "list",
    [RA_TYPE_LARGE_LIST] = "large_list",
    [RA_TYPE_LIST_VIEW] = "list_view",
    [RA_TYPE_LARGE_LIST_VIEW] = "large_list_view",
    [RA_TYPE_FIXED_SIZE_LIST] = "fixed_size_list",
    [RA_TYPE_STRUCT] = "struct",
    [RA_TYPE_MAP] = "map",
    [RA_TYPE_SPARSE_UNION] = "sparse_union",
    [RA_TYPE_DENSE_UNION] = "dense_union",
    [RA_TYPE_RUN_END_ENCODED] = "run_end_encoded",
};

static const char *const units[] = {"s", "ms", "us", "ns"};

// Appends what fits below the ceiling.
static void put(ra_bytes *out, const char *text, size_t n) {
    size_t room = out->ceiling - out->len;
    if (n > room)
        n = room;
    if (ra_bytes_append(out, text, n, NULL) != 0)
        return;  // a name that is cut for want of memory is still a name
}

static void put_text(ra_bytes *out, const char *text) {
    put(out, text, strlen(text));
}

static void RA_PRINTF(2, 3) put_format(ra_bytes *out, const char *fmt, ...) {
    char text[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_text(out, text);
}

static void put_field(ra_bytes *out, const ra_field *field) {
    put(out, field->name.data, field->name.len);
    put_text(out, ": ");
    ra_type_print(field, out);
    if (!field->nullable)
        put_text(out, " not null");
}

static void put_children(ra_bytes *out, const ra_field *field) {
    put_text(out, "<");
    for (int i = 0; i < field->n_children; i++) {
        if (i)
            put_text(out, ", ");
        put_field(out, &field->children[i]);
        if (field->n_type_ids)
            put_format(out, "=%d", field->type_ids[i]);
    }
    put_text(out, ">");
}

// A map's key or value: the name only when it is not the usual one.
static void put_map_part(ra_bytes *out, const ra_field *field, const char *usual_name) {
    ra_type_print(field, out);
    if (ra_str_eq(field->name, ra_str_of(usual_name)))
        return;
    put_text(out, " ('");
    put(out, field->name.data, field->name.len);
    put_text(out, "')");
}

static void put_map(ra_bytes *out, const ra_field *field) {
    const ra_field *entries = field->children;
    put_text(out, "<");
    put_map_part(out, &entries->children[0], "key");
    put_text(out, ", ");
    put_map_part(out, &entries->children[1], "value");
    if (field->keys_sorted)
        put_text(out, ", keys_sorted");
    if (!ra_str_eq(entries->name, RA_STR("entries"))) {
        put_text(out, " ('");
        put(out, entries->name.data, entries->name.len);
        put_text(out, "')");
    }
    put_text(out, ">");
}

static void print_value_type(const ra_field *field, ra_bytes *out) {
    put_text(out, names[field->type]);
    switch (field->type) {
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            put_format(out, "(%d, %d)", field->precision, field->scale);
            break;
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
        case RA_TYPE_DURATION:
            put_format(out, "[%s]", units[field->unit]);
            break;
        case RA_TYPE_TIMESTAMP:
            put_format(out, "[%s", units[field->unit]);
            if (field->has_timezone) {
                put_text(out, ", tz=");
                put(out, field->timezone.data, field->timezone.len);
            }
            put_text(out, "]");
            break;
        case RA_TYPE_FIXED_SIZE_BINARY:
            put_format(out, "[%d]", field->byte_width);
            break;
        case RA_TYPE_FIXED_SIZE_LIST:
            put_children(out, field);
            put_format(out, "[%d]", field->list_size);
            break;
        case RA_TYPE_MAP:
            put_map(out, field);
            break;
        default:
            if (ra_type_layout(field->type) >= RA_LAYOUT_LIST32)
                put_children(out, field);
    }
}

void ra_type_print(const ra_field *field, ra_bytes *out) {
    if (field->is_dictionary)
        put_text(out, "dictionary<values=");
    print_value_type(field, out);
    if (field->is_dictionary)
        put_format(out, ", indices=%s, ordered=%d>", names[field->index_type],
                   field->dictionary_ordered);
}
