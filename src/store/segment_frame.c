#include "store/segment_frame.h"

#include "arrow/ipc.h"
#include "base/checked.h"
#include "base/os.h"

void ra_segment_print_prefix(int64_t position, int64_t message_bytes,
                             uint8_t prefix[RA_SEGMENT_PREFIX_BYTES]) {
    int64_t message_at = position + RA_SEGMENT_PREFIX_BYTES;
    int64_t padded = ra_round_up(message_at + message_bytes, RA_SEGMENT_ALIGNMENT) - message_at;
    ra_store_u32(prefix, UINT32_MAX);
    ra_store_i32(prefix + 4, (int32_t)padded);
}

static int frame_schema(const ra_bytes *message, ra_bytes *out, ra_error *err) {
    static const char magic[8] = "ARROW1";
    uint8_t prefix[RA_SEGMENT_PREFIX_BYTES];
    ra_segment_print_prefix(sizeof magic, (int64_t)message->len, prefix);
    RA_TRY(ra_bytes_append(out, magic, sizeof magic, err));
    RA_TRY(ra_bytes_append(out, prefix, sizeof prefix, err));
    RA_TRY(ra_bytes_append(out, message->data, message->len, err));
    return ra_bytes_append_zeros(out, -out->len & (RA_SEGMENT_ALIGNMENT - 1), err);
}

int ra_segment_encode_head(const ra_schema *schema, ra_bytes *out, ra_error *err) {
    ra_bytes message;
    ra_bytes_init(&message, 2 * RA_MAX_SCHEMA_BYTES);
    int rc = ra_ipc_encode_schema(schema, &message, err);
    if (rc == 0)
        rc = frame_schema(&message, out, err);
    ra_bytes_fini(&message);
    return rc;
}

static void fill_blocks(const ra_segment_entry *entries, int n, ra_ipc_block *blocks) {
    for (int i = 0; i < n; i++)
        blocks[i] = (ra_ipc_block){
            .offset = entries[i].message_offset - RA_SEGMENT_PREFIX_BYTES,
            .metadata_bytes = (int32_t)(entries[i].body_offset - entries[i].message_offset) +
                              RA_SEGMENT_PREFIX_BYTES,
            .body_bytes = entries[i].body_bytes};
}

int ra_segment_encode_tail(const ra_schema *schema, const ra_segment_entry *dictionaries,
                           int n_dictionaries, const ra_segment_entry *batches, int n_batches,
                           ra_bytes *out, ra_error *err) {
    static const uint8_t end_of_stream[8] = {0xff, 0xff, 0xff, 0xff};
    size_t n = (size_t)n_dictionaries + (size_t)n_batches;
    RA_TRY(ra_bytes_append(out, end_of_stream, sizeof end_of_stream, err));
    ra_ipc_block *blocks = ra_calloc(n, sizeof *blocks);
    if (!blocks)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the footer of %zu messages", n);
    fill_blocks(dictionaries, n_dictionaries, blocks);
    fill_blocks(batches, n_batches, blocks + n_dictionaries);
    int rc = ra_ipc_encode_footer(schema, blocks, n_dictionaries, blocks + n_dictionaries,
                                  n_batches, out, err);
    ra_free(blocks);
    return rc;
}
