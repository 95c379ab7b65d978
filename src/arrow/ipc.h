// The Arrow IPC format: flatbuffer messages to and from schemas and batches.
//
// A *message* here is the bare flatbuffer `Message` (what FlightData.data_header holds); the prefix
// FFFFFFFF + length belongs to streams and files (ra_ipc_frame). Reading is bounded and never
// trusts a number: I-1. What is decoded has been checked as far as metadata can be; contents are
// checked by ra_check_batch.
#ifndef RA_ARROW_IPC_H
#define RA_ARROW_IPC_H

#include "arrow/array.h"
#include "arrow/schema.h"
#include "base/budget.h"

typedef enum { RA_IPC_SCHEMA = 1, RA_IPC_DICTIONARY = 2, RA_IPC_BATCH = 3 } ra_ipc_kind;

typedef struct {
    ra_ipc_kind kind;
    int64_t body_bytes;
    int64_t n_rows;         // batches and dictionaries
    int64_t dictionary_id;  // dictionaries
    bool is_delta;          // dictionaries
    int version;            // 4 or 5
} ra_ipc_header;

// Reads kind and sizes of a message; verifies nothing deeper. MALFORMED_ARROW.
RA_MUST int ra_ipc_peek(ra_span message, ra_ipc_header *out, ra_error *err);

// Decodes a schema message. `message` is copied from. MALFORMED_ARROW; big-endian NOT_IMPLEMENTED.
// The schema is sealed: its dictionary ids are ours; `ids` of the decoder below maps the sender's.
RA_MUST int ra_ipc_decode_schema(ra_span message, ra_schema **out, ra_error *err);
// The same from an encapsulated message (FFFFFFFF, length, flatbuffer) as in FlightInfo.schema.
RA_MUST int ra_ipc_decode_framed_schema(ra_span framed, ra_schema **out, ra_error *err);

// Decodes a stream's messages after its schema: keeps the dictionaries in force, resolves deltas,
// replacement and nested dictionaries, decompresses, accepts V4.
typedef struct ra_ipc_decoder ra_ipc_decoder;

// From the stream's schema message. Decompressed and delta-merged memory is charged to `budget`
// (may be NULL) while the decoder or a batch uses it.
RA_MUST int ra_ipc_decoder_new(ra_span schema_message, ra_budget *budget, ra_ipc_decoder **out,
                               ra_error *err);
void ra_ipc_decoder_free(ra_ipc_decoder *decoder);
ra_schema *ra_ipc_decoder_schema(const ra_ipc_decoder *decoder);  // borrowed

// Decodes a dictionary or batch message whose body lies in `body` (`owner` keeps it alive and gets
// references as needed, NULL for a body without bytes; the body may have any alignment). Contents
// are fully checked (check.h). A dictionary is put in force and `*out` is NULL; a batch is returned
// with its dictionaries set (an empty one where none was sent). Fails with MALFORMED_ARROW naming
// column and fault, NOT_IMPLEMENTED, OUT_OF_MEMORY.
RA_MUST int ra_ipc_decode(ra_ipc_decoder *decoder, ra_span message, ra_span body, ra_blob *owner,
                          ra_batch **out, ra_error *err);

// Decodes a batch or dictionary message that we wrote ourselves (segments): structure is verified,
// contents are not checked again. `dictionaries[id]` are the batches in force, by our ids (may be
// NULL without dictionary fields). For dictionary messages `*dictionary_id` is set, else -1.
RA_MUST int ra_ipc_decode_own(ra_schema *schema, ra_span message, ra_span body, ra_blob *owner,
                              ra_batch *const *dictionaries, int64_t *dictionary_id, ra_batch **out,
                              ra_error *err);

// Encoding: metadata version 5, little-endian, uncompressed, buffers 64-byte aligned in the body.
// Appends the flatbuffer to `out`.
RA_MUST int ra_ipc_encode_schema(const ra_schema *schema, ra_bytes *out, ra_error *err);
// The same as an encapsulated message padded to 8 bytes.
RA_MUST int ra_ipc_encode_framed_schema(const ra_schema *schema, ra_bytes *out, ra_error *err);

// A piece of a body: bytes, then zeros up to a multiple of 64.
typedef struct {
    ra_bytes message;  // flatbuffer
    ra_span *pieces;   // buffers in order, each followed by zeros to a multiple of 64
    int n_pieces;
    int piece_capacity;
    int64_t body_bytes;  // padded sum
} ra_ipc_encoded;

void ra_ipc_encoded_init(ra_ipc_encoded *encoded);
void ra_ipc_encoded_fini(ra_ipc_encoded *encoded);
// Encodes a batch; pieces point into its buffers and only as many bytes as the rows need. Bits of a
// last bitmap byte beyond the rows are sent as they are.
RA_MUST int ra_ipc_encode_batch(const ra_batch *batch, ra_ipc_encoded *out, ra_error *err);
// Encodes a dictionary (a one-column batch of ra_dictionary_new) under our id.
RA_MUST int ra_ipc_encode_dictionary(const ra_batch *dictionary, int64_t id, ra_ipc_encoded *out,
                                     ra_error *err);
// Size of message + body that ra_ipc_encode_batch would give, without doing it (an upper bound that
// is at most 1 KiB + 64 bytes a buffer too high).
int64_t ra_ipc_encoded_bound(const ra_batch *batch);

// IPC files: an entry of the footer, and the footer itself.
typedef struct {
    int64_t offset;          // of the encapsulated message in the file
    int32_t metadata_bytes;  // prefix, flatbuffer and padding
    int64_t body_bytes;
} ra_ipc_block;
// Appends footer flatbuffer, its int32 length and "ARROW1".
RA_MUST int ra_ipc_encode_footer(const ra_schema *schema, const ra_ipc_block *dictionaries,
                                 int n_dictionaries, const ra_ipc_block *batches, int n_batches,
                                 ra_bytes *out, ra_error *err);

// Reads a whole IPC stream held in memory (`{"arrow": "<base64>"}` arguments): checked batches are
// appended. `*batches` is an array for ra_free of `*n` references, also after an error.
RA_MUST int ra_ipc_read_stream(ra_blob *stream, ra_budget *budget, ra_schema **schema,
                               ra_batch ***batches, int *n, ra_error *err);

#endif
