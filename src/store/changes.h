// What each kind of change does to the state and rows of a transaction. Catalog thread.
#ifndef RA_STORE_CHANGES_H
#define RA_STORE_CHANGES_H

#include "store/transaction.h"

// Runs the request's change; its result gets what the change gave. On failure the caller undoes
// what was done.
RA_MUST int ra_change_run(ra_transaction *t, ra_request *request, ra_error *err);

RA_MUST int ra_change_publish(ra_transaction *t, ra_request *request, ra_error *err);
RA_MUST int ra_change_clear(ra_transaction *t, ra_request *request, ra_error *err);

// Makes all versions of a result durable, as a dataset; gives the new record (the state's).
RA_MUST int ra_change_keep_flight(ra_transaction *t, ra_flight *old, ra_flight **out,
                                  ra_error *err);
// Takes `name` from a hidden dataset that has it: that is deleted when an upload takes its place
// and else comes back without the name.
RA_MUST int ra_change_claim_name(ra_transaction *t, ra_str name, bool is_upload, ra_error *err);
// Syncs what was not synced on the way.
RA_MUST int ra_change_sync(ra_transaction *t, const ra_content *content, ra_error *err);

#endif
