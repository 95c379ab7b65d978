// Segments inside the store: what the writer makes, the catalog remembers and contents refer to.
#ifndef RA_STORE_SEGMENT_H
#define RA_STORE_SEGMENT_H

#include <pthread.h>

#include "base/workers.h"

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

// A decoded dictionary that somebody still uses, for others to share.
typedef struct {
    ra_segment *segment;
    ra_batch *batch;  // not a reference: forgets itself when it dies
} ra_segment_dictionary;

struct ra_segment {
    ra_task removal;  // destroys it on another thread when the last reference went on an I/O thread
    atomic_int refs;
    ra_store *store;
    uint64_t id;        // random; the file is segments/<16 hex digits>.arrow
    ra_schema *schema;  // of the file
    int64_t file_bytes;
    int n_dictionaries;  // entries 0 … n_dictionaries-1, inner ones first
    int n_batches;       // entries behind them
    ra_segment_entry *entries;
    int64_t *row_starts;       // n_batches + 1
    int64_t *column_bytes;     // schema->n_fields: body bytes of a column over all batches
    ra_blob **app_metadata;    // n_batches, NULL where there is none; NULL array when none at all
    uint64_t dictionary_hash;  // equal for segments whose dictionaries are equal in content
    atomic_uchar *verified;    // one an entry: checksum was right since start
    atomic_bool adopted;  // a catalog row refers to it: the file stays when the last reference goes
    atomic_bool synced;   // file and directory were synced
    atomic_bool damaged;  // since start its file was found missing, cut short or with other bytes
    int64_t n_uses;       // parts of catalog rows that refer to it; the catalog thread's
    bool in_memory;       // has no file: `map` is its own memory, charged to the store's budget
    bool placed;          // in segments_dir; until its writer finishes it is in tmp_dir
    pthread_mutex_t lock;                 // of what follows
    int fd;                               // -1 while closed
    const uint8_t *map;                   // NULL while closed
    int n_holds;                          // of `refs`: those of contents, which let it be closed
    ra_segment_dictionary *dictionaries;  // n_dictionaries
    ra_segment *newer;                    // in the cache's list of open segments, under its lock
    ra_segment *older;
    bool is_listed;
};

// A segment of `n_dictionaries` + `n_batches` zeroed entries, closed and not placed, with one
// reference; counts in the store. It takes a reference of `schema`.
RA_MUST int ra_segment_new(ra_store *store, uint64_t id, ra_schema *schema, int64_t file_bytes,
                           int n_dictionaries, int n_batches, ra_segment **out, ra_error *err);
// Fills in what follows from the entries: row_starts and dictionary_hash.
void ra_segment_seal(ra_segment *segment);

enum { RA_SEGMENT_PATH_BYTES = 4096 };
// The path of the file into `path` (RA_SEGMENT_PATH_BYTES), in tmp_dir or segments_dir.
void ra_segment_print_path(const ra_store *store, uint64_t id, bool placed, char *path);

// The catalog's form of a segment: entries (packed, versioned) and what belongs to them.
RA_MUST int ra_segment_encode_index(const ra_segment *segment, ra_bytes *out, ra_error *err);
// A segment as the catalog remembers it: adopted, placed, closed, one reference. `schema_message`
// and `index` are copied from; app_metadata is set by the caller afterwards, before a content is
// made of it (ra_segment_set_app_metadata). DATA_LOSS when the index is damaged.
RA_MUST int ra_segment_load(ra_store *store, uint64_t id, int64_t file_bytes,
                            ra_span schema_message, ra_span index, ra_segment **out, ra_error *err);
RA_MUST int ra_segment_set_app_metadata(ra_segment *segment, int batch, ra_span bytes,
                                        ra_error *err);
// The catalog's row refers to the file from now on / no longer: then the file goes with the last
// reference (at once if there is none left).
void ra_segment_adopt(ra_segment *segment);
void ra_segment_orphan(ra_segment *segment);
// Syncs file and directory of a result that is to be kept (no-op when done before, or with
// durability none). UNAVAILABLE when it fails: final (crash rule 2).
RA_MUST int ra_segment_sync(ra_segment *segment, ra_error *err);

// A reference is either a *use*, while which an open segment stays mapped, or a *hold*, by which a
// content keeps the file alive while mapping and descriptor may be closed. ra_segment_ref and
// ra_segment_unref are about uses.
//
// Turns the caller's use into a hold, and gives a hold up.
void ra_segment_hold(ra_segment *segment);
void ra_segment_drop_hold(ra_segment *segment);
// Opens and maps the segment if it is not, and adds a use, for ra_segment_unref. The caller has a
// reference. DATA_LOSS when the file is missing or too short. Any thread; may touch the disk.
RA_MUST int ra_segment_use(ra_segment *segment, ra_error *err);
// Whether it is open just now and the bytes [offset, offset + bytes) of the file are in memory.
bool ra_segment_is_resident(const ra_segment *segment, int64_t offset, int64_t bytes);

// Checks the checksum of entry `i` unless it was right before. The caller uses the segment.
// DATA_LOSS naming the file, also for an I/O error in the mapping. Worker thread.
RA_MUST int ra_segment_verify(ra_segment *segment, int i, ra_error *err);
static inline bool ra_segment_is_verified(const ra_segment *segment, int i) {
    return atomic_load_explicit(&segment->verified[i], memory_order_acquire) != 0;
}
// Faults the bytes [offset, offset + bytes) of the mapping in. DATA_LOSS on an I/O error.
RA_MUST int ra_segment_fault_in(ra_segment *segment, int64_t offset, int64_t bytes, ra_error *err);
static inline int64_t ra_segment_entry_end(const ra_segment_entry *entry) {
    return entry->body_offset + entry->body_bytes;
}

// Notes that the file was found damaged: the versions that it belongs to count as failed.
void ra_segment_note_damage(ra_segment *segment);

// Decodes batch `i` under `schema`, which has the types of the segment's. Verified at first use;
// the result keeps the mapping. The caller has a reference. Worker thread.
RA_MUST int ra_segment_read_batch(ra_segment *segment, int i, ra_schema *schema, ra_batch **out,
                                  ra_error *err);

// A content from parts (takes the references in `parts`, which are uses, and the array in any
// case); n_rows of the parts is computed. Parts that do not fit their segment or the schema are
// DATA_LOSS.
RA_MUST int ra_content_new(ra_store *store, ra_schema *schema, ra_part *parts, int n_parts,
                           bool combined, ra_content **out, ra_error *err);

// Open segments: mapped and with a descriptor, at most `max_open` beyond those in use. Making the
// first cache installs the process's handler of SIGBUS.
typedef struct ra_segment_cache ra_segment_cache;
RA_MUST int ra_segment_cache_new(int max_open, ra_segment_cache **out, ra_error *err);
void ra_segment_cache_free(ra_segment_cache *cache);  // no segment may be open
// Notes the use of an open segment; closes others that are unused when there are too many.
void ra_segment_cache_touch(ra_segment_cache *cache, ra_segment *segment);
void ra_segment_cache_remove(ra_segment_cache *cache, ra_segment *segment);

#endif
