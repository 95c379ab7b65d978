#include "sql/worker/c_data.h"

#include <stdio.h>

#include "base/os.h"

enum { NULLABLE = 2, MAX_BUFFERS = 3, FORMAT_BYTES = 8 };

static const char *const formats[RA_N_TYPES] = {
    [RA_TYPE_BOOL] = "b",       [RA_TYPE_INT8] = "c",   [RA_TYPE_UINT8] = "C",
    [RA_TYPE_INT16] = "s",      [RA_TYPE_UINT16] = "S", [RA_TYPE_INT32] = "i",
    [RA_TYPE_UINT32] = "I",     [RA_TYPE_INT64] = "l",  [RA_TYPE_UINT64] = "L",
    [RA_TYPE_FLOAT] = "f",      [RA_TYPE_DOUBLE] = "g", [RA_TYPE_UTF8] = "u",
    [RA_TYPE_LARGE_UTF8] = "U", [RA_TYPE_BINARY] = "z", [RA_TYPE_LARGE_BINARY] = "Z",
    [RA_TYPE_DATE32] = "tdD",
};

static int fail_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table");
}

// One allocation holds the fields of a schema: the array of pointers, then the structures.
static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        ra_free((char *)(uintptr_t)schema->children[i]->name);
        ra_free((char *)(uintptr_t)schema->children[i]->format);
    }
    ra_free(schema->private_data);
    schema->release = NULL;
}

static void released_with_parent(struct ArrowSchema *schema) {
    schema->release = NULL;
}

static char *copy_text(ra_str text) {
    char *copy = ra_malloc(text.len + 1);
    if (!copy)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    return copy;
}

static char *print_format(const ra_field *field) {
    char *format = ra_malloc(FORMAT_BYTES);
    if (!format)
        return NULL;
    if (field->type == RA_TYPE_TIMESTAMP)
        snprintf(format, FORMAT_BYTES, "ts%c:", "smun"[field->unit]);
    else
        snprintf(format, FORMAT_BYTES, "%s", formats[field->type]);
    return format;
}

static int fill_field(const ra_field *field, struct ArrowSchema *out, ra_error *err) {
    if (field->is_dictionary || field->has_timezone ||
        (!formats[field->type] && field->type != RA_TYPE_TIMESTAMP))
        RA_FAIL(err, TYPE_ERROR, "column '%.*s' has a type that no file can hold",
                RA_STR_ARG(field->name));
    *out = (struct ArrowSchema){.format = print_format(field),
                                .name = copy_text(field->name),
                                .flags = field->nullable ? NULLABLE : 0,
                                .release = released_with_parent};
    return out->format && out->name ? 0 : fail_memory(err);
}

int ra_c_schema(const ra_schema *schema, struct ArrowSchema *out, ra_error *err) {
    size_t n = (size_t)schema->n_fields;
    struct ArrowSchema **children =
        ra_calloc(n + 1, sizeof(struct ArrowSchema *) + sizeof(struct ArrowSchema));
    if (!children)
        return fail_memory(err);
    struct ArrowSchema *fields = (struct ArrowSchema *)(children + n + 1);
    *out = (struct ArrowSchema){.format = "+s",
                                .name = "",
                                .children = children,
                                .release = release_schema,
                                .private_data = children};
    for (int i = 0; i < schema->n_fields; i++) {
        children[i] = &fields[i];
        out->n_children = i + 1;
        int rc = fill_field(&schema->fields[i], &fields[i], err);
        if (rc != 0) {
            release_schema(out);
            return rc;
        }
    }
    return 0;
}

typedef struct {
    ra_batch *batch;
    const void *none[1];
    struct column {
        struct ArrowArray array;
        const void *buffers[MAX_BUFFERS];
    } * columns;
    struct ArrowArray **children;
} held_batch;

static void release_array(struct ArrowArray *array) {
    held_batch *held = array->private_data;
    ra_batch_unref(held->batch);
    ra_free(held->columns);
    ra_free(held->children);
    ra_free(held);
    array->release = NULL;
}

static void array_released_with_parent(struct ArrowArray *array) {
    array->release = NULL;
}

static void fill_column(const ra_array *from, struct column *to) {
    int n = ra_layout_n_buffers(from->layout);
    to->array = (struct ArrowArray){.length = from->length,
                                    .null_count = from->null_count,
                                    .n_buffers = 1 + n,
                                    .buffers = to->buffers,
                                    .release = array_released_with_parent};
    to->buffers[0] = from->null_count ? from->validity.data : NULL;
    for (int i = 0; i < n; i++)
        to->buffers[1 + i] = from->buffers[i].data ? from->buffers[i].data : ra_zero_bytes;
}

int ra_c_array(ra_batch *batch, struct ArrowArray *out, ra_error *err) {
    size_t n = (size_t)batch->n_columns;
    held_batch *held = ra_calloc(1, sizeof *held);
    if (!held)
        return fail_memory(err);
    held->batch = ra_batch_ref(batch);
    held->columns = ra_calloc(n, sizeof *held->columns);
    held->children = ra_calloc(n, sizeof(struct ArrowArray *));
    *out = (struct ArrowArray){.length = batch->n_rows,
                               .n_buffers = 1,
                               .buffers = held->none,
                               .n_children = batch->n_columns,
                               .children = held->children,
                               .release = release_array,
                               .private_data = held};
    if (!held->columns || !held->children) {
        release_array(out);
        return fail_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        fill_column(&batch->columns[i], &held->columns[i]);
        held->children[i] = &held->columns[i].array;
    }
    return 0;
}
