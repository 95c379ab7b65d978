// The dictionaries of a stream: the sender's ids to ours, replacement, deltas.
//
// Deltas wait until the next batch needs the whole. While they wait, those that stand for equally
// many messages are joined, so that n of them cost n log n, not n².
#include <inttypes.h>
#include <stdlib.h>

#include "arrow/ipc_internal.h"
#include "arrow/slice.h"
#include "base/checked.h"
#include "base/os.h"

enum { MAX_WAITING = 64 };

// Deltas of one id, as batches of `schema`, whose only column has the type of the values.
typedef struct {
    ra_schema *schema;
    ra_batch *batches[MAX_WAITING];
    int64_t n_messages[MAX_WAITING];  // that batch i was joined from; falling
    int n;
} delta_list;

// A dictionary id of the sender's and one of the fields that have it.
typedef struct {
    int64_t sender_id;
    int id;
} id_pair;

struct ra_ipc_dictionaries {
    ra_schema *schema;
    ra_budget *budget;
    int n;
    int64_t *sender_ids;  // by our id, as everything but `pairs`
    const ra_field **fields;
    ra_batch **current;
    bool *was_sent;
    delta_list **deltas;  // of the first of the fields that share a sender's id
    id_pair *pairs;       // sorted
    bool is_complete;     // no entry of `current` is NULL
    bool has_deltas;      // some wait
};

static void free_deltas(delta_list *list) {
    if (!list)
        return;
    for (int i = 0; i < list->n; i++)
        ra_batch_unref(list->batches[i]);
    ra_schema_unref(list->schema);
    ra_free(list);
}

void ra_ipc_dictionaries_free(ra_ipc_dictionaries *d) {
    if (!d)
        return;
    for (int i = 0; d->current && i < d->n; i++)
        ra_batch_unref(d->current[i]);
    for (int i = 0; d->deltas && i < d->n; i++)
        free_deltas(d->deltas[i]);
    ra_schema_unref(d->schema);
    ra_free(d->sender_ids);
    ra_free(d->fields);
    ra_free(d->current);
    ra_free(d->was_sent);
    ra_free(d->deltas);
    ra_free(d->pairs);
    ra_free(d);
}

static int compare_pairs(const void *a, const void *b) {
    const id_pair *x = a, *y = b;
    if (x->sender_id != y->sender_id)
        return x->sender_id < y->sender_id ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void collect_fields(ra_ipc_dictionaries *d, const ra_field *fields, int n) {
    for (int i = 0; i < n; i++) {
        if (fields[i].is_dictionary)
            d->fields[fields[i].dictionary_id] = &fields[i];
        collect_fields(d, fields[i].children, fields[i].n_children);
    }
}

// Whether the dictionaries below two fields of equal type are the same ones of the sender's.
static bool same_sender_ids(const ra_ipc_dictionaries *d, const ra_field *a, const ra_field *b) {
    if (a->is_dictionary && d->sender_ids[a->dictionary_id] != d->sender_ids[b->dictionary_id])
        return false;
    for (int i = 0; i < a->n_children; i++)
        if (!same_sender_ids(d, &a->children[i], &b->children[i]))
            return false;
    return true;
}

static int check_shared_ids(const ra_ipc_dictionaries *d, ra_error *err) {
    for (int i = 1; i < d->n; i++) {
        if (d->pairs[i].sender_id != d->pairs[i - 1].sender_id)
            continue;
        ra_field a = *d->fields[d->pairs[i - 1].id], b = *d->fields[d->pairs[i].id];
        a.is_dictionary = b.is_dictionary = false;  // the types of the indices may differ
        if (!ra_type_equal(&a, &b) || !same_sender_ids(d, &a, &b)) {
            ra_error_set(err, RA_REASON_MALFORMED_ARROW,
                         "column '%.*s': its dictionary id %" PRId64
                         " belongs to a field of another type, too",
                         RA_STR_ARG(b.name), d->pairs[i].sender_id);
            ra_error_set_subject(err, "column", b.name.data, b.name.len);
            return RA_INVALID;
        }
    }
    return 0;
}

int ra_ipc_dictionaries_new(ra_schema *schema, int64_t *sender_ids, ra_budget *budget,
                            ra_ipc_dictionaries **out, ra_error *err) {
    *out = NULL;
    ra_ipc_dictionaries *d = ra_calloc(1, sizeof *d);
    if (!d) {
        ra_free(sender_ids);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for dictionaries");
    }
    size_t n = (size_t)schema->n_dictionaries;
    d->schema = ra_schema_ref(schema);
    d->budget = budget;
    d->n = schema->n_dictionaries;
    d->sender_ids = sender_ids;
    d->fields = ra_calloc(n, sizeof *d->fields);
    d->current = ra_calloc(n, sizeof *d->current);
    d->was_sent = ra_calloc(n, sizeof *d->was_sent);
    d->deltas = ra_calloc(n, sizeof *d->deltas);
    d->pairs = ra_calloc(n, sizeof *d->pairs);
    int rc = 0;
    if (!d->fields || !d->current || !d->was_sent || !d->deltas || !d->pairs) {
        rc = ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for dictionaries");
    } else {
        collect_fields(d, schema->fields, schema->n_fields);
        for (int i = 0; i < d->n; i++)
            d->pairs[i] = (id_pair){sender_ids[i], i};
        qsort(d->pairs, n, sizeof *d->pairs, compare_pairs);
        rc = check_shared_ids(d, err);
    }
    if (rc)
        ra_ipc_dictionaries_free(d);
    else
        *out = d;
    return rc;
}

// The first of the fields that have a sender's id, as an index into `pairs`; `n` when none has.
static int first_pair(const ra_ipc_dictionaries *d, int64_t sender_id) {
    int low = 0, high = d->n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (d->pairs[middle].sender_id < sender_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < d->n && d->pairs[low].sender_id == sender_id ? low : d->n;
}

int ra_ipc_dictionaries_find(const ra_ipc_dictionaries *d, int64_t sender_id, const ra_field **out,
                             ra_error *err) {
    int at = first_pair(d, sender_id);
    if (at == d->n)
        RA_FAIL(err, MALFORMED_ARROW, "no field has a dictionary with id %" PRId64, sender_id);
    *out = d->fields[d->pairs[at].id];
    return 0;
}

// Makes `to`, set up for a field of equal type, the same rows as `from`, in the same buffers, which
// `batch` owns already. Dictionaries below become dictionaries of `to`'s fields.
static int mirror_array(ra_batch *batch, ra_array *to, const ra_array *from, ra_error *err) {
    to->length = from->length;
    to->null_count = from->null_count;
    to->validity = from->validity;
    to->buffers[0] = from->buffers[0];
    to->buffers[1] = from->buffers[1];
    if (from->n_variadic) {
        size_t n = (size_t)from->n_variadic;
        to->variadic = ra_arena_alloc(&batch->arena, n, sizeof *to->variadic);
        if (!to->variadic)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a dictionary");
        memcpy(to->variadic, from->variadic, n * sizeof *to->variadic);
        to->n_variadic = from->n_variadic;
    }
    for (int i = 0; i < from->n_children; i++)
        RA_TRY(mirror_array(batch, &to->children[i], &from->children[i], err));
    if (!from->dictionary)
        return 0;
    ra_batch *dictionary;
    RA_TRY(ra_dictionary_new(batch->schema, to->field, from->dictionary->length, &dictionary, err));
    int rc = ra_batch_own_all(dictionary, batch, err);
    if (rc == 0)
        rc = mirror_array(dictionary, &dictionary->columns[0], from->dictionary, err);
    if (rc == 0)
        rc = ra_batch_own_dictionary(batch, dictionary, err);
    to->dictionary = &dictionary->columns[0];
    ra_batch_unref(dictionary);
    return rc;
}

// The same rows in a new batch of another schema: a dictionary of `field`, or a plain batch.
static int mirror_batch(const ra_batch *from, ra_schema *schema, const ra_field *field,
                        ra_batch **out, ra_error *err) {
    if (field)
        RA_TRY(ra_dictionary_new(schema, field, from->n_rows, out, err));
    else
        RA_TRY(ra_batch_new(schema, from->n_rows, out, err));
    int rc = ra_batch_own_all(*out, from, err);
    if (rc == 0)
        rc = mirror_array(*out, &(*out)->columns[0], &from->columns[0], err);
    if (rc) {
        ra_batch_unref(*out);
        *out = NULL;
    }
    return rc;
}

static void set_current(ra_ipc_dictionaries *d, int id, ra_batch *dictionary) {
    ra_batch_unref(d->current[id]);
    d->current[id] = dictionary;
    d->was_sent[id] = true;
}

// Puts a dictionary in force for all fields that share its id, in place of what was there.
static int replace(ra_ipc_dictionaries *d, int first, ra_batch *dictionary, ra_error *err) {
    int id = d->pairs[first].id;
    free_deltas(d->deltas[id]);
    d->deltas[id] = NULL;
    set_current(d, id, ra_batch_ref(dictionary));
    for (int i = first + 1; i < d->n && d->pairs[i].sender_id == d->pairs[first].sender_id; i++) {
        ra_batch *mirrored;
        id = d->pairs[i].id;
        RA_TRY(mirror_batch(dictionary, d->schema, d->fields[id], &mirrored, err));
        set_current(d, id, mirrored);
    }
    return 0;
}

static int new_delta_list(const ra_field *field, delta_list **out, ra_error *err) {
    delta_list *list = ra_calloc(1, sizeof *list);
    if (!list)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a dictionary");
    int rc = ra_schema_new(1, &list->schema, err);
    if (rc == 0)
        rc = ra_field_copy(list->schema, field, &list->schema->fields[0], err);
    if (rc == 0) {
        list->schema->fields[0].is_dictionary = false;
        rc = ra_schema_seal(list->schema, err);
    }
    if (rc)
        free_deltas(list);
    else
        *out = list;
    return rc;
}

// Joins the last two batches of a list.
static int join_last(ra_ipc_dictionaries *d, delta_list *list, ra_error *err) {
    ra_batch **pair = &list->batches[list->n - 2], *joined;
    RA_TRY(ra_batch_concat(pair, 2, &joined, err));
    int rc = ra_ipc_charge_batch(joined, d->budget, ra_batch_body_bytes(joined), err);
    if (rc) {
        ra_batch_unref(joined);
        return rc;
    }
    ra_batch_unref(pair[0]);
    ra_batch_unref(pair[1]);
    pair[0] = joined;
    list->n--;
    list->n_messages[list->n - 1] += list->n_messages[list->n];
    return 0;
}

static int add_delta(ra_ipc_dictionaries *d, int id, ra_batch *delta, ra_error *err) {
    if (!d->was_sent[id])
        RA_FAIL(err, MALFORMED_ARROW, "a delta of dictionary %" PRId64 ", which was not sent yet",
                d->sender_ids[id]);
    if (!d->deltas[id])
        RA_TRY(new_delta_list(d->fields[id], &d->deltas[id], err));
    delta_list *list = d->deltas[id];
    ra_assert(list->n < MAX_WAITING);  // numbers of messages fall by half: 2^63 come first
    RA_TRY(mirror_batch(delta, list->schema, NULL, &list->batches[list->n], err));
    list->n_messages[list->n++] = 1;
    d->has_deltas = true;
    while (list->n > 1 && list->n_messages[list->n - 1] == list->n_messages[list->n - 2])
        RA_TRY(join_last(d, list, err));
    return 0;
}

int ra_ipc_dictionaries_put(ra_ipc_dictionaries *d, const ra_field *field, ra_batch *dictionary,
                            bool is_delta, ra_error *err) {
    int first = first_pair(d, d->sender_ids[field->dictionary_id]);
    if (is_delta)
        return add_delta(d, d->pairs[first].id, dictionary, err);
    return replace(d, first, dictionary, err);
}

// Replaces a dictionary by itself and the deltas that wait.
static int merge_deltas(ra_ipc_dictionaries *d, int id, ra_error *err) {
    delta_list *list = d->deltas[id];
    ra_batch *all[MAX_WAITING + 1] = {NULL}, *joined = NULL, *merged = NULL;
    int rc = mirror_batch(d->current[id], list->schema, NULL, &all[0], err);
    int64_t n_rows = d->current[id]->n_rows;
    for (int i = 0; i < list->n; i++) {
        all[i + 1] = list->batches[i];
        n_rows += list->batches[i]->n_rows;  // at most 65 times 2^31
    }
    if (rc == 0 && n_rows > INT32_MAX)
        rc = ra_error_set(err, RA_REASON_LIMIT,
                          "a dictionary of %" PRId64 " values: at most 2147483647 are possible",
                          n_rows);
    if (rc == 0)
        rc = ra_batch_concat(all, list->n + 1, &joined, err);
    if (rc == 0)
        rc = ra_ipc_charge_batch(joined, d->budget, ra_batch_body_bytes(joined), err);
    if (rc == 0)
        rc = mirror_batch(joined, d->schema, d->fields[id], &merged, err);
    if (rc == 0)
        rc = replace(d, first_pair(d, d->sender_ids[id]), merged, err);
    ra_batch_unref(all[0]);
    ra_batch_unref(joined);
    ra_batch_unref(merged);
    return rc;
}

static int fill_gap(ra_ipc_dictionaries *d, int id, ra_error *err) {
    ra_batch *empty;
    RA_TRY(ra_dictionary_new(d->schema, d->fields[id], 0, &empty, err));
    int rc = ra_ipc_attach_dictionaries(empty, &empty->columns[0], d->current, err);
    if (rc)
        ra_batch_unref(empty);
    else
        d->current[id] = empty;
    return rc;
}

int ra_ipc_dictionaries_get(ra_ipc_dictionaries *d, ra_batch *const **out, ra_error *err) {
    // Our ids are in pre-order: inner dictionaries have higher ones and come first.
    for (int id = d->n - 1; id >= 0 && !d->is_complete; id--)
        if (!d->current[id])
            RA_TRY(fill_gap(d, id, err));
    d->is_complete = true;
    for (int id = d->n - 1; id >= 0 && d->has_deltas; id--)
        if (d->deltas[id])
            RA_TRY(merge_deltas(d, id, err));
    d->has_deltas = false;
    *out = d->current;
    return 0;
}
