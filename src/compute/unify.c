#include "arrow/slice.h"
#include "base/os.h"
#include "compute/methods.h"

static int add_batches(const ra_compute *compute, ra_batch *const *batches, int n,
                       ra_batch_sink *sink, ra_error *err) {
    for (int b = 0; b < n; b++) {
        RA_TRY(ra_compute_check_cancelled(compute, err));
        RA_TRY(sink->add(sink->context, batches[b], err));
    }
    return 0;
}

int ra_unify_dictionaries(const ra_compute *compute, const ra_table *table, ra_batch_sink *sink,
                          ra_error *err) {
    int n = table->n_batches;
    if (table->schema->n_dictionaries == 0 || n == 0)
        return add_batches(compute, table->batches, n, sink, err);
    ra_batch **unified = ra_calloc((size_t)n, sizeof *unified);
    if (!unified)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d batches", n);
    int rc = ra_batches_unify_dictionaries(table->batches, n, unified, err);
    if (rc == 0) {
        rc = add_batches(compute, unified, n, sink, err);
        for (int b = 0; b < n; b++)
            ra_batch_unref(unified[b]);
    }
    ra_free(unified);
    return rc;
}
