#include <string.h>

#include "base/checked.h"
#include "base/os.h"
#include "compute/gather.h"
#include "compute/methods.h"
#include "compute/share.h"

static bool is_struct(const ra_field *field) {
    return field->type == RA_TYPE_STRUCT && !field->is_dictionary;
}

static int join_names(ra_schema *schema, ra_str parent, ra_str child, ra_str *out, ra_error *err) {
    size_t len = parent.len + 1 + child.len;
    char *name = ra_arena_alloc(&schema->arena, len + 1, 1);
    if (!name)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a schema");
    if (parent.len > 0)
        memcpy(name, parent.data, parent.len);
    name[parent.len] = '.';
    if (child.len > 0)
        memcpy(name + parent.len + 1, child.data, child.len);
    *out = (ra_str){name, len};
    return 0;
}

static int fill_schema(const ra_schema *schema, ra_schema *flat, ra_error *err) {
    int at = 0;
    RA_TRY(ra_metadata_copy(flat, &schema->metadata, &flat->metadata, err));
    for (int f = 0; f < schema->n_fields; f++) {
        const ra_field *field = &schema->fields[f];
        if (!is_struct(field)) {
            RA_TRY(ra_field_copy(flat, field, &flat->fields[at++], err));
            continue;
        }
        for (int c = 0; c < field->n_children; c++) {
            ra_field *to = &flat->fields[at++];
            RA_TRY(ra_field_copy(flat, &field->children[c], to, err));
            RA_TRY(join_names(flat, field->name, field->children[c].name, &to->name, err));
            to->nullable |= field->nullable;
        }
    }
    return ra_schema_seal(flat, err);
}

int ra_flatten_schema(const ra_schema *schema, ra_schema **out, ra_error *err) {
    int64_t n = 0;
    *out = NULL;
    for (int f = 0; f < schema->n_fields; f++)
        n += is_struct(&schema->fields[f]) ? schema->fields[f].n_children : 1;
    if (n > RA_MAX_COLUMNS)
        RA_FAIL(err, LIMIT, "%lld columns; %d is the limit", (long long)n, RA_MAX_COLUMNS);
    ra_schema *flat;
    RA_TRY(ra_schema_new((int)n, &flat, err));
    int rc = fill_schema(schema, flat, err);
    if (rc == 0)
        *out = flat;
    else
        ra_schema_unref(flat);
    return rc;
}

// A layout without validity gets its nulls by gathering null rows.
static int blank_rows(const ra_compute *compute, ra_batch *batch, const ra_array *parent,
                      const ra_array *child, ra_array *to, ra_error *err) {
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(compute, child->length, sizeof(ra_row), &memory, err));
    ra_row *rows = memory.data;
    for (int64_t i = 0; i < child->length; i++)
        rows[i] =
            ra_array_is_valid(parent, i) ? (ra_row){0, (uint32_t)i} : (ra_row){RA_ROW_NULL, 0};
    ra_picks picks;
    ra_picks_init(&picks, rows, child->length);
    to->length = child->length;
    int rc = ra_gather_array(compute, child, &picks, batch, to, err);
    ra_picks_fini(compute, &picks);
    ra_scratch_free(compute, &memory);
    return rc;
}

static int flatten_child(const ra_compute *compute, ra_batch *batch, const ra_array *parent,
                         const ra_array *child, ra_array *to, ra_error *err) {
    if (parent->null_count == 0 || child->layout == RA_LAYOUT_NULL)
        return ra_array_share(batch, to, child, err);
    if (!ra_layout_has_validity(child->layout))
        return blank_rows(compute, batch, parent, child, to, err);
    RA_TRY(ra_array_share(batch, to, child, err));
    int64_t n_bytes = ra_bit_bytes(child->length);
    uint8_t *bits;
    RA_TRY(ra_batch_alloc(batch, n_bytes, &bits, err));
    ra_copy_bits(bits, 0, parent->validity.data, 0, child->length);
    for (int64_t i = 0; child->null_count > 0 && i < n_bytes; i++)
        bits[i] &= child->validity.data[i];
    to->validity = (ra_span){bits, n_bytes};
    to->null_count = child->length - ra_count_bits(bits, child->length);
    return 0;
}

typedef struct {
    const ra_compute *compute;
    const ra_table *table;
    ra_schema *out_schema;
} flattening;

static int fill_columns(const flattening *f, const ra_batch *from, ra_batch *batch, ra_error *err) {
    int at = 0;
    RA_TRY(ra_batch_own_all(batch, from, err));
    for (int c = 0; c < from->n_columns; c++) {
        const ra_array *column = &from->columns[c];
        if (!is_struct(column->field)) {
            RA_TRY(ra_array_share(batch, &batch->columns[at++], column, err));
            continue;
        }
        for (int k = 0; k < column->n_children; k++)
            RA_TRY(flatten_child(f->compute, batch, column, &column->children[k],
                                 &batch->columns[at++], err));
    }
    ra_assert(at == batch->n_columns);
    return 0;
}

static int flatten_batch(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    const flattening *f = context;
    const ra_batch *from = f->table->batches[morsel];
    ra_batch *batch;
    RA_TRY(ra_batch_new(f->out_schema, from->n_rows, &batch, err));
    int rc = fill_columns(f, from, batch, err);
    if (rc == 0)
        return ra_morsel_emit(run, morsel, batch, err);
    ra_batch_unref(batch);
    return rc;
}

int ra_flatten(const ra_compute *compute, const ra_table *table, ra_schema *out_schema,
               ra_batch_sink *sink, ra_error *err) {
    flattening f = {.compute = compute, .table = table, .out_schema = out_schema};
    return ra_morsels_run(compute, table->n_batches, flatten_batch, &f, sink, err);
}
