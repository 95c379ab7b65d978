#include "base/budget.h"

#include <inttypes.h>

void ra_budget_init(ra_budget *budget, ra_budget *parent, const char *name, int64_t limit_bytes) {
    ra_assert(limit_bytes >= 0);
    budget->parent = parent;
    budget->name = name;
    budget->limit_bytes = limit_bytes;
    atomic_init(&budget->used_bytes, 0);
}

void ra_budget_fini(ra_budget *budget) {
    ra_assert(ra_budget_used(budget) == 0);
}

int ra_budget_charge(ra_budget *budget, int64_t bytes, ra_error *err) {
    ra_assert(bytes >= 0);
    for (ra_budget *b = budget; b; b = b->parent) {
        int64_t used = atomic_fetch_add_explicit(&b->used_bytes, bytes, memory_order_relaxed);
        if (bytes <= b->limit_bytes - used)
            continue;
        for (ra_budget *undo = budget;; undo = undo->parent) {
            atomic_fetch_sub_explicit(&undo->used_bytes, bytes, memory_order_relaxed);
            if (undo == b)
                break;
        }
        RA_FAIL(err, OUT_OF_MEMORY,
                "%s: %" PRId64 " bytes asked for, %" PRId64 " of %" PRId64 " in use", b->name,
                bytes, used, b->limit_bytes);
    }
    return 0;
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
