#include <inttypes.h>

#include "arrow/access.h"
#include "arrow/check_internal.h"
#include "arrow/utf8_map.h"
#include "base/utf8.h"

typedef int32_t __attribute__((aligned(1), may_alias)) any_i32;
typedef int64_t __attribute__((aligned(1), may_alias)) any_i64;

// Whether n + 1 offsets are not negative and never fall: then no difference overflows, so the sign
// bits of offsets and differences tell. Blocks of constant length: gcc makes vector code of them at
// -O2.
#define DEFINE_RISES(name, type, word, shift)                                         \
    static bool name(const uint8_t *offsets, int64_t n) {                             \
        const type *o = (const type *)offsets;                                        \
        word acc[32] = {0}, all = (word)o[0];                                         \
        int64_t i = 0;                                                                \
        for (; i + 32 <= n; i += 32)                                                  \
            for (int j = 0; j < 32; j++)                                              \
                acc[j] |= (word)o[i + j + 1] | ((word)o[i + j + 1] - (word)o[i + j]); \
        for (; i < n; i++)                                                            \
            all |= (word)o[i + 1] | ((word)o[i + 1] - (word)o[i]);                    \
        for (int j = 0; j < 32; j++)                                                  \
            all |= acc[j];                                                            \
        return all >> shift == 0;                                                     \
    }
DEFINE_RISES(rises_32, any_i32, uint32_t, 31)
DEFINE_RISES(rises_64, any_i64, uint64_t, 63)

static int refuse_offsets(ra_check_state *state, const ra_array *array) {
    int64_t i = 0;
    if (ra_array_offset(array, 0) >= 0)
        while (i < array->length && ra_array_offset(array, i) <= ra_array_offset(array, i + 1))
            i++;
    return ra_check_refuse(state, "offset %" PRId64 " in row %" PRId64 " is %s",
                           ra_array_offset(array, i), i,
                           ra_array_offset(array, i) < 0 ? "negative" : "above the next one");
}

int ra_check_offsets(ra_check_state *state, ra_array *array, int64_t limit) {
    int32_t width = ra_layout_offset_width(array->layout);
    if (array->length == 0) {
        int64_t bytes = array->buffers[0].bytes;
        if (bytes > 0)
            RA_TRY(ra_check_buffer(state, array, 0, 1, width));
        if (bytes > 0 && ra_array_offset(array, 0) < 0)
            return refuse_offsets(state, array);
        array->buffers[0] = (ra_span){ra_zero_bytes, width};
        return 0;
    }
    int64_t count;
    if (!ra_add_i64(array->length, 1, &count))
        return ra_check_refuse(state, "%" PRId64 " rows are too many", array->length);
    RA_TRY(ra_check_buffer(state, array, 0, count, width));
    const uint8_t *offsets = array->buffers[0].data;
    if (width == 4 ? !rises_32(offsets, array->length) : !rises_64(offsets, array->length))
        return refuse_offsets(state, array);
    int64_t last = ra_array_offset(array, array->length);
    if (last > limit)
        return ra_check_refuse(
            state, "the last offset %" PRId64 " is beyond the %" PRId64 " there are", last, limit);
    return 0;
}

// Whether a byte can only be inside of a character.
static inline bool is_continuation(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

// Whether a row begins inside of a character. The rows together are valid UTF-8, so then one of
// them is not.
#define DEFINE_CUTS(name, type)                                                \
    static bool name(const uint8_t *offsets, int64_t n, const uint8_t *data) { \
        const type *o = (const type *)offsets;                                 \
        int64_t end = o[n];                                                    \
        bool cut = false;                                                      \
        for (int64_t i = 0; i < n && o[i] < end; i++)                          \
            cut |= is_continuation(data[o[i]]);                                \
        return cut;                                                            \
    }
DEFINE_CUTS(cuts_32, any_i32)
DEFINE_CUTS(cuts_64, any_i64)

static int refuse_utf8(ra_check_state *state, int64_t row) {
    return ra_check_refuse(state, "the string in row %" PRId64 " is not UTF-8", row);
}

// Fast: all rows at once. Only if that fails, because of what lies under a null or of a bad row,
// row by row.
static int check_utf8(ra_check_state *state, const ra_array *array) {
    const uint8_t *offsets = array->buffers[0].data, *data = array->buffers[1].data;
    int64_t from = ra_array_offset(array, 0), bytes = ra_array_offset(array, array->length) - from;
    if (bytes == 0)
        return 0;
    size_t ascii = ra_utf8_ascii_prefix(data + from, (size_t)bytes);
    if (ascii == (size_t)bytes)
        return 0;
    bool wide = array->layout == RA_LAYOUT_VAR64;
    if (ra_utf8_is_valid(data + from + ascii, (size_t)bytes - ascii) &&
        !(wide ? cuts_64(offsets, array->length, data) : cuts_32(offsets, array->length, data)))
        return 0;
    for (int64_t i = 0; i < array->length; i++) {
        ra_span text = ra_array_bytes(array, i);
        if (!ra_utf8_is_valid(text.data, (size_t)text.bytes) && ra_array_is_valid(array, i))
            return refuse_utf8(state, i);
    }
    return 0;
}

int ra_check_strings(ra_check_state *state, ra_array *array) {
    RA_TRY(ra_check_offsets(state, array, array->buffers[1].bytes));
    return array->length > 0 && ra_type_is_utf8(array->field->type) ? check_utf8(state, array) : 0;
}

// A view whose string is in itself: zeros behind it and, if asked, UTF-8.
static int check_near_view(ra_check_state *state, const uint8_t *view, int64_t row, bool utf8) {
    int32_t size = ra_view_size(view);
    uint64_t first = ra_load_u64(view + 4), last = ra_load_u32(view + 12);
    uint64_t first_padding = size >= 8 ? 0 : UINT64_MAX << (8 * size);
    uint64_t last_padding = size <= 8 ? UINT32_MAX : UINT64_MAX << (8 * (size - 8));
    if ((first & first_padding) | (last & last_padding))
        return ra_check_refuse(state, "the padding of the view in row %" PRId64 " is not 0", row);
    bool ascii = ((first | last) & 0x8080808080808080) == 0;
    if (utf8 && !ascii && !ra_utf8_is_valid(view + 4, (size_t)size))
        return refuse_utf8(state, row);
    return 0;
}

// A view whose string is in a data buffer: its place and prefix.
static int check_far_view(ra_check_state *state, const ra_array *array, const uint8_t *view,
                          int64_t row) {
    int32_t size = ra_view_size(view), buffer = ra_view_buffer(view), offset = ra_view_offset(view);
    if (buffer < 0 || buffer >= array->n_variadic)
        return ra_check_refuse(state, "the view in row %" PRId64 " is in buffer %" PRId32 " of %d",
                               row, buffer, array->n_variadic);
    const ra_span *data = &array->variadic[buffer];
    if (offset < 0 || (int64_t)offset + size > data->bytes)
        return ra_check_refuse(state,
                               "the view in row %" PRId64 " (offset %" PRId32 ", size %" PRId32
                               ") is outside of its buffer of %" PRId64 " bytes",
                               row, offset, size, data->bytes);
    if (memcmp(view + 4, data->data + offset, RA_VIEW_PREFIX_BYTES) != 0)
        return ra_check_refuse(state, "the prefix of the view in row %" PRId64 " is wrong", row);
    return 0;
}

static bool is_far(const ra_array *array, int64_t row) {
    return ra_array_is_valid(array, row) &&
           ra_view_size(array->buffers[0].data + row * RA_VIEW_BYTES) > RA_VIEW_INLINE_BYTES;
}

static int check_far_utf8(ra_check_state *state, const ra_array *array) {
    for (int64_t i = 0; i < array->length; i++) {
        if (!is_far(array, i))
            continue;
        ra_span text = ra_array_bytes(array, i);
        if (!ra_utf8_is_valid(text.data, (size_t)text.bytes))
            return refuse_utf8(state, i);
    }
    return 0;
}

// Views may share bytes without limit, so where they do, each buffer is read once and the views are
// looked up in what was found.
static int check_far_utf8_by_map(ra_check_state *state, const ra_array *array) {
    ra_utf8_map *map;
    RA_TRY(ra_utf8_map_new(array->variadic, array->n_variadic, &map, state->err));
    int rc = 0;
    for (int64_t i = 0; i < array->length && rc == 0; i++) {
        const uint8_t *view = array->buffers[0].data + i * RA_VIEW_BYTES;
        if (is_far(array, i) && !ra_utf8_map_is_valid(map, ra_view_buffer(view),
                                                      ra_view_offset(view), ra_view_size(view)))
            rc = refuse_utf8(state, i);
    }
    ra_utf8_map_free(map);
    return rc;
}

int ra_check_views(ra_check_state *state, const ra_array *array) {
    RA_TRY(ra_check_buffer(state, array, 0, array->length, RA_VIEW_BYTES));
    bool utf8 = ra_type_is_utf8(array->field->type);
    int64_t far_bytes = 0, data_bytes = 0;
    for (int64_t i = 0; i < array->length; i++) {
        const uint8_t *view = array->buffers[0].data + i * RA_VIEW_BYTES;
        int32_t size = ra_view_size(view);
        if (!ra_array_is_valid(array, i))
            continue;
        if (size < 0)
            return ra_check_refuse(state, "the view in row %" PRId64 " has size %" PRId32, i, size);
        if (size <= RA_VIEW_INLINE_BYTES) {
            RA_TRY(check_near_view(state, view, i, utf8));
        } else {
            RA_TRY(check_far_view(state, array, view, i));
            far_bytes += size;
        }
    }
    if (!utf8 || far_bytes == 0)
        return 0;
    for (int i = 0; i < array->n_variadic; i++)
        data_bytes += array->variadic[i].bytes;
    return far_bytes / 2 <= data_bytes ? check_far_utf8(state, array)
                                       : check_far_utf8_by_map(state, array);
}
