#include "wire/limits.h"

#include <inttypes.h>

void ra_wire_limits_init(ra_wire_limits *limits) {
#define RA_WIRE_LIMIT(name, unit, least, value, most, text) limits->name = (value);
#include "wire/limits.def"
#undef RA_WIRE_LIMIT
}

static int check_limit(const char *name, const char *unit, int64_t value, int64_t least,
                       int64_t most, ra_error *err) {
    if (value < least || value > most)
        RA_FAIL(err, INVALID_ARGUMENT,
                "%s is %" PRId64 " %s, but must be from %" PRId64 " to %" PRId64, name, value, unit,
                least, most);
    return 0;
}

int ra_wire_limits_check(const ra_wire_limits *limits, ra_error *err) {
#define RA_WIRE_LIMIT(name, unit, least, value, most, text) \
    RA_TRY(check_limit(#name, unit, limits->name, least, most, err));
#include "wire/limits.def"
#undef RA_WIRE_LIMIT
    return 0;
}
