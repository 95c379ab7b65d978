#include "wire/protobuf.h"

#include "base/checked.h"

enum { VARINT_MAX_BYTES = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

static bool read_varint(ra_pb_reader *reader, uint64_t *out) {
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX_BYTES && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_value(ra_pb_reader *reader, ra_pb_field *out) {
    size_t left = (size_t)(reader->end - reader->at);
    uint64_t length;
    switch (out->type) {
        case RA_PB_VARINT:
            return read_varint(reader, &out->value);
        case RA_PB_FIXED64:
            if (left < 8)
                return false;
            out->value = ra_load_u64(reader->at);
            reader->at += 8;
            return true;
        case RA_PB_FIXED32:
            if (left < 4)
                return false;
            out->value = ra_load_u32(reader->at);
            reader->at += 4;
            return true;
        case RA_PB_LEN:
            if (!read_varint(reader, &length) || length > (size_t)(reader->end - reader->at))
                return false;
            out->bytes = (ra_str){(const char *)reader->at, (size_t)length};
            reader->at += length;
            return true;
    }
    return false;
}

int ra_pb_next(ra_pb_reader *reader, ra_pb_field *out) {
    if (reader->at == reader->end)
        return 0;
    uint64_t tag;
    if (!read_varint(reader, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return -1;
    *out = (ra_pb_field){.number = (uint32_t)(tag >> 3), .type = (ra_pb_type)(tag & 7)};
    return read_value(reader, out) ? 1 : -1;
}

static size_t write_varint(uint8_t out[VARINT_MAX_BYTES], uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

static size_t write_tag(uint8_t out[VARINT_MAX_BYTES], uint32_t number, ra_pb_type type) {
    return write_varint(out, (uint64_t)number << 3 | type);
}

int ra_pb_put_varint(ra_bytes *out, uint32_t number, uint64_t value, ra_error *err) {
    uint8_t bytes[2 * VARINT_MAX_BYTES];
    size_t n = write_tag(bytes, number, RA_PB_VARINT);
    n += write_varint(bytes + n, value);
    return ra_bytes_append(out, bytes, n, err);
}

int ra_pb_put_len(ra_bytes *out, uint32_t number, uint64_t length, ra_error *err) {
    uint8_t bytes[2 * VARINT_MAX_BYTES];
    size_t n = write_tag(bytes, number, RA_PB_LEN);
    n += write_varint(bytes + n, length);
    return ra_bytes_append(out, bytes, n, err);
}

int ra_pb_put_bytes(ra_bytes *out, uint32_t number, ra_str value, ra_error *err) {
    RA_TRY(ra_pb_put_len(out, number, value.len, err));
    return ra_bytes_append(out, value.data, value.len, err);
}

int ra_pb_put_fixed64(ra_bytes *out, uint32_t number, uint64_t value, ra_error *err) {
    uint8_t bytes[VARINT_MAX_BYTES + 8];
    size_t n = write_tag(bytes, number, RA_PB_FIXED64);
    ra_store_u64(bytes + n, value);
    return ra_bytes_append(out, bytes, n + 8, err);
}
