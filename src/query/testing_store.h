// For tests: a store in a temporary folder with small tables, and an engine on it.
#ifndef RA_QUERY_TESTING_STORE_H
#define RA_QUERY_TESTING_STORE_H

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "arrow/access.h"
#include "base/checked.h"
#include "base/os.h"
#include "base/testing.h"
#include "query/engine.h"

typedef struct {
    char dir[64];
    ra_workers *workers;
    ra_workers *jobs;
    ra_budget budget;
    ra_store *store;
    ra_engine *engine;
} testing_store;

static inline void assert_ok(int rc, const ra_error *err) {
    if (rc != 0)
        fail_msg("%s: %s", ra_reason_get(err->reason)->name, err->message);
}

// Opens the store in t->dir.
static inline void testing_store_start(testing_store *t) {
    ra_error err;
    assert_ok(ra_workers_new("worker", 2, &t->workers, &err), &err);
    assert_ok(ra_workers_new("job", 4, &t->jobs, &err), &err);
    ra_budget_init(&t->budget, NULL, "memory", 1024 * 1024 * 1024);
    ra_store_options store = {.data_dir = t->dir, .budget = &t->budget, .workers = t->workers};
    assert_ok(ra_store_open(&store, &t->store, &err), &err);
    ra_engine_options engine = {
        .store = t->store, .jobs = t->jobs, .morsels = t->workers, .budget = &t->budget};
    assert_ok(ra_engine_new(&engine, &t->engine, &err), &err);
}

static inline void testing_store_stop(testing_store *t) {
    ra_workers_free(t->jobs);
    ra_engine_free(t->engine);
    ra_store_close(t->store);
    ra_workers_free(t->workers);
    ra_budget_fini(&t->budget);
}

static inline void testing_store_open(testing_store *t) {
    memset(t, 0, sizeof *t);
    snprintf(t->dir, sizeof t->dir, "/tmp/ra-query-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    testing_store_start(t);
}

static inline void testing_store_close(testing_store *t) {
    testing_store_stop(t);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    assert_int_equal(system(command), 0);
}

// A type by a letter: i int64, j int32, u uint64, s utf8, b bool, n null, S struct<x: int64,
// y: utf8>, d dictionary<utf8, int8>, r run-end encoded bool.
static inline void testing_field(ra_schema *schema, ra_field *field, char type) {
    field->nullable = true;
    field->type = type == 'i'   ? RA_TYPE_INT64
                  : type == 'j' ? RA_TYPE_INT32
                  : type == 'u' ? RA_TYPE_UINT64
                  : type == 'b' ? RA_TYPE_BOOL
                  : type == 'n' ? RA_TYPE_NULL
                  : type == 'S' ? RA_TYPE_STRUCT
                  : type == 'r' ? RA_TYPE_RUN_END_ENCODED
                                : RA_TYPE_UTF8;
    if (type == 'd') {
        field->is_dictionary = true;
        field->index_type = RA_TYPE_INT8;
    }
    if (type != 'S' && type != 'r')
        return;
    field->n_children = 2;
    field->children = ra_arena_alloc(&schema->arena, 2, sizeof *field->children);
    assert_non_null(field->children);
    testing_field(schema, &field->children[0], type == 'S' ? 'i' : 'j');
    testing_field(schema, &field->children[1], type == 'S' ? 's' : 'b');
    field->children[0].name = type == 'S' ? RA_STR("x") : RA_STR("run_ends");
    field->children[1].name = type == 'S' ? RA_STR("y") : RA_STR("values");
    field->children[0].nullable = type == 'S';
}

// "i:a s:b": fields by type and name, with schema metadata k=v.
static inline ra_schema *testing_schema(const char *fields) {
    ra_error err;
    ra_schema *schema;
    int n = fields[0] != 0;
    for (const char *c = fields; *c; c++)
        n += *c == ' ';
    assert_ok(ra_schema_new(n, &schema, &err), &err);
    for (int i = 0; i < n; i++) {
        size_t len = strcspn(fields, " ");
        testing_field(schema, &schema->fields[i], fields[0]);
        schema->fields[i].name = ra_arena_str(&schema->arena, (ra_str){fields + 2, len - 2});
        fields += len + (fields[len] == ' ');
    }
    ra_key_value item = {RA_STR("k"), RA_STR("v")};
    ra_metadata metadata = {.present = true, .n = 1, .items = &item};
    assert_ok(ra_metadata_copy(schema, &metadata, &schema->metadata, &err), &err);
    assert_ok(ra_schema_seal(schema, &err), &err);
    return schema;
}

static inline uint8_t *testing_alloc(ra_batch *batch, int64_t bytes) {
    ra_error err;
    uint8_t *p;
    assert_ok(ra_batch_alloc(batch, bytes, &p, &err), &err);
    return p;
}

static inline void testing_fill(ra_batch *batch, ra_array *array, json_t *values);

static inline void testing_fill_utf8(ra_batch *batch, ra_array *array, json_t *values) {
    size_t total = 0, i;
    json_t *value;
    json_array_foreach(values, i, value) {
        total += json_string_length(value);
    }
    uint8_t *offsets = testing_alloc(batch, 4 * (array->length + 1));
    uint8_t *data = testing_alloc(batch, (int64_t)total);
    total = 0;
    json_array_foreach(values, i, value) {
        ra_store_i32(offsets + 4 * i, (int32_t)total);
        if (json_is_string(value))
            memcpy(data + total, json_string_value(value), json_string_length(value));
        total += json_string_length(value);
    }
    ra_store_i32(offsets + 4 * array->length, (int32_t)total);
    array->buffers[0] = (ra_span){offsets, 4 * (array->length + 1)};
    array->buffers[1] = (ra_span){data, (int64_t)total};
}

static inline void testing_fill_struct(ra_batch *batch, ra_array *array, json_t *values) {
    for (int c = 0; c < array->n_children; c++) {
        json_t *child = json_array(), *value;
        size_t i;
        json_array_foreach(values, i, value) {
            json_t *item = json_array_get(value, (size_t)c);
            json_array_append(child, item ? item : json_null());
        }
        array->children[c].length = array->length;
        testing_fill(batch, &array->children[c], child);
        json_decref(child);
    }
}

// Each distinct value once, in order.
static inline void testing_fill_dictionary(ra_batch *batch, ra_array *array, json_t *values) {
    json_t *distinct = json_array(), *value, *known;
    uint8_t *indices = testing_alloc(batch, array->length);
    size_t i, k;
    json_array_foreach(values, i, value) {
        if (json_is_null(value))
            continue;
        json_array_foreach(distinct, k, known) {
            if (json_equal(value, known))
                break;
        }
        if (k == json_array_size(distinct))
            json_array_append(distinct, value);
        indices[i] = (uint8_t)k;
    }
    ra_error err;
    ra_batch *dictionary;
    assert_ok(ra_dictionary_new(batch->schema, array->field, (int64_t)json_array_size(distinct),
                                &dictionary, &err),
              &err);
    testing_fill_utf8(dictionary, &dictionary->columns[0], distinct);
    assert_ok(ra_batch_own_dictionary(batch, dictionary, &err), &err);
    array->dictionary = &dictionary->columns[0];
    array->buffers[0] = (ra_span){indices, array->length};
    ra_batch_unref(dictionary);
    json_decref(distinct);
}

// One run a value.
static inline void testing_fill_runs(ra_batch *batch, ra_array *array, json_t *values) {
    json_t *ends = json_array();
    for (int64_t i = 0; i < array->length; i++)
        json_array_append_new(ends, json_integer(i + 1));
    array->children[0].length = array->children[1].length = array->length;
    testing_fill(batch, &array->children[0], ends);
    testing_fill(batch, &array->children[1], values);
    json_decref(ends);
}

static inline void testing_fill_fixed(ra_batch *batch, ra_array *array, json_t *values) {
    int32_t width = array->layout == RA_LAYOUT_BIT ? 1 : ra_field_byte_width(array->field);
    uint8_t *data = testing_alloc(batch, width * array->length);
    size_t i;
    json_t *value;
    json_array_foreach(values, i, value) {
        if (array->layout != RA_LAYOUT_BIT)
            ra_store_int(data, width, (int64_t)i, json_integer_value(value));
        else if (json_is_true(value))
            ra_bit_set(data, (int64_t)i);
    }
    array->buffers[0] = (ra_span){data, width * array->length};
}

static inline void testing_fill(ra_batch *batch, ra_array *array, json_t *values) {
    size_t i;
    json_t *value;
    assert_int_equal(json_array_size(values), array->length);
    uint8_t *validity = testing_alloc(batch, ra_bit_bytes(array->length));
    json_array_foreach(values, i, value) {
        if (json_is_null(value))
            array->null_count++;
        else
            ra_bit_set(validity, (int64_t)i);
    }
    if (!ra_layout_has_validity(array->layout))
        array->null_count = array->layout == RA_LAYOUT_NULL ? array->length : 0;
    else if (array->null_count > 0)
        array->validity = (ra_span){validity, ra_bit_bytes(array->length)};
    if (array->field->is_dictionary)
        testing_fill_dictionary(batch, array, values);
    else if (array->layout == RA_LAYOUT_STRUCT)
        testing_fill_struct(batch, array, values);
    else if (array->layout == RA_LAYOUT_RUN_END)
        testing_fill_runs(batch, array, values);
    else if (array->layout == RA_LAYOUT_VAR32)
        testing_fill_utf8(batch, array, values);
    else if (array->layout != RA_LAYOUT_NULL)
        testing_fill_fixed(batch, array, values);
}

// A batch from JSON columns: "[[1,2],[\"x\",null]]"; `n_rows` counts when there are no columns.
static inline ra_batch *testing_batch(ra_schema *schema, const char *columns, int64_t n_rows) {
    ra_error err;
    json_t *json = json_loads(columns, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json), schema->n_fields);
    if (schema->n_fields > 0)
        n_rows = (int64_t)json_array_size(json_array_get(json, 0));
    ra_batch *batch;
    assert_ok(ra_batch_new(schema, n_rows, &batch, &err), &err);
    for (int i = 0; i < schema->n_fields; i++)
        testing_fill(batch, &batch->columns[i], json_array_get(json, (size_t)i));
    json_decref(json);
    return batch;
}

// A content of batches, each given as above; ended by NULL.
static inline ra_content *testing_content(testing_store *t, const char *fields,
                                          const char *const *batches) {
    ra_error err;
    ra_schema *schema = testing_schema(fields);
    ra_writer *writer;
    ra_content *content;
    assert_ok(ra_writer_new(t->store, schema, RA_WRITE_RESULT, &writer, &err), &err);
    for (; *batches; batches++) {
        ra_batch *batch = testing_batch(schema, *batches, 0);
        assert_ok(ra_writer_add(writer, batch, (ra_span){0}, &err), &err);
        ra_batch_unref(batch);
    }
    assert_ok(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    ra_schema_unref(schema);
    return content;
}

// Publishes a table as a dataset; gives its id.
static inline int64_t testing_publish(testing_store *t, const char *name, const char *fields,
                                      const char *const *batches) {
    ra_error err;
    ra_change_result result;
    ra_content *content = testing_content(t, fields, batches);
    ra_change change = {.change = RA_CHANGE_PUBLISH,
                        .name = ra_str_of(name),
                        .if_exists = RA_IF_EXISTS_REPLACE,
                        .if_version = -1,
                        .kind = RA_KIND_DATASET,
                        .content = content,
                        .caller = RA_STR("test")};
    assert_ok(ra_store_change_wait(t->store, &change, &result, &err), &err);
    int64_t id = result.flight->id;
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    ra_content_unref(content);
    return id;
}

#define TESTING_PUBLISH(t, name, fields, ...) \
    testing_publish(t, name, fields, (const char *const[]){__VA_ARGS__, NULL})

static inline json_t *testing_value(const ra_array *a, int64_t i) {
    if (a->layout == RA_LAYOUT_NULL || !ra_array_is_valid(a, i))
        return json_null();
    if (a->dictionary)
        return testing_value(a->dictionary, (int8_t)a->buffers[0].data[i]);
    if (a->layout == RA_LAYOUT_BIT)
        return json_boolean(ra_bit_get(a->buffers[0].data, i));
    if (a->layout == RA_LAYOUT_FIXED)
        return json_integer(ra_load_int(a->buffers[0].data, ra_field_byte_width(a->field), i));
    if (a->layout == RA_LAYOUT_VAR32) {
        int32_t from = ra_load_i32(a->buffers[0].data + 4 * i);
        int32_t to = ra_load_i32(a->buffers[0].data + 4 * i + 4);
        return json_stringn((const char *)a->buffers[1].data + from, (size_t)(to - from));
    }
    assert_int_equal(a->layout, RA_LAYOUT_STRUCT);
    json_t *item = json_array();
    for (int c = 0; c < a->n_children; c++)
        json_array_append_new(item, testing_value(&a->children[c], i));
    return item;
}

// All rows of a content as JSON columns: {"a":[1,2],"b":["x",null]}, freed by the caller.
static inline char *testing_rows(ra_content *content) {
    ra_error err;
    json_t *columns = json_array();
    for (int c = 0; c < content->schema->n_fields; c++)
        json_array_append_new(columns, json_array());
    for (int64_t b = 0; b < content->n_batches; b++) {
        ra_batch *batch;
        assert_ok(ra_content_batch(content, b, &batch, &err), &err);
        for (int c = 0; c < batch->n_columns; c++)
            for (int64_t i = 0; i < batch->n_rows; i++)
                json_array_append_new(json_array_get(columns, (size_t)c),
                                      testing_value(&batch->columns[c], i));
        ra_batch_unref(batch);
    }
    json_t *all = json_object();
    for (int c = 0; c < content->schema->n_fields; c++) {
        ra_str name = content->schema->fields[c].name;
        json_object_setn_new(all, name.data, name.len,
                             json_incref(json_array_get(columns, (size_t)c)));
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    json_decref(columns);
    return text;
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    ra_outcome outcome;
} testing_waiter;

static inline void testing_done(void *context, ra_outcome *outcome) {
    testing_waiter *w = context;
    pthread_mutex_lock(&w->lock);
    assert_false(w->done);
    w->done = true;
    w->outcome = *outcome;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static inline void testing_wait(testing_waiter *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

// Plans and runs a command and waits; fills `outcome` (its error may be the plan's).
static inline void testing_run_stream(testing_store *t, const char *command, ra_content *stream,
                                      ra_outcome *outcome) {
    ra_plan *plan;
    memset(outcome, 0, sizeof *outcome);
    ra_error_init(&outcome->err);
    if (ra_plan_new(t->engine, ra_str_of(command), &plan, &outcome->err) != 0)
        return;
    testing_waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    ra_waiter *waiter;
    if (ra_engine_run(t->engine, plan, stream, RA_STR("tester"), testing_done, &w, &waiter,
                      &outcome->err) == 0) {
        testing_wait(&w);
        assert_false(ra_waiter_leave(waiter));
        *outcome = w.outcome;
    }
    if (outcome->content) {
        if (!ra_schema_equal(outcome->content->schema, ra_plan_schema(plan), true))
            fail_msg("the planned schema is not the result's: %s", command);
    }
    ra_plan_unref(plan);
}

static inline void testing_run(testing_store *t, const char *command, ra_outcome *outcome) {
    testing_run_stream(t, command, NULL, outcome);
}

// Runs a command that must give these rows.
static inline void assert_gives(testing_store *t, const char *command, const char *rows) {
    ra_outcome outcome;
    testing_run(t, command, &outcome);
    if (outcome.err.code != 0)
        fail_msg("%.200s: %s: %s", command, ra_reason_get(outcome.err.reason)->name,
                 outcome.err.message);
    char *got = testing_rows(outcome.content);
    if (strcmp(got, rows) != 0)
        fail_msg("%.200s\n gives %s\n not   %s", command, got, rows);
    free(got);
    ra_outcome_fini(&outcome);
}

// Runs a command that must fail for this reason with a message that holds `words`.
static inline void assert_fails(testing_store *t, const char *command, ra_reason reason,
                                const char *words) {
    ra_outcome outcome;
    testing_run(t, command, &outcome);
    if (outcome.err.code == 0)
        fail_msg("%.200s did not fail", command);
    if (outcome.err.reason != reason || !strstr(outcome.err.message, words))
        fail_msg("%.200s\n fails with %s: %s", command, ra_reason_get(outcome.err.reason)->name,
                 outcome.err.message);
    ra_outcome_fini(&outcome);
}

// The canonical text of a command, freed by the caller.
static inline char *testing_canonical(testing_store *t, const char *command) {
    ra_plan *plan;
    ra_error err;
    int rc = ra_plan_new(t->engine, ra_str_of(command), &plan, &err);
    if (rc != 0)
        fail_msg("%s: %s", command, err.message);
    ra_str canonical = ra_plan_canonical(plan);
    char *text = strndup(canonical.data, canonical.len);
    ra_plan_unref(plan);
    return text;
}

#endif
