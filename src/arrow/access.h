// Reading single rows of arrays: offsets, indices, strings, runs. Buffers may have any alignment;
// the arrays must have been checked, and a null row's value must not be asked for.
#ifndef RA_ARROW_ACCESS_H
#define RA_ARROW_ACCESS_H

#include "arrow/array.h"
#include "base/checked.h"

// The signed integer number i of `width` 1, 2, 4 or 8 bytes.
static inline int64_t ra_load_int(const uint8_t *values, int32_t width, int64_t i) {
    switch (width) {
        case 1:
            return (int8_t)values[i];
        case 2:
            return ra_load_i16(values + i * 2);
        case 4:
            return ra_load_i32(values + i * 4);
        default:
            return ra_load_i64(values + i * 8);
    }
}

// The same of the unsigned integer; those over INT64_MAX become negative.
static inline int64_t ra_load_uint(const uint8_t *values, int32_t width, int64_t i) {
    switch (width) {
        case 1:
            return values[i];
        case 2:
            return ra_load_u16(values + i * 2);
        case 4:
            return ra_load_u32(values + i * 4);
        default:
            return ra_load_i64(values + i * 8);
    }
}

// Stores the low `width` bytes (1, 2, 4 or 8) of `value` as number i.
static inline void ra_store_int(uint8_t *values, int32_t width, int64_t i, int64_t value) {
    switch (width) {
        case 1:
            values[i] = (uint8_t)value;
            break;
        case 2:
            ra_store_u16(values + i * 2, (uint16_t)value);
            break;
        case 4:
            ra_store_u32(values + i * 4, (uint32_t)value);
            break;
        default:
            ra_store_i64(values + i * 8, value);
    }
}

// Bytes of an offset (and of a list view's size).
static inline int32_t ra_layout_offset_width(ra_layout layout) {
    return layout == RA_LAYOUT_VAR64 || layout == RA_LAYOUT_LIST64 ||
                   layout == RA_LAYOUT_LIST_VIEW64
               ? 8
               : 4;
}

static inline bool ra_type_is_unsigned(ra_type_id type) {
    return type >= RA_TYPE_UINT8 && type <= RA_TYPE_UINT64;
}

// Offset i of strings, lists, list views.
static inline int64_t ra_array_offset(const ra_array *a, int64_t i) {
    return ra_load_int(a->buffers[0].data, ra_layout_offset_width(a->layout), i);
}

// The elements of list i (lists, list views, fixed-size lists): *from in the child, returns how
// many.
static inline int64_t ra_array_list(const ra_array *a, int64_t i, int64_t *from) {
    switch (a->layout) {
        case RA_LAYOUT_FIXED_LIST:
            *from = i * a->field->list_size;
            return a->field->list_size;
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            *from = ra_array_offset(a, i);
            return ra_load_int(a->buffers[1].data, ra_layout_offset_width(a->layout), i);
        default:
            *from = ra_array_offset(a, i);
            return ra_array_offset(a, i + 1) - *from;
    }
}

// The dictionary index of a row.
static inline int64_t ra_array_index(const ra_array *a, int64_t i) {
    return ra_type_is_unsigned(a->field->index_type)
               ? ra_load_uint(a->buffers[0].data, a->byte_width, i)
               : ra_load_int(a->buffers[0].data, a->byte_width, i);
}

// A view of 16 bytes: size, then the string itself up to 12 bytes, or prefix, buffer and offset.
enum { RA_VIEW_BYTES = 16, RA_VIEW_INLINE_BYTES = 12, RA_VIEW_PREFIX_BYTES = 4 };
static inline int32_t ra_view_size(const uint8_t *view) {
    return ra_load_i32(view);
}
static inline int32_t ra_view_buffer(const uint8_t *view) {
    return ra_load_i32(view + 8);
}
static inline int32_t ra_view_offset(const uint8_t *view) {
    return ra_load_i32(view + 12);
}

// The bytes of row i: of strings, views and fixed widths.
static inline ra_span ra_array_bytes(const ra_array *a, int64_t i) {
    const uint8_t *values = a->buffers[0].data;
    if (a->layout == RA_LAYOUT_FIXED)
        return (ra_span){values + i * a->byte_width, a->byte_width};
    if (a->layout == RA_LAYOUT_VIEW) {
        const uint8_t *view = values + i * RA_VIEW_BYTES;
        int32_t size = ra_view_size(view);
        if (size <= RA_VIEW_INLINE_BYTES)
            return (ra_span){view + 4, size};
        return (ra_span){a->variadic[ra_view_buffer(view)].data + ra_view_offset(view), size};
    }
    int64_t from = ra_array_offset(a, i);
    return (ra_span){a->buffers[1].data + from, ra_array_offset(a, i + 1) - from};
}

// Run end number i.
static inline int64_t ra_array_run_end(const ra_array *a, int64_t i) {
    return ra_load_int(a->children[0].buffers[0].data, a->children[0].byte_width, i);
}

// The run that row i of a run-end array is in, by bisection; the number of runs when it is beyond.
static inline int64_t ra_array_find_run(const ra_array *a, int64_t i) {
    int64_t low = 0, high = a->children[0].length;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ra_array_run_end(a, middle) > i)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// The child of a union with a type id; -1 when there is none.
static inline int ra_field_union_child(const ra_field *field, int type_id) {
    for (int i = 0; i < field->n_type_ids; i++)
        if (field->type_ids[i] == type_id)
            return i;
    return -1;
}

// Child of a union's row, and the row in it.
static inline int ra_array_union_row(const ra_array *a, int64_t i, int64_t *row) {
    *row = a->layout == RA_LAYOUT_DENSE_UNION ? ra_load_i32(a->buffers[1].data + i * 4) : i;
    return ra_field_union_child(a->field, (int8_t)a->buffers[0].data[i]);
}

#endif
