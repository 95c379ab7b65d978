#include "query/content_equal.h"

#include "arrow/slice.h"

// A content read forward: the current batch and how many of its rows are done.
typedef struct {
    ra_content *content;
    int64_t next_batch;
    ra_batch *batch;
    int64_t row;
} reader;

// Moves to the next batch with rows left; there is one.
static int advance(reader *r, ra_error *err) {
    while (!r->batch || r->row == r->batch->n_rows) {
        ra_batch_unref(r->batch);
        r->batch = NULL;
        r->row = 0;
        RA_TRY(ra_content_batch(r->content, r->next_batch++, &r->batch, err));
    }
    return 0;
}

static int take_slice(reader *r, int64_t n_rows, ra_batch **out, ra_error *err) {
    int rc = 0;
    if (r->row == 0 && n_rows == r->batch->n_rows)
        *out = ra_batch_ref(r->batch);
    else
        rc = ra_batch_slice(r->batch, r->row, n_rows, out, err);
    r->row += n_rows;
    return rc;
}

static bool columns_equal(const ra_batch *a, const ra_batch *b) {
    for (int i = 0; i < a->n_columns; i++)
        if (!ra_array_equal(&a->columns[i], &b->columns[i], false))
            return false;
    return true;
}

// Compares the next rows that both readers have in one batch.
static int compare_step(reader *left, reader *right, int64_t *n_rows, bool *equal, ra_error *err) {
    RA_TRY(advance(left, err));
    RA_TRY(advance(right, err));
    int64_t in_left = left->batch->n_rows - left->row, in_right = right->batch->n_rows - right->row;
    *n_rows = in_left < in_right ? in_left : in_right;
    ra_batch *a, *b = NULL;
    RA_TRY(take_slice(left, *n_rows, &a, err));
    int rc = take_slice(right, *n_rows, &b, err);
    if (rc == 0)
        *equal = columns_equal(a, b);
    ra_batch_unref(a);
    if (rc == 0)
        ra_batch_unref(b);
    return rc;
}

int ra_content_equal(ra_content *left, ra_content *right, bool check_metadata,
                     const atomic_bool *cancelled, bool *equal, ra_error *err) {
    *equal = left->n_rows == right->n_rows &&
             ra_schema_equal(left->schema, right->schema, check_metadata);
    reader a = {.content = left}, b = {.content = right};
    int rc = 0;
    for (int64_t left_rows = left->n_rows, n = 0; *equal && left_rows > 0 && rc == 0;
         left_rows -= n) {
        if (atomic_load(cancelled))
            rc = ra_error_set(err, RA_REASON_CANCELLED, "the comparison was cancelled");
        else
            rc = compare_step(&a, &b, &n, equal, err);
        if (rc != 0)
            break;
    }
    ra_batch_unref(a.batch);
    ra_batch_unref(b.batch);
    return rc;
}
