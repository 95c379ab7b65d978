// Commands that run: what they give, what they publish, who shares a run.
#include <glob.h>
#include <unistd.h>

#include "query/job.h"
#include "query/run.h"
#include "query/testing_store.h"

static testing_store t;

static int open_store(void **state) {
    (void)state;
    testing_store_open(&t);
    TESTING_PUBLISH(&t, "t", "i:a s:b b:c S:s",
                    "[[3,1],[\"x\",\"y\"],[true,null],[[1,\"p\"],null]]",
                    "[[2,null],[null,\"z\"],[false,true],[[0,null],[null,\"q\"]]]");
    TESTING_PUBLISH(&t, "idx", "i:i b:m r:r", "[[2,0],[true,null],[false,true]]",
                    "[[null,2],[false,true],[true,true]]");
    TESTING_PUBLISH(&t, "d", "d:d i:n", "[[\"x\",\"y\",null],[1,2,3]]", "[[\"z\",\"x\"],[4,5]]");
    return 0;
}

static int close_store(void **state) {
    (void)state;
    testing_store_close(&t);
    return 0;
}

static void every_method_gives_what_pyarrow_gives(void **state) {
    (void)state;
    assert_gives(&t, "0$take${0: [3, None, 0]}${}",
                 "{\"a\":[null,null,3],\"b\":[\"z\",null,\"x\"],\"c\":[true,null,true],"
                 "\"s\":[[null,\"q\"],null,[1,\"p\"]]}");
    assert_gives(&t, "2$take${0: [4, 0]}${}", "{\"d\":[\"x\",\"x\"],\"n\":[5,1]}");
    assert_gives(&t, "2$take${0: []}${}", "{\"d\":[],\"n\":[]}");
    assert_gives(&t, "2$take${0: [None]}${}", "{\"d\":[null],\"n\":[null]}");
    assert_gives(&t, "2$slice${0: 2, 1: 2}${}", "{\"d\":[null,\"z\"],\"n\":[3,4]}");
    assert_gives(&t, "2$select${0: ['n', 'd']}${}",
                 "{\"n\":[1,2,3,4,5],\"d\":[\"x\",\"y\",null,\"z\",\"x\"]}");
    assert_gives(&t, "2$filter${0: [True, None, False, True, None]}${}",
                 "{\"d\":[\"x\",\"z\"],\"n\":[1,4]}");
    assert_gives(&t,
                 "2$filter${0: [True, None, False, True, None]}"
                 "${'null_selection_behavior': 'emit_null'}",
                 "{\"d\":[\"x\",null,\"z\",null],\"n\":[1,null,4,null]}");
    assert_gives(&t, "2$drop_null${}${}", "{\"d\":[\"x\",\"y\",\"z\",\"x\"],\"n\":[1,2,4,5]}");
    assert_gives(&t, "2$sort_by${0: [('n', 'descending')]}${}",
                 "{\"d\":[\"x\",\"z\",null,\"y\",\"x\"],\"n\":[5,4,3,2,1]}");
    assert_gives(&t, "2$combine_chunks${}${}",
                 "{\"d\":[\"x\",\"y\",null,\"z\",\"x\"],\"n\":[1,2,3,4,5]}");
    assert_gives(&t, "2$unify_dictionaries${0: None}${}",
                 "{\"d\":[\"x\",\"y\",null,\"z\",\"x\"],\"n\":[1,2,3,4,5]}");
    assert_gives(&t, "0$flatten${}${}",
                 "{\"a\":[3,1,2,null],\"b\":[\"x\",\"y\",null,\"z\"],\"c\":[true,null,false,true],"
                 "\"s.x\":[1,null,0,null],\"s.y\":[\"p\",null,null,\"q\"]}");
    assert_gives(&t, "2$replace_schema_metadata${0: {'x': 'y'}}${}",
                 "{\"d\":[\"x\",\"y\",null,\"z\",\"x\"],\"n\":[1,2,3,4,5]}");
    assert_gives(&t,
                 "{\"concat\":{\"tables\":[{\"from\":{\"id\":2}},{\"from\":{\"id\":2},\"do\":"
                 "[{\"slice\":{\"offset\":3}}]}]}}",
                 "{\"d\":[\"x\",\"y\",null,\"z\",\"x\",\"z\",\"x\"],\"n\":[1,2,3,4,5,4,5]}");
    assert_fails(&t, "2$take${0: [5]}${}", RA_REASON_INDEX_OUT_OF_BOUNDS, "5 out of bounds");
    assert_fails(&t, "2$take${0: [-1]}${}", RA_REASON_INDEX_OUT_OF_BOUNDS, "-1 out of bounds");
}

static void children_of_structs_are_sort_keys(void **state) {
    (void)state;
    assert_gives(&t,
                 "{\"from\":{\"id\":0},\"do\":[{\"sort_by\":{\"sorting\":\".s.x\"}},"
                 "{\"select\":{\"columns\":[\"a\",\"s\"]}}]}",
                 "{\"a\":[2,3,1,null],\"s\":[[0,null],[1,\"p\"],null,[null,\"q\"]]}");
    assert_gives(&t,
                 "{\"from\":{\"id\":0},\"do\":[{\"sort_by\":{\"sorting\":[[[\"s\",1],"
                 "\"descending\",\"at_start\"],[\"a\",\"ascending\"]]}},"
                 "{\"select\":{\"columns\":[\"a\"]}}]}",
                 "{\"a\":[1,2,null,3]}");
}

static void array_arguments_may_be_columns_of_commands(void **state) {
    (void)state;
    assert_gives(&t,
                 "{\"from\":{\"id\":2},\"do\":[{\"take\":{\"indices\":{\"from\":{\"name\":\"idx\"},"
                 "\"column\":\"i\"}}}]}",
                 "{\"d\":[null,\"x\",null,null],\"n\":[3,1,null,3]}");
    assert_gives(&t,
                 "{\"from\":{\"id\":2},\"do\":[{\"take\":{\"indices\":{\"from\":{\"name\":\"idx\"},"
                 "\"do\":[{\"drop_null\":{}},{\"slice\":{\"length\":1}}],\"column\":-3}}}]}",
                 "{\"d\":[null],\"n\":[3]}");
    assert_gives(&t,
                 "{\"from\":{\"id\":0},\"do\":[{\"filter\":{\"mask\":{\"from\":{\"id\":1},"
                 "\"column\":\"r\"}}},{\"select\":{\"columns\":[\"a\"]}}]}",
                 "{\"a\":[1,2,null]}");
    assert_gives(&t,
                 "{\"from\":{\"id\":2},\"do\":[{\"take\":{\"indices\":{\"from\":{\"id\":1},"
                 "\"do\":[{\"slice\":{\"length\":0}}],\"column\":0}}}]}",
                 "{\"d\":[],\"n\":[]}");
    assert_fails(&t,
                 "{\"from\":{\"id\":2},\"do\":[{\"filter\":{\"mask\":{\"from\":{\"id\":1},"
                 "\"column\":\"m\"}}}]}",
                 RA_REASON_INVALID_ARGUMENT, "Filter inputs must all be the same length");
}

static void a_streamed_argument_is_used_and_never_shared(void **state) {
    (void)state;
    const char *command =
        "{\"from\":{\"id\":2},\"do\":[{\"take\":{\"indices\":{\"stream\":true}}}]}";
    ra_content *stream = testing_content(
        &t, "u:i s:x", (const char *const[]){"[[4],[\"\"]]", "[[0,1],[\"\",\"\"]]", NULL});
    ra_outcome first, second;
    testing_run_stream(&t, command, stream, &first);
    testing_run_stream(&t, command, stream, &second);
    assert_int_equal(first.err.code, 0);
    char *rows = testing_rows(first.content);
    assert_string_equal(rows, "{\"d\":[\"x\",\"x\",\"y\"],\"n\":[5,1,2]}");
    free(rows);
    assert_int_not_equal(first.flight->id, second.flight->id);
    ra_outcome_fini(&first);
    ra_outcome_fini(&second);
    ra_content_unref(stream);
    assert_fails(&t, command, RA_REASON_INVALID_ARGUMENT, "DoExchange");
}

static int64_t run_for_id(const char *command) {
    ra_outcome outcome;
    testing_run(&t, command, &outcome);
    assert_ok((int)outcome.err.code, &outcome.err);
    int64_t id = outcome.flight ? outcome.flight->id : -1;
    ra_outcome_fini(&outcome);
    return id;
}

static void delete_flight(int64_t id) {
    ra_error err;
    ra_change_result result;
    ra_change change = {.change = RA_CHANGE_DELETE, .flight_id = id, .if_version = -1};
    assert_ok(ra_store_change_wait(t.store, &change, &result, &err), &err);
}

static void the_same_question_gives_the_same_flight(void **state) {
    (void)state;
    int64_t id = run_for_id("2$slice${0: 1}${}");
    assert_int_equal(run_for_id("2$slice${0: 1}${}"), id);
    assert_int_equal(run_for_id("{\"from\":{\"name\":\"d\"},\"do\":[{\"slice\":{\"offset\":1}}]}"),
                     id);
    assert_int_not_equal(run_for_id("2$slice${0: 2}${}"), id);
    ra_plan *plan;
    ra_error err;
    ra_version *version;
    assert_ok(ra_plan_new(t.engine, RA_STR("2$slice${0: 1}${}"), &plan, &err), &err);
    ra_flight *flight = ra_plan_find(t.engine, plan, &version);
    assert_non_null(flight);
    assert_int_equal(flight->id, id);
    assert_true(ra_str_eq(flight->legacy_command, RA_STR("2$slice${0: 1}${}")));
    assert_int_equal(flight->kind, RA_KIND_RESULT);
    assert_true(ra_str_eq(flight->created_by, RA_STR("tester")));
    ra_flight_unref(flight);
    ra_version_unref(version);
    delete_flight(id);
    assert_null(ra_plan_find(t.engine, plan, &version));
    ra_plan_unref(plan);
    assert_int_not_equal(run_for_id("2$slice${0: 1}${}"), id);
}

static void lineage_holds_plan_and_inputs(void **state) {
    (void)state;
    ra_outcome outcome;
    testing_run(&t, "{\"concat\":{\"tables\":[{\"from\":{\"id\":2}},{\"from\":{\"id\":2}}]}}",
                &outcome);
    assert_ok((int)outcome.err.code, &outcome.err);
    ra_str text = outcome.flight->lineage;
    json_t *lineage = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(lineage);
    json_t *inputs = json_object_get(lineage, "inputs");
    assert_int_equal(json_array_size(inputs), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(inputs, 0), "id")), 2);
    char *plan = json_dumps(json_object_get(lineage, "plan"), JSON_COMPACT);
    char *canonical = testing_canonical(&t, plan);
    assert_string_equal(plan, canonical);
    free(plan);
    free(canonical);
    json_decref(lineage);
    ra_outcome_fini(&outcome);
}

static void names_and_versions_pass_to_the_store(void **state) {
    (void)state;
    const char *command =
        "{\"from\":{\"id\":2},\"do\":[{\"slice\":{\"length\":1}}],\"as\":\"named\"}";
    int64_t id = run_for_id(command);
    assert_fails(&t, command, RA_REASON_FLIGHT_EXISTS, "named");
    assert_int_equal(
        run_for_id("{\"from\":{\"name\":\"named\"},\"as\":\"named\",\"if_exists\":\"append\"}"),
        id);
    assert_gives(&t, "{\"from\":{\"name\":\"named\"},\"publish\":false}",
                 "{\"d\":[\"x\",\"x\"],\"n\":[1,1]}");
    assert_gives(&t, "{\"from\":{\"name\":\"named\",\"version\":1},\"publish\":false}",
                 "{\"d\":[\"x\"],\"n\":[1]}");
    assert_fails(
        &t, "{\"from\":{\"id\":2},\"as\":\"named\",\"if_exists\":\"replace\",\"if_version\":1}",
        RA_REASON_VERSION_CONFLICT, "named");
    assert_int_equal(run_for_id("{\"from\":{\"id\":2},\"as\":\"named\",\"if_exists\":\"replace\","
                                "\"if_version\":2}"),
                     id);
}

static void an_empty_chain_publishes_the_flight_again(void **state) {
    (void)state;
    int64_t id = run_for_id("{\"from\":{\"id\":1}}");
    assert_int_not_equal(id, 1);
    assert_int_equal(run_for_id("{\"from\":{\"id\":1},\"do\":[]}"), id);
}

static void unpublished_results_take_no_id(void **state) {
    (void)state;
    ra_snapshot *before = ra_store_snapshot(t.store);
    assert_int_equal(run_for_id("{\"from\":{\"id\":1},\"do\":[{\"slice\":{\"length\":1}}],"
                                "\"publish\":false}"),
                     -1);
    ra_snapshot *after = ra_store_snapshot(t.store);
    assert_int_equal(ra_snapshot_count(before), ra_snapshot_count(after));
    ra_snapshot_unref(before);
    ra_snapshot_unref(after);
}

static void metadata_survives_as_pyarrow_has_it(void **state) {
    (void)state;
    static const struct {
        const char *command;
        bool present;
        int n;
    } cases[] = {
        {"1$slice${0: 1}${}", true, 1},
        {"1$select${0: ['i']}${}", true, 1},
        {"1$sort_by${0: 'i'}${}", true, 1},
        {"0$flatten${}${}", true, 1},
        {"1$rename_columns${0: {'i': 'j'}}${}", false, 0},
        {"1$replace_schema_metadata${}${}", false, 0},
        {"1$replace_schema_metadata${0: {}}${}", true, 0},
        {"1$replace_schema_metadata${0: [('a', 'b'), ('a', 'c')]}${}", true, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ra_outcome outcome;
        testing_run(&t, cases[i].command, &outcome);
        assert_ok((int)outcome.err.code, &outcome.err);
        const ra_metadata *metadata = &outcome.content->schema->metadata;
        assert_int_equal(metadata->present, cases[i].present);
        assert_int_equal(metadata->n, cases[i].n);
        ra_outcome_fini(&outcome);
    }
}

static void combine_chunks_marks_the_result(void **state) {
    (void)state;
    ra_outcome outcome;
    testing_run(&t, "2$combine_chunks${}${}", &outcome);
    assert_true(outcome.content->combined);
    ra_outcome_fini(&outcome);
}

// Keeps a job thread busy until it is let go.
typedef struct {
    ra_task task;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_free;
    bool has_ended;
} blocker;

enum { N_BLOCKERS = 4 };  // the fixture's job threads

static void block(ra_task *task) {
    blocker *b = (blocker *)task;
    pthread_mutex_lock(&b->lock);
    while (!b->is_free)
        pthread_cond_wait(&b->wake, &b->lock);
    b->has_ended = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

static void block_all(blocker *blockers) {
    for (int i = 0; i < N_BLOCKERS; i++) {
        blockers[i] = (blocker){.task = {.run = block},
                                .lock = PTHREAD_MUTEX_INITIALIZER,
                                .wake = PTHREAD_COND_INITIALIZER};
        ra_workers_submit(t.jobs, &blockers[i].task);
    }
}

static void unblock_all(blocker *blockers) {
    for (int i = 0; i < N_BLOCKERS; i++) {
        blocker *b = &blockers[i];
        pthread_mutex_lock(&b->lock);
        b->is_free = true;
        pthread_cond_signal(&b->wake);
        while (!b->has_ended)
            pthread_cond_wait(&b->wake, &b->lock);
        pthread_mutex_unlock(&b->lock);
    }
}

static int n_jobs(void) {
    pthread_mutex_lock(&t.engine->lock);
    int n = t.engine->n_jobs;
    pthread_mutex_unlock(&t.engine->lock);
    return n;
}

static void equal_questions_at_once_share_one_run(void **state) {
    (void)state;
    static blocker blockers[N_BLOCKERS];
    while (n_jobs() > 0)  // one that has answered may still be ending
        usleep(100);
    block_all(blockers);
    testing_waiter waiting[3];
    ra_waiter *waiters[3];
    ra_plan *plan;
    ra_error err;
    ra_snapshot *before = ra_store_snapshot(t.store);
    for (int i = 0; i < 3; i++) {
        waiting[i] =
            (testing_waiter){.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
        assert_ok(ra_plan_new(t.engine, RA_STR("2$sort_by${0: 'd'}${}"), &plan, &err), &err);
        assert_ok(ra_engine_run(t.engine, plan, NULL, RA_STR("x"), testing_done, &waiting[i],
                                &waiters[i], &err),
                  &err);
        ra_plan_unref(plan);
    }
    assert_int_equal(n_jobs(), 1);
    assert_true(ra_waiter_leave(waiters[1]));
    unblock_all(blockers);
    testing_wait(&waiting[0]);
    testing_wait(&waiting[2]);
    assert_false(waiting[1].done);
    assert_int_equal(waiting[0].outcome.flight->id, waiting[2].outcome.flight->id);
    ra_snapshot *after = ra_store_snapshot(t.store);
    assert_int_equal(ra_snapshot_count(before) + 1, ra_snapshot_count(after));
    ra_snapshot_unref(before);
    ra_snapshot_unref(after);
    assert_false(ra_waiter_leave(waiters[0]));
    assert_false(ra_waiter_leave(waiters[2]));
    ra_outcome_fini(&waiting[0].outcome);
    ra_outcome_fini(&waiting[2].outcome);
}

static void the_last_waiter_to_leave_cancels(void **state) {
    (void)state;
    static blocker blockers[N_BLOCKERS];
    block_all(blockers);
    testing_waiter waiting = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    ra_waiter *waiter;
    ra_plan *plan;
    ra_error err;
    ra_version *version;
    assert_ok(ra_plan_new(t.engine, RA_STR("2$sort_by${0: 'n'}${}"), &plan, &err), &err);
    assert_ok(
        ra_engine_run(t.engine, plan, NULL, RA_STR("x"), testing_done, &waiting, &waiter, &err),
        &err);
    assert_false(ra_waiter_leave(waiter));
    assert_false(waiting.done);  // not before the job has ended
    unblock_all(blockers);
    testing_wait(&waiting);
    assert_int_equal(waiting.outcome.err.code, RA_CANCELLED);
    assert_null(ra_plan_find(t.engine, plan, &version));
    // Asked again, it runs.
    waiting.done = false;
    assert_ok(
        ra_engine_run(t.engine, plan, NULL, RA_STR("x"), testing_done, &waiting, &waiter, &err),
        &err);
    testing_wait(&waiting);
    assert_false(ra_waiter_leave(waiter));
    assert_int_equal(waiting.outcome.err.code, 0);
    ra_outcome_fini(&waiting.outcome);
    ra_plan_unref(plan);
}

static bool is_running(void) {
    pthread_mutex_lock(&t.engine->lock);
    bool running = t.engine->joinable && t.engine->joinable->state == RA_JOB_RUNNING;
    pthread_mutex_unlock(&t.engine->lock);
    return running;
}

static void a_run_that_nobody_waits_for_stops_and_publishes_nothing(void **state) {
    (void)state;
    char command[16384];
    size_t n = (size_t)sprintf(command, "{\"from\":{\"id\":2},\"do\":[");
    for (int i = 0; i < 400; i++)
        n += (size_t)sprintf(command + n, "{\"sort_by\":{\"sorting\":\"n\"}},");
    sprintf(command + n, "{\"drop_null\":{}}]}");
    testing_waiter waiting = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    ra_waiter *waiter;
    ra_plan *plan;
    ra_error err;
    ra_version *version;
    assert_ok(ra_plan_new(t.engine, ra_str_of(command), &plan, &err), &err);
    assert_ok(
        ra_engine_run(t.engine, plan, NULL, RA_STR("x"), testing_done, &waiting, &waiter, &err),
        &err);
    while (!is_running() && n_jobs() > 0)
        usleep(100);
    assert_false(ra_waiter_leave(waiter));
    testing_wait(&waiting);
    if (waiting.outcome.err.code != 0) {  // it may have been quicker than this thread
        assert_int_equal(waiting.outcome.err.code, RA_CANCELLED);
        assert_null(ra_plan_find(t.engine, plan, &version));
    }
    ra_outcome_fini(&waiting.outcome);
    ra_plan_unref(plan);
}

static void *ask_many_times(void *context) {
    unsigned seed = (unsigned)(uintptr_t)context;
    for (int round = 0; round < 60; round++) {
        char command[64];
        ra_plan *plan;
        ra_error err;
        ra_waiter *waiter;
        testing_waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
        snprintf(command, sizeof command, "2$take${0: [0, %d]}${}", rand_r(&seed) % 3);
        assert_ok(ra_plan_new(t.engine, ra_str_of(command), &plan, &err), &err);
        assert_ok(ra_engine_run(t.engine, plan, NULL, RA_STR("x"), testing_done, &w, &waiter, &err),
                  &err);
        ra_plan_unref(plan);
        bool impatient = rand_r(&seed) % 2;
        if (!impatient)
            testing_wait(&w);
        if (ra_waiter_leave(waiter))
            continue;
        testing_wait(&w);
        if (!impatient || w.outcome.err.code != RA_CANCELLED)
            assert_int_equal(w.outcome.err.code, 0);
        ra_outcome_fini(&w.outcome);
    }
    return NULL;
}

static void asking_and_leaving_at_random_loses_nothing(void **state) {
    (void)state;
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many_times, (void *)(i + 1)), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

// Changes a value in the store's only segment, or cuts it off.
static void damage_segment(const testing_store *store, bool cut) {
    char pattern[128], bytes[4096];
    glob_t files;
    snprintf(pattern, sizeof pattern, "%s/.remote-arrow/segments/*.arrow", store->dir);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 1);
    if (cut) {
        assert_int_equal(truncate(files.gl_pathv[0], 100), 0);
    } else {
        FILE *file = fopen(files.gl_pathv[0], "r+b");
        assert_non_null(file);
        size_t n = fread(bytes, 1, sizeof bytes, file);
        char *value = memmem(bytes, n, "precious", 8);
        assert_non_null(value);
        fseek(file, value - bytes, SEEK_SET);
        fputc('P', file);
        fclose(file);
    }
    globfree(&files);
}

static void damaged_data_names_the_flight(void **state) {
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        testing_store own;
        ra_outcome outcome;
        testing_store_open(&own);
        TESTING_PUBLISH(&own, "x", "s:a", "[[\"precious\",\"more\"]]");
        testing_store_stop(&own);
        damage_segment(&own, cut);
        testing_store_start(&own);
        testing_run(&own, cut ? "0$select${0: 'a'}${}" : "0$take${0: [1]}${}", &outcome);
        assert_int_equal(outcome.err.reason, RA_REASON_DATA_LOSS);
        assert_int_equal(outcome.err.flight, 0);
        assert_non_null(strstr(outcome.err.message, "Flight 0"));
        ra_outcome_fini(&outcome);
        testing_store_close(&own);
    }
}

static atomic_int allocations_left;
static int fail_allocation(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOC && atomic_fetch_sub(&allocations_left, 1) == 0 ? 12 : 0;
}

// Runs a plan on this thread alone.
static int run_here(const ra_plan *plan, ra_error *err) {
    ra_run run = {.store = t.store, .compute = {.budget = &t.budget}, .flight = -1};
    ra_content *content = NULL;
    int rc = ra_run_relation(&run, plan->root, &content, err);
    ra_content_unref(content);
    return rc;
}

static void every_failed_allocation_of_a_run_is_out_of_memory(void **state) {
    (void)state;
    static const char *const commands[] = {
        "2$take${0: [4, None]}${}",
        "0$sort_by${0: '.s.x'}${}",
        "0$flatten${}${}",
        "2$combine_chunks${}${}",
        "1$rename_columns${0: {'i': 'j'}}${}",
        ("{\"from\":{\"id\":0},\"do\":[{\"filter\":{\"mask\":{\"from\":{\"id\":1},\"column\":\"r\"}"
         "}},"
         "{\"slice\":{\"offset\":1}},{\"replace_schema_metadata\":{}},{\"select\":{\"columns\":[0]}"
         "}]}"),
        "{\"concat\":{\"tables\":[{\"from\":{\"id\":2}},{\"from\":{\"id\":2}}]}}",
    };
    for (size_t c = 0; c < sizeof commands / sizeof commands[0]; c++) {
        ra_plan *plan;
        ra_error err;
        assert_ok(ra_plan_new(t.engine, ra_str_of(commands[c]), &plan, &err), &err);
        int64_t used = ra_budget_used(&t.budget);
        int rc = -1;
        for (int i = 0; rc != 0; i++) {
            atomic_store(&allocations_left, i);
            ra_os_set_gate(fail_allocation, NULL);
            rc = run_here(plan, &err);
            ra_os_set_gate(NULL, NULL);
            if (rc != 0 && err.reason != RA_REASON_OUT_OF_MEMORY && err.reason != RA_REASON_LIMIT)
                fail_msg("%s, allocation %d: %s", commands[c], i, err.message);
            assert_int_equal(ra_budget_used(&t.budget), used);
            assert_true(i < 2000);
        }
        ra_plan_unref(plan);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_gives_what_pyarrow_gives),
        cmocka_unit_test(children_of_structs_are_sort_keys),
        cmocka_unit_test(array_arguments_may_be_columns_of_commands),
        cmocka_unit_test(a_streamed_argument_is_used_and_never_shared),
        cmocka_unit_test(the_same_question_gives_the_same_flight),
        cmocka_unit_test(lineage_holds_plan_and_inputs),
        cmocka_unit_test(names_and_versions_pass_to_the_store),
        cmocka_unit_test(an_empty_chain_publishes_the_flight_again),
        cmocka_unit_test(unpublished_results_take_no_id),
        cmocka_unit_test(metadata_survives_as_pyarrow_has_it),
        cmocka_unit_test(combine_chunks_marks_the_result),
        cmocka_unit_test(equal_questions_at_once_share_one_run),
        cmocka_unit_test(the_last_waiter_to_leave_cancels),
        cmocka_unit_test(a_run_that_nobody_waits_for_stops_and_publishes_nothing),
        cmocka_unit_test(asking_and_leaving_at_random_loses_nothing),
        cmocka_unit_test(damaged_data_names_the_flight),
        cmocka_unit_test(every_failed_allocation_of_a_run_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, open_store, close_store);
}
