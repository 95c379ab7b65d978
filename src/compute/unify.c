#include "arrow/slice.h"
#include "base/os.h"
#include "compute/methods.h"
#include "compute/scratch.h"

static int add_batches(const ra_compute *compute, ra_batch *const *batches, int n,
                       ra_batch_sink *sink, ra_error *err) {
    for (int b = 0; b < n; b++) {
        RA_TRY(ra_compute_check_cancelled(compute, err));
        RA_TRY(sink->add(sink->context, batches[b], err));
    }
    return 0;
}

// Bytes of the dictionary indices, which may all have to be rewritten.
static int64_t index_bytes(const ra_array *array) {
    if (array->field->is_dictionary)
        return array->length * array->byte_width;
    int64_t bytes = 0;
    for (int c = 0; c < array->n_children; c++)
        bytes += index_bytes(&array->children[c]);
    return bytes;
}

static int unify(const ra_compute *compute, const ra_table *table, ra_batch **unified,
                 ra_batch_sink *sink, ra_error *err) {
    RA_TRY(ra_batches_unify_dictionaries(table->batches, table->n_batches, unified, err));
    int rc = add_batches(compute, unified, table->n_batches, sink, err);
    for (int b = 0; b < table->n_batches; b++)
        ra_batch_unref(unified[b]);
    return rc;
}

int ra_unify_dictionaries(const ra_compute *compute, const ra_table *table, ra_batch_sink *sink,
                          ra_error *err) {
    int n = table->n_batches;
    if (table->schema->n_dictionaries == 0 || n == 0)
        return add_batches(compute, table->batches, n, sink, err);
    int64_t bytes = 0;
    for (int b = 0; b < n; b++)
        for (int c = 0; c < table->batches[b]->n_columns; c++)
            bytes += index_bytes(&table->batches[b]->columns[c]);
    RA_TRY(ra_compute_charge(compute, bytes, err));
    ra_batch **unified = ra_calloc((size_t)n, sizeof *unified);
    int rc = unified ? unify(compute, table, unified, sink, err)
                     : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for %d batches", n);
    ra_free(unified);
    ra_compute_release(compute, bytes);
    return rc;
}
