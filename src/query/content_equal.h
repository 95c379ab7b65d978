// Whether two contents are equal as tables: chunk layout and dictionaries' own order do not count.
#ifndef RA_QUERY_CONTENT_EQUAL_H
#define RA_QUERY_CONTENT_EQUAL_H

#include <stdatomic.h>

#include "store/content.h"

// As pyarrow.Table.equals: schemas (metadata if asked for) and values, NaN unequal to NaN. Reads
// both batch by batch; worker thread. DATA_LOSS, OUT_OF_MEMORY, CANCELLED.
RA_MUST int ra_content_equal(ra_content *left, ra_content *right, bool check_metadata,
                             const atomic_bool *cancelled, bool *equal, ra_error *err);

#endif
