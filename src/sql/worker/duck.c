#include "sql/worker/duck.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *open_beside(const char *folder, const char *where) {
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, where);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

int ra_duck_load(ra_duck *out, ra_error *err) {
    char folder[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = 0;
    char *end = strrchr(folder, '/');
    if (end)
        *end = 0;
    void *library = open_beside(folder, "libduckdb.so");
    if (!library)
        library = open_beside(folder, "duckdb/libduckdb.so");
    if (!library)
        RA_FAIL(err, UNAVAILABLE, "this server has no DuckDB: %s", dlerror());
#define RA_DUCK_FIND(name)                          \
    *(void **)(&out->name) = dlsym(library, #name); \
    if (!out->name)                                 \
        RA_FAIL(err, UNAVAILABLE, "this server's DuckDB has no %s", #name);
    RA_DUCK_FUNCTIONS(RA_DUCK_FIND)
#undef RA_DUCK_FIND
    return 0;
}
