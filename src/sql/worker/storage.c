#include "sql/worker/storage.h"

#include <math.h>

#include "arrow/access.h"
#include "arrow/join.h"
#include "sql/worker/null_rows.h"

enum { DAY_MS = 86400000, MAX_DECIMAL128_DIGITS = 38 };

static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};

static ra_type_id decimal_type(const ra_field *field) {
    bool is_plain = field->scale >= 0 && field->scale <= field->precision &&
                    field->precision <= MAX_DECIMAL128_DIGITS;
    return is_plain ? RA_TYPE_DECIMAL128 : RA_TYPE_DOUBLE;
}

static ra_time_unit timestamp_unit(const ra_field *field) {
    if (field->has_timezone)
        return RA_UNIT_MICRO;
    return field->unit == RA_UNIT_SECOND ? RA_UNIT_MILLI : field->unit;
}

// Turns a field of the schema under construction into the one that DuckDB sees.
static void make_plain(ra_field *field) {
    field->is_dictionary = false;
    if (field->type == RA_TYPE_RUN_END_ENCODED) {
        ra_str name = field->name;
        ra_metadata metadata = field->metadata;
        *field = field->children[1];
        field->name = name;
        field->metadata = metadata;
        field->nullable = true;
        make_plain(field);
        return;
    }
    switch (field->type) {
        case RA_TYPE_HALF_FLOAT:
            field->type = RA_TYPE_FLOAT;
            break;
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            field->type = decimal_type(field);
            break;
        case RA_TYPE_DATE64:
            field->type = RA_TYPE_DATE32;
            break;
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
            field->type = RA_TYPE_TIME64;
            field->unit = RA_UNIT_MICRO;
            break;
        case RA_TYPE_DURATION:
            field->type = RA_TYPE_INT64;
            break;
        case RA_TYPE_TIMESTAMP:
            field->unit = timestamp_unit(field);
            break;
        case RA_TYPE_FIXED_SIZE_LIST:
            field->type = RA_TYPE_LIST;
            break;
        default:
            break;
    }
    for (int i = 0; i < field->n_children; i++)
        make_plain(&field->children[i]);
}

int ra_storage_schema(const ra_schema *schema, ra_schema **out, ra_error *err) {
    RA_TRY(ra_schema_new(schema->n_fields, out, err));
    int rc = 0;
    for (int i = 0; i < schema->n_fields && rc == 0; i++) {
        rc = ra_field_copy(*out, &schema->fields[i], &(*out)->fields[i], err);
        if (rc == 0)
            make_plain(&(*out)->fields[i]);
    }
    return ra_schema_end(*out, rc, err);
}

typedef struct {
    ra_batch *batch;  // that is being made
    ra_str column;
} target;

// IEEE 754: 1 bit sign, 5 bits exponent, 10 bits fraction. Exact.
static float float_of_half(uint16_t half) {
    int exponent = (half >> 10) & 31, fraction = half & 1023;
    float value = exponent == 0    ? ldexpf((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf((float)(fraction + 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

// A two's complement integer of 4 … 32 bytes, divided by a power of ten; nearly.
static double double_of_decimal(const uint8_t *bytes, int32_t width, int32_t scale) {
    long double value = ra_load_i32(bytes + width - 4);
    for (int32_t i = width - 8; i >= 0; i -= 4)
        value = value * 4294967296.0L + ra_load_u32(bytes + i);
    return (double)(scale < 0 ? value * powl(10.0L, -(long double)scale)
                              : value / powl(10.0L, (long double)scale));
}

// To 16 bytes from fewer, or from more whose value fits.
static void resize_integer(const uint8_t *from, int32_t width, uint8_t *to) {
    memset(to, from[width - 1] & 0x80 ? 0xff : 0, 16);
    memcpy(to, from, width < 16 ? (size_t)width : 16);
}

static int64_t floor_divide(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

static int rescale(const target *t, const ra_array *from, int64_t i, ra_time_unit unit,
                   int64_t *out, ra_error *err) {
    int64_t value = ra_load_int(from->buffers[0].data, from->byte_width, i);
    int64_t had = per_second[from->field->unit], has = per_second[unit];
    if (has < had)
        *out = floor_divide(value, had / has);
    else if (!ra_mul_i64(value, has / had, out))
        RA_FAIL(err, INVALID_ARGUMENT,
                "column '%.*s': a time is out of the range of the file's type",
                RA_STR_ARG(t->column));
    return 0;
}

static int convert_row(const target *t, const ra_array *from, const ra_field *field, int64_t i,
                       uint8_t *to, ra_error *err) {
    const uint8_t *value = from->buffers[0].data + i * from->byte_width;
    float single;
    double number;
    int64_t integer;
    switch (field->type) {
        case RA_TYPE_FLOAT:
            single = float_of_half(ra_load_u16(value));
            memcpy(to + i * 4, &single, 4);
            return 0;
        case RA_TYPE_DECIMAL128:
            resize_integer(value, from->byte_width, to + i * 16);
            return 0;
        case RA_TYPE_DOUBLE:
            number = double_of_decimal(value, from->byte_width, field->scale);
            memcpy(to + i * 8, &number, 8);
            return 0;
        case RA_TYPE_DATE32:
            ra_store_i32(to + i * 4, (int32_t)(ra_load_i64(value) / DAY_MS));
            return 0;
        default:
            RA_TRY(rescale(t, from, i, field->unit, &integer, err));
            ra_store_i64(to + i * 8, integer);
            return 0;
    }
}

static bool is_converted(const ra_array *from, const ra_array *to) {
    const ra_field *a = from->field, *b = to->field;
    bool has_unit = b->type == RA_TYPE_TIME64 || b->type == RA_TYPE_TIMESTAMP;
    return (a->type != b->type && a->type != RA_TYPE_DURATION) || (has_unit && a->unit != b->unit);
}

static int convert_values(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    uint8_t *data;
    int64_t bytes = from->length * to->byte_width;
    RA_TRY(ra_batch_alloc(t->batch, bytes, &data, err));
    to->buffers[0] = (ra_span){data, bytes};
    for (int64_t i = 0; i < from->length; i++)
        if (ra_array_is_valid(from, i))
            RA_TRY(convert_row(t, from, to->field, i, data, err));
    return 0;
}

static int join(const target *t, const ra_array *like, const ra_run_list *runs, ra_array *out,
                ra_error *err) {
    RA_TRY(ra_array_init(t->batch, out, like->field, runs->n_rows, like->of_dictionary, err));
    return runs->n_rows == 0 ? 0 : ra_array_join(t->batch, out, like, runs, err);
}

static int add_indexed_rows(const target *t, const ra_array *from, ra_array *null,
                            ra_run_list *runs, ra_error *err) {
    if (from->null_count > 0)
        RA_TRY(ra_array_make_null(t->batch, from->dictionary, null, 1, err));
    for (int64_t i = 0; i < from->length; i++) {
        bool is_valid = ra_array_is_valid(from, i);
        RA_TRY(ra_run_list_add(runs, is_valid ? from->dictionary : null,
                               is_valid ? ra_array_index(from, i) : 0, 1, err));
    }
    return 0;
}

static int decode_dictionary(const target *t, const ra_array *from, ra_array *out, ra_error *err) {
    ra_run_list runs = {0};
    ra_array null;
    int rc = add_indexed_rows(t, from, &null, &runs, err);
    if (rc == 0)
        rc = join(t, from->dictionary, &runs, out, err);
    ra_run_list_fini(&runs);
    return rc;
}

static int decode_run_ends(const target *t, const ra_array *from, ra_array *out, ra_error *err) {
    ra_run_list runs = {0};
    int rc = 0;
    int64_t run = 0;
    for (int64_t i = 0; i < from->length && rc == 0; i++) {
        while (ra_array_run_end(from, run) <= i)
            run++;
        rc = ra_run_list_add(&runs, &from->children[1], run, 1, err);
    }
    if (rc == 0)
        rc = join(t, &from->children[1], &runs, out, err);
    ra_run_list_fini(&runs);
    return rc;
}

// Null lists become empty ones: readers refuse elements in them.
static int convert_fixed_list(const target *t, const ra_array *from, ra_array *to,
                              ra_array *elements, ra_error *err) {
    ra_run_list runs = {0};
    uint8_t *offsets;
    int64_t bytes = (from->length + 1) * 4, size = from->field->list_size;
    RA_TRY(ra_batch_alloc(t->batch, bytes, &offsets, err));
    to->buffers[0] = (ra_span){offsets, bytes};
    int rc = 0;
    for (int64_t i = 0; i < from->length && rc == 0; i++) {
        if (ra_array_is_valid(from, i))
            rc = ra_run_list_add(&runs, &from->children[0], i * size, size, err);
        if (rc == 0 && runs.n_rows > INT32_MAX)
            rc = ra_error_set(err, RA_REASON_LIMIT, "too many list elements in one batch");
        ra_store_i32(offsets + (i + 1) * 4, (int32_t)runs.n_rows);
    }
    if (rc == 0)
        rc = join(t, &from->children[0], &runs, elements, err);
    ra_run_list_fini(&runs);
    return rc;
}

static int store(const target *t, const ra_array *from, ra_array *to, ra_error *err);

static int store_rows(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    ra_array elements;
    to->length = from->length;
    to->null_count = from->null_count;
    to->validity = from->null_count ? from->validity : (ra_span){0};
    if (from->layout == RA_LAYOUT_FIXED_LIST) {
        RA_TRY(convert_fixed_list(t, from, to, &elements, err));
        return store(t, &elements, &to->children[0], err);
    }
    to->buffers[0] = from->buffers[0];
    to->buffers[1] = from->buffers[1];
    to->variadic = from->variadic;
    to->n_variadic = from->n_variadic;
    if (is_converted(from, to))
        return convert_values(t, from, to, err);
    for (int i = 0; i < from->n_children; i++)
        RA_TRY(store(t, &from->children[i], &to->children[i], err));
    return 0;
}

static int store(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    ra_array values;
    if (from->length == 0)
        return 0;
    if (from->field->is_dictionary && !from->of_dictionary)
        RA_TRY(decode_dictionary(t, from, &values, err));
    else if (from->layout == RA_LAYOUT_RUN_END)
        RA_TRY(decode_run_ends(t, from, &values, err));
    else
        return store_rows(t, from, to, err);
    return store(t, &values, to, err);
}

int ra_storage_batch(ra_batch *from, ra_schema *schema, ra_batch **out, ra_error *err) {
    RA_TRY(ra_batch_new(schema, from->n_rows, out, err));
    target t = {.batch = *out};
    int rc = ra_batch_own_all(*out, from, err);
    for (int i = 0; i < from->n_columns && rc == 0; i++) {
        t.column = schema->fields[i].name;
        rc = store(&t, &from->columns[i], &(*out)->columns[i], err);
    }
    if (rc != 0)
        ra_batch_unref(*out);
    return rc;
}
