#include "sql/format.h"

static const char *const names[RA_N_FORMATS] = {"parquet", "csv", "arrow"};

const char *ra_format_name(ra_format format) {
    return names[format];
}

bool ra_format_read(ra_str name, ra_format *out) {
    for (int i = 0; i < RA_N_FORMATS; i++) {
        if (!ra_str_eq(name, ra_str_of(names[i])))
            continue;
        *out = (ra_format)i;
        return true;
    }
    return false;
}

bool ra_format_of_file(ra_str file, ra_format *out) {
    const char *dot = file.len ? memrchr(file.data, '.', file.len) : NULL;
    if (!dot || dot == file.data)
        return false;
    return ra_format_read((ra_str){dot + 1, file.len - (size_t)(dot + 1 - file.data)}, out);
}
