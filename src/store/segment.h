// Segments inside the store: what the writer makes, the catalog remembers and contents refer to.
#ifndef RA_STORE_SEGMENT_H
#define RA_STORE_SEGMENT_H

#include <pthread.h>

#include "store/content.h"

// Where one message of a segment lies. Flatbuffer at `message_offset` (behind its 8-byte prefix),
// body 64-byte aligned behind it.
typedef struct {
    int64_t message_offset;
    int32_t message_bytes;  // of the flatbuffer, without prefix and padding
    int32_t dictionary_id;  // dictionary messages; -1 for batches
    int64_t body_offset;
    int64_t body_bytes;
    int64_t n_rows;
    uint64_t checksum;           // XXH3-64 of flatbuffer and body
    int64_t app_metadata_bytes;  // batches; the bytes are in the catalog's own table
} ra_segment_entry;

struct ra_segment {
    atomic_int refs;
    ra_store *store;
    uint64_t id;        // random; the file is segments/<16 hex digits>.arrow
    ra_schema *schema;  // of the file
    int64_t file_bytes;
    int n_dictionaries;  // entries 0 … n_dictionaries-1, inner ones first
    int n_batches;       // entries behind them
    ra_segment_entry *entries;
    int64_t *row_starts;       // n_batches + 1
    ra_blob **app_metadata;    // n_batches, NULL where there is none; NULL array when none at all
    uint64_t dictionary_hash;  // equal for segments whose dictionaries are equal in content
    atomic_uchar *verified;    // one an entry: checksum was right since start
    atomic_bool adopted;  // a catalog row refers to it: the file stays when the last reference goes
    bool synced;          // file and directory were synced
    pthread_mutex_t lock;  // of what follows
    int fd;                // -1 while closed
    const uint8_t *map;    // NULL while closed
    int n_pins;
    int64_t last_used_ns;
};

// The catalog's form of a segment: entries (packed, versioned) and schema message.
RA_MUST int ra_segment_encode_index(const ra_segment *segment, ra_bytes *out, ra_error *err);
// A segment as the catalog remembers it: adopted, closed, one reference. `schema_message` and
// `index` are copied from; app_metadata is set by the caller afterwards
// (ra_segment_set_app_metadata).
RA_MUST int ra_segment_load(ra_store *store, uint64_t id, int64_t file_bytes,
                            ra_span schema_message, ra_span index, ra_segment **out, ra_error *err);
RA_MUST int ra_segment_set_app_metadata(ra_segment *segment, int batch, ra_span bytes,
                                        ra_error *err);
// The catalog's row refers to the file from now on / no longer: then the file goes with the last
// reference (at once if there is none left).
void ra_segment_adopt(ra_segment *segment);
void ra_segment_orphan(ra_segment *segment);
// Syncs file and directory of a result that is to be kept (no-op when done before).
RA_MUST int ra_segment_sync(ra_segment *segment, ra_error *err);
// A content from loaded parts (takes the references in `parts` and the array in any case).
RA_MUST int ra_content_new(ra_store *store, ra_schema *schema, ra_part *parts, int n_parts,
                           bool combined, ra_content **out, ra_error *err);

// Open segments: mapped and with a descriptor, at most `max_open` beyond those in use.
typedef struct ra_segment_cache ra_segment_cache;
RA_MUST int ra_segment_cache_new(int max_open, ra_segment_cache **out, ra_error *err);
void ra_segment_cache_free(ra_segment_cache *cache);

#endif
