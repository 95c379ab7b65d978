// Which column gets which name.
#ifndef RA_QUERY_RENAMING_H
#define RA_QUERY_RENAMING_H

#include "query/plan.h"

// Orders the pairs by old name, which applying needs; old names differ from each other.
void ra_renaming_sort(ra_renaming *renaming);
// The new name of column i, which is called `name`. Borrowed from the renaming, or `name` itself.
ra_str ra_renaming_apply(const ra_renaming *renaming, int i, ra_str name);

#endif
