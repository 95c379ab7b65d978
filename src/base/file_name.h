// Names of files that clients choose.
#ifndef RA_BASE_FILE_NAME_H
#define RA_BASE_FILE_NAME_H

#include "base/bytes.h"

// A plain name for `what` ("a file"), with which a path cannot leave its folder: 1 to 255 bytes, no
// separators or control characters, no leading dot. INVALID_ARGUMENT.
RA_MUST int ra_file_name_check(ra_str name, const char *what, ra_error *err);

#endif
