// xxHash with its states on the stack. What is hashed is in this build's own format only, so the
// library's experimental declarations are no promise to anyone.
#ifndef RA_STORE_XXH3_H
#define RA_STORE_XXH3_H

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest vectors that the processor has: 0.02 s/GB, not 0.05
#endif

#endif
