#include "arrow/ipc_format.h"
#include "arrow/ipc_internal.h"
#include "base/checked.h"

static uint32_t put_blocks(ra_flatbuf_writer *w, const ra_ipc_block *blocks, int n) {
    ra_bytes encoded;
    ra_bytes_init(&encoded, w->out->ceiling);
    for (int i = 0; i < n && w->rc == 0; i++) {
        uint8_t block[FB_BLOCK_BYTES] = {0};
        ra_store_i64(block, blocks[i].offset);
        ra_store_i32(block + 8, blocks[i].metadata_bytes);
        ra_store_i64(block + 16, blocks[i].body_bytes);
        w->rc = ra_bytes_append(&encoded, block, sizeof block, w->err);
    }
    uint32_t at = ra_flatbuf_put_vector(w, encoded.data, (size_t)n, FB_BLOCK_BYTES);
    ra_bytes_fini(&encoded);
    return at;
}

int ra_ipc_encode_footer(const ra_schema *schema, const ra_ipc_block *dictionaries,
                         int n_dictionaries, const ra_ipc_block *batches, int n_batches,
                         ra_bytes *out, ra_error *err) {
    static const ra_flatbuf_slot slots[] = {
        [FB_FOOTER_VERSION] = RA_SLOT_I16(FB_VERSION_V5),
        [FB_FOOTER_SCHEMA] = RA_SLOT_REF,
        [FB_FOOTER_DICTIONARIES] = RA_SLOT_REF,
        [FB_FOOTER_BATCHES] = RA_SLOT_REF,
    };
    ra_flatbuf_writer w;
    uint32_t at[4];
    size_t begin = out->len;
    ra_flatbuf_begin(&w, out, err);
    ra_flatbuf_link(&w, 0, ra_flatbuf_put_table(&w, slots, 4, at));
    ra_flatbuf_link(&w, at[FB_FOOTER_SCHEMA], ra_ipc_put_schema(&w, schema));
    ra_flatbuf_link(&w, at[FB_FOOTER_DICTIONARIES], put_blocks(&w, dictionaries, n_dictionaries));
    ra_flatbuf_link(&w, at[FB_FOOTER_BATCHES], put_blocks(&w, batches, n_batches));
    RA_TRY(ra_flatbuf_end(&w));
    int32_t footer_bytes = (int32_t)(out->len - begin);
    RA_TRY(ra_bytes_append(out, &footer_bytes, sizeof footer_bytes, err));
    return ra_bytes_append(out, "ARROW1", 6, err);
}
