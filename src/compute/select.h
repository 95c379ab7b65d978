// Keeps some rows of a table, in order: what filter and drop_null share.
#ifndef RA_COMPUTE_SELECT_H
#define RA_COMPUTE_SELECT_H

#include "compute/gather.h"

// A range of one batch's rows; `from` is a multiple of 64, n_rows at most RA_SELECT_PIECE_ROWS.
enum { RA_SELECT_PIECE_ROWS = 64 * 1024, RA_SELECT_PIECE_WORDS = RA_SELECT_PIECE_ROWS / 64 };
typedef struct {
    int batch;
    int64_t from;
    int64_t n_rows;
    int64_t table_row;  // of the piece's first row
} ra_select_piece;

// Sets the bits of the rows to keep in `kept`, and in `nulls` those of them that become null rows
// (NULL when the selection has none). Both have room for the piece's words and are cleared; bits
// beyond n_rows stay clear. Called in parallel.
typedef int (*ra_select_fn)(void *context, const ra_select_piece *piece, uint64_t *kept,
                            uint64_t *nulls, ra_error *err);

// Gives the kept rows to the sink. Batches that are kept whole are passed on without a copy.
RA_MUST int ra_select_rows(const ra_compute *compute, const ra_table *table, ra_select_fn select,
                           bool has_null_rows, void *context, ra_batch_sink *sink, ra_error *err);

#endif
