#include "arrow/join.h"
#include "arrow/slice.h"
#include "base/checked.h"
#include "base/os.h"

// Joins column i of batches that have the same dictionaries.
static int join_column(ra_batch *const *batches, int n, int i, ra_batch *out, ra_error *err) {
    ra_run_list runs = {0};
    int rc = 0;
    for (int b = 0; b < n && rc == 0; b++)
        rc = ra_run_list_add(&runs, &batches[b]->columns[i], 0, batches[b]->n_rows, err);
    if (rc == 0)
        rc = ra_array_join(out, &out->columns[i], &batches[0]->columns[i], &runs, err);
    ra_run_list_fini(&runs);
    return rc;
}

static int join_batches(ra_batch *const *batches, int n, ra_batch **out, ra_error *err) {
    int64_t n_rows = 0;
    for (int b = 0; b < n; b++)
        if (!ra_add_i64(n_rows, batches[b]->n_rows, &n_rows))
            RA_FAIL(err, LIMIT, "more than 2^63 rows");
    ra_batch *joined;
    RA_TRY(ra_batch_new(batches[0]->schema, n_rows, &joined, err));
    int rc = 0;
    for (int d = 0; d < batches[0]->n_dictionaries && rc == 0; d++)
        rc = ra_batch_own_dictionary(joined, batches[0]->dictionaries[d], err);
    for (int i = 0; i < joined->n_columns && rc == 0; i++)
        rc = join_column(batches, n, i, joined, err);
    if (rc != 0) {
        ra_batch_unref(joined);
        joined = NULL;
    }
    *out = joined;
    return rc;
}

int ra_batch_concat(ra_batch *const *batches, int n, ra_batch **out, ra_error *err) {
    ra_assert(n >= 1);
    *out = NULL;
    if (n == 1) {
        *out = ra_batch_ref(batches[0]);
        return 0;
    }
    if (batches[0]->schema->n_dictionaries == 0)
        return join_batches(batches, n, out, err);
    ra_batch **unified = ra_calloc((size_t)n, sizeof(ra_batch *));
    if (!unified)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d batches", n);
    int rc = ra_batches_unify_dictionaries(batches, n, unified, err);
    if (rc == 0)
        rc = join_batches(unified, n, out, err);
    for (int b = 0; b < n; b++)
        ra_batch_unref(unified[b]);
    ra_free(unified);
    return rc;
}
