// What is known of each type: layout, width, number of children.
#include "arrow/schema.h"

typedef struct {
    ra_layout layout;
    int32_t byte_width;  // of RA_LAYOUT_FIXED; 0 where a field's parameter decides
} type_info;

static const type_info types[RA_N_TYPES] = {
    [RA_TYPE_NULL] = {RA_LAYOUT_NULL, 0},
    [RA_TYPE_BOOL] = {RA_LAYOUT_BIT, 0},
    [RA_TYPE_INT8] = {RA_LAYOUT_FIXED, 1},
    [RA_TYPE_INT16] = {RA_LAYOUT_FIXED, 2},
    [RA_TYPE_INT32] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_INT64] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_UINT8] = {RA_LAYOUT_FIXED, 1},
    [RA_TYPE_UINT16] = {RA_LAYOUT_FIXED, 2},
    [RA_TYPE_UINT32] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_UINT64] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_HALF_FLOAT] = {RA_LAYOUT_FIXED, 2},
    [RA_TYPE_FLOAT] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_DOUBLE] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_DECIMAL32] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_DECIMAL64] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_DECIMAL128] = {RA_LAYOUT_FIXED, 16},
    [RA_TYPE_DECIMAL256] = {RA_LAYOUT_FIXED, 32},
    [RA_TYPE_DATE32] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_DATE64] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_TIME32] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_TIME64] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_TIMESTAMP] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_DURATION] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_INTERVAL_MONTHS] = {RA_LAYOUT_FIXED, 4},
    [RA_TYPE_INTERVAL_DAY_TIME] = {RA_LAYOUT_FIXED, 8},
    [RA_TYPE_INTERVAL_MONTH_DAY_NANO] = {RA_LAYOUT_FIXED, 16},
    [RA_TYPE_BINARY] = {RA_LAYOUT_VAR32, 0},
    [RA_TYPE_UTF8] = {RA_LAYOUT_VAR32, 0},
    [RA_TYPE_LARGE_BINARY] = {RA_LAYOUT_VAR64, 0},
    [RA_TYPE_LARGE_UTF8] = {RA_LAYOUT_VAR64, 0},
    [RA_TYPE_BINARY_VIEW] = {RA_LAYOUT_VIEW, 0},
    [RA_TYPE_UTF8_VIEW] = {RA_LAYOUT_VIEW, 0},
    [RA_TYPE_FIXED_SIZE_BINARY] = {RA_LAYOUT_FIXED, 0},
    [RA_TYPE_LIST] = {RA_LAYOUT_LIST32, 0},
    [RA_TYPE_LARGE_LIST] = {RA_LAYOUT_LIST64, 0},
    [RA_TYPE_LIST_VIEW] = {RA_LAYOUT_LIST_VIEW32, 0},
    [RA_TYPE_LARGE_LIST_VIEW] = {RA_LAYOUT_LIST_VIEW64, 0},
    [RA_TYPE_FIXED_SIZE_LIST] = {RA_LAYOUT_FIXED_LIST, 0},
    [RA_TYPE_STRUCT] = {RA_LAYOUT_STRUCT, 0},
    [RA_TYPE_MAP] = {RA_LAYOUT_LIST32, 0},
    [RA_TYPE_SPARSE_UNION] = {RA_LAYOUT_SPARSE_UNION, 0},
    [RA_TYPE_DENSE_UNION] = {RA_LAYOUT_DENSE_UNION, 0},
    [RA_TYPE_RUN_END_ENCODED] = {RA_LAYOUT_RUN_END, 0},
};

ra_layout ra_type_layout(ra_type_id type) {
    return types[type].layout;
}

int32_t ra_type_byte_width(const ra_field *field) {
    if (field->type == RA_TYPE_FIXED_SIZE_BINARY)
        return field->byte_width;
    return types[field->type].byte_width;
}

ra_layout ra_field_layout(const ra_field *field) {
    return types[field->is_dictionary ? field->index_type : field->type].layout;
}

int32_t ra_field_byte_width(const ra_field *field) {
    if (field->is_dictionary)
        return types[field->index_type].byte_width;
    return ra_type_byte_width(field);
}

bool ra_layout_has_validity(ra_layout layout) {
    switch (layout) {
        case RA_LAYOUT_NULL:
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION:
        case RA_LAYOUT_RUN_END:
            return false;
        default:
            return true;
    }
}

int ra_layout_n_buffers(ra_layout layout) {
    switch (layout) {
        case RA_LAYOUT_NULL:
        case RA_LAYOUT_FIXED_LIST:
        case RA_LAYOUT_STRUCT:
        case RA_LAYOUT_RUN_END:
            return 0;
        case RA_LAYOUT_BIT:
        case RA_LAYOUT_FIXED:
        case RA_LAYOUT_VIEW:
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
        case RA_LAYOUT_SPARSE_UNION:
            return 1;
        default:
            return 2;
    }
}

bool ra_type_is_integer(ra_type_id type) {
    return type >= RA_TYPE_INT8 && type <= RA_TYPE_UINT64;
}

bool ra_type_is_utf8(ra_type_id type) {
    return type == RA_TYPE_UTF8 || type == RA_TYPE_LARGE_UTF8 || type == RA_TYPE_UTF8_VIEW;
}
