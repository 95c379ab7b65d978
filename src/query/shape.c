#include "query/shape.h"

#include <xxhash.h>

#include "base/os.h"

// From this many look-ups on, an index of all names costs less than going through them.
enum { INDEX_AFTER_LOOKUPS = 4 };

int ra_shape_init(ra_shape *shape, ra_schema *schema, ra_error *err) {
    *shape = (ra_shape){.base = ra_schema_ref(schema),
                        .n_columns = schema->n_fields,
                        .metadata = schema->metadata,
                        .is_base = true};
    shape->columns = ra_calloc((size_t)schema->n_fields, sizeof shape->columns[0]);
    if (!shape->columns)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema of %d columns", schema->n_fields);
    for (int i = 0; i < schema->n_fields; i++)
        shape->columns[i] = (ra_shape_column){&schema->fields[i], schema->fields[i].name};
    return 0;
}

void ra_shape_fini(ra_shape *shape) {
    ra_free(shape->columns);
    ra_free(shape->slots);
    if (shape->base)
        ra_schema_unref(shape->base);
    *shape = (ra_shape){0};
}

static void changed(ra_shape *shape) {
    ra_free(shape->slots);
    shape->slots = NULL;
    shape->n_lookups = 0;
    shape->is_base = false;
}

int ra_shape_count(const ra_shape *shape, ra_str name) {
    int n = 0;
    for (int i = 0; i < shape->n_columns; i++)
        n += ra_str_eq(shape->columns[i].name, name);
    return n;
}

static int find_slowly(const ra_shape *shape, ra_str name) {
    int found = -1;
    for (int i = 0; i < shape->n_columns; i++) {
        if (!ra_str_eq(shape->columns[i].name, name))
            continue;
        if (found >= 0)
            return -2;
        found = i;
    }
    return found;
}

static uint32_t first_slot(const ra_shape *shape, ra_str name) {
    return (uint32_t)XXH3_64bits_withSeed(name.data, name.len, shape->seed) & (shape->n_slots - 1);
}

// The slot of the column called `name`, or the free one where it would be.
static uint32_t find_slot(const ra_shape *shape, ra_str name) {
    uint32_t slot = first_slot(shape, name);
    for (;; slot = (slot + 1) & (shape->n_slots - 1)) {
        int32_t entry = shape->slots[slot];
        int column = (entry < 0 ? -entry : entry) - 1;
        if (entry == 0 || ra_str_eq(shape->columns[column].name, name))
            return slot;
    }
}

// A negative entry stands for several columns of the name. Without memory there is no index.
static void build_index(ra_shape *shape) {
    shape->n_slots = 16;
    while (shape->n_slots < 2 * (uint32_t)shape->n_columns)
        shape->n_slots *= 2;
    shape->slots = ra_calloc(shape->n_slots, sizeof shape->slots[0]);
    if (!shape->slots)
        return;
    ra_os_random(&shape->seed, sizeof shape->seed);
    for (int i = 0; i < shape->n_columns; i++) {
        uint32_t slot = find_slot(shape, shape->columns[i].name);
        int32_t entry = shape->slots[slot];
        shape->slots[slot] = entry == 0 ? i + 1 : entry > 0 ? -entry : entry;
    }
}

int ra_shape_find(ra_shape *shape, ra_str name) {
    if (!shape->slots && ++shape->n_lookups > INDEX_AFTER_LOOKUPS)
        build_index(shape);
    if (!shape->slots)
        return find_slowly(shape, name);
    int32_t entry = shape->slots[find_slot(shape, name)];
    return entry < 0 ? -2 : entry - 1;
}

int ra_shape_select(ra_shape *shape, const int *columns, int n, ra_error *err) {
    if (n > RA_MAX_COLUMNS)
        RA_FAIL(err, LIMIT, "a table may have %d columns, not %d", RA_MAX_COLUMNS, n);
    ra_shape_column *selected = ra_calloc((size_t)n, sizeof selected[0]);
    if (!selected)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema of %d columns", n);
    for (int i = 0; i < n; i++)
        selected[i] = shape->columns[columns[i]];
    ra_free(shape->columns);
    shape->columns = selected;
    shape->n_columns = n;
    changed(shape);
    return 0;
}

void ra_shape_renamed(ra_shape *shape) {
    changed(shape);
}

void ra_shape_set_metadata(ra_shape *shape, const ra_metadata *metadata) {
    shape->metadata = *metadata;
    shape->is_base = false;
}

static int copy_columns(const ra_shape *shape, ra_schema *schema, ra_error *err) {
    for (int i = 0; i < shape->n_columns; i++) {
        RA_TRY(ra_field_copy(schema, shape->columns[i].field, &schema->fields[i], err));
        schema->fields[i].name = ra_arena_str(&schema->arena, shape->columns[i].name);
        if (!schema->fields[i].name.data)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
    }
    RA_TRY(ra_metadata_copy(schema, &shape->metadata, &schema->metadata, err));
    return ra_schema_seal(schema, err);
}

int ra_shape_schema(const ra_shape *shape, ra_schema **out, ra_error *err) {
    if (shape->is_base) {
        *out = ra_schema_ref(shape->base);
        return 0;
    }
    RA_TRY(ra_schema_new(shape->n_columns, out, err));
    int rc = copy_columns(shape, *out, err);
    if (rc != 0) {
        ra_schema_unref(*out);
        *out = NULL;
    }
    return rc;
}

void ra_shape_print(const ra_shape *shape, ra_bytes *out) {
    for (int i = 0; i < shape->n_columns; i++) {
        if (ra_bytes_printf(out, NULL, "%s%.*s: ", i > 0 ? ", " : "",
                            RA_STR_ARG(shape->columns[i].name)) != 0)
            return;
        ra_type_print(shape->columns[i].field, out);
    }
}
