// What the parts of the gather share. Nobody but gather*.c includes this.
#ifndef RA_COMPUTE_GATHER_INTERNAL_H
#define RA_COMPUTE_GATHER_INTERNAL_H

#include "arrow/access.h"
#include "compute/gather.h"
#include "compute/pool.h"

// One array of the output and, by batch, where its rows come from.
typedef struct ra_gather_node {
    const ra_field *field;
    ra_layout layout;
    int32_t byte_width;
    bool has_nulls;              // in some source, by validity
    const ra_array **sources;    // by batch
    const uint8_t **validity;    // by batch; NULL without nulls
    const uint8_t **buffers[2];  // by batch; never NULL
    bool is_indices;             // of a dictionary field
    const ra_array *dictionary;  // the common one
    int dictionary_source;       // the batch that it is from
    int n_children;              // none below a dictionary field
    struct ra_gather_node *children;
} ra_gather_node;

struct ra_gather_plan {
    const ra_compute *compute;
    ra_schema *schema;  // borrowed from the table
    int n_batches;
    ra_batch **batches;  // references: the table's, or those with unified dictionaries
    int64_t batch_rows;
    int64_t charged_bytes;
    ra_arena arena;        // of the nodes
    ra_buffer_pool *pool;  // of output buffers
    int n_columns;
    ra_gather_node *columns;
    int n_dictionaries;
    ra_batch **dictionaries;  // references to what the nodes' dictionaries lie in
};

// The batch that is being filled.
typedef struct {
    const ra_compute *compute;
    ra_buffer_pool *pool;  // may be NULL
    int n_sources;
    ra_batch *batch;
    int64_t bytes;      // allocated and charged so far
    int64_t max_bytes;  // LIMIT beyond
} ra_gather_target;

// Fills `out` (set up, without buffers) with the rows; dispatches on the layout.
typedef int (*ra_gather_fn)(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                            ra_array *out, ra_error *err);
int ra_gather_node_rows(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                        ra_array *out, ra_error *err);

// Memory of the output, not cleared. OUT_OF_MEMORY; LIMIT over the target's max_bytes.
int ra_gather_alloc(ra_gather_target *target, int64_t bytes, uint8_t **out, ra_error *err);
// Sets validity and null_count of `out`.
int ra_gather_validity(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                       ra_array *out, ra_error *err);
// The bits of `bases` (NULL entries: all ones) at the rows; null rows give zeros.
int ra_gather_bits(ra_gather_target *target, const uint8_t *const *bases, ra_picks *picks,
                   uint8_t **out, ra_error *err);
// The values of `width` bytes of `bases` at the rows; null rows give zeros.
int ra_gather_values(ra_gather_target *target, const uint8_t *const *bases, int32_t width,
                     ra_picks *picks, uint8_t **out, ra_error *err);

// By layout.
int ra_gather_null(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_bit(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_fixed(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_var(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_view(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_list(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_list_view(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *,
                        ra_error *);
int ra_gather_fixed_list(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *,
                         ra_error *);
int ra_gather_struct(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *,
                     ra_error *);
int ra_gather_union(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *, ra_error *);
int ra_gather_run_end(ra_gather_target *, const ra_gather_node *, ra_picks *, ra_array *,
                      ra_error *);

// Whether the row is a row, and not null by the validity of its batch.
static inline bool ra_gather_is_valid(const uint8_t *const *validity, ra_row row) {
    if (row.batch == RA_ROW_NULL)
        return false;
    const uint8_t *bits = validity[row.batch];
    return !bits || ra_bit_get(bits, row.row);
}

// An offset of a var or list layout.
static inline int64_t ra_gather_offset(const uint8_t *offsets, int64_t i, bool is_wide) {
    return is_wide ? ra_load_i64(offsets + 8 * i) : ra_load_i32(offsets + 4 * i);
}
static inline void ra_gather_set_offset(uint8_t *offsets, int64_t i, bool is_wide, int64_t v) {
    if (is_wide)
        ra_store_i64(offsets + 8 * i, v);
    else
        ra_store_i32(offsets + 4 * i, (int32_t)v);
}

// LIMIT: what a batch of the rows would have too much of, naming the column.
int ra_gather_too_large(const ra_gather_node *node, const char *what, ra_error *err);

// How far ahead of the row being copied its cache line is asked for: sorting 8 M random rows took
// 272, 246, 216, 196 and 190 ms of CPU time with 8, 16, 32, 64 and 128.
enum { RA_GATHER_AHEAD = 96 };

#endif
