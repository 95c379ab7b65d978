#include <inttypes.h>

#include "arrow/check.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"
#include "base/os.h"

struct ra_ipc_decoder {
    ra_schema *schema;
    ra_budget *budget;
    ra_ipc_dictionaries *dictionaries;
    ra_ipc_decompressor decompressor;
};

int ra_ipc_decoder_new(ra_span schema_message, ra_budget *budget, ra_ipc_decoder **out,
                       ra_error *err) {
    *out = NULL;
    ra_schema *schema;
    int64_t *sender_ids;
    RA_TRY(ra_ipc_read_schema(schema_message, &schema, &sender_ids, err));
    ra_ipc_decoder *decoder = ra_calloc(1, sizeof *decoder);
    if (!decoder) {
        ra_schema_unref(schema);
        ra_free(sender_ids);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a decoder");
    }
    decoder->schema = schema;
    decoder->budget = budget;
    int rc = ra_ipc_dictionaries_new(schema, sender_ids, budget, &decoder->dictionaries, err);
    if (rc)
        ra_ipc_decoder_free(decoder);
    else
        *out = decoder;
    return rc;
}

void ra_ipc_decoder_free(ra_ipc_decoder *decoder) {
    if (!decoder)
        return;
    ra_ipc_decompressor_fini(&decoder->decompressor);
    ra_ipc_dictionaries_free(decoder->dictionaries);
    ra_schema_unref(decoder->schema);
    ra_free(decoder);
}

ra_schema *ra_ipc_decoder_schema(const ra_ipc_decoder *decoder) {
    return decoder->schema;
}

// A new batch, or dictionary when `field` is given, with room for what the message brings.
static int new_batch(ra_schema *schema, const ra_field *field,
                     const ra_ipc_batch_metadata *metadata, ra_batch **out, ra_error *err) {
    int n_columns = field ? 1 : schema->n_fields;
    *out = NULL;
    // Before memory is taken that is as large as the schema.
    if (metadata->nodes.n < n_columns)
        RA_FAIL(err, MALFORMED_ARROW, "%" PRId64 " field nodes for %d columns", metadata->nodes.n,
                n_columns);
    if (field)
        return ra_dictionary_new(schema, field, metadata->n_rows, out, err);
    return ra_batch_new(schema, metadata->n_rows, out, err);
}

// Places, decompresses and checks.
static int fill_batch(ra_ipc_decoder *decoder, const ra_ipc_message *message,
                      const ra_ipc_batch_metadata *metadata, ra_span body, ra_batch *batch,
                      ra_error *err) {
    ra_batch *const *dictionaries = NULL;
    bool is_flat_dictionary = batch->n_columns == 1 && batch->columns[0].of_dictionary &&
                              batch->columns[0].n_children == 0;
    if (decoder->schema->n_dictionaries > 0 && !is_flat_dictionary)
        RA_TRY(ra_ipc_dictionaries_get(decoder->dictionaries, &dictionaries, err));
    RA_TRY(ra_ipc_place_batch(message, metadata, body, dictionaries, batch, err));
    if (metadata->codec != RA_CODEC_NONE)
        RA_TRY(ra_ipc_decompress_batch(&decoder->decompressor, metadata->codec, decoder->budget,
                                       batch, err));
    return ra_check_batch(batch, err);
}

int ra_ipc_decode(ra_ipc_decoder *decoder, ra_span span, ra_span body, ra_blob *owner,
                  ra_batch **out, ra_error *err) {
    ra_ipc_message message;
    ra_ipc_batch_metadata metadata;
    const ra_field *field = NULL;
    ra_batch *batch;
    *out = NULL;
    RA_TRY(ra_ipc_open_message(span, &message, err));
    if (message.header.kind == RA_IPC_SCHEMA)
        RA_FAIL(err, MALFORMED_ARROW, "a second schema in a stream");
    RA_TRY(ra_ipc_read_batch_metadata(&message, &metadata, err));
    if (message.header.kind == RA_IPC_DICTIONARY)
        RA_TRY(ra_ipc_dictionaries_find(decoder->dictionaries, message.header.dictionary_id, &field,
                                        err));
    RA_TRY(new_batch(decoder->schema, field, &metadata, &batch, err));
    int rc = owner ? ra_batch_own(batch, owner, err) : 0;
    if (rc == 0)
        rc = fill_batch(decoder, &message, &metadata, body, batch, err);
    if (field && rc == 0)
        rc = ra_ipc_dictionaries_put(decoder->dictionaries, field, batch, message.header.is_delta,
                                     err);
    if (field && rc)
        ra_error_prefix(err, "dictionary %" PRId64, message.header.dictionary_id);
    if (rc || field)
        ra_batch_unref(batch);
    else
        *out = batch;
    return rc;
}

// What placing does not look at: that buffers are as long as the rows ask for.
static bool has_room(const ra_array *a) {
    static const struct {
        int8_t width[2];  // bytes a row in each buffer
        int8_t more;      // rows more in the first: offsets
    } layouts[RA_N_LAYOUTS] = {
        [RA_LAYOUT_VAR32] = {{4}, 1},          [RA_LAYOUT_VAR64] = {{8}, 1},
        [RA_LAYOUT_VIEW] = {{16}, 0},          [RA_LAYOUT_LIST32] = {{4}, 1},
        [RA_LAYOUT_LIST64] = {{8}, 1},         [RA_LAYOUT_LIST_VIEW32] = {{4, 4}, 0},
        [RA_LAYOUT_LIST_VIEW64] = {{8, 8}, 0}, [RA_LAYOUT_SPARSE_UNION] = {{1}, 0},
        [RA_LAYOUT_DENSE_UNION] = {{1, 4}, 0},
    };
    int64_t need = (a->length + layouts[a->layout].more) * layouts[a->layout].width[0];
    if (a->layout == RA_LAYOUT_BIT)
        need = ra_bit_bytes(a->length);
    if (a->layout == RA_LAYOUT_FIXED)
        need = a->length * a->byte_width;
    if (a->buffers[0].bytes < need ||
        a->buffers[1].bytes < a->length * layouts[a->layout].width[1] ||
        (a->validity.data && a->validity.bytes < ra_bit_bytes(a->length)))
        return false;
    for (int i = 0; i < a->n_children; i++)
        if (!has_room(&a->children[i]))
            return false;
    return true;
}

static int check_own_batch(const ra_batch *batch, ra_error *err) {
    for (int i = 0; i < batch->n_columns; i++)
        if (batch->columns[i].length != batch->n_rows || !has_room(&batch->columns[i])) {
            ra_str name = batch->columns[i].field->name;
            ra_error_set(err, RA_REASON_MALFORMED_ARROW,
                         "column '%.*s': its buffers are too short for its rows", RA_STR_ARG(name));
            ra_error_set_subject(err, "column", name.data, name.len);
            return RA_INVALID;
        }
    return 0;
}

int ra_ipc_decode_own(ra_schema *schema, ra_span span, ra_span body, ra_blob *owner,
                      ra_batch *const *dictionaries, int64_t *dictionary_id, ra_batch **out,
                      ra_error *err) {
    ra_ipc_message message;
    ra_ipc_batch_metadata metadata;
    const ra_field *field = NULL;
    *out = NULL;
    *dictionary_id = -1;
    RA_TRY(ra_ipc_open_message(span, &message, err));
    if (message.header.kind == RA_IPC_SCHEMA)
        RA_FAIL(err, MALFORMED_ARROW, "a schema among batches");
    RA_TRY(ra_ipc_read_batch_metadata(&message, &metadata, err));
    if (metadata.codec != RA_CODEC_NONE)
        RA_FAIL(err, MALFORMED_ARROW, "a compressed batch among our own");
    if (message.header.kind == RA_IPC_DICTIONARY) {
        *dictionary_id = message.header.dictionary_id;
        field = ra_schema_dictionary_field(schema, *dictionary_id);
        if (!field)
            RA_FAIL(err, MALFORMED_ARROW, "no field has a dictionary with id %" PRId64,
                    *dictionary_id);
    }
    ra_batch *batch;
    RA_TRY(new_batch(schema, field, &metadata, &batch, err));
    int rc = owner ? ra_batch_own(batch, owner, err) : 0;
    if (rc == 0)
        rc = ra_ipc_place_batch(&message, &metadata, body, dictionaries, batch, err);
    if (rc == 0)
        rc = check_own_batch(batch, err);
    if (rc)
        ra_batch_unref(batch);
    else
        *out = batch;
    return rc;
}
