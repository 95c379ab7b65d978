// One dictionary for all batches. Each dictionary field on its own: the dictionaries' values are
// put into a set, which becomes the common dictionary, and the indices are translated.
#include <inttypes.h>
#include <stdio.h>

#include "arrow/access.h"
#include "arrow/join.h"
#include "arrow/slice.h"
#include "arrow/value_hash.h"
#include "base/os.h"

// Arrays of one field in several batches, which may be changed: arrays[b] lies in batches[b], which
// gets new buffers and dictionaries; roots[b] is the batch that owns the old dictionaries.
typedef struct {
    int n;
    ra_array **arrays;
    ra_batch **batches;
    ra_batch *const *roots;
    bool *changed;
} field_arrays;

static int unify_field(const field_arrays *fields, ra_error *err);

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory to unify dictionaries");
}

static bool is_indices(const ra_array *a) {
    return a->field->is_dictionary && !a->of_dictionary;
}

static bool has_dictionary(const ra_field *field) {
    if (field->is_dictionary)
        return true;
    for (int c = 0; c < field->n_children; c++)
        if (has_dictionary(&field->children[c]))
            return true;
    return false;
}

// A copy that shares buffers and dictionaries; `to` is set up, with its children.
static int copy_array(ra_batch *batch, ra_array *to, const ra_array *from, ra_error *err) {
    ra_array *children = to->children;
    *to = *from;
    to->children = children;
    if (from->n_variadic > 0) {
        to->variadic = ra_arena_alloc(&batch->arena, (size_t)from->n_variadic, sizeof(ra_span));
        if (!to->variadic)
            return no_memory(err);
        memcpy(to->variadic, from->variadic, (size_t)from->n_variadic * sizeof(ra_span));
    }
    for (int c = 0; c < from->n_children; c++)
        RA_TRY(copy_array(batch, &to->children[c], &from->children[c], err));
    return 0;
}

// The batch that holds a dictionary; NULL when `root` does not own it.
static ra_batch *find_holder(const ra_batch *root, const ra_array *dictionary) {
    for (int d = 0; d < root->n_dictionaries; d++) {
        ra_batch *holder = root->dictionaries[d];
        if (holder->columns != dictionary)
            holder = find_holder(holder, dictionary);
        if (holder)
            return holder;
    }
    return NULL;
}

// What is made of the dictionaries of one field. Batches that share a dictionary share a part.
typedef struct {
    const ra_array *dictionary;
    int root;       // of `roots`: the first batch that has it
    uint32_t *map;  // old index to new index
    bool is_identity;
} part;

typedef struct {
    ra_value_set set;
    part *parts;
    int n_parts;
    int *part_of;  // of each batch; -1: it has no dictionary, so no rows
} union_state;

static int find_part(const union_state *state, const ra_array *dictionary) {
    for (int p = state->n_parts - 1; p >= 0 && p >= state->n_parts - 8; p--)
        if (state->parts[p].dictionary == dictionary)
            return p;
    return -1;
}

static int add_part(union_state *state, const ra_array *dictionary, int root, ra_error *err) {
    part *p = &state->parts[state->n_parts];
    *p = (part){dictionary, root, ra_calloc((size_t)dictionary->length, sizeof *p->map), true};
    if (!p->map)
        return no_memory(err);
    state->n_parts++;
    for (int64_t i = 0; i < dictionary->length; i++) {
        int64_t number;
        RA_TRY(ra_value_set_add(&state->set, dictionary, i, &number, err));
        p->map[i] = (uint32_t)number;
        p->is_identity &= number == i;
    }
    return 0;
}

static int collect_values(const field_arrays *fields, union_state *state, ra_error *err) {
    for (int b = 0; b < fields->n; b++) {
        const ra_array *dictionary = fields->arrays[b]->dictionary;
        state->part_of[b] = dictionary ? find_part(state, dictionary) : -1;
        if (!dictionary || state->part_of[b] >= 0)
            continue;
        state->part_of[b] = state->n_parts;
        RA_TRY(add_part(state, dictionary, b, err));
    }
    return 0;
}

static int check_index_range(const ra_array *indices, int64_t n_values, ra_error *err) {
    int bits = 8 * indices->byte_width - !ra_type_is_unsigned(indices->field->index_type);
    if (bits >= 32 || n_values <= INT64_C(1) << bits)
        return 0;
    char what[120];
    snprintf(what, sizeof what,
             "%" PRId64 " distinct dictionary values are too many for its indices of %d %s bits",
             n_values, 8 * indices->byte_width,
             ra_type_is_unsigned(indices->field->index_type) ? "unsigned" : "signed");
    return ra_join_overflow(indices, what, err);
}

// Makes `batch` own the dictionaries below `array`, which it does not yet if one of `roots` does.
static int own_nested(ra_batch *batch, const ra_array *array, ra_batch *const *roots, int n_roots,
                      ra_error *err) {
    if (array->dictionary && !find_holder(batch, array->dictionary)) {
        ra_batch *holder = NULL;
        for (int r = 0; r < n_roots && !holder; r++)
            holder = find_holder(roots[r], array->dictionary);
        if (holder)
            RA_TRY(ra_batch_own_dictionary(batch, holder, err));
    }
    for (int c = 0; c < array->n_children; c++)
        RA_TRY(own_nested(batch, &array->children[c], roots, n_roots, err));
    return 0;
}

// Copies of the parts' dictionaries in `batch`, with common dictionaries inside.
static int copy_parts(const field_arrays *fields, const union_state *state, ra_batch *batch,
                      ra_array *copies, ra_error *err) {
    int n = state->n_parts, rc = 0;
    ra_array **arrays = ra_calloc((size_t)n, sizeof(ra_array *));
    ra_batch **batches = ra_calloc((size_t)n, sizeof(ra_batch *));
    ra_batch **roots = ra_calloc((size_t)n, sizeof(ra_batch *));
    if (!arrays || !batches || !roots)
        rc = no_memory(err);
    for (int p = 0; p < n && rc == 0; p++) {
        const ra_array *from = state->parts[p].dictionary;
        rc = ra_array_init(batch, &copies[p], from->field, 0, true, err);
        if (rc == 0)
            rc = copy_array(batch, &copies[p], from, err);
        arrays[p] = &copies[p];
        batches[p] = batch;
        roots[p] = fields->roots[state->parts[p].root];
    }
    field_arrays nested = {n, arrays, batches, roots, NULL};
    if (rc == 0)
        rc = unify_field(&nested, err);
    if (rc == 0)
        rc = own_nested(batch, &copies[0], roots, n, err);
    ra_free(arrays);
    ra_free(batches);
    ra_free(roots);
    return rc;
}

// The set's values as a dictionary of their own.
static int join_values(const union_state *state, const ra_array *copies, ra_batch *batch,
                       ra_error *err) {
    ra_run_list runs = {0};
    int rc = 0, p = 0;
    for (int64_t v = 0; v < state->set.n && rc == 0; v++) {
        while (state->parts[p].dictionary != state->set.values[v].array)
            p++;
        rc = ra_run_list_add(&runs, &copies[p], state->set.values[v].row, 1, err);
    }
    if (rc == 0)
        rc = ra_array_join(batch, &batch->columns[0], &copies[0], &runs, err);
    ra_run_list_fini(&runs);
    return rc;
}

static int new_dictionary(const field_arrays *fields, const union_state *state, ra_batch **out,
                          ra_error *err) {
    ra_batch *batch;
    RA_TRY(ra_dictionary_new(fields->batches[0]->schema, fields->arrays[0]->field, state->set.n,
                             &batch, err));
    ra_array *copies = ra_arena_alloc(&batch->arena, (size_t)state->n_parts, sizeof *copies);
    int rc = copies ? copy_parts(fields, state, batch, copies, err) : no_memory(err);
    if (rc == 0)
        rc = join_values(state, copies, batch, err);
    if (rc != 0) {
        ra_batch_unref(batch);
        batch = NULL;
    }
    *out = batch;
    return rc;
}

// The first dictionary when it has all values, once each; else a new one. A reference.
static int common_dictionary(const field_arrays *fields, const union_state *state, ra_batch **out,
                             ra_error *err) {
    const part *first = &state->parts[0];
    if (first->is_identity && state->set.n == first->dictionary->length) {
        *out = find_holder(fields->roots[first->root], first->dictionary);
        if (*out) {
            ra_batch_ref(*out);
            return 0;
        }
    }
    return new_dictionary(fields, state, out, err);
}

static int translate(ra_batch *batch, ra_array *indices, const uint32_t *map, ra_error *err) {
    int32_t width = indices->byte_width;
    uint8_t *values;
    RA_TRY(ra_batch_alloc(batch, indices->length * width, &values, err));
    for (int64_t i = 0; i < indices->length; i++)
        if (ra_array_is_valid(indices, i))
            ra_store_int(values, width, i, map[ra_array_index(indices, i)]);
    indices->buffers[0] = (ra_span){values, indices->length * width};
    return 0;
}

static int use_dictionary(const field_arrays *fields, const union_state *state, ra_batch *common,
                          ra_error *err) {
    for (int b = 0; b < fields->n; b++) {
        ra_array *indices = fields->arrays[b];
        if (indices->dictionary == common->columns)
            continue;
        const part *p = state->part_of[b] < 0 ? NULL : &state->parts[state->part_of[b]];
        if (p && !p->is_identity)
            RA_TRY(translate(fields->batches[b], indices, p->map, err));
        RA_TRY(ra_batch_own_dictionary(fields->batches[b], common, err));
        indices->dictionary = common->columns;
        if (fields->changed)
            fields->changed[b] = true;
    }
    return 0;
}

static bool is_shared(const field_arrays *fields) {
    for (int b = 1; b < fields->n; b++)
        if (fields->arrays[b]->dictionary != fields->arrays[0]->dictionary)
            return false;
    return true;
}

static int unify_indices(const field_arrays *fields, ra_error *err) {
    if (is_shared(fields))
        return 0;
    union_state state = {.parts = ra_calloc((size_t)fields->n, sizeof(part)),
                         .part_of = ra_calloc((size_t)fields->n, sizeof(int))};
    ra_value_set_init(&state.set);
    ra_batch *common = NULL;
    int rc = state.parts && state.part_of ? 0 : no_memory(err);
    if (rc == 0)
        rc = collect_values(fields, &state, err);
    if (rc == 0)
        rc = check_index_range(fields->arrays[0], state.set.n, err);
    if (rc == 0)
        rc = common_dictionary(fields, &state, &common, err);
    if (rc == 0)
        rc = use_dictionary(fields, &state, common, err);
    ra_batch_unref(common);
    ra_value_set_fini(&state.set);
    for (int p = 0; p < state.n_parts; p++)
        ra_free(state.parts[p].map);
    ra_free(state.parts);
    ra_free(state.part_of);
    return rc;
}

static int unify_field(const field_arrays *fields, ra_error *err) {
    const ra_array *first = fields->arrays[0];
    if (is_indices(first))
        return unify_indices(fields, err);
    int rc = 0;
    for (int c = 0; c < first->n_children && rc == 0; c++) {
        if (!has_dictionary(first->children[c].field))
            continue;
        field_arrays child = *fields;
        child.arrays = ra_calloc((size_t)fields->n, sizeof(ra_array *));
        if (!child.arrays)
            return no_memory(err);
        for (int b = 0; b < fields->n; b++)
            child.arrays[b] = &fields->arrays[b]->children[c];
        rc = unify_field(&child, err);
        ra_free(child.arrays);
    }
    return rc;
}

static int copy_batch(const ra_batch *from, ra_batch **out, ra_error *err) {
    RA_TRY(ra_batch_new(from->schema, from->n_rows, out, err));
    int rc = ra_batch_own_all(*out, from, err);
    for (int i = 0; i < from->n_columns && rc == 0; i++)
        rc = copy_array(*out, &(*out)->columns[i], &from->columns[i], err);
    return rc;
}

static int unify_columns(ra_batch *const *batches, int n, ra_batch **out, bool *changed,
                         ra_error *err) {
    for (int b = 0; b < n; b++)
        RA_TRY(copy_batch(batches[b], &out[b], err));
    ra_array **arrays = ra_calloc((size_t)n, sizeof(ra_array *));
    if (!arrays)
        return no_memory(err);
    int rc = 0;
    for (int i = 0; i < out[0]->n_columns && rc == 0; i++) {
        if (!has_dictionary(out[0]->columns[i].field))
            continue;
        for (int b = 0; b < n; b++)
            arrays[b] = &out[b]->columns[i];
        field_arrays fields = {n, arrays, out, batches, changed};
        rc = unify_field(&fields, err);
    }
    ra_free(arrays);
    return rc;
}

int ra_batches_unify_dictionaries(ra_batch *const *batches, int n, ra_batch **out, ra_error *err) {
    for (int b = 0; b < n; b++)
        out[b] = NULL;
    bool *changed = ra_calloc((size_t)n, sizeof *changed);
    if (!changed)
        return no_memory(err);
    int rc = 0;
    if (n > 1 && batches[0]->schema->n_dictionaries > 0)
        rc = unify_columns(batches, n, out, changed, err);
    for (int b = 0; b < n; b++) {
        if (rc == 0 && changed[b])
            continue;
        ra_batch_unref(out[b]);
        out[b] = rc == 0 ? ra_batch_ref(batches[b]) : NULL;
    }
    ra_free(changed);
    return rc;
}
