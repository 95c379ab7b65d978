#include <string.h>

#include "base/checked.h"
#include "compute/methods.h"
#include "compute/select.h"

// Rows that are valid in all columns, by validity bitmaps: unions and run-end columns have none, a
// dictionary's null values do not count, a column of type null drops all.
static int select_valid(void *context, const ra_select_piece *piece, uint64_t *kept,
                        uint64_t *nulls, ra_error *err) {
    (void)nulls, (void)err;
    const ra_table *table = context;
    const ra_batch *batch = table->batches[piece->batch];
    uint64_t valid[RA_SELECT_PIECE_WORDS];
    int64_t n_words = (piece->n_rows + 63) / 64;
    ra_fill_bits((uint8_t *)kept, 0, piece->n_rows, true);
    for (int c = 0; c < batch->n_columns; c++) {
        const ra_array *column = &batch->columns[c];
        if (column->layout == RA_LAYOUT_NULL)
            memset(kept, 0, (size_t)n_words * sizeof kept[0]);
        if (column->null_count == 0 || !column->validity.data)
            continue;
        valid[n_words - 1] = 0;
        ra_copy_bits((uint8_t *)valid, 0, column->validity.data, piece->from, piece->n_rows);
        for (int64_t w = 0; w < n_words; w++)
            kept[w] &= valid[w];
    }
    return 0;
}

int ra_drop_null(const ra_compute *compute, const ra_table *table, ra_batch_sink *sink,
                 ra_error *err) {
    ra_table input = *table;
    return ra_select_rows(compute, table, select_valid, false, &input, sink, err);
}
