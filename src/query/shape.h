// The schema of a table while a command is bound: columns that move and change their names without
// a new schema each time.
#ifndef RA_QUERY_SHAPE_H
#define RA_QUERY_SHAPE_H

#include "arrow/schema.h"

typedef struct {
    const ra_field *field;  // of `base`
    ra_str name;
} ra_shape_column;

typedef struct {
    ra_schema *base;  // a reference
    int n_columns;
    ra_shape_column *columns;
    ra_metadata metadata;  // of the schema; borrowed from `base` or the plan
    bool is_base;          // nothing was changed
    int n_lookups;         // since the columns changed: many are worth an index
    int32_t *slots;        // the index by name: column + 1, 0 is free; NULL while there is none
    uint32_t n_slots;
    uint64_t seed;
} ra_shape;

// The columns of a schema (a reference is kept). OUT_OF_MEMORY. Failed or not, fini it.
RA_MUST int ra_shape_init(ra_shape *shape, ra_schema *schema, ra_error *err);
void ra_shape_fini(ra_shape *shape);

// Index of the only column called `name`; -1 when there is none, -2 when there are several.
int ra_shape_find(ra_shape *shape, ra_str name);
int ra_shape_count(const ra_shape *shape, ra_str name);

// Leaves the given columns, in that order (repeats allowed). LIMIT over RA_MAX_COLUMNS.
RA_MUST int ra_shape_select(ra_shape *shape, const int *columns, int n, ra_error *err);
// After names were changed in `columns`. They must live as long as the shape.
void ra_shape_renamed(ra_shape *shape);
void ra_shape_set_metadata(ra_shape *shape, const ra_metadata *metadata);

// The schema as it is now, a reference.
RA_MUST int ra_shape_schema(const ra_shape *shape, ra_schema **out, ra_error *err);

// Appends "a: int64, b: string, …" for messages; cut at the ceiling of `out` without an error.
void ra_shape_print(const ra_shape *shape, ra_bytes *out);

#endif
