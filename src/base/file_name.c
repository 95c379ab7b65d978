#include "base/file_name.h"

#include <limits.h>
#include <string.h>

int ra_file_name_check(ra_str name, const char *what, ra_error *err) {
    bool is_plain = name.len > 0 && name.len <= NAME_MAX && name.data[0] != '.';
    for (size_t i = 0; i < name.len && is_plain; i++)
        is_plain = (unsigned char)name.data[i] >= ' ' && !strchr("/\\\x7f", name.data[i]);
    if (!is_plain)
        RA_FAIL(err, INVALID_ARGUMENT,
                "%s must have a plain name, without separators or a leading dot, not '%.*s'", what,
                RA_STR_ARG(name));
    return 0;
}
