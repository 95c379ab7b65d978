#include "arrow/array.h"

#include "base/checked.h"
#include "base/os.h"

// Room for the arrays of the largest schema and the variadic buffers of its views.
enum { BATCH_CEILING_BYTES = 128 * 1024 * 1024 };

_Alignas(64) const uint8_t ra_zero_bytes[64];

static int no_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a batch");
}

static int new_batch(ra_schema *schema, int n_columns, int64_t n_rows, ra_batch **out,
                     ra_error *err) {
    ra_assert(n_rows >= 0);
    *out = NULL;
    ra_batch *batch = ra_calloc(1, sizeof *batch);
    if (!batch)
        return no_memory(err);
    atomic_init(&batch->refs, 1);
    ra_arena_init(&batch->arena, BATCH_CEILING_BYTES);
    batch->schema = ra_schema_ref(schema);
    batch->n_rows = n_rows;
    batch->columns = ra_arena_alloc(&batch->arena, (size_t)n_columns, sizeof *batch->columns);
    if (!batch->columns) {
        ra_batch_unref(batch);
        return no_memory(err);
    }
    batch->n_columns = n_columns;
    *out = batch;
    return 0;
}

int ra_batch_new(ra_schema *schema, int64_t n_rows, ra_batch **out, ra_error *err) {
    RA_TRY(new_batch(schema, schema->n_fields, n_rows, out, err));
    for (int i = 0; i < schema->n_fields; i++) {
        ra_batch *batch = *out;
        int rc = ra_array_init(batch, &batch->columns[i], &schema->fields[i], n_rows, false, err);
        if (rc) {
            ra_batch_unref(batch);
            *out = NULL;
            return rc;
        }
    }
    return 0;
}

int ra_dictionary_new(ra_schema *schema, const ra_field *field, int64_t length, ra_batch **out,
                      ra_error *err) {
    ra_assert(field->is_dictionary);
    RA_TRY(new_batch(schema, 1, length, out, err));
    int rc = ra_array_init(*out, &(*out)->columns[0], field, length, true, err);
    if (rc) {
        ra_batch_unref(*out);
        *out = NULL;
    }
    return rc;
}

ra_batch *ra_batch_ref(ra_batch *batch) {
    int before = atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return batch;
}

// Dictionaries of dictionaries are as deep as fields nest, so this recursion is, too.
void ra_batch_unref(ra_batch *batch) {
    if (!batch)
        return;
    int before = atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel);
    ra_assert(before > 0);
    if (before > 1)
        return;
    for (int i = 0; i < batch->n_owners; i++)
        ra_blob_unref(batch->owners[i]);
    for (int i = 0; i < batch->n_dictionaries; i++)
        ra_batch_unref(batch->dictionaries[i]);
    ra_free(batch->owners);
    ra_free(batch->dictionaries);
    ra_arena_fini(&batch->arena);
    ra_schema_unref(batch->schema);
    ra_free(batch);
}

// Whether one of the last few of `items` is `item`: what repeats mostly repeats at once.
static bool was_added(void *const *items, int n, const void *item) {
    for (int i = n - 1; i >= 0 && i >= n - 8; i--)
        if (items[i] == item)
            return true;
    return false;
}

static int grow(void **items, int n, int capacity, int *new_capacity, ra_error *err) {
    if (n < capacity)
        return 0;
    if (capacity > INT32_MAX / 2)
        return no_memory(err);
    int more = capacity ? 2 * capacity : 4;
    void *grown = ra_realloc(*items, (size_t)more * sizeof(void *));
    if (!grown)
        return no_memory(err);
    *items = grown;
    *new_capacity = more;
    return 0;
}

int ra_batch_own(ra_batch *batch, ra_blob *blob, ra_error *err) {
    if (was_added((void *const *)batch->owners, batch->n_owners, blob))
        return 0;
    void *items = batch->owners;
    RA_TRY(grow(&items, batch->n_owners, batch->owner_capacity, &batch->owner_capacity, err));
    batch->owners = items;
    batch->owners[batch->n_owners++] = ra_blob_ref(blob);
    return 0;
}

int ra_batch_own_dictionary(ra_batch *batch, ra_batch *dictionary, ra_error *err) {
    if (was_added((void *const *)batch->dictionaries, batch->n_dictionaries, dictionary))
        return 0;
    void *items = batch->dictionaries;
    RA_TRY(grow(&items, batch->n_dictionaries, batch->dictionary_capacity,
                &batch->dictionary_capacity, err));
    batch->dictionaries = items;
    batch->dictionaries[batch->n_dictionaries++] = ra_batch_ref(dictionary);
    return 0;
}

int ra_batch_own_all(ra_batch *batch, const ra_batch *from, ra_error *err) {
    for (int i = 0; i < from->n_owners; i++)
        RA_TRY(ra_batch_own(batch, from->owners[i], err));
    for (int i = 0; i < from->n_dictionaries; i++)
        RA_TRY(ra_batch_own_dictionary(batch, from->dictionaries[i], err));
    return 0;
}

int ra_batch_alloc(ra_batch *batch, int64_t bytes, uint8_t **out, ra_error *err) {
    ra_blob *blob;
    *out = NULL;
    ra_assert(bytes >= 0);
    RA_TRY(ra_blob_new((size_t)bytes, &blob, err));
    memset(blob->data, 0, (size_t)bytes);
    int rc = ra_batch_own(batch, blob, err);
    if (rc == 0)
        *out = blob->data;
    ra_blob_unref(blob);
    return rc;
}

// Bytes of an offset; 0 for layouts without length + 1 offsets.
static int offset_bytes(ra_layout layout) {
    switch (layout) {
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_LIST32:
            return 4;
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_LIST64:
            return 8;
        default:
            return 0;
    }
}

int ra_array_init(ra_batch *batch, ra_array *array, const ra_field *field, int64_t length,
                  bool of_dictionary, ra_error *err) {
    bool of_indices = field->is_dictionary && !of_dictionary;
    *array = (ra_array){
        .field = field,
        .layout = of_dictionary ? ra_type_layout(field->type) : ra_field_layout(field),
        .of_dictionary = of_dictionary,
        .byte_width = of_dictionary ? ra_type_byte_width(field) : ra_field_byte_width(field),
        .length = length,
    };
    if (array->layout == RA_LAYOUT_NULL)
        array->null_count = length;
    if (length == 0)
        array->buffers[0] = (ra_span){ra_zero_bytes, offset_bytes(array->layout)};
    if (of_indices || field->n_children == 0)
        return 0;
    array->children =
        ra_arena_alloc(&batch->arena, (size_t)field->n_children, sizeof *array->children);
    if (!array->children)
        return no_memory(err);
    array->n_children = field->n_children;
    for (int i = 0; i < field->n_children; i++)
        RA_TRY(ra_array_init(batch, &array->children[i], &field->children[i], 0, false, err));
    return 0;
}

static ra_span cut(ra_span span, int64_t bytes) {
    ra_assert(bytes <= span.bytes);
    return (ra_span){span.data, bytes};
}

// The offsets and, of strings, the data they reach into.
static int offset_spans(const ra_array *a, int width, ra_span *out) {
    out[0] = cut(a->buffers[0], (a->length + 1) * width);
    if (a->layout != RA_LAYOUT_VAR32 && a->layout != RA_LAYOUT_VAR64)
        return 1;
    const uint8_t *last = out[0].data + a->length * width;
    out[1] = cut(a->buffers[1], width == 4 ? ra_load_i32(last) : ra_load_i64(last));
    return 2;
}

int ra_array_stored_spans(const ra_array *a, ra_span out[RA_MAX_OWN_BUFFERS]) {
    int n = 0;
    if (ra_layout_has_validity(a->layout))
        out[n++] = a->validity.data && a->null_count ? cut(a->validity, ra_bit_bytes(a->length))
                                                     : (ra_span){ra_zero_bytes, 0};
    switch (a->layout) {
        case RA_LAYOUT_BIT:
            out[n++] = cut(a->buffers[0], ra_bit_bytes(a->length));
            break;
        case RA_LAYOUT_FIXED:
            out[n++] = cut(a->buffers[0], a->length * a->byte_width);
            break;
        case RA_LAYOUT_VIEW:
            out[n++] = cut(a->buffers[0], a->length * 16);
            break;
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_LIST32:
            return n + offset_spans(a, 4, out + n);
        case RA_LAYOUT_VAR64:
        case RA_LAYOUT_LIST64:
            return n + offset_spans(a, 8, out + n);
        case RA_LAYOUT_LIST_VIEW32:
            out[n++] = cut(a->buffers[0], a->length * 4);
            out[n++] = cut(a->buffers[1], a->length * 4);
            break;
        case RA_LAYOUT_LIST_VIEW64:
            out[n++] = cut(a->buffers[0], a->length * 8);
            out[n++] = cut(a->buffers[1], a->length * 8);
            break;
        case RA_LAYOUT_SPARSE_UNION:
            out[n++] = cut(a->buffers[0], a->length);
            break;
        case RA_LAYOUT_DENSE_UNION:
            out[n++] = cut(a->buffers[0], a->length);
            out[n++] = cut(a->buffers[1], a->length * 4);
            break;
        default:
            break;
    }
    return n;
}

static int64_t array_bytes(const ra_array *array) {
    ra_span spans[RA_MAX_OWN_BUFFERS];
    int n = ra_array_stored_spans(array, spans);
    int64_t total = 0;
    for (int i = 0; i < n; i++)
        total += ra_round_up(spans[i].bytes, 64);
    for (int i = 0; i < array->n_variadic; i++)
        total += ra_round_up(array->variadic[i].bytes, 64);
    for (int i = 0; i < array->n_children; i++)
        total += array_bytes(&array->children[i]);
    return total;
}

int64_t ra_batch_body_bytes(const ra_batch *batch) {
    int64_t total = 0;
    for (int i = 0; i < batch->n_columns; i++)
        total += array_bytes(&batch->columns[i]);
    return total;
}
