#include "sql/worker/c_data.h"

#include <stdio.h>

#include "base/os.h"

enum { NULLABLE = 2, MAP_KEYS_SORTED = 4, MAX_BUFFERS = 3 };
static const size_t arena_ceiling = (size_t)1 << 30;

static const char *const formats[RA_N_TYPES] = {
    [RA_TYPE_NULL] = "n",
    [RA_TYPE_BOOL] = "b",
    [RA_TYPE_INT8] = "c",
    [RA_TYPE_UINT8] = "C",
    [RA_TYPE_INT16] = "s",
    [RA_TYPE_UINT16] = "S",
    [RA_TYPE_INT32] = "i",
    [RA_TYPE_UINT32] = "I",
    [RA_TYPE_INT64] = "l",
    [RA_TYPE_UINT64] = "L",
    [RA_TYPE_FLOAT] = "f",
    [RA_TYPE_DOUBLE] = "g",
    [RA_TYPE_UTF8] = "u",
    [RA_TYPE_LARGE_UTF8] = "U",
    [RA_TYPE_UTF8_VIEW] = "vu",
    [RA_TYPE_BINARY] = "z",
    [RA_TYPE_LARGE_BINARY] = "Z",
    [RA_TYPE_BINARY_VIEW] = "vz",
    [RA_TYPE_DATE32] = "tdD",
    [RA_TYPE_LIST] = "+l",
    [RA_TYPE_LARGE_LIST] = "+L",
    [RA_TYPE_LIST_VIEW] = "+vl",
    [RA_TYPE_LARGE_LIST_VIEW] = "+vL",
    [RA_TYPE_STRUCT] = "+s",
    [RA_TYPE_MAP] = "+m",
};

static int fail_memory(ra_error *err) {
    RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table");
}

// The arena is the first thing in what it holds.
static void release_arena(ra_arena *held) {
    ra_arena arena = *held;
    ra_arena_fini(&arena);
}

static void *new_held(size_t bytes) {
    ra_arena arena;
    ra_arena_init(&arena, arena_ceiling);
    ra_arena *held = ra_arena_alloc(&arena, 1, bytes);
    if (held)
        *held = arena;
    else
        ra_arena_fini(&arena);
    return held;
}

static void release_schema(struct ArrowSchema *schema) {
    schema->release = NULL;
    release_arena(schema->private_data);
}

static void released_with_parent(struct ArrowSchema *schema) {
    schema->release = NULL;
}

static const char *print_format(ra_arena *arena, const ra_field *field) {
    char text[300];
    if (field->type == RA_TYPE_TIMESTAMP)
        snprintf(text, sizeof text, "ts%c:%.*s", "smun"[field->unit], RA_STR_ARG(field->timezone));
    else if (field->type == RA_TYPE_TIME64)
        snprintf(text, sizeof text, "tt%c", "smun"[field->unit]);
    else if (field->type == RA_TYPE_DECIMAL128)
        snprintf(text, sizeof text, "d:%d,%d", field->precision, field->scale);
    else if (field->type == RA_TYPE_FIXED_SIZE_BINARY)
        snprintf(text, sizeof text, "w:%d", field->byte_width);
    else
        return formats[field->type];
    return ra_arena_str(arena, ra_str_of(text)).data;
}

static int fill_schema(ra_arena *arena, const ra_field *field, struct ArrowSchema *out,
                       ra_error *err);

static struct ArrowSchema **new_schemas(ra_arena *arena, size_t n) {
    struct ArrowSchema **pointers = ra_arena_alloc(arena, n, sizeof(struct ArrowSchema *));
    struct ArrowSchema *items = ra_arena_alloc(arena, n, sizeof *items);
    for (size_t i = 0; pointers && items && i < n; i++)
        pointers[i] = &items[i];
    return items ? pointers : NULL;
}

static int fill_children(ra_arena *arena, const ra_field *fields, int n, struct ArrowSchema *out,
                         ra_error *err) {
    out->n_children = n;
    out->children = new_schemas(arena, (size_t)n);
    if (!out->children)
        return fail_memory(err);
    for (int i = 0; i < n; i++)
        RA_TRY(fill_schema(arena, &fields[i], out->children[i], err));
    return 0;
}

// The metadata that makes 16 bytes a UUID, as the C data interface writes it: numbers of pairs and
// of bytes in front.
static const char uuid[] = "\1\0\0\0\24\0\0\0ARROW:extension:name\12\0\0\0arrow.uuid";

static bool is_uuid(const ra_field *field) {
    if (field->type != RA_TYPE_FIXED_SIZE_BINARY || field->byte_width != 16)
        return false;
    for (int i = 0; i < field->metadata.n; i++)
        if (ra_str_eq(field->metadata.items[i].key, RA_STR("ARROW:extension:name")))
            return ra_str_eq(field->metadata.items[i].value, RA_STR("arrow.uuid"));
    return false;
}

static int fill_schema(ra_arena *arena, const ra_field *field, struct ArrowSchema *out,
                       ra_error *err) {
    *out = (struct ArrowSchema){
        .format = print_format(arena, field),
        .name = ra_arena_str(arena, field->name).data,
        .metadata = is_uuid(field) ? uuid : NULL,
        .flags = (field->nullable ? NULLABLE : 0) | (field->keys_sorted ? MAP_KEYS_SORTED : 0),
        .release = released_with_parent};
    if (!out->name)
        return fail_memory(err);
    if (!out->format || field->is_dictionary)
        RA_FAIL(err, TYPE_ERROR, "column '%.*s' has a type that no file can hold",
                RA_STR_ARG(field->name));
    return fill_children(arena, field->children, field->n_children, out, err);
}

int ra_c_schema(const ra_schema *schema, struct ArrowSchema *out, ra_error *err) {
    ra_arena *arena = new_held(sizeof *arena);
    if (!arena)
        return fail_memory(err);
    *out = (struct ArrowSchema){
        .format = "+s", .name = "", .release = release_schema, .private_data = arena};
    int rc = fill_children(arena, schema->fields, schema->n_fields, out, err);
    if (rc != 0)
        release_schema(out);
    return rc;
}

typedef struct {
    ra_arena arena;
    ra_batch *batch;
} held_batch;

static void release_array(struct ArrowArray *array) {
    held_batch *held = array->private_data;
    array->release = NULL;
    ra_batch_unref(held->batch);
    release_arena(&held->arena);
}

static void array_released_with_parent(struct ArrowArray *array) {
    array->release = NULL;
}

static int fill_array(ra_arena *arena, const ra_array *from, struct ArrowArray *to, ra_error *err);

static struct ArrowArray **new_arrays(ra_arena *arena, size_t n) {
    struct ArrowArray **pointers = ra_arena_alloc(arena, n, sizeof(struct ArrowArray *));
    struct ArrowArray *items = ra_arena_alloc(arena, n, sizeof *items);
    for (size_t i = 0; pointers && items && i < n; i++)
        pointers[i] = &items[i];
    return items ? pointers : NULL;
}

static int fill_child_arrays(ra_arena *arena, const ra_array *arrays, int n, struct ArrowArray *to,
                             ra_error *err) {
    to->n_children = n;
    to->children = new_arrays(arena, (size_t)n);
    if (!to->children)
        return fail_memory(err);
    for (int i = 0; i < n; i++)
        RA_TRY(fill_array(arena, &arrays[i], to->children[i], err));
    return 0;
}

// The data buffers of a view follow its views, and their sizes follow them.
static int fill_views(ra_arena *arena, const ra_array *from, const void **buffers, ra_error *err) {
    int64_t *sizes = ra_arena_alloc(arena, (size_t)from->n_variadic + 1, sizeof *sizes);
    if (!sizes)
        return fail_memory(err);
    for (int i = 0; i < from->n_variadic; i++) {
        buffers[i] = from->variadic[i].data;
        sizes[i] = from->variadic[i].bytes;
    }
    buffers[from->n_variadic] = sizes;
    return 0;
}

static int fill_buffers(ra_arena *arena, const ra_array *from, struct ArrowArray *to,
                        ra_error *err) {
    int n = ra_layout_n_buffers(from->layout), at = 0;
    bool is_view = from->layout == RA_LAYOUT_VIEW;
    const void **buffers =
        ra_arena_alloc(arena, (size_t)from->n_variadic + MAX_BUFFERS + 1, sizeof *buffers);
    if (!buffers)
        return fail_memory(err);
    to->buffers = buffers;
    if (ra_layout_has_validity(from->layout))
        buffers[at++] = from->null_count ? from->validity.data : NULL;
    for (int i = 0; i < n; i++)
        buffers[at++] = from->buffers[i].data ? from->buffers[i].data : ra_zero_bytes;
    if (is_view)
        RA_TRY(fill_views(arena, from, buffers + at, err));
    to->n_buffers = at + (is_view ? from->n_variadic + 1 : 0);
    return 0;
}

static int fill_array(ra_arena *arena, const ra_array *from, struct ArrowArray *to, ra_error *err) {
    *to = (struct ArrowArray){.length = from->length,
                              .null_count = from->null_count,
                              .release = array_released_with_parent};
    RA_TRY(fill_buffers(arena, from, to, err));
    return fill_child_arrays(arena, from->children, from->n_children, to, err);
}

int ra_c_array(ra_batch *batch, struct ArrowArray *out, ra_error *err) {
    held_batch *held = new_held(sizeof *held);
    if (!held)
        return fail_memory(err);
    held->batch = ra_batch_ref(batch);
    *out = (struct ArrowArray){
        .length = batch->n_rows, .n_buffers = 1, .release = release_array, .private_data = held};
    out->buffers = ra_arena_alloc(&held->arena, 1, sizeof *out->buffers);
    int rc = out->buffers
                 ? fill_child_arrays(&held->arena, batch->columns, batch->n_columns, out, err)
                 : fail_memory(err);
    if (rc != 0)
        release_array(out);
    return rc;
}
