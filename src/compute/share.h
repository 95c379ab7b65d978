// Arrays of one batch in another, without copying what their buffers point to.
#ifndef RA_COMPUTE_SHARE_H
#define RA_COMPUTE_SHARE_H

#include "arrow/array.h"

// Gives `to`, an array of `into` that was set up for an equal type, the rows of `from`, children
// and dictionary included. `into` must own the memory of `from`'s batch (ra_batch_own_all).
// OUT_OF_MEMORY.
RA_MUST int ra_array_share(ra_batch *into, ra_array *to, const ra_array *from, ra_error *err);

#endif
