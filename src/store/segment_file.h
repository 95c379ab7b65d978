// A segment that is being written: an Arrow IPC file in tmp_dir and the index of its messages.
//
// Layout: "ARROW1\0\0", schema message, then for each message the prefix (FFFFFFFF, length), the
// flatbuffer, zeros up to a multiple of 64 of the file, the body; an end-of-stream mark, footer.
#ifndef RA_STORE_SEGMENT_FILE_H
#define RA_STORE_SEGMENT_FILE_H

#include "arrow/ipc.h"
#include "store/segment.h"

typedef struct ra_segment_file ra_segment_file;

// Makes the file and writes the schema. DISK_FULL with sizes, IO_ERROR, OUT_OF_MEMORY.
RA_MUST int ra_segment_file_new(ra_store *store, ra_schema *schema, ra_write_kind kind,
                                ra_segment_file **out, ra_error *err);
// Closes and removes the file unless it was finished. NULL is allowed.
void ra_segment_file_free(ra_segment_file *file);

// Adds the message of dictionary `id`; every id of the schema exactly once, inner ones first.
RA_MUST int ra_segment_file_add_dictionary(ra_segment_file *file, const ra_ipc_encoded *encoded,
                                           int id, int64_t n_rows, ra_error *err);
// Forgets the dictionaries that were added: all will be added again. The file keeps their bytes,
// unused.
void ra_segment_file_forget_dictionaries(ra_segment_file *file);
// Adds a batch; `encoded` is its message. Takes a reference of `app_metadata`, which may be NULL.
RA_MUST int ra_segment_file_add_batch(ra_segment_file *file, const ra_batch *batch,
                                      const ra_ipc_encoded *encoded, ra_blob *app_metadata,
                                      ra_error *err);

// Writes the footer, syncs a durable file, closes it. The segment has one reference (a use), is in
// tmp_dir and all its messages count as verified. UNAVAILABLE when the sync failed.
RA_MUST int ra_segment_file_finish(ra_segment_file *file, ra_segment **out, ra_error *err);
// The same for a file that will be no segment: it stays in tmp_dir under the path that is given
// (RA_SEGMENT_PATH_BYTES) and is the caller's. Without batches it may lack dictionaries.
RA_MUST int ra_segment_file_leave(ra_segment_file *file, char *path, int64_t *n_bytes,
                                  ra_error *err);

#endif
