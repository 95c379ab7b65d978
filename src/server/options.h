// The server's options: one table (options.def), read from the command line and, below it, from
// REMOTE_ARROW_<OPTION> variables.
#ifndef RA_SERVER_OPTIONS_H
#define RA_SERVER_OPTIONS_H

#include "base/bytes.h"

// What a field of each kind holds: TEXT and WORD a string, the others a number.
typedef struct {
    const char *text;  // as given, or the default; borrowed from argv, environment or the table
    int64_t number;  // NUMBER; SIZE in bytes; DISK in bytes or minus percent; MILLISECONDS; FLAG 0
                     // or 1; WORD its position
} ra_option_value;

typedef struct {
#define RA_OPTION(field, name, kind, default_text, min, max, unit, help) ra_option_value field;
#include "server/options.def"
#undef RA_OPTION
    bool show_help;
    bool show_version;
} ra_options;

// Reads them. INVALID_ARGUMENT in one line that names the option.
RA_MUST int ra_options_read(ra_options *out, int argc, char *const *argv, ra_error *err);

// The number of a log level by its name, as --log-level takes it; false: there is none of that
// name.
bool ra_options_find_log_level(const char *name, int64_t *level);

// The text of --help.
RA_MUST int ra_options_help(ra_bytes *out, ra_error *err);

#endif
