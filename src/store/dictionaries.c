#include "store/dictionaries.h"

#include <string.h>

// Walks the arrays of a batch. Recursion is bounded by RA_MAX_NESTING: dictionaries of dictionaries
// are nested in the field tree as well.
typedef struct {
    const ra_batch *root;
    const ra_batch **by_id;
    const ra_batch *owner;  // whose list of dictionaries is looked at first
    int next;               // where in it: lists are usually in the order of the fields
} collector;

static const ra_batch *find_below(const ra_batch *owner, const ra_array *values) {
    for (int i = 0; i < owner->n_dictionaries; i++) {
        const ra_batch *dictionary = owner->dictionaries[i];
        if (&dictionary->columns[0] == values)
            return dictionary;
        dictionary = find_below(dictionary, values);
        if (dictionary)
            return dictionary;
    }
    return NULL;
}

static const ra_batch *find_dictionary(collector *c, const ra_array *values) {
    for (int i = 0; i < c->owner->n_dictionaries; i++) {
        int at = c->next < c->owner->n_dictionaries ? c->next : 0;
        c->next = at + 1;
        if (&c->owner->dictionaries[at]->columns[0] == values)
            return c->owner->dictionaries[at];
    }
    return find_below(c->root, values);
}

static int collect_rows(collector *c, const ra_array *array, const ra_field *field, ra_error *err);

static int collect_children(collector *c, const ra_array *array, const ra_field *field,
                            ra_error *err) {
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(collect_rows(c, &array->children[i], &field->children[i], err));
    return 0;
}

// `field` is the batch's; a dictionary may be of another schema, where it has another id.
static int collect_rows(collector *c, const ra_array *array, const ra_field *field, ra_error *err) {
    if (!field->is_dictionary)
        return collect_children(c, array, field, err);
    if (!array->dictionary)
        return 0;
    const ra_batch *found = find_dictionary(c, array->dictionary);
    if (!found)
        RA_FAIL(err, INTERNAL, "a batch does not own the dictionary of column '%.*s'",
                RA_STR_ARG(field->name));
    c->by_id[field->dictionary_id] = found;
    collector inner = {.root = c->root, .by_id = c->by_id, .owner = found};
    return collect_children(&inner, array->dictionary, field, err);
}

int ra_dictionaries_collect(const ra_batch *batch, const ra_batch **by_id, ra_error *err) {
    const ra_schema *schema = batch->schema;
    if (schema->n_dictionaries == 0)
        return 0;
    memset(by_id, 0, (size_t)schema->n_dictionaries * sizeof(const ra_batch *));
    collector c = {.root = batch, .by_id = by_id, .owner = batch};
    for (int i = 0; i < batch->n_columns; i++)
        RA_TRY(collect_rows(&c, &batch->columns[i], &schema->fields[i], err));
    return 0;
}

static void order_field(const ra_field *field, int *ids, int *n) {
    for (int i = 0; i < field->n_children; i++)
        order_field(&field->children[i], ids, n);
    if (field->is_dictionary)
        ids[(*n)++] = (int)field->dictionary_id;
}

void ra_dictionaries_order(const ra_schema *schema, int *ids) {
    int n = 0;
    for (int i = 0; i < schema->n_fields; i++)
        order_field(&schema->fields[i], ids, &n);
    ra_assert(n == schema->n_dictionaries);
}

static int share_array(ra_batch *batch, ra_array *to, const ra_array *from,
                       ra_batch *const *dictionaries, ra_error *err) {
    to->length = from->length;
    to->null_count = from->null_count;
    to->validity = from->validity;
    memcpy(to->buffers, from->buffers, sizeof to->buffers);
    to->dictionary = from->dictionary;
    if (dictionaries && from->field->is_dictionary) {
        ra_batch *dictionary = dictionaries[from->field->dictionary_id];
        to->dictionary = &dictionary->columns[0];
        RA_TRY(ra_batch_own_dictionary(batch, dictionary, err));
    }
    if (from->n_variadic > 0) {
        to->variadic =
            ra_arena_alloc(&batch->arena, (size_t)from->n_variadic, sizeof *to->variadic);
        if (!to->variadic)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a batch");
        memcpy(to->variadic, from->variadic, (size_t)from->n_variadic * sizeof *to->variadic);
        to->n_variadic = from->n_variadic;
    }
    ra_assert(to->n_children == from->n_children);
    for (int i = 0; i < from->n_children; i++)
        RA_TRY(share_array(batch, &to->children[i], &from->children[i], dictionaries, err));
    return 0;
}

static int share_columns(const ra_batch *from, const int *columns, ra_batch *to,
                         ra_batch *const *dictionaries, ra_error *err) {
    for (int i = 0; i < to->n_columns; i++) {
        const ra_array *column = &from->columns[columns ? columns[i] : i];
        RA_TRY(share_array(to, &to->columns[i], column, dictionaries, err));
    }
    if (!dictionaries)
        return ra_batch_own_all(to, from, err);
    for (int i = 0; i < from->n_owners; i++)
        RA_TRY(ra_batch_own(to, from->owners[i], err));
    return 0;
}

int ra_batch_rebind(const ra_batch *from, ra_schema *schema, const int *columns, int n,
                    ra_batch *const *dictionaries, ra_batch **out, ra_error *err) {
    ra_assert(schema->n_fields == n);
    RA_TRY(ra_batch_new(schema, from->n_rows, out, err));
    int rc = share_columns(from, columns, *out, dictionaries, err);
    if (rc != 0) {
        ra_batch_unref(*out);
        *out = NULL;
    }
    return rc;
}
