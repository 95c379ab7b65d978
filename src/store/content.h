// The content of a version: a schema and ranges of batches in segments. Immutable, shared.
//
// A *segment* is one Arrow IPC file in `.remote-arrow/segments/` with one generation of
// dictionaries. A *part* is a run of its batches, whole or with some of its columns; a view is made
// of other contents' parts without copying. Segment files live while something refers to them:
// a catalog row, a content, a batch, a queued frame.
#ifndef RA_STORE_CONTENT_H
#define RA_STORE_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arrow/array.h"
#include "base/blob.h"
#include "base/budget.h"

typedef struct ra_store ra_store;
typedef struct ra_segment ra_segment;

enum {
    RA_BATCH_LIMIT_BYTES = 4 * 1024 * 1024,  // the FlightData we send stays below (F-14)
    RA_MAX_DICTIONARY_GENERATIONS = 64,
    RA_MAX_APP_METADATA_BYTES = 1024 * 1024,
    RA_MAX_PARTS = 256 * 1024  // of a content: 10 MiB of memory, 10 ms of the catalog thread
};

// How what is written lasts.
typedef enum {
    RA_WRITE_DURABLE,   // fsync at finish (unless the store runs with durability none)
    RA_WRITE_RESULT,    // no fsync
    RA_WRITE_TEMPORARY  // never published: in memory while it is small, else a file that is removed
} ra_write_kind;

typedef struct {
    ra_segment *segment;  // a reference
    int first_batch;
    int n_batches;
    int n_columns;  // of `columns`; -1: all columns of the segment in order
    int *columns;   // indices of the segment's columns, in the order of the content's schema
    int64_t n_rows;
} ra_part;

typedef struct ra_content {
    atomic_int refs;
    ra_store *store;
    ra_schema *schema;        // a reference
    ra_blob *schema_message;  // bare flatbuffer
    ra_blob *framed_schema;   // encapsulated, for FlightInfo.schema
    int n_parts;
    ra_part *parts;
    int64_t *batch_starts;  // n_parts + 1: number of the first batch of each part
    int64_t n_rows;
    int64_t n_batches;
    int64_t n_bytes;   // bodies as DoGet sends them, dictionaries included; of parts with some
                       // columns an estimate
    bool combined;     // the result of combine_chunks: a client joins the chunks
    uint64_t hash[2];  // XXH3-128 of schema, batches and app_metadata: equal content, equal hash
} ra_content;

ra_content *ra_content_ref(ra_content *content);
void ra_content_unref(ra_content *content);  // NULL is allowed

// A content with the same rows under another schema (rename, metadata): equal types required.
RA_MUST int ra_content_with_schema(ra_content *content, ra_schema *schema, bool combined,
                                   ra_content **out, ra_error *err);
// Columns by index (repeats allowed, none allowed: rows stay). Where repeats bring a batch over the
// batch limit, the content is written as a result instead of being a view. Worker thread.
RA_MUST int ra_content_select(ra_content *content, const int *columns, int n, ra_content **out,
                              ra_error *err);
// Rows [offset, offset + n_rows) (already cut to the content): whole batches, and at most two cut
// ones that are written as results, without app_metadata. Worker thread.
RA_MUST int ra_content_slice(ra_content *content, int64_t offset, int64_t n_rows,
                             ra_write_kind kind, ra_content **out, ra_error *err);
// All rows of all, in order, under the first one's schema. SCHEMA_MISMATCH unless names, types and
// nullability are equal (metadata aside); names the first field that differs.
RA_MUST int ra_content_concat(ra_content *const *contents, int n, ra_content **out, ra_error *err);

// Batch i as arrays over the mapped segment. Verifies its checksum at first use: DATA_LOSS. Worker.
RA_MUST int ra_content_batch(ra_content *content, int64_t i, ra_batch **out, ra_error *err);
// The batch that holds a row (0 <= row < n_rows), and the row's place in it.
void ra_content_locate(const ra_content *content, int64_t row, int64_t *batch,
                       int64_t *row_in_batch);
// The app_metadata that came with batch i; empty when there was none.
RA_MUST int ra_content_app_metadata(ra_content *content, int64_t i, ra_blob **out, ra_error *err);

// Sending: a cursor over the messages of a content in the order DoGet sends them, after the schema:
// each segment's dictionaries before its first batch (left out when the ones in force are equal).
typedef struct {
    ra_span header;         // bare flatbuffer message
    ra_blob *header_owner;  // a reference, NULL when `segment` owns the header
    ra_span app_metadata;
    ra_blob *app_metadata_owner;
    ra_segment *segment;  // a reference: owner of the body, keeps mapping and descriptor open
    int n_body;
    struct ra_body_range {
        const uint8_t *data;  // in the mapping
        int64_t offset;       // in the file
        int64_t bytes;
    } * body;  // array for ra_free when n_body > 1; points to `one` otherwise
    struct ra_body_range one;
    int64_t body_bytes;
    bool is_batch;
    int64_t n_rows;
} ra_out_message;
void ra_out_message_fini(ra_out_message *message);

typedef struct ra_cursor ra_cursor;
// From batch `first_batch` on.
RA_MUST int ra_cursor_new(ra_content *content, int64_t first_batch, ra_cursor **out, ra_error *err);
void ra_cursor_free(ra_cursor *cursor);
// True when the next message can be taken without waiting for a disk (or there is none): it was
// prepared, or it was verified since start and lies in memory; if it is to be encoded again it must
// be small, too. I/O thread.
bool ra_cursor_is_ready(const ra_cursor *cursor);
bool ra_cursor_at_end(const ra_cursor *cursor);
// Verifies checksums and faults in the next `window_bytes` of messages. Worker thread, not at the
// same time as any other call on this cursor. DATA_LOSS, IO_ERROR.
RA_MUST int ra_cursor_prepare(ra_cursor *cursor, int64_t window_bytes, ra_error *err);
// The next message, which must be ready; `out` is for ra_out_message_fini. DATA_LOSS, IO_ERROR,
// OUT_OF_MEMORY; the cursor stays where it was.
RA_MUST int ra_cursor_next(ra_cursor *cursor, ra_out_message *out, ra_error *err);

// References for others than contents: while there is one, an open segment stays open.
ra_segment *ra_segment_ref(ra_segment *segment);
void ra_segment_unref(ra_segment *segment);
int ra_segment_fd(const ra_segment *segment);  // of an open segment; for sendfile

// Writing a content. Not for several threads at once.
typedef struct ra_writer ra_writer;
RA_MUST int ra_writer_new(ra_store *store, ra_schema *schema, ra_write_kind kind, ra_writer **out,
                          ra_error *err);
// Charges what is held back to `budget`, a part of the store's that outlives the writer, instead of
// the store's own. Before the first batch.
void ra_writer_set_budget(ra_writer *writer, ra_budget *budget);
// Adds the rows of a checked batch whose schema has equal types (else SCHEMA_MISMATCH). Over the
// batch limit it is re-sliced; a new dictionary begins a segment (from the 64th generation on they
// are unified); floods of tiny ones are merged. Keeps references while it holds batches back.
// DISK_FULL with sizes, MESSAGE_TOO_LARGE for app_metadata, LIMIT, OUT_OF_MEMORY. After a failure
// there is only ra_writer_free left to do.
RA_MUST int ra_writer_add(ra_writer *writer, ra_batch *batch, ra_span app_metadata, ra_error *err);
int64_t ra_writer_rows(const ra_writer *writer);   // added
int64_t ra_writer_bytes(const ra_writer *writer);  // bodies stored so far, dictionaries included
// Finishes and closes the files (and for durable ones: fsync, rename, fsync of the directory). The
// content's segments are removed with its last reference unless the catalog has adopted them.
RA_MUST int ra_writer_finish(ra_writer *writer, ra_content **out, ra_error *err);
void ra_writer_free(ra_writer *writer);  // removes what was not finished

#endif
