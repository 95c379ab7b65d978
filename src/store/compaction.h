// Tables that grew by many appends, in fewer parts.
//
// An append costs a part, and each part its place in the catalog and a batch of its own in every
// download. When compact_parts small ones stand at a table's end, a thread of the catalog's writes
// their rows as a segment, and a request of the catalog's own puts that in their place, in the
// newest version: its number and rows stay, readers keep the parts that they have. If the machine
// dies, either all or nothing has happened. Batches with app_metadata stay as they are.
#ifndef RA_STORE_COMPACTION_H
#define RA_STORE_COMPACTION_H

#include "store/changes.h"

// Whether the parts from `*first` on should be merged. Parts in front of the small ones at the end
// join them if they are small too and not much larger, so that each row is written about
// log2(n) times.
bool ra_compaction_find(const ra_content *content, int *first);

// Writes those parts of the request's content into request->merged. DISK_FULL, DATA_LOSS,
// OUT_OF_MEMORY. Not on the catalog thread.
RA_MUST int ra_compaction_work(ra_request *request, ra_error *err);

// Puts request->merged in the place of the parts, if the Flight's newest version still has them and
// it has fewer by a quarter, unlike with dictionaries that do not fit their index type together;
// else the result is `reused`. Catalog thread.
RA_MUST int ra_compaction_commit(ra_transaction *t, ra_request *request, ra_error *err);

#endif
