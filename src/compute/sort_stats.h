// A pass over the sort keys: which values occur, so that they can be encoded in few bits.
#ifndef RA_COMPUTE_SORT_STATS_H
#define RA_COMPUTE_SORT_STATS_H

#include "compute/sort_leaves.h"

// Fills in the leaves' facts about their rows. OUT_OF_MEMORY, CANCELLED.
RA_MUST int ra_sort_find_stats(ra_sort_leaves *leaves, ra_error *err);

// The rows of a table are worked on in slices that do not depend on the number of threads.
typedef struct {
    int64_t n_rows;
    int64_t slice_rows;
    int n_slices;
} ra_row_slices;
ra_row_slices ra_row_slices_of(int64_t n_rows);

// A walk over the blocks of a slice: at most RA_SORT_BLOCK_ROWS rows of one batch each.
typedef struct {
    const ra_row_locator *locator;
    int64_t row;  // of the table
    int64_t end;
    uint32_t batch;  // the block: rows [from, from + n) of the batch; `first` of the table
    int64_t from;
    int64_t n;
    int64_t first;
} ra_block_walk;
void ra_block_walk_start(ra_block_walk *walk, const ra_row_locator *locator,
                         const ra_row_slices *slices, int slice);
bool ra_block_walk_next(ra_block_walk *walk);

#endif
