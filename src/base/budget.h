// Budgets: how many bytes something may hold. A budget may have a parent that is charged as well.
#ifndef RA_BASE_BUDGET_H
#define RA_BASE_BUDGET_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"

typedef struct ra_budget {
    struct ra_budget *parent;  // NULL at the root; must outlive this
    const char *name;          // static; named in the error
    int64_t limit_bytes;
    atomic_int_least64_t used_bytes;
} ra_budget;

void ra_budget_init(ra_budget *budget, ra_budget *parent, const char *name, int64_t limit_bytes);
// The budget of one upload or query: a quarter of its parent's, so that no single one takes it all;
// without a limit when there is no parent.
void ra_budget_init_share(ra_budget *budget, ra_budget *parent, const char *name);
// Asserts that everything was released.
void ra_budget_fini(ra_budget *budget);

// Charges `bytes` (>= 0) here and in all parents, or nowhere: OUT_OF_MEMORY naming the budget that
// is too small. No budget is ever above its limit. Any thread.
RA_MUST int ra_budget_charge(ra_budget *budget, int64_t bytes, ra_error *err);
void ra_budget_release(ra_budget *budget, int64_t bytes);
int64_t ra_budget_used(const ra_budget *budget);

#endif
