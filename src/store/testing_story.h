// For tests only: a store is told to change, and after each answer it is noted what the world must
// look like (`story_world`), so that a directory made later can be compared with it. A fault of
// these helpers ends the test program.
#ifndef RA_STORE_TESTING_STORY_H
#define RA_STORE_TESTING_STORY_H

#include <inttypes.h>

#include "arrow/slice.h"
#include "store/testing_replay.h"
#include "store/testing_store.h"

enum { STORY_MAX_VERSIONS = 10, STORY_NAME_BYTES = 24, STORY_NOTE_BYTES = 24 };

// What a content has to give.
typedef struct story_table {
    struct story_table *next;
    ra_schema *schema;
    int n;
    ra_batch **batches;
    char (*notes)[STORY_NOTE_BYTES];  // app_metadata of each
    bool as_received;                 // the same batches and notes, not only the same rows
    bool may_be_compacted;            // then the hash is another one
    uint64_t hash[2];
} story_table;

typedef struct {
    uint8_t uid[16];
    int64_t id;
    bool is_result;
    bool kept;
    bool hidden;   // by clear: comes back at the next start, with another id
    bool written;  // a result that the catalog file must have
    char name[STORY_NAME_BYTES];
    int n_versions;
    struct story_version {
        int64_t number;
        const story_table *table;
    } versions[STORY_MAX_VERSIONS];
} story_flight;

typedef struct {
    const char *what;  // happened last
    int begun;         // operations before it was asked for
    int answered;      // operations before it was acknowledged
    int64_t floor;     // ids below were given
    int n_flights;
    story_flight *flights;
} story_world;

typedef struct {
    char root[64];  // the data directory is root/new/data
    testing_store t;
    replay_recording recording;
    uint64_t seed;
    story_world now;
    int n_worlds;
    int capacity;
    story_world *worlds;
    story_table *tables;
} story;

typedef struct {
    story *s;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    int begun;
    int answered;
    ra_change_result result;
} story_request;

static inline void story_answer(void *context, ra_change_result *result) {
    story_request *request = context;
    pthread_mutex_lock(&request->lock);
    request->answered = replay_count(&request->s->recording);
    request->result = *result;
    request->done = true;
    pthread_cond_signal(&request->wake);
    pthread_mutex_unlock(&request->lock);
}

static inline void story_ask(story *s, const ra_change *change, story_request *request) {
    ra_error err;
    *request = (story_request){.s = s, .begun = replay_count(&s->recording)};
    pthread_mutex_init(&request->lock, NULL);
    pthread_cond_init(&request->wake, NULL);
    testing_check(ra_store_change(s->t.store, change, story_answer, request, &err), &err);
}

static inline void story_wait(story_request *request) {
    pthread_mutex_lock(&request->lock);
    while (!request->done)
        pthread_cond_wait(&request->wake, &request->lock);
    pthread_mutex_unlock(&request->lock);
    pthread_cond_destroy(&request->wake);
    pthread_mutex_destroy(&request->lock);
    testing_check((int)request->result.err.code, &request->result.err);
}

static inline void story_drop_answer(story_request *request) {
    ra_flight_unref(request->result.flight);
    ra_version_unref(request->result.version);
}

static inline void story_copy_world(const story_world *from, story_world *to) {
    *to = *from;
    size_t bytes = (size_t)from->n_flights * sizeof *to->flights;
    to->flights = malloc(bytes + 1);
    replay_check(to->flights != NULL, "no memory");
    if (bytes > 0)
        memcpy(to->flights, from->flights, bytes);
}

// The world is now as s->now says.
static inline void story_note(story *s, const char *what, int begun, int answered) {
    s->worlds = replay_grow(s->worlds, &s->capacity, s->n_worlds, sizeof *s->worlds);
    s->now.what = what;
    s->now.begun = begun;
    s->now.answered = answered;
    story_copy_world(&s->now, &s->worlds[s->n_worlds++]);
}

static inline story_table *story_new_table(story *s, ra_schema *schema, int n) {
    story_table *table = calloc(1, sizeof *table);
    replay_check(table != NULL, "no memory");
    table->next = s->tables;
    s->tables = table;
    table->schema = ra_schema_ref(schema);
    table->n = n;
    table->batches = calloc((size_t)n + 1, sizeof *table->batches);
    table->notes = calloc((size_t)n + 1, sizeof *table->notes);
    replay_check(table->batches && table->notes, "no memory");
    table->as_received = true;
    return table;
}

// Random batches of `schema`; every second one has a note.
static inline story_table *story_more(story *s, ra_schema *schema, int n, int64_t n_rows) {
    story_table *table = story_new_table(s, schema, n);
    for (int i = 0; i < n; i++) {
        table->batches[i] = testing_random_batch(s->seed++, n_rows, schema);
        if (i % 2)
            snprintf(table->notes[i], sizeof table->notes[i], "note %d", (int)(s->seed % 100000));
    }
    return table;
}

static inline story_table *story_random(story *s, int n, int64_t n_rows) {
    ra_schema *schema = testing_random_schema(s->seed++, 4, 1);
    story_table *table = story_more(s, schema, n, n_rows);
    ra_schema_unref(schema);
    return table;
}

static inline story_table *story_join(story *s, const story_table *a, const story_table *b) {
    story_table *table = story_new_table(s, a->schema, a->n + b->n);
    table->as_received = a->as_received && b->as_received;
    table->may_be_compacted = b->may_be_compacted;
    for (int i = 0; i < table->n; i++) {
        const story_table *from = i < a->n ? a : b;
        int j = i < a->n ? i : i - a->n;
        table->batches[i] = ra_batch_ref(from->batches[j]);
        memcpy(table->notes[i], from->notes[j], STORY_NOTE_BYTES);
    }
    return table;
}

static inline ra_content *story_write(story *s, story_table *table, ra_write_kind kind) {
    ra_error err;
    ra_writer *writer;
    ra_content *content;
    testing_check(ra_writer_new(s->t.store, table->schema, kind, &writer, &err), &err);
    for (int i = 0; i < table->n; i++) {
        ra_str note = ra_str_of(table->notes[i]);
        ra_span span = {(const uint8_t *)note.data, (int64_t)note.len};
        testing_check(ra_writer_add(writer, table->batches[i], span, &err), &err);
    }
    testing_check(ra_writer_finish(writer, &content, &err), &err);
    ra_writer_free(writer);
    memcpy(table->hash, content->hash, sizeof table->hash);
    return content;
}

static inline story_flight *story_named(story_world *world, const char *name) {
    for (int i = 0; i < world->n_flights; i++) {
        if (strcmp(world->flights[i].name, name) == 0)
            return &world->flights[i];
    }
    return NULL;
}

static inline story_flight *story_get(story_world *world, int64_t id) {
    for (int i = 0; i < world->n_flights; i++) {
        if (world->flights[i].id == id && !world->flights[i].hidden)
            return &world->flights[i];
    }
    replay_check(false, "the story has no such Flight");
    return NULL;
}

static inline void story_forget(story *s, const story_flight *flight) {
    int i = (int)(flight - s->now.flights);
    memmove(s->now.flights + i, s->now.flights + i + 1,
            (size_t)(s->now.n_flights - i - 1) * sizeof *flight);
    s->now.n_flights--;
}

// Everything that is in memory was written with a change that waits for the disk.
static inline void story_all_written(story *s) {
    for (int i = 0; i < s->now.n_flights; i++)
        s->now.flights[i].written = true;
}

static inline void story_add_version(story_flight *flight, const story_table *table) {
    int64_t number = flight->n_versions ? flight->versions[flight->n_versions - 1].number + 1 : 1;
    if (flight->n_versions == STORY_MAX_VERSIONS) {
        memmove(flight->versions, flight->versions + 1,
                (STORY_MAX_VERSIONS - 1) * sizeof *flight->versions);
        flight->n_versions--;
    }
    flight->versions[flight->n_versions++] = (struct story_version){number, table};
}

static inline story_flight *story_add_flight(story *s, const char *name, const ra_flight *answer) {
    story_flight *flights =
        realloc(s->now.flights, (size_t)(s->now.n_flights + 1) * sizeof *flights);
    replay_check(flights != NULL, "no memory");
    s->now.flights = flights;
    story_flight *flight = &flights[s->now.n_flights++];
    *flight = (story_flight){.id = answer->id, .is_result = true};
    memcpy(flight->uid, answer->uid, sizeof flight->uid);
    snprintf(flight->name, sizeof flight->name, "%s", name);
    if (answer->id >= s->now.floor)
        s->now.floor = answer->id + 1;
    return flight;
}

// A publish was answered: the table is a version of its own or is appended.
static inline int64_t story_published(story *s, story_request *request, const ra_change *change,
                                      const char *name, story_table *table) {
    story_wait(request);
    story_flight *flight = name[0] ? story_named(&s->now, name) : NULL;
    if (flight && flight->hidden) {  // an upload replaces it, a result takes its name
        if (change->kind == RA_KIND_DATASET)
            story_forget(s, flight);
        else
            flight->name[0] = 0;
        flight = NULL;
    }
    if (flight && change->if_exists == RA_IF_EXISTS_APPEND) {
        table = story_join(s, flight->versions[flight->n_versions - 1].table, table);
        memcpy(table->hash, request->result.version->content->hash, sizeof table->hash);
    }
    if (!flight)
        flight = story_add_flight(s, name, request->result.flight);
    story_add_version(flight, table);
    flight->is_result = flight->is_result && change->kind == RA_KIND_RESULT;
    int64_t id = flight->id;
    if (change->kind == RA_KIND_DATASET || name[0])
        story_all_written(s);
    story_note(s, name[0] ? name : "publish", request->begun, request->answered);
    story_drop_answer(request);
    return id;
}

// Takes the content, which gives `table`.
static inline int64_t story_publish_content(story *s, const char *name, ra_kind kind,
                                            ra_if_exists if_exists, ra_content *content,
                                            story_table *table) {
    ra_change change = testing_publish(name, kind, content);
    change.if_exists = if_exists;
    story_request request;
    story_ask(s, &change, &request);
    ra_content_unref(content);
    return story_published(s, &request, &change, name, table);
}

static inline int64_t story_publish(story *s, const char *name, ra_kind kind,
                                    ra_if_exists if_exists, story_table *table) {
    ra_write_kind how = kind == RA_KIND_DATASET ? RA_WRITE_DURABLE : RA_WRITE_RESULT;
    return story_publish_content(s, name, kind, if_exists, story_write(s, table, how), table);
}

static inline int64_t story_upload(story *s, const char *name, story_table *table) {
    return story_publish(s, name, RA_KIND_DATASET, RA_IF_EXISTS_ERROR, table);
}

// One more append, or the first, of a table of so many that it is compacted.
static inline void story_grow(story *s, const char *name, story_table *more) {
    more->as_received = false;
    more->may_be_compacted = true;
    story_publish(s, name, RA_KIND_DATASET,
                  story_named(&s->now, name) ? RA_IF_EXISTS_APPEND : RA_IF_EXISTS_ERROR, more);
}

static inline int64_t story_compute(story *s, story_table *table) {
    return story_publish(s, "", RA_KIND_RESULT, RA_IF_EXISTS_ERROR, table);
}

// Uploads that are asked for before the first is answered.
enum { STORY_GROUP = 4 };
static inline void story_upload_group(story *s, const char *const names[STORY_GROUP]) {
    story_table *tables[STORY_GROUP];
    ra_content *contents[STORY_GROUP];
    ra_change changes[STORY_GROUP];
    story_request requests[STORY_GROUP];
    for (int i = 0; i < STORY_GROUP; i++) {
        tables[i] = story_random(s, 1, 10);
        contents[i] = story_write(s, tables[i], RA_WRITE_DURABLE);
        changes[i] = testing_publish(names[i], RA_KIND_DATASET, contents[i]);
    }
    for (int i = 0; i < STORY_GROUP; i++)
        story_ask(s, &changes[i], &requests[i]);
    for (int i = 0; i < STORY_GROUP; i++) {
        story_published(s, &requests[i], &changes[i], names[i], tables[i]);
        ra_content_unref(contents[i]);
    }
}

static inline void story_change(story *s, const char *what, const ra_change *change,
                                story_request *request) {
    story_ask(s, change, request);
    story_wait(request);
    story_drop_answer(request);
    if (change->change != RA_CHANGE_LEGACY_COMMAND)
        story_all_written(s);
    story_note(s, what, request->begun, request->answered);
}

static inline void story_keep(story *s, int64_t id) {
    story_flight *flight = story_get(&s->now, id);
    flight->is_result = false;
    flight->kept = true;
    ra_change change = {.change = RA_CHANGE_KEEP, .flight_id = id};
    story_request request;
    story_change(s, "keep", &change, &request);
}

static inline void story_unkeep(story *s, int64_t id) {
    story_flight *flight = story_get(&s->now, id);
    flight->is_result = true;
    flight->kept = false;
    ra_change change = {.change = RA_CHANGE_UNKEEP, .flight_id = id};
    story_request request;
    story_change(s, "unkeep", &change, &request);
}

static inline void story_delete(story *s, int64_t id) {
    story_forget(s, story_get(&s->now, id));
    ra_change change = {.change = RA_CHANGE_DELETE, .flight_id = id};
    story_request request;
    story_change(s, "delete", &change, &request);
}

static inline void story_rename(story *s, int64_t id, const char *name) {
    story_flight *other = story_named(&s->now, name);
    if (other)
        other->name[0] = 0;
    snprintf(story_get(&s->now, id)->name, STORY_NAME_BYTES, "%s", name);
    ra_change change = {.change = RA_CHANGE_RENAME,
                        .flight_id = id,
                        .name = ra_str_of(name),
                        .if_exists = RA_IF_EXISTS_REPLACE};
    story_request request;
    story_change(s, "rename", &change, &request);
}

static inline void story_legacy_command(story *s, int64_t id) {
    ra_change change = {.change = RA_CHANGE_LEGACY_COMMAND,
                        .flight_id = id,
                        .legacy_command = RA_STR("0$take${0: [0]}${}")};
    story_request request;
    story_change(s, "legacy command", &change, &request);
}

static inline void story_clear(story *s, bool results_only, bool purge) {
    int n = 0;
    for (int i = 0; i < s->now.n_flights; i++) {
        story_flight *flight = &s->now.flights[i];
        flight->hidden = flight->hidden || !results_only;
        if (!flight->is_result && !purge)
            s->now.flights[n++] = *flight;
    }
    s->now.n_flights = n;
    s->now.floor = results_only ? s->now.floor : 0;
    ra_change change = {.change = RA_CHANGE_CLEAR, .results_only = results_only, .purge = purge};
    story_request request;
    story_change(s, "clear", &change, &request);
}

static inline const ra_flight *story_find_uid(const ra_snapshot *snapshot, const uint8_t uid[16]) {
    for (int64_t id = 0; id < ra_snapshot_count(snapshot); id++) {
        const ra_flight *flight = ra_snapshot_get(snapshot, id);
        if (flight && memcmp(flight->uid, uid, sizeof flight->uid) == 0)
            return flight;
    }
    return NULL;
}

static inline void story_open(story *s) {
    int begun = replay_count(&s->recording);
    testing_open(&s->t);
    ra_snapshot *snapshot = ra_store_snapshot(s->t.store);
    for (int i = 0; i < s->now.n_flights; i++) {
        story_flight *known = &s->now.flights[i];
        const ra_flight *flight = story_find_uid(snapshot, known->uid);
        if (!known->hidden || !flight)
            continue;
        known->hidden = false;
        known->id = flight->id;
        if (known->id >= s->now.floor)
            s->now.floor = known->id + 1;
    }
    ra_snapshot_unref(snapshot);
    story_note(s, "open", begun, replay_count(&s->recording));
}

// Starts to record. There is no data directory yet, nor the one above it.
static inline void story_begin(story *s, uint64_t seed) {
    *s = (story){.seed = seed};
    testing_make_dir(&s->t);
    snprintf(s->root, sizeof s->root, "%s", s->t.dir);
    snprintf(s->t.dir, sizeof s->t.dir, "%.40s/new/data", s->root);
    ra_error err;
    testing_check(ra_workers_new("test", 2, &s->t.workers, &err), &err);
    replay_begin(&s->recording, s->root, NULL);
    story_note(s, "nothing", 0, 0);
}

static inline void story_free(story *s) {
    ra_workers_free(s->t.workers);
    ra_budget_fini(&s->t.budget);
    testing_remove_tree(s->root);
    for (story_table *table = s->tables; table;) {
        story_table *next = table->next;
        for (int i = 0; i < table->n; i++)
            ra_batch_unref(table->batches[i]);
        ra_schema_unref(table->schema);
        free(table->batches);
        free(table->notes);
        free(table);
        table = next;
    }
    for (int i = 0; i < s->n_worlds; i++)
        free(s->worlds[i].flights);
    free(s->worlds);
    free(s->now.flights);
    replay_fini(&s->recording);
}

#endif
