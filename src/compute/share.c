#include "compute/share.h"

#include <string.h>

int ra_array_share(ra_batch *into, ra_array *to, const ra_array *from, ra_error *err) {
    ra_assert(to->layout == from->layout && to->n_children == from->n_children);
    to->length = from->length;
    to->null_count = from->null_count;
    to->validity = from->validity;
    memcpy(to->buffers, from->buffers, sizeof to->buffers);
    to->dictionary = from->dictionary;
    if (from->n_variadic > 0) {
        to->variadic = ra_arena_alloc(&into->arena, (size_t)from->n_variadic, sizeof *to->variadic);
        if (!to->variadic)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a batch");
        memcpy(to->variadic, from->variadic, (size_t)from->n_variadic * sizeof *to->variadic);
        to->n_variadic = from->n_variadic;
    }
    for (int c = 0; c < from->n_children; c++)
        RA_TRY(ra_array_share(into, &to->children[c], &from->children[c], err));
    return 0;
}
