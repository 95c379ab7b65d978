#include "base/budget.h"

#include <inttypes.h>
#include <stdbool.h>

enum { SHARES = 4 };

void ra_budget_init(ra_budget *budget, ra_budget *parent, const char *name, int64_t limit_bytes) {
    ra_assert(limit_bytes >= 0);
    budget->parent = parent;
    budget->name = name;
    budget->limit_bytes = limit_bytes;
    atomic_init(&budget->used_bytes, 0);
}

void ra_budget_init_share(ra_budget *budget, ra_budget *parent, const char *name) {
    ra_budget_init(budget, parent, name, parent ? parent->limit_bytes / SHARES : INT64_MAX);
}

void ra_budget_fini(ra_budget *budget) {
    ra_assert(ra_budget_used(budget) == 0);
}

// Charges one budget if the bytes fit; `*used` is what it had in use.
static bool charge_one(ra_budget *budget, int64_t bytes, int64_t *used) {
    *used = ra_budget_used(budget);
    do {
        if (bytes > budget->limit_bytes - *used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used_bytes, used, *used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

// Children first: what a charge takes for a moment, until a parent refuses it, is missed only by
// those who share that child and are about to fail of the same lack.
int ra_budget_charge(ra_budget *budget, int64_t bytes, ra_error *err) {
    ra_assert(bytes >= 0);
    int64_t used;
    ra_budget *full = budget;
    while (full && charge_one(full, bytes, &used))
        full = full->parent;
    if (!full)
        return 0;
    for (ra_budget *b = budget; b != full; b = b->parent)
        atomic_fetch_sub_explicit(&b->used_bytes, bytes, memory_order_relaxed);
    RA_FAIL(err, OUT_OF_MEMORY,
            "%s: %" PRId64 " bytes asked for, %" PRId64 " of %" PRId64 " in use", full->name, bytes,
            used, full->limit_bytes);
}

void ra_budget_release(ra_budget *budget, int64_t bytes) {
    ra_assert(bytes >= 0);
    for (ra_budget *b = budget; b; b = b->parent) {
        int64_t used = atomic_fetch_sub_explicit(&b->used_bytes, bytes, memory_order_relaxed);
        ra_assert(used >= bytes);
    }
}

int64_t ra_budget_used(const ra_budget *budget) {
    return atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
}
