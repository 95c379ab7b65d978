#include "query/run.h"

#include "base/os.h"
#include "query/loaded.h"
#include "query/renaming.h"
#include "query/sort_path.h"
#include "query/take_few.h"

int ra_run_relation(ra_run *run, const ra_relation *relation, ra_content **out, ra_error *err) {
    int64_t outer_flight = run->flight;
    run->flight = relation->input->flight_id;
    ra_content *content = ra_content_ref(relation->input->content);
    int rc = 0;
    for (const ra_step *step = relation->steps; step && rc == 0; step = step->next) {
        ra_content *next = NULL;
        rc = ra_compute_check_cancelled(&run->compute, err);
        if (rc == 0)
            rc = step->method->run(run, step, content, &next, err);
        ra_content_unref(content);
        content = next;
    }
    run->flight = outer_flight;
    *out = content;
    return rc;
}

int ra_run_writer_new(const ra_run *run, ra_schema *schema, ra_writer **out, ra_error *err) {
    RA_TRY(ra_writer_new(run->store, schema, run->kind, out, err));
    if (run->compute.budget)
        ra_writer_set_budget(*out, run->compute.budget);
    return 0;
}

static int add_to_writer(void *context, ra_batch *batch, ra_error *err) {
    return ra_writer_add(context, batch, (ra_span){0}, err);
}

// A kernel as the functions below call it: `argument` is their own.
typedef int (*kernel_fn)(const ra_compute *compute, const ra_table *table, const void *argument,
                         ra_batch_sink *sink, ra_error *err);

// Writes what a kernel makes of all rows of `in` as a new content.
static int run_kernel(ra_run *run, ra_content *in, ra_schema *out_schema, kernel_fn kernel,
                      const void *argument, ra_content **out, ra_error *err) {
    ra_loaded loaded;
    ra_writer *writer = NULL;
    int rc = ra_loaded_init(&loaded, run, in, err);
    if (rc == 0)
        rc = ra_run_writer_new(run, out_schema, &writer, err);
    if (rc == 0) {
        ra_table table = ra_loaded_table(&loaded, in->schema);
        ra_batch_sink sink = {add_to_writer, writer};
        rc = kernel(&run->compute, &table, argument, &sink, err);
    }
    if (rc == 0)
        rc = ra_writer_finish(writer, out, err);
    if (writer)
        ra_writer_free(writer);
    ra_loaded_fini(&loaded);
    return rc;
}

static int take_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                       ra_batch_sink *sink, ra_error *err) {
    const ra_loaded_column *indices = argument;
    return ra_take(compute, table, &indices->column, sink, err);
}

// An argument without a chunk has no type either: it chooses no row.
static int empty_content(ra_run *run, ra_content *in, ra_content **out, ra_error *err) {
    ra_writer *writer;
    RA_TRY(ra_run_writer_new(run, in->schema, &writer, err));
    int rc = ra_writer_finish(writer, out, err);
    ra_writer_free(writer);
    return rc;
}

int ra_run_take(ra_run *run, const ra_step *step, ra_content *in, ra_content **out, ra_error *err) {
    ra_loaded_column indices;
    int rc = ra_loaded_column_init(&indices, run, step->indices, err);
    if (rc == 0 && indices.column.n_chunks == 0)
        rc = empty_content(run, in, out, err);
    else if (rc == 0 && ra_take_is_few(in, &indices.column))
        rc = ra_run_take_few(run, in, &indices.column, out, err);
    else if (rc == 0)
        rc = run_kernel(run, in, in->schema, take_kernel, &indices, out, err);
    ra_loaded_column_fini(&indices);
    return rc;
}

typedef struct {
    ra_loaded_column mask;
    bool emit_null;
} filter_argument;

static int filter_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                         ra_batch_sink *sink, ra_error *err) {
    const filter_argument *filter = argument;
    return ra_filter(compute, table, &filter->mask.column, filter->emit_null, sink, err);
}

int ra_run_filter(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err) {
    filter_argument filter = {.emit_null = step->filter.emit_null};
    int rc = ra_loaded_column_init(&filter.mask, run, step->filter.mask, err);
    if (rc == 0 && filter.mask.column.length != in->n_rows)
        rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT,
                          "Filter inputs must all be the same length");
    else if (rc == 0 && filter.mask.column.n_chunks == 0)
        rc = empty_content(run, in, out, err);
    else if (rc == 0)
        rc = run_kernel(run, in, in->schema, filter_kernel, &filter, out, err);
    ra_loaded_column_fini(&filter.mask);
    return rc;
}

static int drop_null_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                            ra_batch_sink *sink, ra_error *err) {
    (void)argument;
    return ra_drop_null(compute, table, sink, err);
}

int ra_run_drop_null(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                     ra_error *err) {
    (void)step;
    return run_kernel(run, in, in->schema, drop_null_kernel, NULL, out, err);
}

static int sort_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                       ra_batch_sink *sink, ra_error *err) {
    const ra_step *step = argument;
    return ra_sort_by_paths(compute, table, step->sort.keys, step->sort.n, sink, err);
}

int ra_run_sort_by(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                   ra_error *err) {
    return run_kernel(run, in, in->schema, sort_kernel, step, out, err);
}

static int flatten_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                          ra_batch_sink *sink, ra_error *err) {
    ra_schema *out_schema;
    memcpy(&out_schema, argument, sizeof out_schema);
    return ra_flatten(compute, table, out_schema, sink, err);
}

int ra_run_flatten(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                   ra_error *err) {
    (void)step;
    bool has_struct = false;
    for (int i = 0; i < in->schema->n_fields; i++)
        has_struct |= ra_field_layout(&in->schema->fields[i]) == RA_LAYOUT_STRUCT;
    if (!has_struct) {
        *out = ra_content_ref(in);
        return 0;
    }
    ra_schema *schema;
    RA_TRY(ra_flatten_schema(in->schema, &schema, err));
    int rc = run_kernel(run, in, schema, flatten_kernel, &schema, out, err);
    ra_schema_unref(schema);
    return rc;
}

static int unify_kernel(const ra_compute *compute, const ra_table *table, const void *argument,
                        ra_batch_sink *sink, ra_error *err) {
    (void)argument;
    return ra_unify_dictionaries(compute, table, sink, err);
}

// A part lies in one segment, and a segment has one generation of dictionaries.
int ra_run_unify_dictionaries(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                              ra_error *err) {
    (void)step;
    if (in->schema->n_dictionaries > 0 && in->n_parts > 1)
        return run_kernel(run, in, in->schema, unify_kernel, NULL, out, err);
    *out = ra_content_ref(in);
    return 0;
}

int ra_run_combine_chunks(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                          ra_error *err) {
    ra_content *unified;
    RA_TRY(ra_run_unify_dictionaries(run, step, in, &unified, err));
    int rc = ra_content_with_schema(unified, unified->schema, true, out, err);
    ra_content_unref(unified);
    return rc;
}

int ra_run_slice(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                 ra_error *err) {
    int64_t offset = step->slice.offset < in->n_rows ? step->slice.offset : in->n_rows;
    int64_t rest = in->n_rows - offset;
    int64_t n_rows = step->slice.length < rest ? step->slice.length : rest;
    if (n_rows == in->n_rows) {
        *out = ra_content_ref(in);
        return 0;
    }
    return ra_content_slice(in, offset, n_rows, run->kind, out, err);
}

int ra_run_select(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err) {
    (void)run;
    return ra_content_select(in, step->select.columns, step->select.n, out, err);
}

int ra_run_rename_columns(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                          ra_error *err) {
    (void)run;
    int n = in->schema->n_fields;
    ra_str *names = ra_calloc((size_t)n, sizeof names[0]);
    if (!names)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the names of %d columns", n);
    for (int i = 0; i < n; i++)
        names[i] = ra_renaming_apply(&step->renaming, i, in->schema->fields[i].name);
    ra_schema *schema;
    int rc = ra_schema_rename(in->schema, names, NULL, &schema, err);
    ra_free(names);
    RA_TRY(rc);
    rc = ra_content_with_schema(in, schema, in->combined, out, err);
    ra_schema_unref(schema);
    return rc;
}

int ra_run_replace_schema_metadata(ra_run *run, const ra_step *step, ra_content *in,
                                   ra_content **out, ra_error *err) {
    (void)run;
    ra_schema *schema;
    RA_TRY(ra_schema_with_metadata(in->schema, &step->metadata, &schema, err));
    int rc = ra_content_with_schema(in, schema, in->combined, out, err);
    ra_schema_unref(schema);
    return rc;
}

int ra_run_concat(ra_run *run, const ra_step *step, ra_content *in, ra_content **out,
                  ra_error *err) {
    int n = step->concat.n, n_done = 1, rc = 0;
    ra_content **contents = ra_calloc((size_t)n + 1, sizeof contents[0]);
    if (!contents)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d tables", n);
    contents[0] = ra_content_ref(in);
    for (int i = 0; i < n && rc == 0; i++) {
        rc = ra_run_relation(run, step->concat.tables[i], &contents[n_done], err);
        n_done += rc == 0;
    }
    if (rc == 0)
        rc = ra_content_concat(contents, n_done, out, err);
    for (int i = 0; i < n_done; i++)
        ra_content_unref(contents[i]);
    ra_free(contents);
    return rc;
}
