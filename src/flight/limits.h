// The limits of the Flight calls, from one table: limits.def.
#ifndef RA_FLIGHT_LIMITS_H
#define RA_FLIGHT_LIMITS_H

#include <stdint.h>

typedef struct {
#define RA_FLIGHT_LIMIT(name, unit, value, text) int64_t name;
#include "flight/limits.def"
#undef RA_FLIGHT_LIMIT
} ra_flight_limits;

// The values of the table.
static inline void ra_flight_limits_init(ra_flight_limits *limits) {
#define RA_FLIGHT_LIMIT(name, unit, value, text) limits->name = (value);
#include "flight/limits.def"
#undef RA_FLIGHT_LIMIT
}

#endif
