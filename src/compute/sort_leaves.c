#include "compute/sort_leaves.h"

#include <string.h>

#include "arrow/access.h"
#include "base/os.h"
#include "compute/gather.h"

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for sort keys");
}

static void *arena_array(ra_sort_leaves *l, size_t bytes) {
    return ra_arena_alloc(&l->arena, (size_t)l->n_batches, bytes);
}

static ra_sort_leaf *add_leaf(ra_sort_leaves *l) {
    if (l->n == l->capacity) {
        int capacity = 2 * l->capacity + 4;
        ra_sort_leaf *grown = ra_realloc(l->leaves, (size_t)capacity * sizeof *grown);
        if (!grown)
            return NULL;
        l->leaves = grown;
        l->capacity = capacity;
    }
    ra_sort_leaf *leaf = &l->leaves[l->n++];
    *leaf = (ra_sort_leaf){0};
    return leaf;
}

// The rows that are valid in the arrays and by `outer` (of the structs around, NULL: all).
static int join_validity(ra_sort_leaves *l, const ra_array **sources, const uint8_t **outer,
                         const uint8_t ***out, ra_error *err) {
    const uint8_t **joined = arena_array(l, sizeof *joined);
    if (!joined)
        return no_memory(err);
    for (int b = 0; b < l->n_batches; b++) {
        const uint8_t *own = sources[b]->null_count > 0 ? sources[b]->validity.data : NULL;
        const uint8_t *other = outer ? outer[b] : NULL;
        joined[b] = own ? own : other;
        if (!own || !other)
            continue;
        int64_t n = ra_bit_bytes(sources[b]->length);
        uint8_t *bits;
        RA_TRY(ra_batch_alloc(l->holder, n, &bits, err));
        for (int64_t i = 0; i < n; i++)
            bits[i] = own[i] & other[i];
        joined[b] = bits;
    }
    *out = joined;
    return 0;
}

// One array of plain rows for each run-end array.
static int decode_runs(ra_sort_leaves *l, const ra_array *source, ra_array *out, ra_error *err) {
    const ra_array *values = &source->children[1];
    RA_TRY(ra_array_init(l->holder, out, values->field, source->length, false, err));
    ra_picks picks;
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(l->compute, source->length, sizeof(ra_row), &memory, err));
    ra_row *rows = memory.data;
    int64_t row = 0;
    for (int64_t run = 0; row < source->length; run++) {
        int64_t end = ra_array_run_end(source, run);
        for (; row < end && row < source->length; row++)
            rows[row] = (ra_row){0, (uint32_t)run};
    }
    ra_picks_init(&picks, rows, source->length);
    int rc = ra_gather_array(l->compute, values, &picks, l->holder, out, err);
    ra_picks_fini(l->compute, &picks);
    ra_scratch_free(l->compute, &memory);
    return rc;
}

static int decode_all_runs(ra_sort_leaves *l, const ra_array **sources, const ra_array ***out,
                           ra_error *err) {
    const ra_array **decoded = arena_array(l, sizeof *decoded);
    ra_array *arrays = arena_array(l, sizeof *arrays);
    if (!decoded || !arrays)
        return no_memory(err);
    for (int b = 0; b < l->n_batches; b++) {
        RA_TRY(decode_runs(l, sources[b], &arrays[b], err));
        decoded[b] = &arrays[b];
    }
    *out = decoded;
    return 0;
}

static int add_leaves(ra_sort_leaves *l, const ra_field *field, bool of_dictionary,
                      const ra_array **sources, const uint8_t **outer, ra_value_order order,
                      ra_error *err);

static int add_children(ra_sort_leaves *l, const ra_field *field, const ra_array **sources,
                        const uint8_t **outer, ra_value_order order, ra_error *err) {
    for (int c = 0; c < field->n_children; c++) {
        const ra_array **child = arena_array(l, sizeof *child);
        if (!child)
            return no_memory(err);
        for (int b = 0; b < l->n_batches; b++)
            child[b] = &sources[b]->children[c];
        RA_TRY(add_leaves(l, &field->children[c], false, child, outer, order, err));
    }
    return 0;
}

static int rank_dictionary(ra_sort_leaves *l, ra_sort_leaf *leaf, ra_error *err) {
    const ra_array *values = NULL;
    for (int b = 0; b < l->n_batches && !values; b++)
        if (leaf->sources[b]->length > 0)
            values = leaf->sources[b]->dictionary;
    if (!values)
        return 0;
    uint32_t *ranks = ra_arena_alloc(&l->arena, (size_t)values->length, sizeof *ranks);
    if (!ranks)
        return no_memory(err);
    RA_TRY(ra_sort_rank_values(l->compute, l->holder->schema, values, leaf->order, ranks, err));
    leaf->ranks = ranks;
    for (int64_t i = 0; i < values->length; i++) {
        leaf->has_nulls |= ranks[i] == RA_RANK_NULL;
        leaf->has_nans |= ranks[i] == RA_RANK_NAN;
    }
    return 0;
}

static int add_plain_leaf(ra_sort_leaves *l, const ra_field *field, bool is_indices,
                          const ra_array **sources, const uint8_t **validity, ra_value_order order,
                          ra_error *err) {
    ra_sort_leaf *leaf = add_leaf(l);
    if (!leaf)
        return no_memory(err);
    leaf->sources = sources;
    leaf->validity = validity;
    leaf->order = order;
    for (int b = 0; b < l->n_batches; b++)
        leaf->has_nulls |= validity[b] != NULL;
    leaf->kind = RA_LEAF_OTHER;
    if (l->n > RA_MAX_ENCODED_LEAVES)
        return 0;
    if (is_indices) {
        leaf->kind = RA_LEAF_RANKS;
        leaf->n_words = 1;
        return rank_dictionary(l, leaf, err);
    }
    leaf->n_words = ra_words_of_type(field, leaf->words);
    ra_layout layout = ra_type_layout(field->type);
    if (leaf->n_words > 0 || layout == RA_LAYOUT_STRUCT)
        leaf->kind = RA_LEAF_WORDS;
    else if (layout == RA_LAYOUT_FIXED || layout == RA_LAYOUT_VAR32 || layout == RA_LAYOUT_VAR64 ||
             layout == RA_LAYOUT_VIEW)
        leaf->kind = RA_LEAF_BYTES;
    return 0;
}

static int add_leaves(ra_sort_leaves *l, const ra_field *field, bool of_dictionary,
                      const ra_array **sources, const uint8_t **outer, ra_value_order order,
                      ra_error *err) {
    const uint8_t **validity;
    bool is_indices = field->is_dictionary && !of_dictionary;
    if (!is_indices && field->type == RA_TYPE_NULL)
        return 0;
    if (!is_indices && field->type == RA_TYPE_RUN_END_ENCODED) {
        const ra_array **decoded = NULL;
        RA_TRY(decode_all_runs(l, sources, &decoded, err));
        return add_leaves(l, &field->children[1], false, decoded, outer, order, err);
    }
    RA_TRY(join_validity(l, sources, outer, &validity, err));
    if (!is_indices && field->type == RA_TYPE_STRUCT && field->n_children > 0)
        return add_children(l, field, sources, validity, order, err);
    return add_plain_leaf(l, field, is_indices, sources, validity, order, err);
}

static int check_ordered(const ra_field *field, ra_error *err) {
    if (ra_type_is_ordered(field))
        return 0;
    ra_bytes type;
    ra_bytes_init(&type, 256);
    ra_type_print(field, &type);
    int rc = ra_error_set(err, RA_REASON_NOT_IMPLEMENTED,
                          "column '%.*s': Sorting not supported for type %.*s",
                          RA_STR_ARG(field->name), RA_STR_ARG(ra_bytes_str(&type)));
    ra_error_set_subject(err, "column", field->name.data, field->name.len);
    ra_bytes_fini(&type);
    return rc;
}

static int init(const ra_compute *compute, ra_schema *schema, int n_batches, ra_sort_leaves *out,
                ra_error *err) {
    *out = (ra_sort_leaves){.compute = compute, .n_batches = n_batches};
    ra_arena_init(&out->arena, SIZE_MAX / 2);
    return ra_batch_new(schema, 0, &out->holder, err);
}

// Charges what the leaves hold; approximately, for decoded columns.
static int charge(ra_sort_leaves *l, ra_error *err) {
    int64_t bytes = (int64_t)l->arena.total_bytes;
    for (int i = 0; i < l->holder->n_owners; i++)
        bytes += (int64_t)l->holder->owners[i]->bytes;
    RA_TRY(ra_compute_charge(l->compute, bytes, err));
    l->charged_bytes = bytes;
    return 0;
}

int ra_sort_leaves_init(const ra_compute *compute, const ra_table *table, const ra_sort_key *keys,
                        int n_keys, ra_sort_leaves *out, ra_error *err) {
    RA_TRY(init(compute, table->schema, table->n_batches, out, err));
    RA_TRY(ra_row_locator_init(compute, table, &out->locator, err));
    for (int k = 0; k < n_keys; k++) {
        const ra_field *field = &table->schema->fields[keys[k].column];
        RA_TRY(check_ordered(field, err));
        const ra_array **sources = arena_array(out, sizeof *sources);
        if (!sources)
            return no_memory(err);
        for (int b = 0; b < table->n_batches; b++)
            sources[b] = &table->batches[b]->columns[keys[k].column];
        ra_value_order order = {keys[k].descending, keys[k].nulls_first};
        RA_TRY(add_leaves(out, field, false, sources, NULL, order, err));
    }
    return charge(out, err);
}

int ra_sort_leaves_init_array(const ra_compute *compute, ra_schema *schema, const ra_array *array,
                              ra_value_order order, ra_sort_leaves *out, ra_error *err) {
    RA_TRY(init(compute, schema, 1, out, err));
    RA_TRY(ra_row_locator_init_single(compute, array->length, &out->locator, err));
    const ra_array **sources = arena_array(out, sizeof *sources);
    if (!sources)
        return no_memory(err);
    sources[0] = array;
    RA_TRY(add_leaves(out, array->field, true, sources, NULL, order, err));
    return charge(out, err);
}

void ra_sort_leaves_fini(ra_sort_leaves *l) {
    ra_row_locator_fini(l->compute, &l->locator);
    ra_batch_unref(l->holder);
    ra_arena_fini(&l->arena);
    ra_free(l->leaves);
    ra_compute_release(l->compute, l->charged_bytes);
}

static ra_value_class class_of_row(const ra_sort_leaf *leaf, uint32_t batch, int64_t row) {
    const ra_array *source = leaf->sources[batch];
    if (leaf->validity[batch] && !ra_bit_get(leaf->validity[batch], row))
        return RA_CLASS_NULL;
    switch (leaf->kind) {
        case RA_LEAF_WORDS:
            return leaf->n_words == 1 &&
                           ra_word_is_nan(&leaf->words[0], source->buffers[0].data, row)
                       ? RA_CLASS_NAN
                       : RA_CLASS_VALUE;
        case RA_LEAF_RANKS: {
            uint32_t rank = leaf->ranks[ra_array_index(source, row)];
            return rank == RA_RANK_NULL  ? RA_CLASS_NULL
                   : rank == RA_RANK_NAN ? RA_CLASS_NAN
                                         : RA_CLASS_VALUE;
        }
        case RA_LEAF_BYTES:
            return RA_CLASS_VALUE;
        case RA_LEAF_OTHER:
            break;
    }
    return ra_value_class_of(source, row);
}

void ra_sort_leaf_classes(const ra_sort_leaf *leaf, uint32_t batch, int64_t from, int64_t n,
                          uint8_t *out) {
    if (leaf->kind != RA_LEAF_WORDS || leaf->n_words != 1) {
        for (int64_t i = 0; i < n; i++)
            out[i] = (uint8_t)class_of_row(leaf, batch, from + i);
        return;
    }
    bool is_nan[RA_SORT_BLOCK_ROWS];
    const uint8_t *bits = leaf->validity[batch];
    ra_words_find_nan(&leaf->words[0], leaf->sources[batch]->buffers[0].data, from, n, is_nan);
    for (int64_t i = 0; i < n; i++) {
        out[i] = is_nan[i] ? RA_CLASS_NAN : RA_CLASS_VALUE;
        if (bits && !ra_bit_get(bits, from + i))
            out[i] = RA_CLASS_NULL;
    }
}

void ra_sort_leaf_words(const ra_sort_leaf *leaf, int word, uint32_t batch, int64_t from, int64_t n,
                        uint64_t *out) {
    const ra_array *source = leaf->sources[batch];
    if (leaf->kind == RA_LEAF_WORDS) {
        ra_words_read(&leaf->words[word], source->buffers[0].data, from, n, out);
        return;
    }
    const uint8_t *bits = leaf->validity[batch];
    for (int64_t i = from; i < from + n; i++)
        *out++ = bits && !ra_bit_get(bits, i) ? 0 : leaf->ranks[ra_array_index(source, i)];
}

int ra_sort_compare(const ra_sort_leaves *leaves, int first, ra_row a, ra_row b) {
    for (int k = first; k < leaves->n; k++) {
        const ra_sort_leaf *leaf = &leaves->leaves[k];
        ra_value_class x = class_of_row(leaf, a.batch, a.row);
        ra_value_class y = class_of_row(leaf, b.batch, b.row);
        int c = ra_value_class_compare(x, y, leaf->order.nulls_first);
        if (c == 0 && x == RA_CLASS_VALUE && !(leaf->kind == RA_LEAF_WORDS && leaf->n_words == 0))
            c = ra_value_compare_values(leaf->sources[a.batch], a.row, leaf->sources[b.batch],
                                        b.row, leaf->order);
        if (c)
            return c;
    }
    return 0;
}
