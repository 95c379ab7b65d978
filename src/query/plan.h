// A plan: a command that was checked and bound to versions, as steps on relations.
#ifndef RA_QUERY_PLAN_H
#define RA_QUERY_PLAN_H

#include "compute/methods.h"
#include "query/engine.h"
#include "query/method.h"

enum {
    RA_MAX_PLAN_BYTES = 64 * 1024 * 1024,       // of steps and their arguments
    RA_MAX_CANONICAL_BYTES = 16 * 1024 * 1024,  // of the canonical text
};

typedef struct ra_relation ra_relation;

// An array argument: values that came with the command, a column of a relation, or the stream.
typedef enum { RA_ARRAY_VALUES, RA_ARRAY_COLUMN, RA_ARRAY_STREAM } ra_array_source;
typedef struct ra_array_argument {
    struct ra_array_argument *next;  // all of a plan
    ra_array_source source;
    ra_batch **batches;  // VALUES: the first column counts
    int n_batches;
    int64_t length;         // VALUES
    ra_relation *relation;  // COLUMN
    int column;
} ra_array_argument;

// A key of sort_by: a column, or a child of a struct column.
typedef struct {
    int column;
    int n_children;
    int *children;  // which child, level by level
    bool descending;
    bool nulls_first;
} ra_sort_path;

// New names for columns: all of them by position, or some by their old name.
typedef struct {
    ra_str from;  // empty by position
    ra_str to;
} ra_new_name;
typedef struct {
    bool by_position;
    int n;
    ra_new_name *pairs;  // by old name: in its order
} ra_renaming;

struct ra_step {
    struct ra_step *next;
    const ra_table_method *method;
    union {
        ra_array_argument *indices;
        struct {
            ra_array_argument *mask;
            bool emit_null;
        } filter;
        struct {
            int64_t offset;
            int64_t length;
        } slice;
        struct {
            int *columns;  // what stays, as positions in the step's input
            int n;
        } select;
        struct {
            ra_sort_path *keys;
            int n;
        } sort;
        ra_renaming renaming;
        ra_metadata metadata;
        struct {
            ra_relation **tables;
            int n;
        } concat;
    };
};

// A version and the steps on it.
struct ra_relation {
    ra_version *input;  // borrowed from the plan
    ra_step *steps;
    ra_step **last;
    int n_steps;
};

struct ra_plan {
    atomic_int refs;
    ra_engine *engine;
    ra_budget *budget;  // the engine's; may be NULL
    ra_arena arena;     // relations, steps and arguments
    ra_relation *root;
    ra_schema *schema;
    ra_bytes canonical;  // with RA_MAX_CANONICAL_BYTES as ceiling
    uint8_t key[16];     // XXH3-128 of the canonical text
    int n_inputs;
    int input_capacity;
    ra_version **inputs;  // references, each version once
    ra_array_argument *arrays;
    int64_t charged_bytes;  // to the engine's budget
    bool has_stream;
    ra_str name;  // `as`; empty: unnamed
    ra_if_exists if_exists;
    int64_t if_version;  // -1: any
    bool publish;
    ra_str legacy_text;  // empty: JSON
};

// Unnamed and without a stream: the same question for everyone who asks it.
static inline bool ra_plan_is_shareable(const ra_plan *plan) {
    return plan->name.len == 0 && !plan->has_stream;
}

// Memory of the plan, zeroed. LIMIT over RA_MAX_PLAN_BYTES.
RA_MUST int ra_plan_alloc(ra_plan *plan, size_t count, size_t bytes, void *out, ra_error *err);
RA_MUST int ra_plan_copy(ra_plan *plan, ra_str text, ra_str *out, ra_error *err);
// Charges what the plan holds beyond its arena, released with it.
RA_MUST int ra_plan_charge(ra_plan *plan, int64_t bytes, ra_error *err);

// Appends {"plan": …, "inputs": […]}: what is kept with a result.
RA_MUST int ra_plan_lineage(const ra_plan *plan, ra_bytes *out, ra_error *err);

#endif
