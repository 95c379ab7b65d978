#include "arrow/access.h"
#include "compute/methods.h"
#include "compute/select.h"

typedef struct {
    const ra_column *mask;
    const int64_t *chunk_starts;
} filter;

// Values and validity of `n` mask rows from `from` on, into bits from `at` on.
static void read_bools(const ra_array *chunk, int64_t from, int64_t n, uint64_t *values,
                       uint64_t *valid, int64_t at) {
    ra_copy_bits((uint8_t *)values, at, chunk->buffers[0].data, from, n);
    if (chunk->null_count > 0)
        ra_copy_bits((uint8_t *)valid, at, chunk->validity.data, from, n);
    else
        ra_fill_bits((uint8_t *)valid, at, n, true);
}

static void read_runs(const ra_array *chunk, int64_t from, int64_t n, uint64_t *values,
                      uint64_t *valid, int64_t at) {
    const ra_array *run_values = &chunk->children[1];
    int64_t run = ra_array_find_run(chunk, from), end = from + n;
    while (from < end) {
        int64_t run_end = ra_array_run_end(chunk, run);
        int64_t n_here = (run_end < end ? run_end : end) - from;
        bool is_valid = ra_array_is_valid(run_values, run);
        ra_fill_bits((uint8_t *)valid, at, n_here, is_valid);
        ra_fill_bits((uint8_t *)values, at, n_here,
                     is_valid && ra_bit_get(run_values->buffers[0].data, run));
        at += n_here;
        from += n_here;
        run++;
    }
}

static int find_chunk(const filter *f, int64_t row) {
    int low = 0, high = f->mask->n_chunks - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (f->chunk_starts[middle + 1] > row)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int select_mask(void *context, const ra_select_piece *piece, uint64_t *kept, uint64_t *nulls,
                       ra_error *err) {
    (void)err;
    const filter *f = context;
    uint64_t valid[RA_SELECT_PIECE_WORDS];
    int64_t n_words = (piece->n_rows + 63) / 64;
    memset(valid, 0, (size_t)n_words * sizeof valid[0]);
    int chunk = find_chunk(f, piece->table_row);
    for (int64_t at = 0; at < piece->n_rows; chunk++) {
        const ra_array *array = f->mask->chunks[chunk];
        int64_t from = piece->table_row + at - f->chunk_starts[chunk];
        int64_t left = piece->n_rows - at;
        int64_t n = array->length - from < left ? array->length - from : left;
        if (n > 0 && array->layout == RA_LAYOUT_RUN_END)
            read_runs(array, from, n, kept, valid, at);
        else if (n > 0)
            read_bools(array, from, n, kept, valid, at);
        at += n;
    }
    for (int64_t w = 0; w < n_words; w++) {
        kept[w] &= valid[w];
        if (!nulls)
            continue;
        int64_t n_bits = piece->n_rows - 64 * w;
        uint64_t rows = n_bits >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n_bits) - 1;
        nulls[w] = ~valid[w] & rows;
        kept[w] |= nulls[w];
    }
    return 0;
}

static int check_mask(const ra_table *table, const ra_column *mask, ra_error *err) {
    if (mask->n_chunks > 0) {
        const ra_field *field = mask->chunks[0]->field;
        if (!field->is_dictionary && field->type == RA_TYPE_RUN_END_ENCODED)
            field = &field->children[1];
        if (field->is_dictionary || field->type != RA_TYPE_BOOL)
            RA_FAIL(err, NOT_IMPLEMENTED, "Filter argument must be boolean type");
    }
    if (mask->length != table->n_rows)
        RA_FAIL(err, INVALID_ARGUMENT, "Filter inputs must all be the same length");
    return 0;
}

int ra_filter(const ra_compute *compute, const ra_table *table, const ra_column *mask,
              bool emit_null, ra_batch_sink *sink, ra_error *err) {
    RA_TRY(check_mask(table, mask, err));
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(compute, (int64_t)mask->n_chunks + 1, sizeof(int64_t), &memory, err));
    int64_t *starts = memory.data;
    starts[0] = 0;
    for (int c = 0; c < mask->n_chunks; c++)
        starts[c + 1] = starts[c] + mask->chunks[c]->length;
    ra_assert(starts[mask->n_chunks] == mask->length);
    filter f = {.mask = mask, .chunk_starts = starts};
    int rc = ra_select_rows(compute, table, select_mask, emit_null, &f, sink, err);
    ra_scratch_free(compute, &memory);
    return rc;
}
