// Running a plan: each step turns a content into a content.
#ifndef RA_QUERY_RUN_H
#define RA_QUERY_RUN_H

#include "query/plan.h"

struct ra_run {
    ra_store *store;
    ra_compute compute;
    ra_write_kind kind;  // of what is written: temporary unless the command is published
    ra_content *stream;  // the streamed argument, NULL without one
    int64_t flight;      // input of the relation that is being run, for errors
};

// Runs all steps of a relation; `*out` is a reference. Job thread. CANCELLED, DATA_LOSS naming the
// Flight, and what kernels and the store fail with.
RA_MUST int ra_run_relation(ra_run *run, const ra_relation *relation, ra_content **out,
                            ra_error *err);

// A writer for a result of the run, on the run's budget.
RA_MUST int ra_run_writer_new(const ra_run *run, ra_schema *schema, ra_writer **out, ra_error *err);

// The run functions of methods.def.
int ra_run_take(ra_run *run, const ra_step *step, ra_content *in, ra_content **out, ra_error *err);
int ra_run_slice(ra_run *run, const ra_step *step, ra_content *in, ra_content **out, ra_error *err);
int ra_run_select(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err);
int ra_run_filter(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err);
int ra_run_drop_null(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                     ra_error *err);
int ra_run_sort_by(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                   ra_error *err);
int ra_run_rename_columns(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                          ra_error *err);
int ra_run_combine_chunks(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                          ra_error *err);
int ra_run_flatten(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                   ra_error *err);
int ra_run_unify_dictionaries(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                              ra_error *err);
int ra_run_replace_schema_metadata(ra_run *run, const ra_step *step, ra_content *in,
                                   ra_content **out, ra_error *err);
int ra_run_concat(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err);

#endif
