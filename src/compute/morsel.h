// Runs an operation's morsels in parallel and hands their batches to the sink in order.
//
// A few morsels are in work at a time; one that is far ahead of the sink waits. What is delivered
// does not depend on the number of threads, and of several errors the first morsel's is reported.
#ifndef RA_COMPUTE_MORSEL_H
#define RA_COMPUTE_MORSEL_H

#include "compute/table.h"

typedef struct ra_morsel_run ra_morsel_run;

// Hands over a batch of morsel `morsel`; takes the reference in any case. Called by the morsel's
// own `make`, in order. May wait for the morsels before it. OUT_OF_MEMORY; errors of the sink.
RA_MUST int ra_morsel_emit(ra_morsel_run *run, int morsel, ra_batch *batch, ra_error *err);

// Makes the batches of one morsel and emits them.
typedef int (*ra_morsel_fn)(void *context, ra_morsel_run *run, int morsel, ra_error *err);

// Runs morsels 0 … n-1; reads `compute->cancelled` before each.
RA_MUST int ra_morsels_run(const ra_compute *compute, int n, ra_morsel_fn make, void *context,
                           ra_batch_sink *sink, ra_error *err);

// Calls body for 0 … n-1 in parallel for work that delivers nothing: the first index's error.
typedef int (*ra_piece_fn)(void *context, int piece, ra_error *err);
RA_MUST int ra_pieces_run(const ra_compute *compute, int n, ra_piece_fn body, void *context,
                          ra_error *err);

#endif
