// Makes gather plans: what of each array a kernel needs, by batch.
#include "arrow/slice.h"
#include "base/os.h"
#include "compute/gather_internal.h"

// Where nodes are made, and for which batches.
typedef struct {
    ra_arena *arena;
    int n_sources;
    const bool *used;  // NULL: all
} node_maker;

enum { MAX_BATCH_ROWS = 1024 * 1024 };

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a gather plan");
}

static const uint8_t *data_of(ra_span span) {
    return span.data ? span.data : ra_zero_bytes;
}

static void *by_source(node_maker *maker, size_t bytes) {
    return ra_arena_alloc(maker->arena, (size_t)maker->n_sources, bytes);
}

// Sets up a node for rows of the arrays in `sources`, and its children.
static int init_node(node_maker *maker, ra_gather_node *node, const ra_field *field,
                     const ra_array **sources, ra_error *err);

static int init_children(node_maker *maker, ra_gather_node *node, ra_error *err) {
    node->n_children = node->field->n_children;
    node->children = ra_arena_alloc(maker->arena, (size_t)node->n_children, sizeof *node->children);
    if (!node->children)
        return no_memory(err);
    for (int c = 0; c < node->n_children; c++) {
        const ra_array **sources = by_source(maker, sizeof *sources);
        if (!sources)
            return no_memory(err);
        for (int b = 0; b < maker->n_sources; b++)
            sources[b] = &node->sources[b]->children[c];
        RA_TRY(init_node(maker, &node->children[c], &node->field->children[c], sources, err));
    }
    return 0;
}

static int init_node(node_maker *maker, ra_gather_node *node, const ra_field *field,
                     const ra_array **sources, ra_error *err) {
    *node = (ra_gather_node){.field = field,
                             .layout = ra_field_layout(field),
                             .byte_width = ra_field_byte_width(field),
                             .is_indices = field->is_dictionary,
                             .sources = sources};
    node->validity = by_source(maker, sizeof *node->validity);
    node->buffers[0] = by_source(maker, sizeof *node->buffers[0]);
    node->buffers[1] = by_source(maker, sizeof *node->buffers[1]);
    if (!node->validity || !node->buffers[0] || !node->buffers[1])
        return no_memory(err);
    for (int b = 0; b < maker->n_sources; b++) {
        const ra_array *source = sources[b];
        node->validity[b] = source->null_count > 0 ? source->validity.data : NULL;
        node->has_nulls |= node->validity[b] != NULL;
        node->buffers[0][b] = data_of(source->buffers[0]);
        node->buffers[1][b] = data_of(source->buffers[1]);
        bool is_used = !maker->used || maker->used[b];
        if (is_used && source->dictionary && (!node->dictionary || source->length > 0)) {
            node->dictionary = source->dictionary;
            node->dictionary_source = b;
        }
    }
    return node->is_indices ? 0 : init_children(maker, node, err);
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

static int walk_table(const ra_table *table, const bool *used, dictionary_walk *walk,
                      ra_error *err) {
    int n = table->schema->n_dictionaries;
    *walk = (dictionary_walk){.first = ra_calloc((size_t)n, sizeof *walk->first)};
    if (!walk->first)
        return no_memory(err);
    for (int b = 0; b < table->n_batches && n > 0; b++) {
        int place = 0;
        for (int c = 0; c < table->schema->n_fields && (!used || used[b]); c++)
            walk_dictionaries(walk, &table->batches[b]->columns[c], &place);
    }
    ra_free(walk->first);
    return 0;
}

// Replaces the used batches by copies with common dictionaries.
static int unify_batches(ra_gather_plan *plan, const bool *used, ra_error *err) {
    ra_batch **all = ra_calloc((size_t)plan->n_batches, 2 * sizeof *all);
    if (!all)
        return no_memory(err);
    ra_batch **unified = all + plan->n_batches;
    int n = 0;
    for (int b = 0; b < plan->n_batches; b++)
        if (!used || used[b])
            all[n++] = plan->batches[b];
    int rc = ra_batches_unify_dictionaries(all, n, unified, err);
    for (int b = plan->n_batches - 1; b >= 0 && rc == 0; b--) {
        if (used && !used[b])
            continue;
        ra_batch_unref(plan->batches[b]);
        plan->batches[b] = unified[--n];
    }
    ra_free(all);
    return rc;
}

// Takes references to the table's batches, or to copies with common dictionaries.
static int hold_batches(ra_gather_plan *plan, const ra_table *table, const bool *used,
                        ra_error *err) {
    dictionary_walk walk;
    RA_TRY(walk_table(table, used, &walk, err));
    plan->batches = ra_calloc((size_t)table->n_batches, sizeof *plan->batches);
    if (!plan->batches)
        return no_memory(err);
    for (int b = 0; b < table->n_batches; b++)
        plan->batches[b] = ra_batch_ref(table->batches[b]);
    plan->n_batches = table->n_batches;
    if (!walk.differ)
        return 0;
    RA_TRY(ra_compute_charge(plan->compute, walk.index_bytes, err));
    plan->charged_bytes += walk.index_bytes;
    return unify_batches(plan, used, err);
}

static int init_columns(ra_gather_plan *plan, const bool *used, ra_error *err) {
    const ra_schema *schema = plan->schema;
    node_maker maker = {.arena = &plan->arena, .n_sources = plan->n_batches, .used = used};
    plan->columns = ra_arena_alloc(&plan->arena, (size_t)schema->n_fields, sizeof *plan->columns);
    if (!plan->columns)
        return no_memory(err);
    for (int c = 0; c < schema->n_fields; c++) {
        const ra_array **sources = by_source(&maker, sizeof *sources);
        if (!sources)
            return no_memory(err);
        for (int b = 0; b < plan->n_batches; b++)
            sources[b] = &plan->batches[b]->columns[c];
        RA_TRY(init_node(&maker, &plan->columns[c], &schema->fields[c], sources, err));
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

int ra_gather_plan_new(const ra_compute *compute, const ra_table *table, const bool *used,
                       ra_gather_plan **out, ra_error *err) {
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
        rc = ra_buffer_pool_new(&plan->pool, err);
    if (rc == 0)
        rc = hold_batches(plan, table, used, err);
    if (rc == 0)
        rc = init_columns(plan, used, err);
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
    ra_buffer_pool_free(plan->pool);
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

int ra_gather_array(const ra_compute *compute, const ra_array *source, ra_picks *picks,
                    ra_batch *into, ra_array *out, ra_error *err) {
    ra_gather_node node;
    ra_gather_target target = {
        .compute = compute, .n_sources = 1, .batch = into, .max_bytes = INT64_MAX};
    ra_arena arena;
    ra_arena_init(&arena, SIZE_MAX / 2);
    node_maker maker = {.arena = &arena, .n_sources = 1};
    int rc = init_node(&maker, &node, source->field, &source, err);
    if (rc == 0)
        rc = ra_gather_node_rows(&target, &node, picks, out, err);
    ra_compute_release(compute, target.bytes);
    ra_arena_fini(&arena);
    return rc;
}
