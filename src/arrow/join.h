// Copying runs of rows of several arrays into one new array: what concat and slice are made of.
#ifndef RA_ARROW_JOIN_H
#define RA_ARROW_JOIN_H

#include "arrow/array.h"

// Rows [from, from + n) of an array.
typedef struct {
    const ra_array *array;
    int64_t from;
    int64_t n;
} ra_run;

// A growing list of runs. `= {0}` is empty.
typedef struct {
    ra_run *items;
    int64_t n;
    int64_t capacity;
    int64_t n_rows;  // of all runs
} ra_run_list;
void ra_run_list_fini(ra_run_list *list);
// Adds rows; if they continue the last run, it grows.
RA_MUST int ra_run_list_add(ra_run_list *list, const ra_array *array, int64_t from, int64_t n,
                            ra_error *err);

// Gives `out`, which ra_array_init has set up for the same type, the rows of the runs in order, in
// new memory of `batch`. Dictionaries are those of `like`, an array of the type of any length; all
// runs must have the same ones, and `batch` must keep them alive. Runs of an array should stand
// together. LIMIT when offsets or run ends overflow; OUT_OF_MEMORY.
RA_MUST int ra_array_join(ra_batch *batch, ra_array *out, const ra_array *like,
                          const ra_run_list *runs, ra_error *err);

// join_views.c: the layout part of ra_array_join.
RA_MUST int ra_join_views(ra_batch *batch, ra_array *out, const ra_run_list *runs, ra_error *err);

// join_runs.c: what a run of rows needs of its children, which is added to `children`, one list a
// child; the rows' new offsets into what the lists then hold are written. List views that leave
// more than half of a span unused are gathered row by row; so the rows need at most about twice
// what they show. LIMIT when the new offsets overflow.
RA_MUST int ra_list_view_runs(const ra_run *run, uint8_t *offsets, uint8_t *sizes,
                              ra_run_list *child, ra_error *err);
RA_MUST int ra_dense_union_runs(const ra_run *run, uint8_t *offsets, ra_run_list *children,
                                ra_error *err);
// Writes the new run ends, which count from `first_row`, and adds the runs to `values`; `ends` has
// room for as many as ra_run_end_count says.
int64_t ra_run_end_count(const ra_run *run);
RA_MUST int ra_run_end_runs(const ra_run *run, int64_t first_row, uint8_t *ends,
                            ra_run_list *values, ra_error *err);

// LIMIT "column 'a': …" with the name as subject.
int ra_join_overflow(const ra_array *array, const char *what, ra_error *err);

#endif
