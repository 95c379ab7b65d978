// The limits of the wire, from one table: limits.def.
#ifndef RA_WIRE_LIMITS_H
#define RA_WIRE_LIMITS_H

#include <stdint.h>

#include "base/error.h"

typedef struct ra_wire_limits {
#define RA_WIRE_LIMIT(name, unit, least, value, most, text) int64_t name;
#include "wire/limits.def"
#undef RA_WIRE_LIMIT
} ra_wire_limits;

// The defaults of the table.
void ra_wire_limits_init(ra_wire_limits *limits);

// Fails with INVALID_ARGUMENT naming the first limit that is outside its range.
RA_MUST int ra_wire_limits_check(const ra_wire_limits *limits, ra_error *err);

#endif
