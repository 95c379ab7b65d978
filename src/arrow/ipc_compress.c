// Compressed buffers: int64 uncompressed size (-1: stored as it is), then one LZ4 frame or zstd.
#include <inttypes.h>
#include <lz4frame.h>
#include <zstd.h>

#include "arrow/ipc_internal.h"
#include "base/checked.h"

enum {
    PREFIX_BYTES = 8,
    // Some writers compress a buffer's whole allocation: this much more than the rows need.
    SLACK_FACTOR = 4,
    SLACK_BYTES = 64 * 1024,
    // More a compressed byte cannot become: the formats' longest matches and runs.
    LZ4_MAX_RATIO = 255,
    ZSTD_MAX_BLOCK_BYTES = 128 * 1024,
    ZSTD_MIN_BLOCK_BYTES = 4
};

typedef struct {
    ra_ipc_decompressor *contexts;
    ra_ipc_codec codec;
    ra_budget *budget;
    ra_batch *batch;
    ra_error *err;
} inflater;

void ra_ipc_decompressor_fini(ra_ipc_decompressor *d) {
    LZ4F_freeDecompressionContext(d->lz4);
    ZSTD_freeDCtx(d->zstd);
    *d = (ra_ipc_decompressor){0};
}

static int broken(const inflater *f, const char *why) {
    RA_FAIL(f->err, MALFORMED_ARROW, "a %s buffer cannot be decompressed: %s",
            f->codec == RA_CODEC_LZ4 ? "LZ4" : "zstd", why);
}

static int inflate_lz4(const inflater *f, ra_span in, uint8_t *out, int64_t out_bytes) {
    LZ4F_dctx *context = f->contexts->lz4;
    if (!context) {
        if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
            RA_FAIL(f->err, OUT_OF_MEMORY, "no memory to decompress");
        f->contexts->lz4 = context;
    }
    LZ4F_resetDecompressionContext(context);
    int64_t read = 0, written = 0;
    for (;;) {
        size_t n_in = (size_t)(in.bytes - read), n_out = (size_t)(out_bytes - written);
        size_t hint = LZ4F_decompress(context, out + written, &n_out, in.data + read, &n_in, NULL);
        if (LZ4F_isError(hint))
            return broken(f, LZ4F_getErrorName(hint));
        read += (int64_t)n_in;
        written += (int64_t)n_out;
        if (hint == 0)
            break;
        if (n_in == 0 && n_out == 0)
            return broken(f, "its end is missing or it is longer than it claims");
    }
    return written == out_bytes ? 0 : broken(f, "it is shorter than it claims");
}

static int inflate_zstd(const inflater *f, ra_span in, uint8_t *out, int64_t out_bytes) {
    if (!f->contexts->zstd)
        f->contexts->zstd = ZSTD_createDCtx();
    if (!f->contexts->zstd)
        RA_FAIL(f->err, OUT_OF_MEMORY, "no memory to decompress");
    size_t written =
        ZSTD_decompressDCtx(f->contexts->zstd, out, (size_t)out_bytes, in.data, (size_t)in.bytes);
    if (ZSTD_isError(written))
        return broken(f, ZSTD_getErrorName(written));
    return written == (size_t)out_bytes ? 0 : broken(f, "it is shorter than it claims");
}

// The most that `bytes` of compressed data can become, whatever they say.
static int64_t most_from(ra_ipc_codec codec, int64_t bytes) {
    int64_t most;
    bool fits = codec == RA_CODEC_LZ4
                    ? ra_mul_i64(bytes, LZ4_MAX_RATIO, &most)
                    : ra_mul_i64(bytes / ZSTD_MIN_BLOCK_BYTES + 1, ZSTD_MAX_BLOCK_BYTES, &most);
    return fits ? most : INT64_MAX;
}

// Decompresses one buffer whose rows need `need` bytes (-1: not known).
static int inflate_span(const inflater *f, ra_span *span, int64_t need) {
    if (span->bytes == 0)
        return 0;
    if (span->bytes < PREFIX_BYTES)
        return broken(f, "its size is missing");
    int64_t claim = ra_load_i64(span->data), allowed = INT32_MAX;
    ra_span in = {span->data + PREFIX_BYTES, span->bytes - PREFIX_BYTES};
    if (claim == -1 || claim == 0) {
        *span = claim ? in : (ra_span){ra_zero_bytes, 0};
        return 0;
    }
    if (need >= 0 &&
        (!ra_mul_i64(need, SLACK_FACTOR, &allowed) || !ra_add_i64(allowed, SLACK_BYTES, &allowed)))
        allowed = INT64_MAX;
    if (claim < 0 || claim > allowed || claim > most_from(f->codec, in.bytes))
        RA_FAIL(f->err, MALFORMED_ARROW,
                "a compressed buffer of %" PRId64 " bytes claims to hold %" PRId64
                "; its rows need %" PRId64,
                in.bytes, claim, need < 0 ? allowed : need);
    ra_blob *blob;
    RA_TRY(ra_ipc_blob_new(f->budget, claim, &blob, f->err));
    int rc = f->codec == RA_CODEC_LZ4 ? inflate_lz4(f, in, blob->data, claim)
                                      : inflate_zstd(f, in, blob->data, claim);
    if (rc == 0)
        rc = ra_batch_own(f->batch, blob, f->err);
    *span = (ra_span){blob->data, claim};
    ra_blob_unref(blob);
    return rc;
}

// Bytes that the rows need of buffer i. Offsets, which come before the data they reach into, are
// decompressed already; they are not checked yet, so anything may be in them.
static int64_t bytes_needed(const ra_array *a, int i) {
    switch (a->layout) {
        case RA_LAYOUT_BIT:
            return ra_bit_bytes(a->length);
        case RA_LAYOUT_FIXED:
            return a->length * a->byte_width;
        case RA_LAYOUT_VIEW:
            return a->length * 16;
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64: {
            int64_t width = a->layout == RA_LAYOUT_VAR32 ? 4 : 8;
            int64_t offsets_bytes = (a->length + 1) * width;
            if (i == 0)
                return offsets_bytes;
            if (a->buffers[0].bytes < offsets_bytes)
                return 0;
            const uint8_t *last = a->buffers[0].data + offsets_bytes - width;
            int64_t end = width == 4 ? ra_load_i32(last) : ra_load_i64(last);
            return end > 0 ? end : 0;
        }
        case RA_LAYOUT_LIST32:
        case RA_LAYOUT_LIST_VIEW32:
            return (a->length + 1) * 4;
        case RA_LAYOUT_LIST64:
        case RA_LAYOUT_LIST_VIEW64:
            return (a->length + 1) * 8;
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION:
            return i == 0 ? a->length : a->length * 4;
        default:
            return 0;
    }
}

static int inflate_array(const inflater *f, ra_array *array) {
    RA_TRY(inflate_span(f, &array->validity, ra_bit_bytes(array->length)));
    int n_buffers = ra_layout_n_buffers(array->layout);
    for (int i = 0; i < n_buffers; i++) {
        bool is_ours = array->buffers[i].data == ra_zero_bytes;
        if (!is_ours)
            RA_TRY(inflate_span(f, &array->buffers[i], bytes_needed(array, i)));
    }
    for (int i = 0; i < array->n_variadic; i++)
        RA_TRY(inflate_span(f, &array->variadic[i], -1));
    for (int i = 0; i < array->n_children; i++)
        RA_TRY(inflate_array(f, &array->children[i]));
    return 0;
}

int ra_ipc_decompress_batch(ra_ipc_decompressor *d, ra_ipc_codec codec, ra_budget *budget,
                            ra_batch *batch, ra_error *err) {
    inflater f = {d, codec, budget, batch, err};
    for (int i = 0; i < batch->n_columns; i++) {
        int rc = inflate_array(&f, &batch->columns[i]);
        if (rc) {
            ra_str name = batch->columns[i].field->name;
            ra_error_prefix(err, "column '%.*s'", RA_STR_ARG(name));
            ra_error_set_subject(err, "column", name.data, name.len);
            return rc;
        }
    }
    return 0;
}
