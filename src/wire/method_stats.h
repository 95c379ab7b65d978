// What the calls of each method came to, for metrics. Counted by I/O threads, read by any.
#ifndef RA_WIRE_METHOD_STATS_H
#define RA_WIRE_METHOD_STATS_H

#include <stdatomic.h>

#include "wire/server.h"

struct ra_method_stats {
    const ra_method *method;  // NULL: methods that there are not
    atomic_int_least64_t started, received, sent, sum_ns;
    atomic_int_least64_t handled[RA_WIRE_CODES];
    atomic_int_least64_t buckets[RA_WIRE_N_BUCKETS];
};

typedef struct ra_method_stats ra_method_stats;

// One entry a method and a last one for unknown methods. OUT_OF_MEMORY.
RA_MUST int ra_method_stats_new(ra_wire *wire, ra_error *err);
// The entry of a method; NULL gives that of unknown ones.
ra_method_stats *ra_method_stats_of(const ra_wire *wire, const ra_method *method);
// A call of it has ended.
void ra_method_stats_end(ra_method_stats *stats, ra_code code, int64_t ns);

#endif
