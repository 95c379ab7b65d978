#include <stdlib.h>

#include "arrow/schema.h"
#include "base/os.h"

static int compare_str(ra_str a, ra_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *a, const void *b) {
    const ra_key_value *x = *(ra_key_value *const *)a, *y = *(ra_key_value *const *)b;
    int order = compare_str(x->key, y->key);
    return order ? order : compare_str(x->value, y->value);
}

static bool same_item(const ra_key_value *a, const ra_key_value *b) {
    return ra_str_eq(a->key, b->key) && ra_str_eq(a->value, b->value);
}

static bool same_in_any_order(const ra_metadata *a, const ra_metadata *b) {
    size_t n = (size_t)a->n;
    const ra_key_value **sorted = ra_malloc(2 * n * sizeof *sorted);
    if (!sorted)  // without memory to sort, order counts
        return false;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &a->items[i];
        sorted[n + i] = &b->items[i];
    }
    qsort(sorted, n, sizeof *sorted, compare_items);
    qsort(sorted + n, n, sizeof *sorted, compare_items);
    bool same = true;
    for (size_t i = 0; i < n && same; i++)
        same = same_item(sorted[i], sorted[n + i]);
    ra_free(sorted);
    return same;
}

// As pyarrow compares: order does not count, and no metadata equals empty metadata.
static bool same_metadata(const ra_metadata *a, const ra_metadata *b) {
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (!same_item(&a->items[i], &b->items[i]))
            return same_in_any_order(a, b);
    return true;
}

static bool same_type(const ra_field *a, const ra_field *b, bool check_metadata);

static bool same_field(const ra_field *a, const ra_field *b, bool check_name, bool check_metadata) {
    return (!check_name || ra_str_eq(a->name, b->name)) && a->nullable == b->nullable &&
           (!check_metadata || same_metadata(&a->metadata, &b->metadata)) &&
           same_type(a, b, check_metadata);
}

// Names of what a list or map is made of count only together with the metadata.
static bool child_names_count(ra_type_id type) {
    return type == RA_TYPE_STRUCT || type == RA_TYPE_SPARSE_UNION || type == RA_TYPE_DENSE_UNION;
}

static bool same_parameters(const ra_field *a, const ra_field *b) {
    switch (a->type) {
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            return a->precision == b->precision && a->scale == b->scale;
        case RA_TYPE_TIMESTAMP:
            return a->unit == b->unit && a->has_timezone == b->has_timezone &&
                   (!a->has_timezone || ra_str_eq(a->timezone, b->timezone));
        case RA_TYPE_TIME32:
        case RA_TYPE_TIME64:
        case RA_TYPE_DURATION:
            return a->unit == b->unit;
        case RA_TYPE_FIXED_SIZE_BINARY:
            return a->byte_width == b->byte_width;
        case RA_TYPE_FIXED_SIZE_LIST:
            return a->list_size == b->list_size;
        case RA_TYPE_MAP:
            return a->keys_sorted == b->keys_sorted;
        case RA_TYPE_SPARSE_UNION:
        case RA_TYPE_DENSE_UNION:
            return a->n_type_ids == b->n_type_ids &&
                   (a->n_type_ids == 0 ||
                    memcmp(a->type_ids, b->type_ids, (size_t)a->n_type_ids) == 0);
        default:
            return true;
    }
}

static bool same_type(const ra_field *a, const ra_field *b, bool check_metadata) {
    if (a->type != b->type || a->n_children != b->n_children ||
        a->is_dictionary != b->is_dictionary || !same_parameters(a, b))
        return false;
    if (a->is_dictionary &&
        (a->index_type != b->index_type || a->dictionary_ordered != b->dictionary_ordered))
        return false;
    if (a->type == RA_TYPE_RUN_END_ENCODED)  // pyarrow has no fields there, only types
        return same_type(&a->children[0], &b->children[0], check_metadata) &&
               same_type(&a->children[1], &b->children[1], check_metadata);
    bool check_name = check_metadata || child_names_count(a->type);
    for (int i = 0; i < a->n_children; i++)
        if (!same_field(&a->children[i], &b->children[i], check_name, check_metadata))
            return false;
    return true;
}

bool ra_type_equal(const ra_field *a, const ra_field *b) {
    return same_type(a, b, false);
}

bool ra_field_equal(const ra_field *a, const ra_field *b, bool check_metadata) {
    return same_field(a, b, true, check_metadata);
}

bool ra_schema_equal(const ra_schema *a, const ra_schema *b, bool check_metadata) {
    if (a == b)
        return true;
    if (a->n_fields != b->n_fields ||
        (check_metadata && !same_metadata(&a->metadata, &b->metadata)))
        return false;
    for (int i = 0; i < a->n_fields; i++)
        if (!same_field(&a->fields[i], &b->fields[i], true, check_metadata))
            return false;
    return true;
}
