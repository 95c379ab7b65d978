// Name patterns: `*` stands for any bytes, `?` for one byte, everything else for itself.
#ifndef RA_BASE_GLOB_H
#define RA_BASE_GLOB_H

#include "base/bytes.h"

// Whether the whole text matches. Takes time in proportion to the lengths' product at worst.
bool ra_glob_match(ra_str pattern, ra_str text);

#endif
