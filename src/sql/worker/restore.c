#include "sql/worker/restore.h"

#include <math.h>

#include "arrow/access.h"
#include "arrow/join.h"
#include "arrow/value_hash.h"
#include "base/os.h"
#include "sql/worker/null_rows.h"

enum { DAY_MS = 86400000 };

static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};

static bool is_binary(ra_type_id type) {
    return type == RA_TYPE_BINARY || type == RA_TYPE_LARGE_BINARY || type == RA_TYPE_BINARY_VIEW ||
           type == RA_TYPE_FIXED_SIZE_BINARY;
}

static bool is_list(ra_type_id type) {
    return type >= RA_TYPE_LIST && type <= RA_TYPE_FIXED_SIZE_LIST;
}

static bool has_same_parameters(const ra_field *a, const ra_field *b) {
    return a->type == b->type && a->unit == b->unit && a->precision == b->precision &&
           a->scale == b->scale && a->byte_width == b->byte_width && a->list_size == b->list_size &&
           a->has_timezone == b->has_timezone && ra_str_eq(a->timezone, b->timezone);
}

// Whether values of `from`, its children aside, can be given the type of `wanted`.
static bool can_restore(const ra_field *from, const ra_field *wanted) {
    switch (wanted->type) {
        case RA_TYPE_NULL:
            return from->type == RA_TYPE_INT32 || from->type == RA_TYPE_NULL;
        case RA_TYPE_HALF_FLOAT:
            return from->type == RA_TYPE_FLOAT;
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            return from->type == RA_TYPE_DECIMAL128 && from->precision == wanted->precision &&
                   from->scale == wanted->scale;
        case RA_TYPE_DATE64:
            return from->type == RA_TYPE_DATE32;
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
            return from->type == RA_TYPE_TIME64;
        case RA_TYPE_TIMESTAMP:
            return from->type == RA_TYPE_TIMESTAMP && from->has_timezone == wanted->has_timezone;
        case RA_TYPE_DURATION:
            return from->type == RA_TYPE_INT64;
        case RA_TYPE_UTF8:
        case RA_TYPE_LARGE_UTF8:
        case RA_TYPE_UTF8_VIEW:
            return from->type == RA_TYPE_UTF8;
        case RA_TYPE_BINARY:
        case RA_TYPE_LARGE_BINARY:
        case RA_TYPE_BINARY_VIEW:
        case RA_TYPE_FIXED_SIZE_BINARY:
            return from->type == RA_TYPE_BINARY || has_same_parameters(from, wanted);
        case RA_TYPE_LIST:
        case RA_TYPE_LARGE_LIST:
        case RA_TYPE_LIST_VIEW:
        case RA_TYPE_LARGE_LIST_VIEW:
        case RA_TYPE_FIXED_SIZE_LIST:
            return from->type == RA_TYPE_LIST;
        case RA_TYPE_STRUCT:
        case RA_TYPE_MAP:
            return from->type == wanted->type && from->n_children == wanted->n_children;
        default:
            return has_same_parameters(from, wanted) && from->n_children == 0;
    }
}

// Dictionaries are restored in columns only, and if their values can be as a whole.
static bool can_restore_all(const ra_field *from, const ra_field *wanted, bool top) {
    if ((wanted->is_dictionary && !top) || !can_restore(from, wanted) ||
        from->n_children != wanted->n_children)
        return false;
    for (int i = 0; i < from->n_children; i++)
        if (!can_restore_all(&from->children[i], &wanted->children[i], false))
            return false;
    return true;
}

static int merge(ra_schema *schema, const ra_field *from, const ra_field *wanted, bool top,
                 ra_field *out, ra_error *err) {
    if (can_restore_all(from, wanted, top))
        return ra_field_copy(schema, wanted, out, err);
    bool same_kind = !wanted->is_dictionary && can_restore(from, wanted) &&
                     from->n_children == wanted->n_children && from->n_children > 0;
    RA_TRY(ra_field_copy(schema, same_kind ? wanted : from, out, err));
    if (same_kind) {
        for (int i = 0; i < out->n_children; i++)
            RA_TRY(merge(schema, &from->children[i], &wanted->children[i], false, &out->children[i],
                         err));
        return 0;
    }
    out->name = ra_arena_str(&schema->arena, wanted->name);
    if (!out->name.data)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
    return 0;
}

int ra_restore_schema(const ra_schema *from, const ra_schema *wanted, ra_schema **out,
                      ra_error *err) {
    RA_TRY(ra_schema_new(from->n_fields, out, err));
    int rc = ra_metadata_copy(*out, &wanted->metadata, &(*out)->metadata, err);
    for (int i = 0; i < from->n_fields && rc == 0; i++)
        rc = merge(*out, &from->fields[i], &wanted->fields[i], true, &(*out)->fields[i], err);
    return ra_schema_end(*out, rc, err);
}

typedef struct {
    ra_batch *batch;  // that is being made
    ra_str column;
} target;

static int fail_value(const target *t, const char *why, ra_error *err) {
    ra_error_set(err, RA_REASON_INVALID_ARGUMENT, "column '%.*s': %s", RA_STR_ARG(t->column), why);
    ra_error_set_subject(err, "column", t->column.data, t->column.len);
    return RA_INVALID;
}

static int alloc(const target *t, ra_array *to, int i, int64_t bytes, uint8_t **data,
                 ra_error *err) {
    RA_TRY(ra_batch_alloc(t->batch, bytes, data, err));
    to->buffers[i] = (ra_span){*data, bytes};
    return 0;
}

// The nearest half float, which is the number itself for those that were one.
static uint16_t half_of_float(float value) {
    int exponent;
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value))
        return sign | 0x7e00;
    float size = fabsf(value);
    if (isinf(size) || size >= 65520.0f)
        return sign | 0x7c00;
    if (size < 0x1p-14f)
        return sign | (uint16_t)rintf(ldexpf(size, 24));
    float fraction = frexpf(size, &exponent);
    return (uint16_t)(sign + ((exponent + 13) << 10) + (int)rintf(ldexpf(fraction, 11)));
}

static int rescale(const target *t, int64_t value, int64_t had, int64_t has, int64_t *out,
                   ra_error *err) {
    if (has >= had && !ra_mul_i64(value, has / had, out))
        return fail_value(t, "a time is out of the range of its type", err);
    if (has < had && value % (had / has) != 0)
        return fail_value(t, "a time is finer than the unit of its type", err);
    if (has < had)
        *out = value / (had / has);
    return 0;
}

static int convert_row(const target *t, const ra_array *from, const ra_array *to, int64_t i,
                       uint8_t *data, ra_error *err) {
    const uint8_t *value = from->buffers[0].data + i * from->byte_width;
    uint8_t *out = data + i * to->byte_width;
    int64_t number = 0;
    float single;
    switch (to->field->type) {
        case RA_TYPE_HALF_FLOAT:
            memcpy(&single, value, sizeof single);
            ra_store_u16(out, half_of_float(single));
            return 0;
        case RA_TYPE_DATE64:
            ra_store_i64(out, ra_load_i32(value) * (int64_t)DAY_MS);
            return 0;
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
        case RA_TYPE_TIMESTAMP:
            RA_TRY(rescale(t, ra_load_i64(value), per_second[from->field->unit],
                           per_second[to->field->unit], &number, err));
            ra_store_int(data, to->byte_width, i, number);
            return 0;
        default:  // decimals; the server checks their precision
            memset(out, value[from->byte_width - 1] & 0x80 ? 0xff : 0, (size_t)to->byte_width);
            memcpy(out, value,
                   (size_t)(to->byte_width < from->byte_width ? to->byte_width : from->byte_width));
            return 0;
    }
}

static int convert_fixed(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    uint8_t *data;
    RA_TRY(alloc(t, to, 0, from->length * to->byte_width, &data, err));
    for (int64_t i = 0; i < from->length; i++)
        if (ra_array_is_valid(from, i))
            RA_TRY(convert_row(t, from, to, i, data, err));
    return 0;
}

static int to_fixed_binary(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    uint8_t *data;
    RA_TRY(alloc(t, to, 0, from->length * to->byte_width, &data, err));
    for (int64_t i = 0; i < from->length; i++) {
        if (!ra_array_is_valid(from, i))
            continue;
        ra_span value = ra_array_bytes(from, i);
        if (value.bytes != to->byte_width)
            return fail_value(t, "bytes are not as many as its type says", err);
        if (value.bytes > 0)
            memcpy(data + i * to->byte_width, value.data, (size_t)value.bytes);
    }
    return 0;
}

static int widen_offsets(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    uint8_t *data;
    RA_TRY(alloc(t, to, 0, (from->length + 1) * 8, &data, err));
    for (int64_t i = 0; i <= from->length; i++)
        ra_store_i64(data + i * 8, ra_array_offset(from, i));
    return 0;
}

// The strings' bytes become the one data buffer.
static int to_views(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    uint8_t *views;
    RA_TRY(alloc(t, to, 0, from->length * RA_VIEW_BYTES, &views, err));
    to->buffers[1] = (ra_span){0};
    to->variadic = ra_arena_alloc(&t->batch->arena, 1, sizeof *to->variadic);
    if (!to->variadic)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a column");
    to->variadic[0] = from->buffers[1];
    to->n_variadic = 1;
    for (int64_t i = 0; i < from->length; i++) {
        if (!ra_array_is_valid(from, i))
            continue;
        ra_span value = ra_array_bytes(from, i);
        uint8_t *view = views + i * RA_VIEW_BYTES;
        bool is_inline = value.bytes <= RA_VIEW_INLINE_BYTES;
        ra_store_i32(view, (int32_t)value.bytes);
        if (value.bytes > 0)
            memcpy(view + 4, value.data, is_inline ? (size_t)value.bytes : RA_VIEW_PREFIX_BYTES);
        if (!is_inline)
            ra_store_i32(view + 12, (int32_t)ra_array_offset(from, i));
    }
    return 0;
}

static int to_strings(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    switch (to->layout) {
        case RA_LAYOUT_FIXED:
            return to_fixed_binary(t, from, to, err);
        case RA_LAYOUT_VIEW:
            return to_views(t, from, to, err);
        default:
            to->buffers[1] = from->buffers[1];
            return widen_offsets(t, from, to, err);
    }
}

static int to_list_views(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    int32_t width = ra_layout_offset_width(to->layout);
    uint8_t *offsets, *sizes;
    RA_TRY(alloc(t, to, 0, from->length * width, &offsets, err));
    RA_TRY(alloc(t, to, 1, from->length * width, &sizes, err));
    for (int64_t i = 0; i < from->length; i++) {
        int64_t at, n = ra_array_list(from, i, &at);
        ra_store_int(offsets, width, i, at);
        ra_store_int(sizes, width, i, n);
    }
    return 0;
}

// Null lists have no elements in the file, and here as many as any.
static int fixed_list_runs(const target *t, const ra_array *from, int32_t size, ra_run_list *runs,
                           ra_array *nothing, ra_error *err) {
    RA_TRY(ra_array_make_null(t->batch, &from->children[0], nothing, size, err));
    for (int64_t i = 0; i < from->length; i++) {
        int64_t at, n = ra_array_list(from, i, &at);
        bool is_valid = ra_array_is_valid(from, i);
        if (is_valid && n != size)
            return fail_value(t, "a list is not as long as its type says", err);
        RA_TRY(ra_run_list_add(runs, is_valid ? &from->children[0] : nothing, is_valid ? at : 0,
                               size, err));
    }
    return 0;
}

static int restore(const target *t, const ra_array *from, ra_array *to, ra_error *err);

static int join(const target *t, const ra_array *like, const ra_run_list *runs, ra_array *out,
                ra_error *err) {
    RA_TRY(ra_array_init(t->batch, out, like->field, runs->n_rows, false, err));
    return runs->n_rows == 0 ? 0 : ra_array_join(t->batch, out, like, runs, err);
}

static int to_fixed_lists(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    ra_run_list runs = {0};
    ra_array nothing, elements;
    int rc = fixed_list_runs(t, from, to->field->list_size, &runs, &nothing, err);
    if (rc == 0)
        rc = join(t, &from->children[0], &runs, &elements, err);
    ra_run_list_fini(&runs);
    if (rc != 0)
        return rc;
    to->children[0].length = elements.length;
    return restore(t, &elements, &to->children[0], err);
}

static int restore_children(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    for (int i = 0; i < from->n_children; i++)
        RA_TRY(restore(t, &from->children[i], &to->children[i], err));
    return 0;
}

static int to_lists(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    switch (to->layout) {
        case RA_LAYOUT_FIXED_LIST:
            return to_fixed_lists(t, from, to, err);
        case RA_LAYOUT_LIST64:
            RA_TRY(widen_offsets(t, from, to, err));
            break;
        default:
            RA_TRY(to_list_views(t, from, to, err));
            break;
    }
    return restore_children(t, from, to, err);
}

static int restore_values(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    ra_type_id a = from->field->type, b = to->field->type;
    to->length = from->length;
    to->null_count = from->null_count;
    to->validity = from->validity;
    if (b == RA_TYPE_NULL) {
        to->null_count = from->length;
        to->validity = (ra_span){0};
        return from->null_count == from->length ? 0 : fail_value(t, "a value is not null", err);
    }
    bool same_unit = from->field->unit == to->field->unit || from->layout != RA_LAYOUT_FIXED;
    if ((a == b && same_unit) || b == RA_TYPE_DURATION) {
        memcpy(to->buffers, from->buffers, sizeof to->buffers);
        to->variadic = from->variadic;
        to->n_variadic = from->n_variadic;
        return restore_children(t, from, to, err);
    }
    if (is_list(b))
        return to_lists(t, from, to, err);
    if (ra_type_is_utf8(b) || is_binary(b))
        return to_strings(t, from, to, err);
    return convert_fixed(t, from, to, err);
}

// The distinct values of `values`, in order of appearance, and each row's number among them.
static int number_values(const ra_array *values, ra_value_set *set, int64_t *numbers,
                         ra_error *err) {
    for (int64_t i = 0; i < values->length; i++) {
        numbers[i] = 0;
        if (ra_array_is_valid(values, i))
            RA_TRY(ra_value_set_add(set, values, i, &numbers[i], err));
    }
    return 0;
}

static int make_dictionary(const target *t, const ra_array *values, const ra_value_set *set,
                           ra_array *to, ra_error *err) {
    ra_batch *dictionary;
    ra_run_list runs = {0};
    RA_TRY(ra_dictionary_new(t->batch->schema, to->field, set->n, &dictionary, err));
    int rc = 0;
    for (int64_t i = 0; i < set->n && rc == 0; i++)
        rc = ra_run_list_add(&runs, values, set->values[i].row, 1, err);
    if (rc == 0 && set->n > 0)
        rc = ra_array_join(dictionary, &dictionary->columns[0], values, &runs, err);
    if (rc == 0)
        rc = ra_batch_own_dictionary(t->batch, dictionary, err);
    to->dictionary = &dictionary->columns[0];
    ra_run_list_fini(&runs);
    ra_batch_unref(dictionary);
    return rc;
}

static int64_t most_indices(ra_type_id type, int32_t width) {
    int bits = width * 8 - (ra_type_is_unsigned(type) ? 0 : 1);
    return bits > 31 ? INT32_MAX : INT64_C(1) << bits;
}

static int to_dictionary(const target *t, const ra_array *from, ra_array *to, int64_t *numbers,
                         ra_error *err) {
    ra_array values;
    ra_value_set set;
    uint8_t *data;
    RA_TRY(ra_array_init(t->batch, &values, to->field, from->length, true, err));
    RA_TRY(restore_values(t, from, &values, err));
    ra_value_set_init(&set);
    int rc = number_values(&values, &set, numbers, err);
    if (rc == 0 && set.n > most_indices(to->field->index_type, to->byte_width))
        rc = ra_error_set(err, RA_REASON_LIMIT, "column '%.*s': too many values for its index type",
                          RA_STR_ARG(t->column));
    if (rc == 0)
        rc = make_dictionary(t, &values, &set, to, err);
    ra_value_set_fini(&set);
    if (rc != 0)
        return rc;
    RA_TRY(alloc(t, to, 0, from->length * to->byte_width, &data, err));
    for (int64_t i = 0; i < from->length; i++)
        ra_store_int(data, to->byte_width, i, numbers[i]);
    to->null_count = from->null_count;
    to->validity = from->validity;
    return 0;
}

static int restore(const target *t, const ra_array *from, ra_array *to, ra_error *err) {
    to->length = from->length;
    if (from->length == 0)
        return 0;
    if (!to->field->is_dictionary)
        return restore_values(t, from, to, err);
    int64_t *numbers = ra_calloc((size_t)from->length, sizeof *numbers);
    int rc = numbers ? to_dictionary(t, from, to, numbers, err)
                     : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for a dictionary");
    ra_free(numbers);
    return rc;
}

int ra_restore_batch(ra_batch *from, ra_schema *schema, ra_batch **out, ra_error *err) {
    RA_TRY(ra_batch_new(schema, from->n_rows, out, err));
    target t = {.batch = *out};
    int rc = ra_batch_own_all(*out, from, err);
    for (int i = 0; i < from->n_columns && rc == 0; i++) {
        t.column = schema->fields[i].name;
        rc = restore(&t, &from->columns[i], &(*out)->columns[i], err);
    }
    if (rc != 0)
        ra_batch_unref(*out);
    return rc;
}
