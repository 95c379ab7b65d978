// libFuzzer: commands of both forms against a store with two tables. A command is refused with a
// reason or gives a plan whose canonical text is a command that means the same.
#include <stdio.h>
#include <stdlib.h>

#include "query/engine.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ra_engine *engine;
static ra_budget budget;

static void add_table(ra_store *store, const char *name, ra_type_id second) {
    ra_error err;
    ra_schema *schema;
    ra_writer *writer;
    ra_change_result result;
    ra_change change = {.change = RA_CHANGE_PUBLISH, .name = ra_str_of(name), .if_version = -1};
    ra_assert(ra_schema_new(3, &schema, &err) == 0);
    static const char *const names[] = {"a", "b", "s"};
    for (int i = 0; i < 3; i++) {
        schema->fields[i].name = ra_str_of(names[i]);
        schema->fields[i].nullable = true;
        schema->fields[i].type = i == 0 ? RA_TYPE_INT64 : i == 1 ? second : RA_TYPE_STRUCT;
    }
    ra_field *child = ra_arena_alloc(&schema->arena, 1, sizeof *child);
    ra_assert(child);
    *child = (ra_field){.name = RA_STR("x"), .type = RA_TYPE_BOOL};
    schema->fields[2].children = child;
    schema->fields[2].n_children = 1;
    ra_assert(ra_schema_seal(schema, &err) == 0);
    ra_assert(ra_writer_new(store, schema, RA_WRITE_RESULT, &writer, &err) == 0);
    ra_assert(ra_writer_finish(writer, &change.content, &err) == 0);
    ra_writer_free(writer);
    ra_assert(ra_store_change_wait(store, &change, &result, &err) == 0);
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    ra_content_unref(change.content);
    ra_schema_unref(schema);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static char dir[] = "/tmp/ra-fuzz-XXXXXX";
    ra_error err;
    ra_engine_options options = {0};
    ra_assert(mkdtemp(dir));
    ra_assert(ra_workers_new("fuzz", 1, &options.jobs, &err) == 0);
    ra_budget_init(&budget, NULL, "memory", 1024 * 1024 * 1024);
    options.budget = &budget;
    ra_store_options store = {.data_dir = dir, .budget = &budget, .workers = options.jobs};
    ra_assert(ra_store_open(&store, &options.store, &err) == 0);
    add_table(options.store, "t", RA_TYPE_UTF8);
    add_table(options.store, "m", RA_TYPE_BOOL);
    ra_assert(ra_engine_new(&options, &engine, &err) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ra_str text = {(const char *)data, size};
    ra_plan *plan, *again;
    ra_error err;
    if (ra_plan_new(engine, text, &plan, &err) != 0) {
        ra_assert(err.code != RA_INTERNAL && err.message[0] && ra_budget_used(&budget) == 0);
        return 0;
    }
    ra_str canonical = ra_plan_canonical(plan);
    int rc = ra_plan_new(engine, canonical, &again, &err);
    // Long arrays are there by hash only.
    ra_assert(rc == 0 || memmem(canonical.data, canonical.len, "\"hash\":", 7));
    if (rc == 0) {
        ra_assert(ra_str_eq(canonical, ra_plan_canonical(again)));
        ra_assert(ra_schema_equal(ra_plan_schema(plan), ra_plan_schema(again), true));
        ra_plan_unref(again);
    }
    ra_plan_unref(plan);
    return 0;
}
