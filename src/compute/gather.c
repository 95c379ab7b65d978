#include "compute/gather.h"

#include "arrow/slice.h"
#include "base/os.h"
#include "compute/gather_internal.h"
#include "compute/methods.h"

struct ra_gather_plan {
    const ra_compute *compute;
    ra_schema *schema;  // borrowed from the table
    int n_batches;
    ra_batch **batches;  // references: the table's, or those with unified dictionaries
    int64_t batch_rows;
    int64_t charged_bytes;
    ra_arena arena;  // of the nodes
    int n_columns;
    ra_gather_node *columns;
    int n_dictionaries;
    ra_batch **dictionaries;  // references to what the nodes' dictionaries lie in
};

enum { MAX_BATCH_ROWS = 1024 * 1024, MAX_BATCH_BYTES = 2 * RA_COMPUTE_BATCH_BYTES };

static const ra_gather_fn gather_by_layout[RA_N_LAYOUTS] = {
    [RA_LAYOUT_NULL] = ra_gather_null,
    [RA_LAYOUT_BIT] = ra_gather_bit,
    [RA_LAYOUT_FIXED] = ra_gather_fixed,
    [RA_LAYOUT_VAR32] = ra_gather_var,
    [RA_LAYOUT_VAR64] = ra_gather_var,
    [RA_LAYOUT_VIEW] = ra_gather_view,
    [RA_LAYOUT_LIST32] = ra_gather_list,
    [RA_LAYOUT_LIST64] = ra_gather_list,
    [RA_LAYOUT_LIST_VIEW32] = ra_gather_list_view,
    [RA_LAYOUT_LIST_VIEW64] = ra_gather_list_view,
    [RA_LAYOUT_FIXED_LIST] = ra_gather_fixed_list,
    [RA_LAYOUT_STRUCT] = ra_gather_struct,
    [RA_LAYOUT_SPARSE_UNION] = ra_gather_union,
    [RA_LAYOUT_DENSE_UNION] = ra_gather_union,
    [RA_LAYOUT_RUN_END] = ra_gather_run_end,
};

int ra_gather_node_rows(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                        ra_array *out, ra_error *err) {
    if (picks->n == 0 && node->n_children == 0) {
        out->dictionary = node->dictionary;
        return 0;
    }
    return gather_by_layout[node->layout](target, node, picks, out, err);
}

int ra_gather_too_large(const ra_gather_node *node, const char *what, ra_error *err) {
    RA_FAIL(err, LIMIT, "column '%.*s': too many %s for one batch", RA_STR_ARG(node->field->name),
            what);
}

int ra_gather_alloc(ra_gather_target *target, int64_t bytes, uint8_t **out, ra_error *err) {
    if (bytes > target->max_bytes - target->bytes)
        RA_FAIL(err, LIMIT, "a batch is over %lld bytes", (long long)target->max_bytes);
    ra_blob *blob;
    RA_TRY(ra_compute_charge(target->compute, bytes, err));
    target->bytes += bytes;
    RA_TRY(ra_blob_new((size_t)bytes, &blob, err));
    int rc = ra_batch_own(target->batch, blob, err);
    *out = blob->data;
    ra_blob_unref(blob);
    return rc;
}

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a gather plan");
}

static const uint8_t *data_of(ra_span span) {
    return span.data ? span.data : ra_zero_bytes;
}

// Sets up a node for rows of the arrays in `sources`, and its children.
static int init_node(ra_arena *arena, ra_gather_node *node, const ra_field *field,
                     const ra_array **sources, int n_sources, ra_error *err);

static int init_children(ra_arena *arena, ra_gather_node *node, int n_sources, ra_error *err) {
    node->n_children = node->field->n_children;
    node->children = ra_arena_alloc(arena, (size_t)node->n_children, sizeof *node->children);
    if (!node->children)
        return no_memory(err);
    for (int c = 0; c < node->n_children; c++) {
        const ra_array **sources = ra_arena_alloc(arena, (size_t)n_sources, sizeof *sources);
        if (!sources)
            return no_memory(err);
        for (int b = 0; b < n_sources; b++)
            sources[b] = &node->sources[b]->children[c];
        RA_TRY(init_node(arena, &node->children[c], &node->field->children[c], sources, n_sources,
                         err));
    }
    return 0;
}

static int init_node(ra_arena *arena, ra_gather_node *node, const ra_field *field,
                     const ra_array **sources, int n_sources, ra_error *err) {
    *node = (ra_gather_node){.field = field,
                             .layout = ra_field_layout(field),
                             .byte_width = ra_field_byte_width(field),
                             .is_indices = field->is_dictionary,
                             .sources = sources};
    node->validity = ra_arena_alloc(arena, (size_t)n_sources, sizeof *node->validity);
    node->buffers[0] = ra_arena_alloc(arena, (size_t)n_sources, sizeof *node->buffers[0]);
    node->buffers[1] = ra_arena_alloc(arena, (size_t)n_sources, sizeof *node->buffers[1]);
    if (!node->validity || !node->buffers[0] || !node->buffers[1])
        return no_memory(err);
    for (int b = 0; b < n_sources; b++) {
        const ra_array *source = sources[b];
        node->validity[b] = source->null_count > 0 ? source->validity.data : NULL;
        node->has_nulls |= node->validity[b] != NULL;
        node->buffers[0][b] = data_of(source->buffers[0]);
        node->buffers[1][b] = data_of(source->buffers[1]);
        if (source->dictionary && (!node->dictionary || source->length > 0)) {
            node->dictionary = source->dictionary;
            node->dictionary_source = b;
        }
    }
    return node->is_indices ? 0 : init_children(arena, node, n_sources, err);
}

// What a walk over the index arrays of all batches finds.
typedef struct {
    const ra_array **first;  // by dictionary field in the order of the walk
    bool differ;
    int64_t index_bytes;
} dictionary_walk;

static void walk_dictionaries(dictionary_walk *walk, const ra_array *array, int *place) {
    if (array->field->is_dictionary) {
        const ra_array **first = &walk->first[(*place)++];
        walk->index_bytes += array->length * array->byte_width;
        if (array->length == 0 || !array->dictionary)
            return;
        walk->differ |= *first && *first != array->dictionary;
        *first = array->dictionary;
        return;
    }
    for (int c = 0; c < array->n_children; c++)
        walk_dictionaries(walk, &array->children[c], place);
}

// Takes references to the table's batches, or to copies with common dictionaries.
static int hold_batches(ra_gather_plan *plan, const ra_table *table, ra_error *err) {
    plan->batches = ra_calloc((size_t)table->n_batches, sizeof *plan->batches);
    dictionary_walk walk = {
        .first = ra_calloc((size_t)table->schema->n_dictionaries, sizeof *walk.first)};
    if (!plan->batches || !walk.first) {
        ra_free(walk.first);
        return no_memory(err);
    }
    for (int b = 0; b < table->n_batches && table->schema->n_dictionaries > 0; b++) {
        int place = 0;
        for (int c = 0; c < table->schema->n_fields; c++)
            walk_dictionaries(&walk, &table->batches[b]->columns[c], &place);
    }
    ra_free(walk.first);
    if (walk.differ) {
        RA_TRY(ra_compute_charge(plan->compute, walk.index_bytes, err));
        plan->charged_bytes += walk.index_bytes;
        RA_TRY(ra_batches_unify_dictionaries(table->batches, table->n_batches, plan->batches, err));
        plan->n_batches = table->n_batches;
        return 0;
    }
    for (int b = 0; b < table->n_batches; b++)
        plan->batches[b] = ra_batch_ref(table->batches[b]);
    plan->n_batches = table->n_batches;
    return 0;
}

static int init_columns(ra_gather_plan *plan, ra_error *err) {
    const ra_schema *schema = plan->schema;
    plan->columns = ra_arena_alloc(&plan->arena, (size_t)schema->n_fields, sizeof *plan->columns);
    if (!plan->columns)
        return no_memory(err);
    for (int c = 0; c < schema->n_fields; c++) {
        const ra_array **sources =
            ra_arena_alloc(&plan->arena, (size_t)plan->n_batches, sizeof *sources);
        if (!sources)
            return no_memory(err);
        for (int b = 0; b < plan->n_batches; b++)
            sources[b] = &plan->batches[b]->columns[c];
        RA_TRY(init_node(&plan->arena, &plan->columns[c], &schema->fields[c], sources,
                         plan->n_batches, err));
        plan->n_columns++;
    }
    RA_TRY(ra_compute_charge(plan->compute, (int64_t)plan->arena.total_bytes, err));
    plan->charged_bytes += (int64_t)plan->arena.total_bytes;
    return 0;
}

// Keeps the batches in which the dictionaries lie; where no batch has one, makes one of no values.
static int hold_dictionaries(ra_gather_plan *plan, ra_gather_node *node, ra_error *err) {
    for (int c = 0; c < node->n_children; c++)
        RA_TRY(hold_dictionaries(plan, &node->children[c], err));
    if (!node->is_indices)
        return 0;
    ra_assert(plan->n_dictionaries < plan->schema->n_dictionaries);
    if (!node->dictionary) {
        ra_batch *empty;
        RA_TRY(ra_dictionary_new(plan->schema, node->field, 0, &empty, err));
        plan->dictionaries[plan->n_dictionaries++] = empty;
        node->dictionary = &empty->columns[0];
        return 0;
    }
    const ra_batch *source = plan->batches[node->dictionary_source];
    for (int d = 0; d < source->n_dictionaries; d++) {
        if (&source->dictionaries[d]->columns[0] != node->dictionary)
            continue;
        plan->dictionaries[plan->n_dictionaries++] = ra_batch_ref(source->dictionaries[d]);
        return 0;
    }
    RA_FAIL(err, INTERNAL, "column '%.*s': a batch does not own its dictionary",
            RA_STR_ARG(node->field->name));
}

static int64_t array_bytes(const ra_array *array) {
    ra_span spans[RA_MAX_OWN_BUFFERS];
    int n = ra_array_stored_spans(array, spans);
    int64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += spans[i].bytes;
    for (int i = 0; i < array->n_variadic; i++)
        bytes += array->variadic[i].bytes;
    for (int c = 0; c < array->n_children; c++)
        bytes += array_bytes(&array->children[c]);
    return bytes;
}

static int64_t estimate_batch_rows(const ra_gather_plan *plan) {
    double bytes = 0, rows = 0;
    for (int b = 0; b < plan->n_batches; b++) {
        for (int c = 0; c < plan->batches[b]->n_columns; c++)
            bytes += (double)array_bytes(&plan->batches[b]->columns[c]);
        rows += (double)plan->batches[b]->n_rows;
    }
    if (bytes * MAX_BATCH_ROWS <= rows * RA_COMPUTE_BATCH_BYTES)
        return MAX_BATCH_ROWS;
    double n = rows * RA_COMPUTE_BATCH_BYTES / bytes;
    return n < 64 ? (int64_t)n + 1 : (int64_t)n & ~63;
}

int ra_gather_plan_new(const ra_compute *compute, const ra_table *table, ra_gather_plan **out,
                       ra_error *err) {
    *out = NULL;
    ra_gather_plan *plan = ra_calloc(1, sizeof *plan);
    if (!plan)
        return no_memory(err);
    plan->compute = compute;
    plan->schema = table->schema;
    ra_arena_init(&plan->arena, SIZE_MAX / 2);
    int rc = 0;
    plan->dictionaries =
        ra_calloc((size_t)table->schema->n_dictionaries, sizeof *plan->dictionaries);
    if (!plan->dictionaries)
        rc = no_memory(err);
    if (rc == 0)
        rc = hold_batches(plan, table, err);
    if (rc == 0)
        rc = init_columns(plan, err);
    for (int c = 0; c < table->schema->n_fields && rc == 0; c++)
        rc = hold_dictionaries(plan, &plan->columns[c], err);
    if (rc != 0) {
        ra_gather_plan_free(plan);
        return rc;
    }
    plan->batch_rows = estimate_batch_rows(plan);
    *out = plan;
    return 0;
}

void ra_gather_plan_free(ra_gather_plan *plan) {
    if (!plan)
        return;
    for (int d = 0; d < plan->n_dictionaries; d++)
        ra_batch_unref(plan->dictionaries[d]);
    for (int b = 0; b < plan->n_batches; b++)
        ra_batch_unref(plan->batches[b]);
    ra_free(plan->dictionaries);
    ra_free(plan->batches);
    ra_arena_fini(&plan->arena);
    ra_compute_release(plan->compute, plan->charged_bytes);
    ra_free(plan);
}

int64_t ra_gather_batch_rows(const ra_gather_plan *plan) {
    return plan->batch_rows;
}

ra_batch *const *ra_gather_batches(const ra_gather_plan *plan) {
    return plan->batches;
}

static int fill_batch(const ra_gather_plan *plan, ra_gather_target *target, ra_picks *picks,
                      ra_error *err) {
    for (int d = 0; d < plan->n_dictionaries; d++)
        RA_TRY(ra_batch_own_dictionary(target->batch, plan->dictionaries[d], err));
    for (int c = 0; c < plan->n_columns; c++)
        RA_TRY(
            ra_gather_node_rows(target, &plan->columns[c], picks, &target->batch->columns[c], err));
    return 0;
}

// A batch of at most `max_bytes`. `*charged_bytes` are to be released by the caller in any case.
static int gather_batch(const ra_gather_plan *plan, ra_picks *picks, int64_t max_bytes,
                        int64_t *charged_bytes, ra_batch **out, ra_error *err) {
    ra_gather_target target = {
        .compute = plan->compute, .n_sources = plan->n_batches, .max_bytes = max_bytes};
    *charged_bytes = 0;
    *out = NULL;
    RA_TRY(ra_batch_new(plan->schema, picks->n, &target.batch, err));
    int rc = fill_batch(plan, &target, picks, err);
    *charged_bytes = target.bytes;
    if (rc == 0)
        *out = target.batch;
    else
        ra_batch_unref(target.batch);
    return rc;
}

int ra_gather_run(const ra_gather_plan *plan, ra_picks *picks, ra_batch **out, ra_error *err) {
    int64_t charged_bytes;
    int rc = gather_batch(plan, picks, INT64_MAX, &charged_bytes, out, err);
    ra_compute_release(plan->compute, charged_bytes);
    return rc;
}

static int emit_rows(const ra_gather_plan *plan, const ra_row *rows, int64_t n, ra_morsel_run *run,
                     int morsel, ra_error *err);

int ra_gather_emit(const ra_gather_plan *plan, ra_picks *picks, ra_morsel_run *run, int morsel,
                   ra_error *err) {
    ra_batch *batch;
    int64_t charged_bytes;
    if (picks->n == 0)
        return 0;
    ra_error_init(err);
    int rc = gather_batch(plan, picks, picks->n > 1 ? MAX_BATCH_BYTES : INT64_MAX, &charged_bytes,
                          &batch, err);
    if (rc == 0) {
        rc = ra_morsel_emit(run, morsel, batch, err);
        ra_compute_release(plan->compute, charged_bytes);
        return rc;
    }
    ra_compute_release(plan->compute, charged_bytes);
    if (err->reason != RA_REASON_LIMIT || picks->n == 1)
        return rc;
    const ra_row *rows;
    RA_TRY(ra_picks_rows(plan->compute, picks, &rows, err));
    int64_t half = picks->n / 2;
    RA_TRY(emit_rows(plan, rows, half, run, morsel, err));
    return emit_rows(plan, rows + half, picks->n - half, run, morsel, err);
}

// Halves in turn: at most 32 deep.
static int emit_rows(const ra_gather_plan *plan, const ra_row *rows, int64_t n, ra_morsel_run *run,
                     int morsel, ra_error *err) {
    ra_picks picks;
    ra_picks_init(&picks, rows, n);
    int rc = ra_gather_emit(plan, &picks, run, morsel, err);
    ra_picks_fini(plan->compute, &picks);
    return rc;
}

int ra_gather(const ra_compute *compute, const ra_table *table, const ra_row *rows, int64_t n_rows,
              ra_batch **out, ra_error *err) {
    ra_gather_plan *plan;
    *out = NULL;
    RA_TRY(ra_gather_plan_new(compute, table, &plan, err));
    ra_picks picks;
    ra_picks_init(&picks, rows, n_rows);
    int rc = ra_gather_run(plan, &picks, out, err);
    ra_picks_fini(compute, &picks);
    ra_gather_plan_free(plan);
    return rc;
}

int ra_gather_array(const ra_compute *compute, const ra_array *source, ra_picks *picks,
                    ra_batch *into, ra_array *out, ra_error *err) {
    ra_gather_node node;
    ra_gather_target target = {
        .compute = compute, .n_sources = 1, .batch = into, .max_bytes = INT64_MAX};
    ra_arena arena;
    ra_arena_init(&arena, SIZE_MAX / 2);
    int rc = init_node(&arena, &node, source->field, &source, 1, err);
    if (rc == 0)
        rc = ra_gather_node_rows(&target, &node, picks, out, err);
    ra_compute_release(compute, target.bytes);
    ra_arena_fini(&arena);
    return rc;
}
