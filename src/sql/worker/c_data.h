// Arrow's C data interface, for DuckDB: structures that point into our batches.
#ifndef RA_SQL_WORKER_C_DATA_H
#define RA_SQL_WORKER_C_DATA_H

#include "arrow/array.h"

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *schema);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *array);
    void *private_data;
};

// The schema, or the batch, as a struct array; `out->release` gives it back (of a batch: also the
// reference that this takes). TYPE_ERROR for a type that storage.h does not give, OUT_OF_MEMORY;
// after an error there is nothing to release. Any thread.
RA_MUST int ra_c_schema(const ra_schema *schema, struct ArrowSchema *out, ra_error *err);
RA_MUST int ra_c_array(ra_batch *batch, struct ArrowArray *out, ra_error *err);

// The schema, or the rows, of a struct array that DuckDB gave. NOT_IMPLEMENTED naming a column of a
// type that is not in Arrow, OUT_OF_MEMORY.
RA_MUST int ra_c_read_schema(const struct ArrowSchema *from, ra_schema **out, ra_error *err);
// Takes the array, in any case, which is released with the batch.
RA_MUST int ra_c_read_batch(struct ArrowArray *from, ra_schema *schema, ra_batch **out,
                            ra_error *err);

#endif
