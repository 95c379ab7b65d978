#include "query/canonical.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "arrow/array.h"
#include "base/base64.h"
#include "base/checked.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "store/xxh3.h"

enum {
    MAX_NAME_BYTES = 64,     // longer column names are given by position
    MAX_LISTED_VALUES = 32,  // longer arrays are given by hash
};

int ra_canonical_printf(ra_binder *binder, ra_error *err, const char *fmt, ...) {
    char text[128];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ra_assert(n >= 0 && n < (int)sizeof text);
    return ra_bytes_append(&binder->plan->canonical, text, (size_t)n, err);
}

int ra_canonical_string(ra_binder *binder, ra_str text, ra_error *err) {
    return ra_json_put_string(&binder->plan->canonical, text, err);
}

int ra_canonical_bytes(ra_binder *binder, ra_str bytes, ra_error *err) {
    if (ra_utf8_is_valid(bytes.data, bytes.len))
        return ra_canonical_string(binder, bytes, err);
    RA_TRY(ra_canonical_printf(binder, err, "{\"base64\":\""));
    RA_TRY(ra_base64_encode(bytes, true, &binder->plan->canonical, err));
    return ra_canonical_printf(binder, err, "\"}");
}

// A name that begins with '.' would be read as a path where paths are allowed.
int ra_canonical_column(ra_binder *binder, int column, ra_error *err) {
    ra_str name = binder->shape->columns[column].name;
    if (name.len <= MAX_NAME_BYTES && !(name.len > 0 && name.data[0] == '.') &&
        ra_shape_find(binder->shape, name) == column)
        return ra_canonical_string(binder, name, err);
    return ra_canonical_printf(binder, err, "%d", column);
}

int ra_canonical_input(const ra_version *version, ra_bytes *out, ra_error *err) {
    char uid[33];
    for (int i = 0; i < 16; i++)
        snprintf(uid + 2 * i, 3, "%02x", version->uid[i]);
    return ra_bytes_printf(out, err, "{\"id\":%" PRId64 ",\"uid\":\"%s\",\"version\":%" PRId64 "}",
                           version->flight_id, uid, version->number);
}

typedef struct {
    bool is_valid;
    int64_t value;
} scalar;

// Row `i` of integers, booleans or nulls. The run that row `i` is in is found from `*run` on.
static scalar read_scalar(const ra_array *array, int64_t i, int64_t *run) {
    if (array->layout == RA_LAYOUT_RUN_END) {
        const ra_array *ends = &array->children[0];
        int64_t none = 0;
        while (read_scalar(ends, *run, &none).value <= i)
            ++*run;
        return read_scalar(&array->children[1], *run, &none);
    }
    if (array->layout == RA_LAYOUT_NULL || !ra_array_is_valid(array, i))
        return (scalar){0};
    const uint8_t *values = array->buffers[0].data;
    scalar s = {.is_valid = true};
    if (array->layout == RA_LAYOUT_BIT) {
        s.value = ra_bit_get(values, i);
        return s;
    }
    switch (array->field->type) {
        case RA_TYPE_INT8:
            s.value = (int8_t)values[i];
            break;
        case RA_TYPE_UINT8:
            s.value = values[i];
            break;
        case RA_TYPE_INT16:
            s.value = ra_load_i16(values + 2 * i);
            break;
        case RA_TYPE_UINT16:
            s.value = ra_load_u16(values + 2 * i);
            break;
        case RA_TYPE_INT32:
            s.value = ra_load_i32(values + 4 * i);
            break;
        case RA_TYPE_UINT32:
            s.value = ra_load_u32(values + 4 * i);
            break;
        default:
            s.value = ra_load_i64(values + 8 * i);
    }
    return s;
}

static int list_values(ra_binder *b, ra_batch *const *batches, int n_batches, bool is_bool,
                       ra_error *err) {
    const char *comma = "";
    RA_TRY(ra_canonical_printf(b, err, "["));
    for (int k = 0; k < n_batches; k++) {
        int64_t run = 0;
        for (int64_t i = 0; i < batches[k]->n_rows; i++, comma = ",") {
            scalar s = read_scalar(&batches[k]->columns[0], i, &run);
            if (!s.is_valid)
                RA_TRY(ra_canonical_printf(b, err, "%snull", comma));
            else if (is_bool)
                RA_TRY(ra_canonical_printf(b, err, "%s%s", comma, s.value ? "true" : "false"));
            else
                RA_TRY(ra_canonical_printf(b, err, "%s%" PRId64, comma, s.value));
        }
    }
    return ra_canonical_printf(b, err, "]");
}

static void hash_values(ra_batch *const *batches, int n_batches, uint8_t out[16]) {
    struct {
        int64_t value;
        int64_t is_valid;
    } block[256];
    size_t n = 0;
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (int k = 0; k < n_batches; k++) {
        int64_t run = 0;
        for (int64_t i = 0; i < batches[k]->n_rows; i++) {
            scalar s = read_scalar(&batches[k]->columns[0], i, &run);
            block[n].value = s.value;
            block[n++].is_valid = s.is_valid;
            if (n == sizeof block / sizeof block[0]) {
                XXH3_128bits_update(&state, block, sizeof block);
                n = 0;
            }
        }
    }
    XXH3_128bits_update(&state, block, n * sizeof block[0]);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(&state));
    memcpy(out, hash.digest, 16);
}

int ra_canonical_array(ra_binder *binder, ra_batch *const *batches, int n_batches, bool is_bool,
                       ra_error *err) {
    int64_t length = 0;
    for (int k = 0; k < n_batches; k++)
        length += batches[k]->n_rows;
    if (length <= MAX_LISTED_VALUES)
        return list_values(binder, batches, n_batches, is_bool, err);
    uint8_t hash[16];
    hash_values(batches, n_batches, hash);
    RA_TRY(ra_canonical_printf(binder, err, "{\"type\":\"%s\",\"length\":%" PRId64 ",\"hash\":\"",
                               is_bool ? "bool" : "int64", length));
    for (int i = 0; i < 16; i++)
        RA_TRY(ra_canonical_printf(binder, err, "%02x", hash[i]));
    return ra_canonical_printf(binder, err, "\"}");
}

void ra_canonical_key(ra_str text, uint8_t out[16]) {
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(text.data, text.len));
    memcpy(out, hash.digest, 16);
}
