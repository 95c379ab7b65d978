#include "arrow/schema.h"

#include "base/os.h"

// Room for a schema of RA_MAX_SCHEMA_BYTES of metadata with all its fields.
enum { SCHEMA_CEILING_BYTES = 96 * 1024 * 1024 };

ra_schema *ra_schema_ref(ra_schema *schema) {
    int before = atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return schema;
}

void ra_schema_unref(ra_schema *schema) {
    if (!schema)
        return;
    int before = atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before > 1)
        return;
    ra_arena_fini(&schema->arena);
    ra_free(schema);
}

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
}

int ra_schema_new(int n_fields, ra_schema **out, ra_error *err) {
    *out = NULL;
    if (n_fields < 0 || n_fields > RA_MAX_COLUMNS)
        RA_FAIL(err, LIMIT, "a schema of %d columns: at most %d are possible", n_fields,
                RA_MAX_COLUMNS);
    ra_schema *schema = ra_calloc(1, sizeof *schema);
    if (!schema)
        return no_memory(err);
    atomic_init(&schema->refs, 1);
    ra_arena_init(&schema->arena, SCHEMA_CEILING_BYTES);
    schema->n_fields = n_fields;
    schema->fields = ra_arena_alloc(&schema->arena, (size_t)n_fields, sizeof *schema->fields);
    if (!schema->fields) {
        ra_schema_unref(schema);
        return no_memory(err);
    }
    *out = schema;
    return 0;
}

static int copy_str(ra_schema *into, ra_str from, ra_str *to, ra_error *err) {
    *to = ra_arena_str(&into->arena, from);
    return to->data ? 0 : no_memory(err);
}

int ra_metadata_copy(ra_schema *into, const ra_metadata *from, ra_metadata *to, ra_error *err) {
    *to = (ra_metadata){.present = from->present};
    if (from->n == 0)
        return 0;
    ra_key_value *items = ra_arena_alloc(&into->arena, (size_t)from->n, sizeof *items);
    if (!items)
        return no_memory(err);
    for (int i = 0; i < from->n; i++) {
        RA_TRY(copy_str(into, from->items[i].key, &items[i].key, err));
        RA_TRY(copy_str(into, from->items[i].value, &items[i].value, err));
    }
    to->n = from->n;
    to->items = items;
    return 0;
}

int ra_field_copy(ra_schema *into, const ra_field *from, ra_field *to, ra_error *err) {
    *to = *from;
    to->children = NULL;
    to->type_ids = NULL;
    RA_TRY(copy_str(into, from->name, &to->name, err));
    if (from->has_timezone)
        RA_TRY(copy_str(into, from->timezone, &to->timezone, err));
    RA_TRY(ra_metadata_copy(into, &from->metadata, &to->metadata, err));
    if (from->n_type_ids) {
        to->type_ids = ra_arena_alloc(&into->arena, (size_t)from->n_type_ids, 1);
        if (!to->type_ids)
            return no_memory(err);
        memcpy(to->type_ids, from->type_ids, (size_t)from->n_type_ids);
    }
    if (from->n_children) {
        to->children = ra_arena_alloc(&into->arena, (size_t)from->n_children, sizeof *to->children);
        if (!to->children)
            return no_memory(err);
        for (int i = 0; i < from->n_children; i++)
            RA_TRY(ra_field_copy(into, &from->children[i], &to->children[i], err));
    }
    return 0;
}

// A sealed schema of fields[columns[i]], or of all fields in order when `columns` is NULL, named
// names[i] unless `names` is NULL, with the given schema metadata (NULL: none).
static int derive(const ra_schema *schema, const int *columns, int n, const ra_str *names,
                  const ra_metadata *metadata, ra_schema **out, ra_error *err) {
    int rc;
    ra_schema *made;
    *out = NULL;
    RA_TRY(ra_schema_new(n, &made, err));
    for (int i = 0; i < n; i++) {
        ra_field from = schema->fields[columns ? columns[i] : i];
        if (names)
            from.name = names[i];
        RA_GOTO(ra_field_copy(made, &from, &made->fields[i], err), failed);
    }
    if (metadata)
        RA_GOTO(ra_metadata_copy(made, metadata, &made->metadata, err), failed);
    RA_GOTO(ra_schema_seal(made, err), failed);
    *out = made;
    return 0;
failed:
    ra_schema_unref(made);
    return rc;
}

int ra_schema_select(const ra_schema *schema, const int *columns, int n, ra_schema **out,
                     ra_error *err) {
    return derive(schema, columns, n, NULL, &schema->metadata, out, err);
}

int ra_schema_rename(const ra_schema *schema, const ra_str *names, const ra_metadata *metadata,
                     ra_schema **out, ra_error *err) {
    return derive(schema, NULL, schema->n_fields, names, metadata, out, err);
}

int ra_schema_with_metadata(const ra_schema *schema, const ra_metadata *metadata, ra_schema **out,
                            ra_error *err) {
    return derive(schema, NULL, schema->n_fields, NULL, metadata, out, err);
}

int ra_schema_find(const ra_schema *schema, ra_str name) {
    int found = -1;
    for (int i = 0; i < schema->n_fields; i++) {
        if (!ra_str_eq(schema->fields[i].name, name))
            continue;
        if (found >= 0)
            return -2;
        found = i;
    }
    return found;
}

static const ra_field *find_dictionary(const ra_field *fields, int n, int64_t id) {
    for (int i = 0; i < n; i++) {
        if (fields[i].is_dictionary && fields[i].dictionary_id == id)
            return &fields[i];
        const ra_field *found = find_dictionary(fields[i].children, fields[i].n_children, id);
        if (found)
            return found;
    }
    return NULL;
}

const ra_field *ra_schema_dictionary_field(const ra_schema *schema, int64_t id) {
    return find_dictionary(schema->fields, schema->n_fields, id);
}
