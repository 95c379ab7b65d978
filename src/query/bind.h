// Binding: a command's tree against the versions it names, step by step, which gives the plan, the
// result's schema and the canonical text.
#ifndef RA_QUERY_BIND_H
#define RA_QUERY_BIND_H

#include "query/command_tree.h"
#include "query/plan.h"
#include "query/shape.h"

struct ra_binder {
    ra_store *store;
    ra_snapshot *snapshot;  // all inputs come from one moment
    ra_plan *plan;
    ra_shape *shape;  // of the relation that is being bound, after the steps so far
    bool is_legacy;
    int n_steps;  // of the whole command, as is n_sources
    int n_sources;
    int n_tables_bound;  // of the next concat: those that are the relation's source already
};

// Binds a whole command into `plan`, which is new and zeroed but for `engine` and `refs`.
RA_MUST int ra_bind_command(ra_binder *binder, const ra_command_tree *command, ra_error *err);

// A command inside another one: {"from": …, "do": […]}, or with "concat" instead of "from"; other
// keys are refused but for `extra_keys` (ended by NULL; NULL: none). The relation lives in the
// plan; its schema goes to `shape`, which is the caller's to fini if *out is not NULL. Its
// canonical text is appended without the closing brace.
RA_MUST int ra_bind_relation(ra_binder *binder, json_t *command, const char *const *extra_keys,
                             ra_shape *shape, ra_relation **out, ra_error *err);

// The column that a name or position (from the end if negative) means. KEY_ERROR,
// INDEX_OUT_OF_BOUNDS, TYPE_ERROR, worded as pyarrow's select does.
RA_MUST int ra_bind_column(ra_shape *shape, json_t *given, int *out, ra_error *err);

// concat's promote_options; NULL is the default. NOT_IMPLEMENTED, INVALID_ARGUMENT.
RA_MUST int ra_bind_promote_options(json_t *given, ra_error *err);

// The text of a JSON string.
static inline ra_str ra_json_str(const json_t *string) {
    return (ra_str){json_string_value(string), json_string_length(string)};
}

// The bind functions of methods.def.
int ra_bind_none(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_take(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_slice(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_select(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_filter(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_sort_by(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_drop_columns(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_remove_column(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_rename_columns(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_flatten(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);
int ra_bind_replace_schema_metadata(ra_binder *b, ra_step *step, json_t *const *args,
                                    ra_error *err);
int ra_bind_concat(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err);

#endif
