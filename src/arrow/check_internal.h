// What the parts of the check share. Nobody but check*.c includes this.
#ifndef RA_ARROW_CHECK_INTERNAL_H
#define RA_ARROW_CHECK_INTERNAL_H

#include "arrow/array.h"

// Where in the column's tree the check is, for messages.
typedef struct {
    const ra_field *path[RA_MAX_NESTING + 1];
    int depth;
    ra_error *err;
} ra_check_state;

// MALFORMED_ARROW "column 'a', field 'b.c': …" with the column's name as subject.
int ra_check_refuse(ra_check_state *state, const char *fmt, ...) RA_PRINTF(2, 3);

// Whether buffer number `i` has at least `count` × `width` bytes.
RA_MUST int ra_check_buffer(ra_check_state *state, const ra_array *array, int i, int64_t count,
                            int32_t width);

// check_values.c: fixed widths (decimals, times, dates), dictionary indices, type ids and offsets
// of unions, run ends. Children need not have been checked.
RA_MUST int ra_check_fixed(ra_check_state *state, const ra_array *array);
RA_MUST int ra_check_indices(ra_check_state *state, const ra_array *array);
RA_MUST int ra_check_union(ra_check_state *state, const ra_array *array);
RA_MUST int ra_check_run_ends(ra_check_state *state, const ra_array *array);

// check_strings.c: offsets that rise from >= 0 to <= `limit`; strings and views with their UTF-8.
// Offsets of 0 rows are replaced by a zero.
RA_MUST int ra_check_offsets(ra_check_state *state, ra_array *array, int64_t limit);
RA_MUST int ra_check_strings(ra_check_state *state, ra_array *array);
RA_MUST int ra_check_views(ra_check_state *state, const ra_array *array);

// check_size.c: whether a checked column, by list views and nested dictionaries, shows its values
// so often that nobody could walk them: LIMIT.
RA_MUST int ra_check_size(ra_check_state *state, const ra_array *column);

#endif
