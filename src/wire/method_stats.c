#include "wire/method_stats.h"

#include <string.h>

#include "base/os.h"
#include "wire/builtin.h"
#include "wire/wire.h"

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,  0.5,    1,     2.5,  10,    60,   600};
_Static_assert(sizeof bounds / sizeof *bounds == RA_WIRE_N_BUCKETS - 1, "the last one is +Inf");

const double *ra_wire_bounds(void) {
    return bounds;
}

static void add(ra_wire *wire, const ra_method *const *methods, int n) {
    for (int i = 0; i < n; i++)
        wire->stats[wire->n_stats++].method = methods[i];
}

int ra_method_stats_new(ra_wire *wire, ra_error *err) {
    int n = wire->options.n_methods + RA_N_HEALTH_METHODS + RA_N_REFLECTION_METHODS;
    wire->stats = ra_calloc((size_t)n + 1, sizeof *wire->stats);
    if (!wire->stats)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the counters of methods");
    add(wire, wire->options.methods, wire->options.n_methods);
    add(wire, ra_health_methods, RA_N_HEALTH_METHODS);
    add(wire, ra_reflection_methods, RA_N_REFLECTION_METHODS);
    return 0;
}

ra_method_stats *ra_method_stats_of(const ra_wire *wire, const ra_method *method) {
    int i = 0;
    while (i < wire->n_stats && wire->stats[i].method != method)
        i++;
    return &wire->stats[i];
}

void ra_method_stats_end(ra_method_stats *stats, ra_code code, int64_t ns) {
    int i = 0;
    while (i < RA_WIRE_N_BUCKETS - 1 && (double)ns > bounds[i] * 1e9)
        i++;
    ra_wire_count(&stats->handled[code], 1);
    ra_wire_count(&stats->buckets[i], 1);
    ra_wire_count(&stats->sum_ns, ns);
}

static int64_t get(const atomic_int_least64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

bool ra_wire_get_method(const ra_wire *wire, int index, ra_wire_method *out) {
    if (index > wire->n_stats)
        return false;
    const ra_method_stats *stats = &wire->stats[index];
    *out = (ra_wire_method){.path = stats->method ? stats->method->path : "/unknown/unknown",
                            .started = get(&stats->started),
                            .received = get(&stats->received),
                            .sent = get(&stats->sent),
                            .sum_ns = get(&stats->sum_ns)};
    for (int i = 0; i < RA_WIRE_CODES; i++)
        out->handled[i] = get(&stats->handled[i]);
    for (int i = 0; i < RA_WIRE_N_BUCKETS; i++)
        out->buckets[i] = get(&stats->buckets[i]);
    return true;
}
