#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

// Reads up to two numbers from a small file; a word that is no number ("max") counts as none.
static int read_numbers(const char *path, long long numbers[2]) {
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int n = fscanf(file, "%lld %lld", &numbers[0], &numbers[1]);
    fclose(file);
    return n > 0 ? n : 0;
}

// The path of the own group, "/" when it is not told.
static void find_group(const char *self, char group[PATH_MAX]) {
    char line[PATH_MAX];
    FILE *file = fopen(self, "re");
    strcpy(group, "/");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "0::/", 4) == 0 && !strstr(line, ".."))
            strcpy(group, line + 3);
    }
    if (file)
        fclose(file);
}

static void lower(int64_t *limit, int64_t value) {
    if (value > 0 && value < *limit)
        *limit = value;
}

static void read_group(const char *root, const char *group, ra_cgroup *limits) {
    char path[2 * PATH_MAX];
    long long numbers[2];
    snprintf(path, sizeof path, "%s%s/memory.max", root, group);
    if (read_numbers(path, numbers) >= 1)
        lower(&limits->memory_bytes, numbers[0]);
    snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
    if (read_numbers(path, numbers) == 2 && numbers[0] > 0 && numbers[1] > 0)
        lower(&limits->cores, (numbers[0] + numbers[1] - 1) / numbers[1]);
}

ra_cgroup ra_cgroup_read(const char *root, const char *self) {
    ra_cgroup limits = {INT64_MAX, INT64_MAX};
    char group[PATH_MAX];
    find_group(self, group);
    for (char *end; (end = strrchr(group, '/')) != NULL; *end = 0)
        read_group(root, group, &limits);
    read_group(root, "", &limits);
    return limits;
}
