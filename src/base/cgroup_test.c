#include "base/cgroup.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing.h"

static char root[] = "/tmp/cgroup-test-XXXXXX";

static void write_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static ra_cgroup limits_of(const char *self) {
    char path[256];
    write_file("/self", self);
    snprintf(path, sizeof path, "%s/self", root);
    return ra_cgroup_read(root, path);
}

static void make_groups(void **state) {
    (void)state;
    static const char *const groups[] = {"/system.slice", "/system.slice/ra.service", "/other"};
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", root, groups[i]);
        (void)!mkdir(path, 0755);
    }
    write_file("/system.slice/memory.max", "3000000000\n");
    write_file("/system.slice/cpu.max", "max 100000\n");
    write_file("/system.slice/ra.service/memory.max", "max\n");
    write_file("/system.slice/ra.service/cpu.max", "250000 100000\n");
    write_file("/other/memory.max", "1000\n");
    write_file("/other/cpu.max", "1000 100000\n");
}

static void the_lowest_limit_from_the_own_group_up_counts(void **state) {
    make_groups(state);
    ra_cgroup limits = limits_of("0::/system.slice/ra.service\n");
    assert_int_equal(limits.memory_bytes, 3000000000);
    assert_int_equal(limits.cores, 3);
    limits = limits_of("4:memory:/other\n0::/system.slice\n");
    assert_int_equal(limits.memory_bytes, 3000000000);
    assert_int_equal(limits.cores, INT64_MAX);
    limits = limits_of("0::/other\n");
    assert_int_equal(limits.memory_bytes, 1000);
    assert_int_equal(limits.cores, 1);
}

static void in_a_container_the_root_is_the_own_group(void **state) {
    (void)state;
    write_file("/memory.max", "2000000000\n");
    write_file("/cpu.max", "400000 100000\n");
    ra_cgroup limits = limits_of("0::/\n");
    assert_int_equal(limits.memory_bytes, 2000000000);
    assert_int_equal(limits.cores, 4);
    // A group of the outside, which is not there.
    limits = limits_of("0::/../../outside\n");
    assert_int_equal(limits.memory_bytes, 2000000000);
    limits = limits_of("0::/not/here\n");
    assert_int_equal(limits.cores, 4);
}

static void what_cannot_be_read_is_no_limit(void **state) {
    (void)state;
    write_file("/memory.max", "soon\n");
    write_file("/cpu.max", "100000 0\n");
    ra_cgroup limits = limits_of("");
    assert_int_equal(limits.memory_bytes, INT64_MAX);
    assert_int_equal(limits.cores, INT64_MAX);
    limits = ra_cgroup_read("/nonexistent", "/nonexistent/self");
    assert_int_equal(limits.memory_bytes, INT64_MAX);
    assert_int_equal(limits.cores, INT64_MAX);
}

static int remove_visited(const char *path, const struct stat *about, int kind, struct FTW *at) {
    (void)about, (void)kind, (void)at;
    return remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_limit_from_the_own_group_up_counts),
        cmocka_unit_test(in_a_container_the_root_is_the_own_group),
        cmocka_unit_test(what_cannot_be_read_is_no_limit),
    };
    if (!mkdtemp(root))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(root, remove_visited, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
