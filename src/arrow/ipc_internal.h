// What the IPC files share. Nobody outside src/arrow includes this.
#ifndef RA_ARROW_IPC_INTERNAL_H
#define RA_ARROW_IPC_INTERNAL_H

#include "arrow/flatbuf_read.h"
#include "arrow/flatbuf_write.h"
#include "arrow/ipc.h"

enum { RA_MAX_BATCH_METADATA_BYTES = 32 * 1024 * 1024 };

typedef enum { RA_CODEC_NONE, RA_CODEC_LZ4, RA_CODEC_ZSTD } ra_ipc_codec;

// The header of a message and the table behind it.
typedef struct {
    ra_ipc_header header;
    ra_flatbuf buffer;
    ra_flatbuf_table table;  // Schema or RecordBatch; `buffer` must stay where it is
} ra_ipc_message;

// A record batch's numbers, pointing into the metadata.
typedef struct {
    int64_t n_rows;
    ra_flatbuf_vector nodes;
    ra_flatbuf_vector buffers;
    ra_flatbuf_vector variadic_counts;
    ra_ipc_codec codec;
} ra_ipc_batch_metadata;

// Opens a message of any kind. MALFORMED_ARROW.
RA_MUST int ra_ipc_open_message(ra_span message, ra_ipc_message *out, ra_error *err);
// The vectors of an opened batch or dictionary message.
RA_MUST int ra_ipc_read_batch_metadata(const ra_ipc_message *message, ra_ipc_batch_metadata *out,
                                       ra_error *err);

// Points the columns of a new batch (or dictionary) of `message` at their buffers in `body`, all
// spans checked to lie there, and attaches dictionaries[our id], none of which may be NULL.
// Compressed buffers still are. MALFORMED_ARROW naming the column, NOT_IMPLEMENTED, LIMIT.
RA_MUST int ra_ipc_place_batch(const ra_ipc_message *message, const ra_ipc_batch_metadata *metadata,
                               ra_span body, ra_batch *const *dictionaries, ra_batch *batch,
                               ra_error *err);
// Sets the dictionaries of an array and its children, and lets `batch` own them.
RA_MUST int ra_ipc_attach_dictionaries(ra_batch *batch, ra_array *array,
                                       ra_batch *const *dictionaries, ra_error *err);

// Contexts of the compression libraries, made when first needed.
typedef struct {
    void *lz4;
    void *zstd;
} ra_ipc_decompressor;
void ra_ipc_decompressor_fini(ra_ipc_decompressor *d);
// Replaces the compressed buffers of a placed batch by decompressed ones, charged to `budget` (may
// be NULL) as long as the batch lives. What a buffer claims is checked against what its rows may
// need before memory is taken. MALFORMED_ARROW naming the column, OUT_OF_MEMORY.
RA_MUST int ra_ipc_decompress_batch(ra_ipc_decompressor *d, ra_ipc_codec codec, ra_budget *budget,
                                    ra_batch *batch, ra_error *err);

// A new blob whose bytes are charged to `budget` (may be NULL) while it lives.
RA_MUST int ra_ipc_blob_new(ra_budget *budget, int64_t bytes, ra_blob **out, ra_error *err);
// Charges `bytes` for memory of the batch's own for as long as the batch lives.
RA_MUST int ra_ipc_charge_batch(ra_batch *batch, ra_budget *budget, int64_t bytes, ra_error *err);

// The dictionaries of a stream by our ids.
typedef struct ra_ipc_dictionaries ra_ipc_dictionaries;
// From what ra_ipc_read_schema gave; takes `sender_ids` in any case. MALFORMED_ARROW when fields of
// different types share an id.
RA_MUST int ra_ipc_dictionaries_new(ra_schema *schema, int64_t *sender_ids, ra_budget *budget,
                                    ra_ipc_dictionaries **out, ra_error *err);
void ra_ipc_dictionaries_free(ra_ipc_dictionaries *d);
// A field that the sender's id belongs to; MALFORMED_ARROW when there is none.
RA_MUST int ra_ipc_dictionaries_find(const ra_ipc_dictionaries *d, int64_t sender_id,
                                     const ra_field **out, ra_error *err);
// Puts a checked dictionary of that field in force for all fields of the id.
RA_MUST int ra_ipc_dictionaries_put(ra_ipc_dictionaries *d, const ra_field *field,
                                    ra_batch *dictionary, bool is_delta, ra_error *err);
// The dictionaries in force, deltas merged; a field that was sent none has an empty one.
RA_MUST int ra_ipc_dictionaries_get(ra_ipc_dictionaries *d, ra_batch *const **out, ra_error *err);

// Writes the table Message around a header of `kind`; link the returned position to the header.
uint32_t ra_ipc_put_message(ra_flatbuf_writer *w, ra_ipc_kind kind, int64_t body_bytes);
// Writes the table Schema and returns its position.
uint32_t ra_ipc_put_schema(ra_flatbuf_writer *w, const ra_schema *schema);

// Decodes a schema. `*sender_ids` gets an array for ra_free: by our dictionary id, the id in the
// sender's messages.
RA_MUST int ra_ipc_read_schema(ra_span message, ra_schema **out, int64_t **sender_ids,
                               ra_error *err);

#endif
