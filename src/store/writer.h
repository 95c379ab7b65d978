// The inside of ra_writer. A batch passes three stages, each of which may hold batches back:
//   dictionaries  which dictionaries are in force, when a new segment begins writer_dictionaries.c
//   merging       floods of tiny batches become larger ones                    writer_merge.c
//   storing       what is over the batch limit is re-sliced; into the file     writer.c
#ifndef RA_STORE_WRITER_H
#define RA_STORE_WRITER_H

#include "store/internal.h"
#include "store/segment_file.h"
#include "store/xxh3.h"

enum {
    RA_WRITER_RUN = 64,   // tiny batches in a row that are merged, and not fewer
    RA_WRITER_HELD = 64,  // batches whose dictionaries are unified at once
};

// A dictionary in force.
typedef struct {
    ra_batch *batch;  // a reference
    bool is_hashed;
    XXH128_hash_t hash;  // of its message
} ra_writer_dictionary;

typedef struct {
    ra_batch *batch;
    ra_blob *app_metadata;
} ra_writer_held;

struct ra_writer {
    ra_store *store;
    ra_schema *schema;
    ra_write_kind kind;
    bool failed;
    bool merges_all;            // not only floods of tiny batches
    int max_generations;        // of dictionaries; further ones are unified
    int64_t n_rows;             // added
    int64_t body_bytes;         // in files
    ra_schema *checked_schema;  // another schema that is known to have equal types
    ra_segment_file *file;      // NULL until the generation's first batch is stored
    ra_segment **segments;      // finished ones
    int n_segments;
    ra_ipc_encoded encoded;

    int n_generations;  // sets of dictionaries that were put in force
    ra_writer_dictionary *dictionaries;
    bool dictionaries_grew;     // since they were written to the file: to be written again
    const ra_batch **incoming;  // those of the batch at hand, by id
    ra_batch **in_force;        // scratch: `dictionaries` as batches
    ra_writer_held held[RA_WRITER_HELD];
    int n_held;
    int64_t held_bytes;

    ra_batch *tiny[RA_WRITER_RUN];  // of the current run, not yet merged
    int n_tiny;
    ra_batch *merged[RA_WRITER_RUN];  // each made of RA_WRITER_RUN tiny ones, in front of `tiny`
    int n_merged;
    int64_t run_length;  // tiny batches of the run so far
    int64_t run_rows;    // in `tiny` and `merged`
    int64_t tiny_bytes;  // charged for each
    int64_t merged_bytes;

    ra_budget *budget;      // of what is held back
    int64_t charged_bytes;  // to it
};

// Merges all neighbours without app_metadata to batches of about 1 MiB, however few there are; with
// `unify`, their dictionaries too. Before the first batch.
void ra_writer_merge_all(ra_writer *writer, bool unify);

// First stage. Takes references of both; `app_metadata` may be NULL.
RA_MUST int ra_writer_pass_dictionaries(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata,
                                        ra_error *err);
RA_MUST int ra_writer_flush_dictionaries(ra_writer *writer, ra_error *err);
// Writes the dictionaries in force to the writer's file.
RA_MUST int ra_writer_store_dictionaries(ra_writer *writer, ra_error *err);
void ra_writer_drop_dictionaries(ra_writer *writer);

// Second stage: `batch` has the dictionaries in force.
RA_MUST int ra_writer_merge(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata,
                            ra_error *err);
RA_MUST int ra_writer_flush_merge(ra_writer *writer, ra_error *err);
void ra_writer_drop_merge(ra_writer *writer);

// Third stage.
RA_MUST int ra_writer_store(ra_writer *writer, ra_batch *batch, ra_blob *app_metadata,
                            ra_error *err);
// Finishes the file of the generation, if any.
RA_MUST int ra_writer_end_segment(ra_writer *writer, ra_error *err);

// Memory that is held back; OUT_OF_MEMORY.
RA_MUST int ra_writer_charge(ra_writer *writer, int64_t bytes, ra_error *err);
void ra_writer_release(ra_writer *writer, int64_t bytes);

#endif
