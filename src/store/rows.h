// Records as rows of the catalog.
#ifndef RA_STORE_ROWS_H
#define RA_STORE_ROWS_H

#include "store/transaction.h"

// Turns the rows of `old` into those of `new`; NULL stands for no rows. Segments gain and lose rows
// with the versions that refer to them.
RA_MUST int ra_rows_write(ra_transaction *t, const ra_flight *old, const ra_flight *new,
                          ra_error *err);
RA_MUST int ra_rows_insert_segment(ra_sql *sql, const ra_segment *segment, ra_error *err);
RA_MUST int ra_rows_delete_segment(ra_sql *sql, const ra_segment *segment, ra_error *err);
// Notes which segments of a content were synced.
RA_MUST int ra_rows_mark_synced(ra_sql *sql, const ra_content *content, ra_error *err);

// The parts of a version as one value: for each 8 bytes segment id, int32 first_batch, n_batches
// and n_columns (-1: all), then n_columns int32.
RA_MUST int ra_parts_encode(const ra_content *content, ra_bytes *out, ra_error *err);
// Finds the loaded segment of that id; NULL when there is none. Borrowed.
typedef ra_segment *(*ra_segment_finder)(void *context, uint64_t id);
// `*parts` is an array for ra_content_new. DATA_LOSS when the bytes make no sense or name an
// unknown segment, OUT_OF_MEMORY.
RA_MUST int ra_parts_decode(ra_str bytes, ra_segment_finder find, void *context, ra_part **parts,
                            int *n_parts, ra_error *err);
void ra_parts_free(ra_part *parts, int n_parts);  // of ra_parts_decode

#endif
