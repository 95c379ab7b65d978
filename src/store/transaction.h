// A group of changes on their way: a state that will be, its rows, events and effects on segments.
// Catalog thread.
#ifndef RA_STORE_TRANSACTION_H
#define RA_STORE_TRANSACTION_H

#include "store/catalog.h"

// Catalog rows began (+1) or ceased (-1) to refer to a content's segments.
typedef struct {
    ra_content *content;  // a reference
    int delta;
    int n_parts;  // counted so far
} ra_effect;

typedef struct {
    ra_catalog *catalog;
    ra_sql *sql;  // NULL: nothing is written, only unnamed results may be added
    ra_state state;
    ra_request *request;  // that runs now, NULL for upkeep
    int n_effects;
    int effect_capacity;
    ra_effect *effects;
    int n_events;
    int event_capacity;
    ra_event *events;
} ra_transaction;

// How a transaction is written.
typedef enum {
    RA_COMMIT_MEMORY,   // not at all: all requests are lazy and their ids are reserved
    RA_COMMIT_RELAXED,  // it may be gone after a crash of the machine
    RA_COMMIT_DURABLE
} ra_commit_mode;

// An unnamed result: answered from memory and written with a later transaction. Not one that takes
// the place of a damaged result, which is marked here: its next version is written at once.
bool ra_request_is_lazy(ra_request *request, const ra_state *state);

// Begins with the newest snapshot's state; when something is written, unwritten results are
// written first (if that succeeds). On failure nothing is left to end.
RA_MUST int ra_transaction_begin(ra_transaction *t, ra_catalog *catalog, ra_commit_mode mode,
                                 ra_error *err);
// Runs one request; its own error is left in its result and undoes only what it did. Fails when
// the whole transaction is lost.
RA_MUST int ra_transaction_run(ra_transaction *t, ra_request *request, ra_error *err);
// Commits and publishes the snapshot. On failure nothing happened. The transaction is ended by
// this or by ra_transaction_abort.
RA_MUST int ra_transaction_commit(ra_transaction *t, bool clean_stop, ra_error *err);
void ra_transaction_abort(ra_transaction *t);

// For changes.

// Makes `new` what `old` was, in rows, counts and state; either may be NULL. `old` is the state's.
RA_MUST int ra_transaction_put(ra_transaction *t, const ra_flight *old, ra_flight *new,
                               ra_error *err);
// Stages an event.
RA_MUST int ra_transaction_event(ra_transaction *t, ra_event_kind kind, const ra_flight *flight,
                                 ra_error *err);
// The next id, reserved on disk at the latest by this transaction.
int64_t ra_transaction_give_id(ra_transaction *t);
// Notes that rows refer (+1) or no longer refer (-1) to the segments of `content`; `write` adds and
// removes the segments' rows as well.
RA_MUST int ra_transaction_count(ra_transaction *t, ra_content *content, int delta, bool write,
                                 ra_error *err);

#endif
