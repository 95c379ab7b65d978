#include "sql/worker/map_keys.h"

#include "arrow/access.h"
#include "arrow/value_hash.h"

// Adds the keys of one map to an empty set.
static int add_keys(const ra_array *map, int64_t row, ra_value_set *set, bool *twice,
                    ra_error *err) {
    int64_t from, number, n = ra_array_list(map, row, &from);
    for (int64_t i = 0; i < n; i++)
        RA_TRY(ra_value_set_add(set, &map->children[0].children[0], from + i, &number, err));
    *twice = set->n < n;
    return 0;
}

static int find_twice(const ra_array *array, bool *twice, ra_error *err) {
    for (int64_t i = 0; array->field->type == RA_TYPE_MAP && i < array->length && !*twice; i++) {
        ra_value_set set;
        if (!ra_array_is_valid(array, i))
            continue;
        ra_value_set_init(&set);
        int rc = add_keys(array, i, &set, twice, err);
        ra_value_set_fini(&set);
        RA_TRY(rc);
    }
    for (int i = 0; i < array->n_children && !*twice; i++)
        RA_TRY(find_twice(&array->children[i], twice, err));
    return 0;
}

int ra_map_keys_check(const ra_batch *batch, ra_error *err) {
    for (int i = 0; i < batch->n_columns; i++) {
        bool twice = false;
        ra_str name = batch->schema->fields[i].name;
        RA_TRY(find_twice(&batch->columns[i], &twice, err));
        if (!twice)
            continue;
        ra_error_set(err, RA_REASON_INVALID_ARGUMENT, "column '%.*s': a map has a key twice",
                     RA_STR_ARG(name));
        ra_error_set_subject(err, "column", name.data, name.len);
        return RA_INVALID;
    }
    return 0;
}
