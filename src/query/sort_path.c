#include "query/sort_path.h"

#include "base/os.h"
#include "compute/share.h"

// The table with the children that are keys as columns behind its own.
typedef struct {
    const ra_compute *compute;
    const ra_table *table;
    const ra_sort_path *keys;
    int n_keys;
    ra_schema *schema;
    ra_batch **batches;
    int n_batches;
    ra_batch_sink *sink;  // gets the sorted rows without the columns behind
} extension;

// A batch with the `n` columns from `first` on of another one, under `schema`.
static int share_columns(ra_schema *schema, ra_batch *from, int first, int n, ra_batch **out,
                         ra_error *err) {
    RA_TRY(ra_batch_new(schema, from->n_rows, out, err));
    int rc = ra_batch_own_all(*out, from, err);
    for (int i = 0; i < n && rc == 0; i++)
        rc = ra_array_share(*out, &(*out)->columns[i], &from->columns[first + i], err);
    if (rc != 0) {
        ra_batch_unref(*out);
        *out = NULL;
    }
    return rc;
}

static int keep_batch(void *context, ra_batch *batch, ra_error *err) {
    ra_batch **kept = context;
    (void)err;
    ra_assert(!*kept);
    *kept = ra_batch_ref(batch);
    return 0;
}

// The children of the batch's column, a struct, as a batch: null where the struct is.
static int open_struct(extension *e, ra_batch *batch, int column, ra_batch **out, ra_error *err) {
    ra_schema *schema, *flat = NULL;
    ra_batch *alone = NULL;
    *out = NULL;
    RA_TRY(ra_schema_select(batch->schema, &column, 1, &schema, err));
    int rc = share_columns(schema, batch, column, 1, &alone, err);
    if (rc == 0)
        rc = ra_flatten_schema(schema, &flat, err);
    if (rc == 0) {
        ra_table table = {
            .schema = schema, .batches = &alone, .n_batches = 1, .n_rows = alone->n_rows};
        ra_batch_sink sink = {keep_batch, out};
        rc = ra_flatten(e->compute, &table, flat, &sink, err);
    }
    if (alone)
        ra_batch_unref(alone);
    if (flat)
        ra_schema_unref(flat);
    ra_schema_unref(schema);
    if (rc != 0 && *out) {
        ra_batch_unref(*out);
        *out = NULL;
    }
    return rc;
}

// Puts the child that a key names into column `at` of the extended batch.
static int add_key(extension *e, ra_batch *batch, const ra_sort_path *key, ra_batch *to, int at,
                   ra_error *err) {
    ra_batch *level = ra_batch_ref(batch);
    int column = key->column, rc = 0;
    for (int i = 0; i < key->n_children && rc == 0; i++) {
        ra_batch *next;
        rc = open_struct(e, level, column, &next, err);
        ra_batch_unref(level);
        level = next;
        column = key->children[i];
    }
    if (rc == 0)
        rc = ra_batch_own_all(to, level, err);
    if (rc == 0)
        rc = ra_array_share(to, &to->columns[at], &level->columns[column], err);
    if (level)
        ra_batch_unref(level);
    return rc;
}

static int extend_batch(extension *e, ra_batch *batch, ra_batch **out, ra_error *err) {
    int at = batch->n_columns;
    RA_TRY(share_columns(e->schema, batch, 0, at, out, err));
    for (int i = 0; i < e->n_keys; i++)
        if (e->keys[i].n_children > 0)
            RA_TRY(add_key(e, batch, &e->keys[i], *out, at++, err));
    return 0;
}

static int extend_schema(extension *e, int n_paths, ra_error *err) {
    const ra_schema *from = e->table->schema;
    int at = from->n_fields;
    RA_TRY(ra_schema_new(at + n_paths, &e->schema, err));
    for (int i = 0; i < at; i++)
        RA_TRY(ra_field_copy(e->schema, &from->fields[i], &e->schema->fields[i], err));
    for (int i = 0; i < e->n_keys; i++) {
        const ra_field *field = &from->fields[e->keys[i].column];
        for (int k = 0; k < e->keys[i].n_children; k++)
            field = &field->children[e->keys[i].children[k]];
        if (e->keys[i].n_children == 0)
            continue;
        RA_TRY(ra_field_copy(e->schema, field, &e->schema->fields[at], err));
        e->schema->fields[at++].nullable = true;
    }
    return ra_schema_seal(e->schema, err);
}

static int extend(extension *e, int n_paths, ra_error *err) {
    RA_TRY(extend_schema(e, n_paths, err));
    e->batches = ra_calloc((size_t)e->table->n_batches, sizeof e->batches[0]);
    if (!e->batches)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table's batches");
    for (; e->n_batches < e->table->n_batches; e->n_batches++) {
        RA_TRY(ra_compute_check_cancelled(e->compute, err));
        ra_batch **out = &e->batches[e->n_batches];
        int rc = extend_batch(e, e->table->batches[e->n_batches], out, err);
        if (rc != 0 && *out)
            ra_batch_unref(*out);
        RA_TRY(rc);
    }
    return 0;
}

// A sorted batch, without the columns that were added.
static int add_sorted(void *context, ra_batch *batch, ra_error *err) {
    extension *e = context;
    ra_batch *own;
    RA_TRY(share_columns(e->table->schema, batch, 0, e->table->schema->n_fields, &own, err));
    int rc = e->sink->add(e->sink->context, own, err);
    ra_batch_unref(own);
    return rc;
}

static int sort_extended(extension *e, ra_sort_key *keys, ra_error *err) {
    ra_table table = {.schema = e->schema,
                      .batches = e->batches,
                      .n_batches = e->n_batches,
                      .n_rows = e->table->n_rows};
    ra_batch_sink sink = {add_sorted, e};
    return ra_sort(e->compute, &table, keys, e->n_keys, &sink, err);
}

int ra_sort_by_paths(const ra_compute *compute, const ra_table *table, const ra_sort_path *keys,
                     int n_keys, ra_batch_sink *sink, ra_error *err) {
    int n_paths = 0;
    ra_sort_key *plain = ra_calloc((size_t)n_keys, sizeof plain[0]);
    if (!plain)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d sort keys", n_keys);
    for (int i = 0; i < n_keys; i++) {
        bool is_path = keys[i].n_children > 0;
        plain[i] =
            (ra_sort_key){.column = is_path ? table->schema->n_fields + n_paths : keys[i].column,
                          .descending = keys[i].descending,
                          .nulls_first = keys[i].nulls_first};
        n_paths += is_path;
    }
    extension e = {
        .compute = compute, .table = table, .keys = keys, .n_keys = n_keys, .sink = sink};
    int rc = 0;
    if (n_paths == 0) {
        rc = ra_sort(compute, table, plain, n_keys, sink, err);
    } else {
        rc = extend(&e, n_paths, err);
        if (rc == 0)
            rc = sort_extended(&e, plain, err);
    }
    for (int i = 0; i < e.n_batches; i++)
        ra_batch_unref(e.batches[i]);
    ra_free(e.batches);
    if (e.schema)
        ra_schema_unref(e.schema);
    ra_free(plain);
    return rc;
}
