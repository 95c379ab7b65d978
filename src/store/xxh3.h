// xxHash with its states on the stack. What is hashed is in this build's own format only, so the
// library's experimental declarations are no promise to anyone.
#ifndef RA_STORE_XXH3_H
#define RA_STORE_XXH3_H

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#endif
