// The store: Flights, their versions, names and life. Readers see an immutable snapshot; changes
// are requests to the catalog thread, which commits them in groups and then answers each.
#ifndef RA_STORE_STORE_H
#define RA_STORE_STORE_H

#include "base/budget.h"
#include "base/workers.h"
#include "store/content.h"

enum { RA_KEEP_VERSIONS = 10, RA_MAX_KEEP_VERSIONS = 1000, RA_COMPACT_PARTS = 64 };

typedef struct {
    const char *data_dir;
    bool durable;  // --durability commit
    bool read_only;
    // Uploads are refused when less is free, or when the tables take more; below 0: minus percent
    // of the file system; quota 0: none.
    int64_t disk_reserve_bytes;
    int64_t disk_quota_bytes;
    int keep_versions;      // of a Flight, 1 … RA_MAX_KEEP_VERSIONS; 0: RA_KEEP_VERSIONS
    int compact_parts;      // small ones at a table's end that are merged; 0: RA_COMPACT_PARTS
    int64_t result_ttl_ns;  // unnamed results go so long after their last use; 0: never
    ra_budget *budget;      // memory of writers, merged dictionaries …
    ra_workers *workers;
} ra_store_options;

// Opens or makes the data directory, takes its lock, recovers (crash rules), starts the catalog
// thread. UNAVAILABLE when locked; PERMISSION_DENIED when not writable; UNAVAILABLE naming both
// format numbers when it is of a newer format.
RA_MUST int ra_store_open(const ra_store_options *options, ra_store **out, ra_error *err);
// Returns when every change that was asked for has been answered. Nobody asks for more meanwhile.
void ra_store_settle(ra_store *store);
// Writes last-use times, marks the clean stop, ends the thread. All contents, versions and segments
// must have been released.
void ra_store_close(ra_store *store);

// UNAVAILABLE after a failed fsync, READ_ONLY with --read-only.
RA_MUST int ra_store_check_writable(ra_store *store, ra_error *err);
// DISK_FULL with the sizes when `bytes` more would go below the reserve or over the quota. Asks the
// file system: not on I/O threads.
RA_MUST int ra_store_check_disk(ra_store *store, int64_t bytes, ra_error *err);

// A failed fsync, in `err`, becomes UNAVAILABLE for good (crash rule 2). Returns that code. Any thread.
int ra_store_word_sync_failure(ra_store *store, ra_error *err);

typedef enum { RA_KIND_DATASET, RA_KIND_RESULT } ra_kind;

// A version of a Flight. Immutable, shared.
typedef struct ra_version {
    atomic_int refs;
    int64_t flight_id;
    uint8_t uid[16];  // the Flight's
    int64_t number;   // 1, 2, 3 …
    int64_t created_ns;
    bool is_lost;  // a file of the content was missing or cut short at start
    ra_content *content;
} ra_version;
ra_version *ra_version_ref(ra_version *version);
void ra_version_unref(ra_version *version);
// Whether a file of it is known to be missing or damaged: since the start, or since it was read.
bool ra_version_is_failed(const ra_version *version);

// A Flight as one snapshot has it. Immutable, shared; a change makes a new one.
typedef struct ra_flight {
    atomic_int refs;
    int64_t id;
    uint8_t uid[16];
    ra_kind kind;
    bool kept;
    int n_names;
    ra_str *names;
    int n_versions;
    ra_version **versions;  // oldest first; the last one is the newest
    int64_t created_ns;
    ra_str created_by;
    ra_str lineage;                      // JSON, empty for uploads
    ra_str legacy_command;               // the first legacy command sent for it, empty if none
    atomic_int_least64_t *last_used_ns;  // shared by the Flight's records; ra_flight_touch
    bool has_command_key;                // the newest version answers this canonical command
    uint8_t command_key[16];
    int64_t row;  // in the catalog; also the order in which Flights were made
} ra_flight;
ra_flight *ra_flight_ref(ra_flight *flight);
void ra_flight_unref(ra_flight *flight);
// Remembers a use: in memory, written at most once a minute and at the end.
void ra_flight_touch(ra_flight *flight);
// When it expires unless it is used before: unnamed results only; INT64_MAX = never. Its versions
// in use (by a download, a running command) count as a use.
int64_t ra_flight_expires_ns(const ra_flight *flight);
static inline ra_version *ra_flight_newest(const ra_flight *flight) {
    return flight->versions[flight->n_versions - 1];
}

// A snapshot of the list: entries 0 … n-1, position = id; NULL = tombstone. Cheap to take and hold.
typedef struct ra_snapshot ra_snapshot;
ra_snapshot *ra_store_snapshot(ra_store *store);  // a reference; never blocks
void ra_snapshot_unref(ra_snapshot *snapshot);
int64_t ra_snapshot_count(const ra_snapshot *snapshot);  // ids in use, trailing tombstones not
ra_flight *ra_snapshot_get(const ra_snapshot *snapshot, int64_t id);    // borrowed, may be NULL
ra_flight *ra_snapshot_find(const ra_snapshot *snapshot, ra_str name);  // borrowed, may be NULL
// The Flight that answers the canonical command `key`, if it is there. Borrowed.
ra_flight *ra_snapshot_find_command(const ra_snapshot *snapshot, const uint8_t key[16]);
int64_t ra_snapshot_sequence(const ra_snapshot *snapshot);  // of the newest event

// Look-ups that word the error: FLIGHT_NOT_FOUND "Flight 7 does not exist" / "Flight 'x' …",
// FLIGHT_DELETED; version 0 = newest, unknown version FLIGHT_NOT_FOUND. References; the version may
// be lost.
RA_MUST int ra_store_get(ra_store *store, int64_t id, int64_t version, ra_flight **flight,
                         ra_version **out, ra_error *err);
RA_MUST int ra_store_find(ra_store *store, ra_str name, int64_t version, ra_flight **flight,
                          ra_version **out, ra_error *err);
// DATA_LOSS naming the Flight when the version's content is lost, which reading would find out
// late. What was damaged since the start is left to the reader: other batches may be intact.
RA_MUST int ra_version_check_lost(const ra_flight *flight, const ra_version *version,
                                  ra_error *err);

// 1-255 bytes of UTF-8, no control characters, not beginning with '#' or '@'. INVALID_ARGUMENT.
RA_MUST int ra_name_check(ra_str name, ra_error *err);

typedef enum {
    RA_IF_EXISTS_ERROR,
    RA_IF_EXISTS_REPLACE,
    RA_IF_EXISTS_APPEND,
    RA_IF_EXISTS_REUSE
} ra_if_exists;
// "error", "replace", "append", "reuse". INVALID_ARGUMENT.
RA_MUST int ra_if_exists_read(ra_str word, ra_if_exists *out, ra_error *err);
// Whether a publish under `name` (may be empty) could succeed beside `flight`, which has the name
// now, or NULL; if_version -1 = any. FLIGHT_EXISTS, VERSION_CONFLICT, FLIGHT_NOT_FOUND.
RA_MUST int ra_if_exists_check(ra_str name, const ra_flight *flight, ra_if_exists if_exists,
                               int64_t if_version, ra_error *err);
// The same against the list as it is now: fails early with what the commit would find.
RA_MUST int ra_store_check_publish(ra_store *store, ra_str name, ra_if_exists if_exists,
                                   int64_t if_version, ra_error *err);
// Fails with FLIGHT_EXISTS, `why` added to the words.
RA_MUST int ra_flight_fail_exists(const ra_flight *flight, ra_str name, const char *why,
                                  ra_error *err);

// What the catalog remembers of a file at the top of the data directory, so that it is imported
// once and an export not at all.
typedef struct {
    int64_t bytes;
    int64_t time_ns;   // when it was changed last
    uint64_t hash[2];  // XXH3-128 of its bytes
    bool has_uid;
    uint8_t uid[16];  // of the Flight that it became
} ra_file_mark;
// False when the name (without folder) is not known. Any thread.
bool ra_store_find_file(ra_store *store, ra_str name, ra_file_mark *out);

typedef enum {
    RA_CHANGE_PUBLISH,
    RA_CHANGE_DELETE,
    RA_CHANGE_RENAME,  // `name` becomes the Flight's only name; REPLACE takes it from who has it
    RA_CHANGE_KEEP,    // a result becomes a dataset: its segments are synced first
    RA_CHANGE_UNKEEP,
    RA_CHANGE_CLEAR,           // one event, without a Flight
    RA_CHANGE_FILE,            // remembers `file` under `file_name`
    RA_CHANGE_LEGACY_COMMAND,  // remembers `legacy_command` if the Flight has none
    RA_CHANGE_COMPACT  // the catalog's own: the newest version gets the same rows in fewer parts
} ra_change_kind;

// A request to the catalog thread. Strings and objects are copied or referenced by the call.
typedef struct {
    ra_change_kind change;
    int64_t flight_id;       // delete, rename, keep, unkeep, legacy command, compact
    ra_str name;             // publish (may be empty), rename
    ra_if_exists if_exists;  // publish under a name that exists; rename: ERROR or REPLACE
    int64_t if_version;      // publish: required newest version of the named Flight; -1 = any
    ra_kind kind;            // publish
    ra_content *content;     // publish; for append the rows to be added; compact: what to compact
    ra_str caller;           // who asks: the creator of a new Flight; in the audit log
    ra_str lineage;
    ra_str legacy_command;
    bool has_command_key;  // publish: answers this canonical command from now on
    uint8_t command_key[16];
    bool if_expired;    // delete: by the janitor, of a result that is still unused
    ra_str file_name;   // publish: the content is that of this file, remembered with it (or empty)
    ra_file_mark file;  // its uid is filled in by a publish
    bool results_only;  // clear
    bool purge;         // clear
} ra_change;

// What came of it. On success of a publish, rename, keep or unkeep `flight` and `version` are
// references that the callee owns; `bytes_freed` and `bytes_later` answer a delete or clear;
// `reused` tells that the Flight was there already as it was asked for, and nothing changed.
typedef struct {
    ra_error err;
    ra_flight *flight;
    ra_version *version;
    int64_t bytes_freed;
    int64_t bytes_later;
    bool reused;
} ra_change_result;

// Calls done(context, result) once, on the catalog thread after the commit, unless this fails;
// `result` is valid during the call. By then files that a delete freed are gone. FLIGHT_EXISTS,
// FLIGHT_NOT_FOUND, VERSION_CONFLICT, SCHEMA_MISMATCH, DISK_FULL, READ_ONLY, UNAVAILABLE arrive in
// result->err. Any thread.
typedef void (*ra_change_done)(void *context, ra_change_result *result);
RA_MUST int ra_store_change(ra_store *store, const ra_change *change, ra_change_done done,
                            void *context, ra_error *err);
// The same, waiting; not on I/O threads.
RA_MUST int ra_store_change_wait(ra_store *store, const ra_change *change, ra_change_result *result,
                                 ra_error *err);

// Events, for `watch`: the newest few thousand are kept in memory.
typedef enum {
    RA_EVENT_CREATED,
    RA_EVENT_VERSION,
    RA_EVENT_RENAMED,
    RA_EVENT_DELETED,
    RA_EVENT_EVICTED,
    RA_EVENT_FAILED,
    RA_EVENT_CLEARED
} ra_event_kind;
typedef struct {
    int64_t sequence;  // 1, 2, 3 … since the store was made
    ra_event_kind kind;
    int64_t flight_id;
    int64_t version;
    int64_t time_ns;
    char name[256];
} ra_event;
// Copies up to `max` events after `sequence`; *lost tells that older ones are gone.
int ra_store_events(ra_store *store, int64_t sequence, ra_event *out, int max, bool *lost);
// Calls `wake(context)` on the catalog thread after every commit that made events, until removed;
// it must not subscribe or unsubscribe.
RA_MUST int ra_store_subscribe(ra_store *store, void (*wake)(void *context), void *context,
                               int64_t *subscription, ra_error *err);
void ra_store_unsubscribe(ra_store *store, int64_t subscription);

typedef struct {
    int64_t n_flights;
    int64_t n_segments;
    int64_t segment_bytes;  // also of those that are only open, without a name
    int64_t spool_bytes;    // of large messages on their way in
    int64_t open_segments;
    bool read_only;  // also after a failed fsync
} ra_store_status;
void ra_store_get_status(ra_store *store, ra_store_status *out);

#endif
