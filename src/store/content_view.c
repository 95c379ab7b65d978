// Contents made of the parts of others.
#include <inttypes.h>
#include <string.h>

#include "arrow/slice.h"
#include "base/os.h"
#include "store/content_parts.h"
#include "store/internal.h"

enum { ERROR_FIELD_BYTES = 400 };

static int fail_types(const ra_field *field, const char *what, ra_error *err) {
    int code = ra_error_set(err, RA_REASON_SCHEMA_MISMATCH, "field '%.*s' %s",
                            RA_STR_ARG(field->name), what);
    ra_error_set_subject(err, "column", field->name.data, field->name.len);
    return code;
}

static int check_equal_types(const ra_schema *schema, const ra_schema *other, ra_error *err) {
    if (schema->n_fields != other->n_fields)
        RA_FAIL(err, SCHEMA_MISMATCH, "%d columns cannot stand for %d", other->n_fields,
                schema->n_fields);
    for (int i = 0; i < schema->n_fields; i++) {
        if (!ra_type_equal(&schema->fields[i], &other->fields[i]))
            return fail_types(&schema->fields[i], "would have another type", err);
    }
    return 0;
}

int ra_content_with_schema(ra_content *content, ra_schema *schema, bool combined, ra_content **out,
                           ra_error *err) {
    *out = NULL;
    RA_TRY(check_equal_types(content->schema, schema, err));
    ra_part_list list = {0};
    int rc = ra_part_list_add_content(&list, content, err);
    if (rc != 0) {
        ra_part_list_fini(&list);
        return rc;
    }
    return ra_content_from_list(content->store, schema, &list, combined, out, err);
}

// Whether the columns are all of the segment's, in order.
static bool is_identity(const int *columns, int n, const ra_schema *schema) {
    if (n != schema->n_fields)
        return false;
    for (int i = 0; i < n; i++) {
        if (columns[i] != i)
            return false;
    }
    return true;
}

static int add_selected(ra_part_list *list, const ra_part *part, const int *columns, int n,
                        int *chosen, ra_error *err) {
    for (int i = 0; i < n; i++)
        chosen[i] = part->n_columns < 0 ? columns[i] : part->columns[columns[i]];
    if (is_identity(chosen, n, part->segment->schema))
        return ra_part_list_add(list, part->segment, part->first_batch, part->n_batches, NULL, -1,
                                err);
    return ra_part_list_add(list, part->segment, part->first_batch, part->n_batches, chosen, n,
                            err);
}

static int select_view(ra_content *content, ra_schema *schema, const int *columns, int n,
                       ra_content **out, ra_error *err) {
    int *chosen = ra_malloc((size_t)n * sizeof *chosen);
    if (!chosen)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table of %d columns", n);
    ra_part_list list = {0};
    int rc = 0;
    for (int i = 0; i < content->n_parts && rc == 0; i++)
        rc = add_selected(&list, &content->parts[i], columns, n, chosen, err);
    ra_free(chosen);
    if (rc != 0) {
        ra_part_list_fini(&list);
        return rc;
    }
    return ra_content_from_list(content->store, schema, &list, false, out, err);
}

// How often the most repeated column is chosen.
static int find_repeats(const int *columns, int n, int n_fields, int *out, ra_error *err) {
    int *counts = ra_calloc((size_t)n_fields, sizeof *counts);
    if (!counts)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table of %d columns", n_fields);
    for (int i = 0; i < n; i++) {
        ra_assert(columns[i] >= 0 && columns[i] < n_fields);
        if (++counts[columns[i]] > *out)
            *out = counts[columns[i]];
    }
    ra_free(counts);
    return 0;
}

// Whether a batch with columns repeated so often may be over the batch limit.
static bool may_exceed_limit(const ra_content *content, int repeats) {
    for (int p = 0; p < content->n_parts; p++) {
        const ra_part *part = &content->parts[p];
        const ra_segment *segment = part->segment;
        for (int i = part->first_batch; i < part->first_batch + part->n_batches; i++) {
            const ra_segment_entry *entry = &segment->entries[segment->n_dictionaries + i];
            int64_t once = entry->message_bytes + entry->body_bytes + 64;
            if (once * repeats + entry->app_metadata_bytes >= RA_BATCH_LIMIT_BYTES)
                return true;
        }
    }
    return false;
}

static int write_batch(ra_content *content, int64_t i, ra_writer *writer, ra_error *err) {
    ra_batch *batch;
    RA_TRY(ra_content_batch(content, i, &batch, err));
    ra_blob *app_metadata;
    int rc = ra_content_app_metadata(content, i, &app_metadata, err);
    if (rc == 0) {
        ra_span span = {app_metadata->data, (int64_t)app_metadata->bytes};
        rc = ra_writer_add(writer, batch, span, err);
        ra_blob_unref(app_metadata);
    }
    ra_batch_unref(batch);
    return rc;
}

int ra_content_write_batches(ra_content *content, int64_t first, int64_t end, ra_writer *writer,
                             ra_error *err) {
    for (int64_t i = first; i < end; i++)
        RA_TRY(write_batch(content, i, writer, err));
    return 0;
}

// Writes a view as a content of its own, whose batches are within the limit.
static int materialise(ra_content *view, ra_content **out, ra_error *err) {
    ra_writer *writer;
    RA_TRY(ra_writer_new(view->store, view->schema, RA_WRITE_RESULT, &writer, err));
    int rc = ra_content_write_batches(view, 0, view->n_batches, writer, err);
    if (rc == 0)
        rc = ra_writer_finish(writer, out, err);
    ra_writer_free(writer);
    return rc;
}

int ra_content_select(ra_content *content, const int *columns, int n, ra_content **out,
                      ra_error *err) {
    *out = NULL;
    int repeats = 0;
    RA_TRY(find_repeats(columns, n, content->schema->n_fields, &repeats, err));
    ra_schema *schema;
    RA_TRY(ra_schema_select(content->schema, columns, n, &schema, err));
    ra_content *view;
    int rc = select_view(content, schema, columns, n, &view, err);
    ra_schema_unref(schema);
    RA_TRY(rc);
    if (repeats <= 1 || !may_exceed_limit(content, repeats)) {
        *out = view;
        return 0;
    }
    rc = materialise(view, out, err);
    ra_content_unref(view);
    return rc;
}

// A slice of a content that is being made: whole batches, and cut ones written as `kind`.
typedef struct {
    ra_content *content;
    ra_write_kind kind;
    ra_part_list list;
} slicing;

// Rows [offset, offset + n_rows) of batch `i` as a content.
static int cut_batch(const slicing *slice, int64_t i, int64_t offset, int64_t n_rows,
                     ra_content **out, ra_error *err) {
    ra_content *content = slice->content;
    ra_batch *batch, *cut;
    RA_TRY(ra_content_batch(content, i, &batch, err));
    int rc = ra_batch_slice(batch, offset, n_rows, &cut, err);
    ra_batch_unref(batch);
    RA_TRY(rc);
    ra_writer *writer;
    rc = ra_writer_new(content->store, content->schema, slice->kind, &writer, err);
    if (rc == 0) {
        rc = ra_writer_add(writer, cut, (ra_span){0}, err);
        if (rc == 0)
            rc = ra_writer_finish(writer, out, err);
        ra_writer_free(writer);
    }
    ra_batch_unref(cut);
    return rc;
}

static int add_cut(slicing *slice, int64_t i, int64_t offset, int64_t n_rows, ra_error *err) {
    ra_content *cut;
    RA_TRY(cut_batch(slice, i, offset, n_rows, &cut, err));
    int rc = ra_part_list_add_content(&slice->list, cut, err);
    ra_content_unref(cut);
    return rc;
}

// The first i in [low, high] with starts[i] >= row; high + 1 if there is none.
static int lower_bound(const int64_t *starts, int low, int high, int64_t row) {
    high++;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (starts[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Adds rows [from, to) of part `p`, counted from the part's first row; from < to.
static int add_rows(slicing *slice, int p, int64_t from, int64_t to, ra_error *err) {
    const ra_part *part = &slice->content->parts[p];
    const int64_t *starts = part->segment->row_starts;
    int first = part->first_batch, end = first + part->n_batches;
    int64_t number = slice->content->batch_starts[p] - first;  // of a batch in the content
    from += starts[first];
    to += starts[first];
    int begin_whole = lower_bound(starts, first, end, from);
    int end_whole = lower_bound(starts, first, end, to + 1) - 1;
    if (begin_whole > end_whole)
        return add_cut(slice, number + end_whole, from - starts[end_whole], to - from, err);
    if (starts[begin_whole] > from)
        RA_TRY(add_cut(slice, number + begin_whole - 1, from - starts[begin_whole - 1],
                       starts[begin_whole] - from, err));
    RA_TRY(ra_part_list_add(&slice->list, part->segment, begin_whole, end_whole - begin_whole,
                            part->columns, part->n_columns, err));
    if (starts[end_whole] < to)
        RA_TRY(add_cut(slice, number + end_whole, 0, to - starts[end_whole], err));
    return 0;
}

int ra_content_slice(ra_content *content, int64_t offset, int64_t n_rows, ra_write_kind kind,
                     ra_content **out, ra_error *err) {
    *out = NULL;
    ra_assert(offset >= 0 && n_rows >= 0 && n_rows <= content->n_rows - offset);
    slicing slice = {.content = content, .kind = kind};
    int rc = 0;
    int64_t part_start = 0;
    for (int p = 0; p < content->n_parts && rc == 0; p++) {
        int64_t part_rows = content->parts[p].n_rows;
        int64_t from = offset > part_start ? offset - part_start : 0;
        int64_t to = offset + n_rows - part_start;
        if (to > part_rows)
            to = part_rows;
        if (from < to)
            rc = add_rows(&slice, p, from, to, err);
        part_start += part_rows;
    }
    if (rc != 0) {
        ra_part_list_fini(&slice.list);
        return rc;
    }
    return ra_content_from_list(content->store, content->schema, &slice.list, false, out, err);
}

// Long types are cut; memory is not worth another error.
static void print_field(const ra_field *field, ra_bytes *out) {
    ra_bytes_init(out, ERROR_FIELD_BYTES);
    if (ra_bytes_printf(out, NULL, "'%.*s: ", RA_STR_ARG(field->name)) != 0)
        return;
    ra_type_print(field, out);
    (void)!ra_bytes_printf(out, NULL, "%s'", field->nullable ? "" : " not null");
}

static int fail_field(int i, const ra_field *first, const ra_field *other, ra_error *err) {
    ra_bytes is, added;
    print_field(first, &is);
    print_field(other, &added);
    int code = ra_error_set(err, RA_REASON_SCHEMA_MISMATCH,
                            "column %d is %.*s in the first table, %.*s in the other", i,
                            RA_STR_ARG(ra_bytes_str(&is)), RA_STR_ARG(ra_bytes_str(&added)));
    ra_error_set_subject(err, "column", first->name.data, first->name.len);
    ra_bytes_fini(&is);
    ra_bytes_fini(&added);
    return code;
}

static int check_same_fields(const ra_schema *first, const ra_schema *other, ra_error *err) {
    for (int i = 0; i < first->n_fields && i < other->n_fields; i++) {
        if (!ra_field_equal(&first->fields[i], &other->fields[i], false))
            return fail_field(i, &first->fields[i], &other->fields[i], err);
    }
    if (first->n_fields != other->n_fields)
        RA_FAIL(err, SCHEMA_MISMATCH, "the first table has %d columns, the other %d",
                first->n_fields, other->n_fields);
    return 0;
}

int ra_content_concat(ra_content *const *contents, int n, ra_content **out, ra_error *err) {
    *out = NULL;
    ra_assert(n >= 1);
    ra_part_list list = {0};
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        if (contents[i]->schema != contents[0]->schema)
            rc = check_same_fields(contents[0]->schema, contents[i]->schema, err);
        if (rc == 0)
            rc = ra_part_list_add_content(&list, contents[i], err);
    }
    if (rc != 0) {
        ra_part_list_fini(&list);
        return rc;
    }
    return ra_content_from_list(contents[0]->store, contents[0]->schema, &list, false, out, err);
}
