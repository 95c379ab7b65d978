// The catalog thread: it alone touches SQLite and decides what the list of Flights is.
//
// Requests queue up; the thread takes all there are, runs each in a savepoint of one transaction,
// commits, publishes the new snapshot and answers. A request that only adds an unnamed result is
// answered from memory and written a moment later (`unwritten`). One that has to sync, merge or
// remove files is *away* on a helper thread meanwhile, so that others need not wait for it. (Not on
// the store's workers: all of those may be waiting for an answer.)
#ifndef RA_STORE_CATALOG_H
#define RA_STORE_CATALOG_H

#include <pthread.h>

#include "store/events.h"
#include "store/files.h"
#include "store/internal.h"
#include "store/sql.h"
#include "store/state.h"

enum {
    RA_CATALOG_FORMAT = 1,
    RA_ENGINE_VERSION = 1,  // of the kernels: what a result was computed with
    RA_ID_BLOCK = 64        // ids are reserved on disk in blocks of so many
};

typedef struct ra_request {
    ra_task task;  // of what it does away
    struct ra_request *next;
    ra_catalog *catalog;
    ra_change change;  // strings lie behind the request
    ra_change_done done;
    void *context;
    ra_change_result result;
    ra_file_entry *file;  // to be remembered, or NULL
    bool was_away;        // its contents were synced or merged
    bool answered;        // everything is done but the answer
    bool remakes;         // a result that is there, but damaged: see ra_request_is_lazy
    int n_contents;
    ra_content **contents;  // references, to be synced
    ra_content *merged;     // compact: the parts that take the place of small ones
    int n_released;
    int released_capacity;
    ra_segment **released;  // references to segments of what it removed
} ra_request;

typedef struct {
    ra_request *head;
    ra_request **tail;
} ra_request_queue;

struct ra_snapshot {
    atomic_int refs;
    ra_catalog *catalog;
    int64_t count;
    ra_state state;
    struct ra_snapshot *next;  // among those that wait to be freed
};

enum { RA_VAIN_COMPACTIONS = 32 };

// A table of so many parts that was, or is, to be compacted.
typedef struct {
    int64_t flight_id;
    int n_parts;
} ra_compaction_try;

struct ra_catalog {
    ra_store *store;
    pthread_t thread;
    ra_workers *helpers;

    pthread_mutex_t lock;  // of the queue
    pthread_cond_t wake;
    pthread_cond_t settled;  // is_idle may have become true
    bool is_idle;            // the thread waits, and all it took has been answered
    ra_request_queue queue;
    int n_away;
    bool stopping;
    ra_snapshot *dead;             // their last reference went elsewhere
    struct ra_catalog_copy *copy;  // that is being made, or NULL

    pthread_mutex_t snapshot_lock;
    ra_snapshot *snapshot;  // the newest

    ra_event_log events;

    // The catalog thread's own.
    ra_sql *sql;
    char *reserve_path;
    int64_t flush_due_ns;  // when unwritten results are to be written, 0 = none
    bool flush_failing;    // was logged
    int64_t use_due_ns;    // when times of last use are to be written
    int64_t next_use_id;   // the Flight to go on with
    bool reserve_released;
    int64_t expiry_due_ns;   // when expired results are to be looked for; INT64_MAX = never
    int64_t next_expiry_id;  // the Flight to go on with
    bool compacting;         // a compaction is on its way; one at a time
    ra_compaction_try compaction;
    ra_compaction_try vain[RA_VAIN_COMPACTIONS];  // the last ones, from `n_vain` on in a ring
    unsigned n_vain;
};

// Opens the catalog of `store`: checks its format, recovers, loads all Flights; then starts the
// thread. On failure nothing is left. UNAVAILABLE (format), DATA_LOSS, IO_ERROR, OUT_OF_MEMORY.
RA_MUST int ra_catalog_open(ra_store *store, ra_error *err);
// Answers what is queued, writes what is unwritten, marks the clean stop. NULL is allowed.
void ra_catalog_close(ra_catalog *catalog);

// A snapshot of `state`, which is taken in any case. One reference. OUT_OF_MEMORY.
RA_MUST int ra_snapshot_new(ra_catalog *catalog, ra_state *state, ra_snapshot **out, ra_error *err);
// Frees a snapshot whose last reference went. Catalog thread.
void ra_snapshot_free(ra_snapshot *snapshot);

// Copies `change` into a new request. OUT_OF_MEMORY.
RA_MUST int ra_request_new(ra_catalog *catalog, const ra_change *change, ra_change_done done,
                           void *context, ra_request **out, ra_error *err);
void ra_request_free(ra_request *request);
// Gives the Flight as the answer, with its newest version.
void ra_request_answer(ra_request *request, ra_flight *flight, bool reused);
// Forgets what a run gave, for another one.
void ra_request_forget(ra_request *request);
// Remembers the segments of `content`, which is being removed. OUT_OF_MEMORY.
RA_MUST int ra_request_release(ra_request *request, const ra_content *content, ra_error *err);
// Whether files must be worked on before the request may commit, as `state` has it: collects the
// contents to be synced. OUT_OF_MEMORY is left to the request's own run.
bool ra_request_needs_work(ra_request *request, const ra_state *state);
// What a request does away: syncs or merges contents, or counts and removes files. Any thread.
void ra_request_work(ra_request *request);

// Writes results that are in memory only. They stay there when it fails. Catalog thread.
RA_MUST int ra_catalog_write_unwritten(ra_catalog *catalog, ra_error *err);

// When the next look at expired results is due, counted from now.
int64_t ra_janitor_next_due(const ra_catalog *catalog, int64_t now_ns);
// Looks at some Flights, and gives the expired ones to `expire`. Those in use are touched. Catalog
// thread.
void ra_janitor_run(ra_catalog *catalog, int64_t now_ns,
                    void (*expire)(ra_catalog *catalog, const ra_flight *flight));
// Whether a Flight may be deleted as expired.
bool ra_janitor_is_expired(const ra_flight *flight);

// The reserve file, which a delete may give back to a full disk.
void ra_reserve_make(ra_catalog *catalog);  // best effort
RA_MUST int ra_reserve_release(ra_catalog *catalog, ra_error *err);

#endif
