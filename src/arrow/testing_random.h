// For tests only: random schemas and batches of every type, the same for the same seed.
//
// Batches are as ra_check_batch leaves them: valid, exact null counts and child lengths. Within
// that they are as awkward as the format allows: garbage under nulls and in unused bits, first
// offsets above 0, unreferenced children, gaps and repeats in list views and dense unions. A fault
// of these helpers ends the test program.
#ifndef RA_ARROW_TESTING_RANDOM_H
#define RA_ARROW_TESTING_RANDOM_H

#include <stdio.h>
#include <stdlib.h>

#include "arrow/array.h"
#include "base/checked.h"
#include "base/os.h"

typedef struct {
    uint64_t state;
} testing_rng;

static inline uint64_t testing_next(testing_rng *rng) {
    uint64_t x = rng->state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// A number from 0 to n - 1; 0 for n <= 0.
static inline int64_t testing_below(testing_rng *rng, int64_t n) {
    return n > 0 ? (int64_t)(testing_next(rng) % (uint64_t)n) : 0;
}

static inline bool testing_one_in(testing_rng *rng, int n) {
    return testing_below(rng, n) == 0;
}

static inline void testing_must(int rc, const ra_error *err) {
    if (rc != 0) {
        fprintf(stderr, "testing_random: %s\n", err->message);
        abort();
    }
}

static inline void *testing_arena_alloc(ra_schema *schema, int64_t count, size_t bytes) {
    void *p = ra_arena_alloc(&schema->arena, (size_t)count, bytes);
    if (!p)
        abort();
    return p;
}

static inline ra_str testing_name(ra_schema *schema, const char *prefix, int64_t number) {
    char text[64];
    snprintf(text, sizeof text, "%s%lld", prefix, (long long)number);
    ra_str copy = ra_arena_str(&schema->arena, ra_str_of(text));
    if (!copy.data)
        abort();
    return copy;
}

static inline void testing_add_metadata(ra_schema *schema, ra_metadata *metadata, ra_str key,
                                        ra_str value) {
    ra_key_value *items = testing_arena_alloc(schema, metadata->n + 1, sizeof *items);
    for (int i = 0; i < metadata->n; i++)
        items[i] = metadata->items[i];
    items[metadata->n] =
        (ra_key_value){ra_arena_str(&schema->arena, key), ra_arena_str(&schema->arena, value)};
    metadata->present = true;
    metadata->items = items;
    metadata->n++;
}

static inline ra_field *testing_set_children(ra_schema *schema, ra_field *field, int n) {
    field->n_children = n;
    field->children = n ? testing_arena_alloc(schema, n, sizeof *field->children) : NULL;
    return field->children;
}

// Type parameters that fit the type; a map or run-end field gets its fixed children, whose value
// child (returned) is left to the caller.
static inline ra_field *testing_set_type(ra_schema *schema, testing_rng *rng, ra_field *field,
                                         ra_type_id type) {
    static const int32_t max_precision[] = {9, 18, 38, 76};
    field->type = type;
    field->unit = (ra_time_unit)testing_below(rng, 4);
    if (type == RA_TYPE_TIME32)
        field->unit = (ra_time_unit)testing_below(rng, 2);
    if (type == RA_TYPE_TIME64)
        field->unit = (ra_time_unit)(2 + testing_below(rng, 2));
    if (type == RA_TYPE_TIMESTAMP && testing_one_in(rng, 2)) {
        field->has_timezone = true;
        field->timezone = RA_STR("Europe/Berlin");
    }
    if (type >= RA_TYPE_DECIMAL32 && type <= RA_TYPE_DECIMAL256) {
        int32_t max = max_precision[type - RA_TYPE_DECIMAL32];
        field->precision = 1 + (int32_t)testing_below(rng, max);
        field->scale = (int32_t)testing_below(rng, field->precision + 1);
    }
    if (type == RA_TYPE_FIXED_SIZE_BINARY)
        field->byte_width = (int32_t)testing_below(rng, 20);
    if (type == RA_TYPE_FIXED_SIZE_LIST)
        field->list_size = (int32_t)testing_below(rng, 4);
    if (type == RA_TYPE_MAP) {
        ra_field *entries = testing_set_children(schema, field, 1);
        *entries = (ra_field){.name = RA_STR("entries"), .type = RA_TYPE_STRUCT};
        ra_field *pair = testing_set_children(schema, entries, 2);
        pair[0] = (ra_field){.name = RA_STR("key"), .type = RA_TYPE_UTF8};
        return &pair[1];
    }
    if (type == RA_TYPE_RUN_END_ENCODED) {
        ra_field *pair = testing_set_children(schema, field, 2);
        ra_type_id ends = testing_one_in(rng, 2) ? RA_TYPE_INT32 : RA_TYPE_INT64;
        pair[0] = (ra_field){.name = RA_STR("run_ends"), .type = ends};
        return &pair[1];
    }
    return NULL;
}

static inline void testing_random_field(ra_schema *schema, testing_rng *rng, ra_field *field,
                                        ra_str name, int depth) {
    *field = (ra_field){.name = name, .nullable = !testing_one_in(rng, 8)};
    int n_types = depth > 0 ? RA_N_TYPES : RA_TYPE_FIXED_SIZE_BINARY + 1;
    ra_type_id type = (ra_type_id)testing_below(rng, n_types);
    if (depth > 0 && testing_one_in(rng, 2))
        type = (ra_type_id)(RA_TYPE_LIST + testing_below(rng, RA_N_TYPES - RA_TYPE_LIST));
    if (type != RA_TYPE_NULL && testing_one_in(rng, 6)) {
        field->is_dictionary = true;
        field->dictionary_ordered = testing_one_in(rng, 3);
        field->index_type = (ra_type_id)(RA_TYPE_INT8 + testing_below(rng, 8));
    }
    if (testing_one_in(rng, 5))
        testing_add_metadata(schema, &field->metadata, RA_STR("k"), RA_STR("v"));
    ra_field *value = testing_set_type(schema, rng, field, type);
    if (value) {
        testing_random_field(schema, rng, value, RA_STR("value"), depth - 1);
        value->name = type == RA_TYPE_MAP ? RA_STR("value") : RA_STR("values");
        return;
    }
    bool is_union = type == RA_TYPE_SPARSE_UNION || type == RA_TYPE_DENSE_UNION;
    int n = type < RA_TYPE_LIST ? 0 : 1;
    if (type == RA_TYPE_STRUCT || is_union)
        n = (int)testing_below(rng, 4) + (is_union ? 1 : 0);
    ra_field *children = testing_set_children(schema, field, n);
    if (is_union) {
        field->n_type_ids = n;
        field->type_ids = testing_arena_alloc(schema, n, 1);
    }
    for (int i = 0; i < n; i++) {
        if (is_union)
            field->type_ids[i] = (int8_t)(testing_below(rng, 30) * 4 + i);
        bool is_list = n == 1 && type != RA_TYPE_STRUCT && !is_union;
        ra_str child_name = is_list ? RA_STR("item") : testing_name(schema, "f", i);
        testing_random_field(schema, rng, &children[i], child_name, depth - 1);
    }
}

// Columns "c0", "c1" … of random types, nested at most `max_depth` deep (0: flat). One reference.
static inline ra_schema *testing_random_schema(uint64_t seed, int n_columns, int max_depth) {
    testing_rng rng = {seed};
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(n_columns, &schema, &err), &err);
    for (int i = 0; i < n_columns; i++)
        testing_random_field(schema, &rng, &schema->fields[i], testing_name(schema, "c", i),
                             max_depth);
    if (testing_one_in(&rng, 2))
        testing_add_metadata(schema, &schema->metadata, RA_STR("made by"), RA_STR("a test"));
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// Gives a nested field children of plain types.
static inline void testing_plain_children(ra_schema *schema, ra_field *field) {
    static const ra_type_id types[] = {RA_TYPE_INT32, RA_TYPE_UTF8};
    bool is_union = field->type == RA_TYPE_SPARSE_UNION || field->type == RA_TYPE_DENSE_UNION;
    int n = field->type == RA_TYPE_STRUCT || is_union ? 2 : 1;
    ra_field *children = testing_set_children(schema, field, n);
    for (int i = 0; i < n; i++)
        children[i] = (ra_field){.name = n == 1 ? RA_STR("item") : testing_name(schema, "f", i),
                                 .type = types[i],
                                 .nullable = true};
    if (is_union) {
        field->n_type_ids = n;
        field->type_ids = testing_arena_alloc(schema, n, 1);
        field->type_ids[0] = 5;
        field->type_ids[1] = 2;
    }
}

// One column per type, called after its number ("type0" …), then "dictionary0" … with each index
// type and a dictionary of utf8, "nested" (a dictionary inside a list inside a struct), and
// "extension" (fixed_size_binary(16) that says it is an arrow.uuid). One reference.
static inline ra_schema *testing_all_types_schema(void) {
    testing_rng rng = {7};
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(RA_N_TYPES + 10, &schema, &err), &err);
    ra_field *field = schema->fields;
    for (int type = 0; type < RA_N_TYPES; type++, field++) {
        *field = (ra_field){.name = testing_name(schema, "type", type), .nullable = true};
        ra_field *value = testing_set_type(schema, &rng, field, (ra_type_id)type);
        if (value)
            *value = (ra_field){.name = type == RA_TYPE_MAP ? RA_STR("value") : RA_STR("values"),
                                .type = RA_TYPE_UTF8,
                                .nullable = true};
        else if (type >= RA_TYPE_LIST)
            testing_plain_children(schema, field);
    }
    for (int i = 0; i < 8; i++, field++)
        *field = (ra_field){.name = testing_name(schema, "dictionary", i),
                            .type = RA_TYPE_UTF8,
                            .nullable = true,
                            .is_dictionary = true,
                            .index_type = (ra_type_id)(RA_TYPE_INT8 + i)};
    *field = (ra_field){.name = RA_STR("nested"), .type = RA_TYPE_STRUCT, .nullable = true};
    testing_plain_children(schema, field);
    field->children[0].type = RA_TYPE_LIST;
    testing_plain_children(schema, &field->children[0]);
    field->children[0].children[0].is_dictionary = true;
    field->children[0].children[0].index_type = RA_TYPE_INT8;
    field++;
    *field = (ra_field){.name = RA_STR("extension"),
                        .type = RA_TYPE_FIXED_SIZE_BINARY,
                        .byte_width = 16,
                        .nullable = true};
    testing_add_metadata(schema, &field->metadata, RA_STR("ARROW:extension:name"),
                         RA_STR("arrow.uuid"));
    testing_add_metadata(schema, &field->metadata, RA_STR("ARROW:extension:metadata"), RA_STR(""));
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static inline uint8_t *testing_alloc(ra_batch *batch, int64_t bytes) {
    ra_error err;
    uint8_t *p = NULL;
    testing_must(ra_batch_alloc(batch, bytes, &p, &err), &err);
    return p;
}

static inline ra_span testing_random_bytes(testing_rng *rng, ra_batch *batch, int64_t bytes) {
    uint8_t *p = testing_alloc(batch, bytes);
    for (int64_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)testing_next(rng);
    return (ra_span){p, bytes};
}

static inline ra_span testing_copy(ra_batch *batch, const ra_bytes *bytes) {
    uint8_t *p = testing_alloc(batch, (int64_t)bytes->len);
    if (bytes->len)
        memcpy(p, bytes->data, bytes->len);
    return (ra_span){p, (int64_t)bytes->len};
}

static inline void testing_random_nulls(testing_rng *rng, ra_batch *batch, ra_array *array) {
    array->null_count = 0;
    array->validity = (ra_span){NULL, 0};
    if (array->layout == RA_LAYOUT_NULL)
        array->null_count = array->length;
    if (!ra_layout_has_validity(array->layout) || testing_one_in(rng, 3))
        return;
    int one_in = testing_one_in(rng, 6) ? 1 : testing_one_in(rng, 2) ? 2 : 8;
    ra_span bits = testing_random_bytes(rng, batch, ra_bit_bytes(array->length));
    for (int64_t i = 0; i < array->length; i++) {
        bool null = testing_one_in(rng, one_in);
        if (null)
            ra_bit_clear((uint8_t *)(uintptr_t)bits.data, i);
        else
            ra_bit_set((uint8_t *)(uintptr_t)bits.data, i);
        array->null_count += null;
    }
    if (array->null_count > 0)
        array->validity = bits;
}

// A value in the domain of the type; small numbers are common so that values repeat.
static inline void testing_random_value(testing_rng *rng, const ra_field *field, uint8_t *at,
                                        int32_t width) {
    static const int64_t a_day[] = {86400, 86400000, 86400000000, 86400000000000};
    uint8_t wide[32];
    int64_t v = testing_one_in(rng, 2) ? testing_below(rng, 7) - 3 : (int64_t)testing_next(rng);
    if (field->type >= RA_TYPE_DECIMAL32 && field->type <= RA_TYPE_DECIMAL256) {
        int64_t limit = 1;
        for (int i = 0; i < field->precision && i < 18; i++)
            limit *= 10;
        v %= limit;
    }
    if (field->type == RA_TYPE_TIME32 || field->type == RA_TYPE_TIME64)
        v = testing_below(rng, a_day[field->unit]);
    if (field->type == RA_TYPE_DATE64)
        v = v % 1000000 * a_day[RA_UNIT_MILLI];
    if (field->type == RA_TYPE_FLOAT) {
        float f = testing_one_in(rng, 4) ? -0.0F : testing_one_in(rng, 9) ? 0.0F / 0.0F : (float)v;
        memcpy(&v, &f, sizeof f);
    }
    if (field->type == RA_TYPE_DOUBLE) {
        double f = testing_one_in(rng, 4) ? -0.0 : testing_one_in(rng, 9) ? 0.0 / 0.0 : (double)v;
        memcpy(&v, &f, sizeof f);
    }
    memset(wide, v < 0 ? 0xFF : 0, sizeof wide);
    memcpy(wide, &v, sizeof v);
    memcpy(at, wide, (size_t)(width < 32 ? width : 32));
}

static inline void testing_append(ra_bytes *bytes, const void *data, size_t n) {
    ra_error err;
    testing_must(ra_bytes_append(bytes, data, n, &err), &err);
}

// Appends one string of 0 to 27 bytes: valid UTF-8, or anything.
static inline void testing_random_string(testing_rng *rng, ra_bytes *out, bool utf8) {
    static const char *const words[] = {"",  "a", "Z",        "\xC3\xA4",         "\xE2\x82\xAC",
                                        "0", "b", "hello wo", "\xF0\x9F\x98\x80", "\x7F"};
    for (int64_t n = testing_below(rng, 4); n > 0; n--) {
        uint64_t random = testing_next(rng);
        const char *word = words[random % 10];
        if (utf8)
            testing_append(out, word, strlen(word));
        else
            testing_append(out, &random, (size_t)testing_below(rng, 9));
    }
}

static inline void testing_fill_strings(testing_rng *rng, ra_batch *batch, ra_array *array) {
    bool utf8 = ra_type_is_utf8(array->field->type), wide = array->layout == RA_LAYOUT_VAR64;
    ra_bytes data;
    ra_bytes_init(&data, SIZE_MAX / 4);
    if (testing_one_in(rng, 3))
        testing_append(&data, "\xFFgap", 4);
    int64_t offset_bytes = (array->length + 1) * (wide ? 8 : 4);
    uint8_t *offsets = testing_alloc(batch, offset_bytes);
    for (int64_t i = 0; i <= array->length; i++) {
        if (wide)
            ra_store_i64(offsets + i * 8, (int64_t)data.len);
        else
            ra_store_i32(offsets + i * 4, (int32_t)data.len);
        if (i < array->length)
            testing_random_string(rng, &data, utf8 && ra_array_is_valid(array, i));
    }
    array->buffers[0] = (ra_span){offsets, offset_bytes};
    if (testing_one_in(rng, 3))
        testing_append(&data, "\xFFmore", 5);
    array->buffers[1] = testing_copy(batch, &data);
    ra_bytes_fini(&data);
}

static inline void testing_fill_views(testing_rng *rng, ra_batch *batch, ra_array *array) {
    bool utf8 = ra_type_is_utf8(array->field->type);
    ra_bytes data[3], text;
    ra_bytes_init(&text, SIZE_MAX / 4);
    for (int i = 0; i < 3; i++)
        ra_bytes_init(&data[i], SIZE_MAX / 4);
    ra_span views = testing_random_bytes(rng, batch, array->length * 16);
    for (int64_t i = 0; i < array->length; i++) {
        uint8_t *view = (uint8_t *)(uintptr_t)views.data + i * 16;
        if (!ra_array_is_valid(array, i))
            continue;
        ra_bytes_clear(&text);
        testing_random_string(rng, &text, utf8);
        memset(view, 0, 16);
        ra_store_i32(view, (int32_t)text.len);
        if (text.len <= 12) {
            if (text.len)
                memcpy(view + 4, text.data, text.len);
            continue;
        }
        int32_t b = (int32_t)testing_below(rng, 3);
        if (testing_one_in(rng, 4))
            testing_append(&data[b], "\xFFgap", 4);
        memcpy(view + 4, text.data, 4);
        ra_store_i32(view + 8, b);
        ra_store_i32(view + 12, (int32_t)data[b].len);
        testing_append(&data[b], text.data, text.len);
    }
    array->buffers[0] = views;
    array->n_variadic = 3;
    array->variadic = ra_arena_alloc(&batch->arena, 3, sizeof *array->variadic);
    if (!array->variadic)
        abort();
    for (int i = 0; i < 3; i++) {
        array->variadic[i] = testing_copy(batch, &data[i]);
        ra_bytes_fini(&data[i]);
    }
    ra_bytes_fini(&text);
}

static inline void testing_put(uint8_t *at, int64_t i, int width, int64_t value) {
    memcpy(at + i * width, &value, (size_t)width);
}

// Offsets (and sizes) of lists; returns the child's length.
static inline int64_t testing_fill_lists(testing_rng *rng, ra_batch *batch, ra_array *array) {
    ra_layout layout = array->layout;
    int64_t n = array->length;
    bool view = layout == RA_LAYOUT_LIST_VIEW32 || layout == RA_LAYOUT_LIST_VIEW64;
    int width = layout == RA_LAYOUT_LIST64 || layout == RA_LAYOUT_LIST_VIEW64 ? 8 : 4;
    int64_t child = view ? n + testing_below(rng, 5) : testing_below(rng, 3), at = child;
    uint8_t *offsets = testing_alloc(batch, (n + 1) * width);
    uint8_t *sizes = view ? testing_alloc(batch, n * width) : NULL;
    for (int64_t i = 0; i < n; i++) {
        if (view) {
            at = testing_below(rng, child + 1);
            int64_t most = child - at < 4 ? child - at : 4;
            testing_put(sizes, i, width, testing_below(rng, most + 1));
        }
        testing_put(offsets, i, width, at);
        at += view ? 0 : testing_below(rng, 4);
    }
    if (!view)
        testing_put(offsets, n, width, at);
    array->buffers[0] = (ra_span){offsets, (n + (view ? 0 : 1)) * width};
    array->buffers[1] = (ra_span){sizes, view ? n * width : 0};
    return view ? child : at + testing_below(rng, 3);
}

static inline void testing_fill(testing_rng *rng, ra_batch *batch, ra_array *array, int64_t length);

static inline void testing_fill_union(testing_rng *rng, ra_batch *batch, ra_array *array) {
    int64_t next[128] = {0};
    bool dense = array->layout == RA_LAYOUT_DENSE_UNION;
    uint8_t *ids = testing_alloc(batch, array->length);
    uint8_t *offsets = dense ? testing_alloc(batch, array->length * 4) : NULL;
    for (int64_t i = 0; i < array->length; i++) {
        int64_t c = testing_below(rng, array->n_children);
        ids[i] = (uint8_t)array->field->type_ids[c];
        if (!dense)
            continue;
        next[c] += testing_one_in(rng, 5) ? testing_below(rng, 5) : 0;
        ra_store_i32(offsets + i * 4, (int32_t)next[c]);
        next[c] += testing_one_in(rng, 5) ? 0 : 1;
    }
    array->buffers[0] = (ra_span){ids, array->length};
    array->buffers[1] = (ra_span){offsets, dense ? array->length * 4 : 0};
    for (int c = 0; c < array->n_children; c++)
        testing_fill(rng, batch, &array->children[c], dense ? next[c] + 1 : array->length);
}

static inline void testing_fill_runs(testing_rng *rng, ra_batch *batch, ra_array *array) {
    ra_array *ends = &array->children[0];
    int width = ra_type_byte_width(ends->field);
    uint8_t *values = testing_alloc(batch, (array->length + 1) * width);
    int64_t runs = 0;
    for (int64_t at = 0; at < array->length; runs++) {
        at += 1 + testing_below(rng, 4);
        testing_put(values, runs, width, at);
    }
    ends->length = runs;
    ends->buffers[0] = (ra_span){values, runs * width};
    testing_fill(rng, batch, &array->children[1], runs);
}

static inline void testing_fill_indices(testing_rng *rng, ra_batch *batch, ra_array *array) {
    ra_error err;
    ra_batch *dictionary;
    int64_t n_values = testing_below(rng, 6) + (array->length > array->null_count);
    testing_must(ra_dictionary_new(batch->schema, array->field, n_values, &dictionary, &err), &err);
    testing_fill(rng, dictionary, &dictionary->columns[0], n_values);
    testing_must(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    array->dictionary = &dictionary->columns[0];
    ra_batch_unref(dictionary);
    int width = ra_field_byte_width(array->field);
    ra_span values = testing_random_bytes(rng, batch, array->length * width);
    for (int64_t i = 0; i < array->length; i++)
        if (ra_array_is_valid(array, i))
            testing_put((uint8_t *)(uintptr_t)values.data, i, width, testing_below(rng, n_values));
    array->buffers[0] = values;
}

static inline void testing_fill_fixed(testing_rng *rng, ra_batch *batch, ra_array *array) {
    int32_t width = ra_type_byte_width(array->field);
    ra_span values = testing_random_bytes(rng, batch, array->length * width);
    for (int64_t i = 0; i < array->length; i++)
        if (ra_array_is_valid(array, i))
            testing_random_value(rng, array->field, (uint8_t *)(uintptr_t)values.data + i * width,
                                 width);
    array->buffers[0] = values;
}

// A map's entries and their keys are not null, whatever was drawn.
static inline void testing_clear_nulls(ra_array *array) {
    array->validity = (ra_span){NULL, 0};
    array->null_count = 0;
}

static inline void testing_fill_map_entries(testing_rng *rng, ra_batch *batch, ra_array *entries,
                                            int64_t length) {
    entries->length = length;
    testing_clear_nulls(entries);
    ra_array *keys = &entries->children[0];
    keys->length = length;
    testing_clear_nulls(keys);
    testing_fill_strings(rng, batch, keys);
    testing_fill(rng, batch, &entries->children[1], length);
}

// Gives an array that ra_array_init has set up random rows.
static inline void testing_fill(testing_rng *rng, ra_batch *batch, ra_array *array,
                                int64_t length) {
    array->length = length;
    testing_random_nulls(rng, batch, array);
    if (array->field->is_dictionary && !array->of_dictionary) {
        testing_fill_indices(rng, batch, array);
        return;
    }
    int64_t child_length = length;
    switch (array->layout) {
        case RA_LAYOUT_BIT:
            array->buffers[0] = testing_random_bytes(rng, batch, ra_bit_bytes(length));
            return;
        case RA_LAYOUT_FIXED:
            testing_fill_fixed(rng, batch, array);
            return;
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64:
            testing_fill_strings(rng, batch, array);
            return;
        case RA_LAYOUT_VIEW:
            testing_fill_views(rng, batch, array);
            return;
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION:
            testing_fill_union(rng, batch, array);
            return;
        case RA_LAYOUT_RUN_END:
            testing_fill_runs(rng, batch, array);
            return;
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST64:
        case RA_LAYOUT_LIST_VIEW32:
        case RA_LAYOUT_LIST_VIEW64:
            child_length = testing_fill_lists(rng, batch, array);
            break;
        case RA_LAYOUT_FIXED_LIST:
            child_length = length * array->field->list_size;
            break;
        default:
            break;
    }
    for (int i = 0; i < array->n_children; i++) {
        if (array->field->type == RA_TYPE_MAP)
            testing_fill_map_entries(rng, batch, &array->children[i], child_length);
        else
            testing_fill(rng, batch, &array->children[i], child_length);
    }
}

// A batch of random rows, one reference. Any schema with int32 or int64 run ends and plain map keys
// of utf8; for int16 run ends n_rows must be small.
static inline ra_batch *testing_random_batch(uint64_t seed, int64_t n_rows, ra_schema *schema) {
    testing_rng rng = {seed};
    ra_error err;
    ra_batch *batch;
    testing_must(ra_batch_new(schema, n_rows, &batch, &err), &err);
    for (int i = 0; i < batch->n_columns; i++)
        testing_fill(&rng, batch, &batch->columns[i], n_rows);
    return batch;
}

static inline ra_span testing_misaligned_span(ra_batch *batch, ra_span span) {
    ra_error err;
    ra_blob *blob;
    if (!span.data)
        return span;
    uint8_t *copy = ra_malloc((size_t)span.bytes + 1);
    if (!copy)
        abort();
    if (span.bytes > 0)
        memcpy(copy + 1, span.data, (size_t)span.bytes);
    testing_must(ra_blob_take(copy, (size_t)span.bytes + 1, &blob, &err), &err);
    testing_must(ra_batch_own(batch, blob, &err), &err);
    ra_blob_unref(blob);
    return (ra_span){copy + 1, span.bytes};
}

static inline void testing_misalign_array(ra_batch *batch, ra_array *to, const ra_array *from) {
    to->length = from->length;
    to->null_count = from->null_count;
    to->dictionary = from->dictionary;
    to->validity = testing_misaligned_span(batch, from->validity);
    for (int i = 0; i < 2; i++)
        to->buffers[i] = testing_misaligned_span(batch, from->buffers[i]);
    to->n_variadic = from->n_variadic;
    to->variadic = ra_arena_alloc(&batch->arena, (size_t)to->n_variadic, sizeof *to->variadic);
    if (!to->variadic)
        abort();
    for (int i = 0; i < to->n_variadic; i++)
        to->variadic[i] = testing_misaligned_span(batch, from->variadic[i]);
    for (int i = 0; i < to->n_children; i++)
        testing_misalign_array(batch, &to->children[i], &from->children[i]);
}

// The same batch with every buffer at an odd address and in memory of its exact size, so that
// sanitizers see a load that is aligned or too long. Dictionaries stay as they are. One reference.
static inline ra_batch *testing_misaligned(const ra_batch *batch) {
    ra_error err;
    ra_batch *copy;
    testing_must(ra_batch_new(batch->schema, batch->n_rows, &copy, &err), &err);
    testing_must(ra_batch_own_all(copy, batch, &err), &err);
    for (int i = 0; i < batch->n_columns; i++)
        testing_misalign_array(copy, &copy->columns[i], &batch->columns[i]);
    return copy;
}

#endif
