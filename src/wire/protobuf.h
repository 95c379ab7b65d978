// Protobuf, the part that gRPC and Flight need: bounded reading and appending of fields.
#ifndef RA_WIRE_PROTOBUF_H
#define RA_WIRE_PROTOBUF_H

#include "base/bytes.h"

typedef enum { RA_PB_VARINT = 0, RA_PB_FIXED64 = 1, RA_PB_LEN = 2, RA_PB_FIXED32 = 5 } ra_pb_type;

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} ra_pb_reader;

typedef struct {
    uint32_t number;
    ra_pb_type type;
    uint64_t value;  // VARINT, FIXED64, FIXED32
    ra_str bytes;    // LEN
} ra_pb_field;

static inline ra_pb_reader ra_pb_reader_of(ra_str message) {
    return (ra_pb_reader){(const uint8_t *)message.data,
                          (const uint8_t *)message.data + message.len};
}
// The next field: 1 and the field, 0 at the end, or -1: malformed (groups, overlong varints, field
// number 0, lengths beyond the end).
int ra_pb_next(ra_pb_reader *reader, ra_pb_field *out);

RA_MUST int ra_pb_put_varint(ra_bytes *out, uint32_t number, uint64_t value, ra_error *err);
RA_MUST int ra_pb_put_bytes(ra_bytes *out, uint32_t number, ra_str value, ra_error *err);
RA_MUST int ra_pb_put_fixed64(ra_bytes *out, uint32_t number, uint64_t value, ra_error *err);
// Only tag and length; the caller appends or sends the bytes.
RA_MUST int ra_pb_put_len(ra_bytes *out, uint32_t number, uint64_t length, ra_error *err);

#endif
