#include "store/catalog_load.h"

#include <inttypes.h>
#include <xxhash.h>

#include "arrow/ipc.h"
#include "base/log.h"
#include "base/os.h"
#include "store/record.h"
#include "store/recovery.h"
#include "store/rows.h"

enum {
    SCHEMA_SLOTS = 1024,
    MAX_NAMES = 1024,
    SEQUENCE_GAP = 1000000  // more events than can be lost in a crash
};

// A schema that many versions share, decoded once.
typedef struct {
    XXH128_hash_t hash;
    ra_schema *schema;
} known_schema;

typedef struct {
    ra_catalog *catalog;
    ra_sql *sql;
    ra_state state;
    ra_found_segment *segments;  // sorted by id as int64
    int n_segments;
    int segment_capacity;
    known_schema *schemas;
    // The walks over names and versions, in step with that over the Flights.
    bool more_names;
    bool more_versions;
    // Of the Flight being read.
    ra_version *versions[RA_MAX_KEEP_VERSIONS];
    int n_versions;
    ra_str names[MAX_NAMES];  // strings in `text`
    int n_names;
    ra_bytes text;
    bool is_damaged;
    bool only_looks;
    // What has to be written.
    ra_flight **dropped;  // results that did not survive, references
    int n_dropped;
    int dropped_capacity;
    ra_flight **shown;  // datasets that come back, references, in order
    int n_shown;
    int shown_capacity;
} load;

static int fail_damaged(const char *what, ra_error *err) {
    RA_FAIL(err, DATA_LOSS, "the catalog is damaged: %s", what);
}

static int push_flight(ra_flight ***list, int *n, int *capacity, ra_flight *flight, ra_error *err) {
    if (*n == *capacity) {
        int larger = *capacity ? 2 * *capacity : 16;
        ra_flight **moved = ra_realloc(*list, (size_t)larger * sizeof *moved);
        if (!moved)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory to load the list of Flights");
        *list = moved;
        *capacity = larger;
    }
    (*list)[(*n)++] = ra_flight_ref(flight);
    return 0;
}

static ra_span span_of(ra_str bytes) {
    return (ra_span){(const uint8_t *)bytes.data, (int64_t)bytes.len};
}

static int load_segment(load *l, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_SEGMENTS;
    if (l->n_segments == l->segment_capacity) {
        int capacity = l->segment_capacity ? 2 * l->segment_capacity : 256;
        ra_found_segment *moved = ra_realloc(l->segments, (size_t)capacity * sizeof *moved);
        if (!moved)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory to load the list of segments");
        l->segments = moved;
        l->segment_capacity = capacity;
    }
    ra_str schema, entries;
    RA_TRY(ra_sql_column_bytes(l->sql, id, 3, &schema, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 4, &entries, err));
    ra_segment *segment;
    RA_TRY(ra_segment_load(l->catalog->store, (uint64_t)ra_sql_column_int(l->sql, id, 0),
                           ra_sql_column_int(l->sql, id, 1), span_of(schema), span_of(entries),
                           &segment, err));
    atomic_store(&segment->synced, ra_sql_column_int(l->sql, id, 2) != 0);
    l->segments[l->n_segments++] = (ra_found_segment){.segment = segment};
    return 0;
}

static int load_segments(load *l, ra_error *err) {
    bool more;
    RA_TRY(ra_sql_first(l->sql, RA_SQL_SELECT_SEGMENTS, &more, err));
    while (more) {
        RA_TRY(load_segment(l, err));
        RA_TRY(ra_sql_next(l->sql, RA_SQL_SELECT_SEGMENTS, &more, err));
    }
    return 0;
}

static int load_app_metadata(load *l, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_APP_METADATA;
    bool more;
    RA_TRY(ra_sql_first(l->sql, id, &more, err));
    while (more) {
        ra_found_segment *slot = ra_recovery_find(l->segments, l->n_segments,
                                                  (uint64_t)ra_sql_column_int(l->sql, id, 0));
        int64_t batch = ra_sql_column_int(l->sql, id, 1);
        if (!slot || batch < 0 || batch >= slot->segment->n_batches)
            return fail_damaged("app_metadata of an unknown batch", err);
        ra_str bytes;
        RA_TRY(ra_sql_column_bytes(l->sql, id, 2, &bytes, err));
        RA_TRY(ra_segment_set_app_metadata(slot->segment, (int)batch, span_of(bytes), err));
        RA_TRY(ra_sql_next(l->sql, id, &more, err));
    }
    return 0;
}

// Gives the schema of a message, a reference; equal messages share one.
static int load_schema(load *l, ra_str message, ra_schema **out, ra_error *err) {
    XXH128_hash_t hash = XXH3_128bits(message.data, message.len);
    known_schema *known = &l->schemas[hash.low64 % SCHEMA_SLOTS];
    if (!known->schema || !XXH128_isEqual(known->hash, hash)) {
        ra_schema *schema;
        RA_TRY(ra_ipc_decode_schema(span_of(message), &schema, err));
        ra_schema_unref(known->schema);
        *known = (known_schema){hash, schema};
    }
    *out = ra_schema_ref(known->schema);
    return 0;
}

static ra_segment *find_segment(void *context, uint64_t id) {
    load *l = context;
    ra_found_segment *slot = ra_recovery_find(l->segments, l->n_segments, id);
    if (slot && !slot->present)
        l->is_damaged = true;
    return slot ? slot->segment : NULL;
}

static int load_content(load *l, ra_content **out, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_VERSIONS;
    ra_str message, bytes;
    RA_TRY(ra_sql_column_bytes(l->sql, id, 3, &message, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 5, &bytes, err));
    ra_schema *schema;
    RA_TRY(load_schema(l, message, &schema, err));
    ra_part *parts;
    int n_parts;
    int rc = ra_parts_decode(bytes, find_segment, l, &parts, &n_parts, err);
    if (rc == 0)
        rc = ra_content_new(l->catalog->store, schema, parts, n_parts,
                            ra_sql_column_int(l->sql, id, 4) != 0, out, err);
    ra_schema_unref(schema);
    return rc;
}

// Schema, index and app_metadata come from different rows: together they must give the content that
// was published.
static int check_content(load *l, const ra_content *content, ra_error *err) {
    ra_str hash;
    RA_TRY(ra_sql_column_bytes(l->sql, RA_SQL_SELECT_VERSIONS, 6, &hash, err));
    if (hash.len != sizeof content->hash || memcmp(hash.data, content->hash, hash.len) != 0)
        l->is_damaged = true;
    return 0;
}

// Reads the version at hand of the Flight `draft`.
static int load_version(load *l, const ra_flight *draft, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_VERSIONS;
    if (l->n_versions == RA_MAX_KEEP_VERSIONS)
        return fail_damaged("a Flight has too many versions", err);
    l->is_damaged = false;
    ra_content *content;
    RA_TRY(load_content(l, &content, err));
    ra_version **slot = &l->versions[l->n_versions];
    int rc = check_content(l, content, err);
    if (rc == 0)
        rc = ra_version_new(draft, ra_sql_column_int(l->sql, id, 1),
                            ra_sql_column_int(l->sql, id, 2), content, slot, err);
    ra_content_unref(content);
    if (rc == 0) {
        (*slot)->is_lost = l->is_damaged;
        l->n_versions++;
    }
    return rc;
}

static int load_versions(load *l, const ra_flight *draft, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_VERSIONS;
    while (l->more_versions && ra_sql_column_int(l->sql, id, 0) == draft->row) {
        RA_TRY(load_version(l, draft, err));
        RA_TRY(ra_sql_next(l->sql, id, &l->more_versions, err));
    }
    if (l->n_versions == 0)
        return fail_damaged("a Flight has no version", err);
    return 0;
}

// The strings are copied into one buffer and found in it at the end, since it moves as it grows.
static int load_names(load *l, const ra_flight *draft, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_NAMES;
    ra_bytes_clear(&l->text);
    while (l->more_names && ra_sql_column_int(l->sql, id, 0) == draft->row) {
        ra_str name;
        RA_TRY(ra_sql_column_bytes(l->sql, id, 1, &name, err));
        if (l->n_names == MAX_NAMES)
            return fail_damaged("a Flight has too many names", err);
        RA_TRY(ra_bytes_append(&l->text, name.data, name.len, err));
        l->names[l->n_names++].len = name.len;
        RA_TRY(ra_sql_next(l->sql, id, &l->more_names, err));
    }
    const char *at = (const char *)l->text.data;
    for (int i = 0; i < l->n_names; i++) {
        l->names[i].data = at;
        at += l->names[i].len;
    }
    return 0;
}

static int load_key(load *l, ra_flight *draft, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_FLIGHTS;
    ra_str uid, key;
    RA_TRY(ra_sql_column_bytes(l->sql, id, 2, &uid, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 10, &key, err));
    if (uid.len != sizeof draft->uid || (key.len != 0 && key.len != sizeof draft->command_key))
        return fail_damaged("a Flight has a wrong uid or command key", err);
    memcpy(draft->uid, uid.data, uid.len);
    draft->has_command_key = key.len > 0;
    if (key.len > 0)
        memcpy(draft->command_key, key.data, key.len);
    return 0;
}

// Reads the row at hand; strings are borrowed from the statement.
static int load_draft(load *l, ra_flight *draft, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_FLIGHTS;
    bool hidden = ra_sql_column_is_null(l->sql, id, 1);
    *draft =
        (ra_flight){.row = ra_sql_column_int(l->sql, id, 0),
                    .id = hidden ? -1 : ra_sql_column_int(l->sql, id, 1),
                    .kind = ra_sql_column_int(l->sql, id, 3) == RA_KIND_RESULT ? RA_KIND_RESULT
                                                                               : RA_KIND_DATASET,
                    .kept = ra_sql_column_int(l->sql, id, 4) != 0,
                    .created_ns = ra_sql_column_int(l->sql, id, 5)};
    RA_TRY(load_key(l, draft, err));
    if (!hidden && (draft->id < 0 || draft->id >= l->state.next_id))
        return fail_damaged("a Flight has an id that was not given", err);
    if (hidden)
        draft->id = l->state.next_id++;
    if (draft->row < 0)
        return fail_damaged("a Flight has a negative row", err);
    if (draft->row >= l->state.next_row)
        l->state.next_row = draft->row + 1;
    RA_TRY(load_names(l, draft, err));
    RA_TRY(load_versions(l, draft, err));
    draft->n_names = l->n_names;
    draft->names = l->names;
    draft->n_versions = l->n_versions;
    draft->versions = l->versions;
    RA_TRY(ra_sql_column_bytes(l->sql, id, 6, &draft->created_by, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 8, &draft->lineage, err));
    return ra_sql_column_bytes(l->sql, id, 9, &draft->legacy_command, err);
}

static int64_t count_uses(const ra_flight *flight) {
    int64_t n_lost = 0;
    for (int i = 0; i < flight->n_versions; i++) {
        const ra_content *content = flight->versions[i]->content;
        for (int j = 0; j < content->n_parts; j++)
            content->parts[j].segment->n_uses++;
        n_lost += flight->versions[i]->is_lost;
    }
    return n_lost;
}

static int keep_flight(load *l, ra_flight *flight, bool hidden, ra_error *err) {
    int64_t n_lost = count_uses(flight);
    if (n_lost > 0 && flight->kind == RA_KIND_RESULT && !l->only_looks)
        return push_flight(&l->dropped, &l->n_dropped, &l->dropped_capacity, flight, err);
    if (n_lost > 0)
        ra_log(RA_LOG_ERROR, "store", "Flight %" PRId64 "%s%.*s: files are missing or damaged",
               flight->id, flight->n_names ? " " : "",
               RA_STR_ARG(flight->n_names ? flight->names[0] : RA_STR("")));
    if (hidden)
        RA_TRY(push_flight(&l->shown, &l->n_shown, &l->shown_capacity, flight, err));
    return ra_state_put(&l->state, NULL, flight, err);
}

static int load_flight(load *l, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_FLIGHTS;
    ra_flight draft, *flight = NULL;
    bool hidden = ra_sql_column_is_null(l->sql, id, 1);
    int64_t used_ns = ra_sql_column_int(l->sql, id, 7);
    int rc = load_draft(l, &draft, err);
    if (rc == 0)
        rc = ra_flight_new(&draft, &flight, err);
    for (int i = 0; i < l->n_versions; i++)
        ra_version_unref(l->versions[i]);
    l->n_versions = 0;
    l->n_names = 0;
    if (rc != 0)
        return rc;
    ra_flight_set_use(flight, used_ns);
    rc = keep_flight(l, flight, hidden, err);
    ra_flight_unref(flight);
    return rc;
}

static int load_flights(load *l, ra_error *err) {
    RA_TRY(ra_sql_first(l->sql, RA_SQL_SELECT_NAMES, &l->more_names, err));
    RA_TRY(ra_sql_first(l->sql, RA_SQL_SELECT_VERSIONS, &l->more_versions, err));
    bool more;
    RA_TRY(ra_sql_first(l->sql, RA_SQL_SELECT_FLIGHTS, &more, err));
    while (more) {
        RA_TRY(load_flight(l, err));
        RA_TRY(ra_sql_next(l->sql, RA_SQL_SELECT_FLIGHTS, &more, err));
    }
    if (l->more_names || l->more_versions)
        return fail_damaged("names or versions of a Flight that is not there", err);
    return 0;
}

static int load_file(load *l, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_FILES;
    ra_str name, hash, uid;
    RA_TRY(ra_sql_column_bytes(l->sql, id, 0, &name, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 3, &hash, err));
    RA_TRY(ra_sql_column_bytes(l->sql, id, 4, &uid, err));
    ra_file_mark mark = {.bytes = ra_sql_column_int(l->sql, id, 1),
                         .time_ns = ra_sql_column_int(l->sql, id, 2),
                         .has_uid = uid.len > 0};
    if (hash.len != sizeof mark.hash || (uid.len != 0 && uid.len != sizeof mark.uid))
        return fail_damaged("a file has a wrong hash or uid", err);
    memcpy(mark.hash, hash.data, hash.len);
    if (uid.len > 0)
        memcpy(mark.uid, uid.data, uid.len);
    ra_file_entry *entry;
    RA_TRY(ra_file_entry_new(name, &mark, &entry, err));
    ra_files_put(l->catalog->store->files, entry);
    return 0;
}

static int load_files(load *l, ra_error *err) {
    bool more;
    RA_TRY(ra_sql_first(l->sql, RA_SQL_SELECT_FILES, &more, err));
    while (more) {
        RA_TRY(load_file(l, err));
        RA_TRY(ra_sql_next(l->sql, RA_SQL_SELECT_FILES, &more, err));
    }
    return 0;
}

static int load_meta(load *l, ra_error *err) {
    const ra_sql_id id = RA_SQL_SELECT_META;
    bool more;
    RA_TRY(ra_sql_first(l->sql, id, &more, err));
    if (!more)
        return fail_damaged("table meta is empty", err);
    bool clean = ra_sql_column_int(l->sql, id, 0) != 0;
    l->state.reserved_id = ra_sql_column_int(l->sql, id, 2);
    // After a crash any reserved id may have been seen by a client.
    l->state.next_id = clean ? ra_sql_column_int(l->sql, id, 1) : l->state.reserved_id;
    l->state.sequence = ra_sql_column_int(l->sql, id, 3) + (clean ? 0 : SEQUENCE_GAP);
    ra_sql_end(l->sql, id);
    if (l->state.next_id < 0 || l->state.reserved_id < l->state.next_id)
        return fail_damaged("ids make no sense", err);
    return 0;
}

// Rows of a result that did not survive.
static int delete_dropped(load *l, const ra_flight *flight, ra_error *err) {
    ra_log(RA_LOG_WARNING, "store", "Flight %" PRId64 ": the result did not survive the crash",
           flight->id);
    RA_TRY(RA_SQL_RUN(l->sql, err, DELETE_NAMES, ra_sql_int(flight->row)));
    RA_TRY(RA_SQL_RUN(l->sql, err, DELETE_FLIGHT, ra_sql_int(flight->row)));
    for (int i = 0; i < flight->n_versions; i++) {
        const ra_version *version = flight->versions[i];
        RA_TRY(RA_SQL_RUN(l->sql, err, DELETE_VERSION, ra_sql_int(flight->row),
                          ra_sql_int(version->number)));
        for (int j = 0; j < version->content->n_parts; j++)
            version->content->parts[j].segment->n_uses--;
    }
    return 0;
}

static int delete_unused_segments(load *l, ra_error *err) {
    for (int i = 0; i < l->n_segments; i++) {
        if (l->segments[i].segment->n_uses == 0)
            RA_TRY(ra_rows_delete_segment(l->sql, l->segments[i].segment, err));
    }
    return 0;
}

static int write_changes(load *l, ra_error *err) {
    for (int i = 0; i < l->n_dropped; i++)
        RA_TRY(delete_dropped(l, l->dropped[i], err));
    RA_TRY(delete_unused_segments(l, err));
    for (int i = 0; i < l->n_shown; i++)
        RA_TRY(RA_SQL_RUN(l->sql, err, UPDATE_ID, ra_sql_int(l->shown[i]->row),
                          ra_sql_int(l->shown[i]->id)));
    while (l->state.reserved_id < l->state.next_id)
        l->state.reserved_id += RA_ID_BLOCK;
    RA_TRY(RA_SQL_RUN(l->sql, err, UPDATE_META, ra_sql_int(0), ra_sql_int(l->state.next_id),
                      ra_sql_int(l->state.reserved_id), ra_sql_int(l->state.sequence)));
    return ra_sql_commit(l->sql, err);
}

static int write_all(load *l, ra_error *err) {
    RA_TRY(ra_sql_begin(l->sql, RA_SQL_DURABLE, err));
    int rc = write_changes(l, err);
    ra_sql_rollback(l->sql);
    if (rc != 0)
        return rc;
    for (int i = 0; i < l->n_segments; i++) {
        if (l->segments[i].segment->n_uses == 0)
            ra_segment_orphan(l->segments[i].segment);
    }
    return 0;
}

static int load_all(load *l, ra_error *err) {
    ra_store *store = l->catalog->store;
    RA_TRY(load_meta(l, err));
    RA_TRY(load_segments(l, err));
    RA_TRY(load_app_metadata(l, err));
    RA_TRY(l->only_looks ? ra_recovery_look_at_files(store, l->segments, l->n_segments, err)
                         : ra_recovery_check_files(store, l->segments, l->n_segments, err));
    RA_TRY(load_flights(l, err));
    RA_TRY(load_files(l, err));
    return l->only_looks ? 0 : write_all(l, err);
}

static void fini(load *l) {
    static const ra_sql_id walks[] = {RA_SQL_SELECT_META,     RA_SQL_SELECT_SEGMENTS,
                                      RA_SQL_SELECT_FLIGHTS,  RA_SQL_SELECT_NAMES,
                                      RA_SQL_SELECT_VERSIONS, RA_SQL_SELECT_APP_METADATA,
                                      RA_SQL_SELECT_FILES};
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++)
        ra_sql_end(l->sql, walks[i]);
    for (int i = 0; i < l->n_dropped; i++)
        ra_flight_unref(l->dropped[i]);
    for (int i = 0; i < l->n_shown; i++)
        ra_flight_unref(l->shown[i]);
    for (int i = 0; i < l->n_segments; i++)
        ra_segment_unref(l->segments[i].segment);
    for (int i = 0; i < SCHEMA_SLOTS && l->schemas; i++)
        ra_schema_unref(l->schemas[i].schema);
    ra_free(l->dropped);
    ra_free(l->shown);
    ra_free(l->segments);
    ra_free(l->schemas);
    ra_bytes_fini(&l->text);
    ra_free(l);
}

static int load_state(ra_catalog *catalog, bool only_looks, ra_state *state, ra_error *err) {
    *state = (ra_state){0};
    load *l = ra_calloc(1, sizeof *l);
    if (!l)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to load the list of Flights");
    l->catalog = catalog;
    l->sql = catalog->sql;
    l->only_looks = only_looks;
    ra_bytes_init(&l->text, MAX_NAMES * 256);
    ra_os_random(&l->state.name_seed, sizeof l->state.name_seed);
    l->schemas = ra_calloc(SCHEMA_SLOTS, sizeof *l->schemas);
    int rc = l->schemas ? load_all(l, err)
                        : ra_error_set(err, RA_REASON_OUT_OF_MEMORY,
                                       "no memory to load the list of Flights");
    if (rc == 0)
        *state = l->state;
    else
        ra_state_fini(&l->state);
    fini(l);
    return rc;
}

int ra_catalog_load(ra_catalog *catalog, ra_state *state, ra_error *err) {
    return load_state(catalog, false, state, err);
}

int ra_catalog_look(ra_catalog *catalog, ra_state *state, ra_error *err) {
    return load_state(catalog, true, state, err);
}
