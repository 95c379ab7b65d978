#include "base/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_name.h"
#include "base/testing.h"

static char folder[] = "/tmp/files-test-XXXXXX";

static const char *in_folder(const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_holds(const char *path, const char *text) {
    char there[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(there, 1, sizeof there - 1, file), strlen(text));
    fclose(file);
    assert_string_equal(there, text);
}

static void a_new_name_replaces_nothing(void **state) {
    (void)state;
    char from[128], to[128];
    ra_error err;
    in_folder("from", from);
    assert_int_equal(ra_os_mkdir(from, 0755, &err), 0);
    assert_int_equal(ra_os_mkdir(in_folder("empty", to), 0755, &err), 0);
    assert_int_equal(ra_os_rename_new(from, to, &err), RA_INVALID);
    assert_int_equal(symlink("/nonexistent", in_folder("link", to)), 0);
    assert_int_equal(ra_os_rename_new(from, to, &err), RA_INVALID);
    assert_int_equal(ra_os_rename_new(from, in_folder("to", to), &err), 0);
    assert_int_equal(access(to, F_OK), 0);
    assert_int_equal(ra_os_rename_new(from, in_folder("again", to), &err), RA_INTERNAL);
}

static void links_are_made_where_they_can_be(void **state) {
    (void)state;
    char from[128], to[128];
    ra_error err;
    bool linked;
    write_file(in_folder("file", from), "text");
    assert_int_equal(ra_os_link(from, in_folder("file-2", to), &linked, &err), 0);
    assert_true(linked);
    assert_holds(to, "text");
    assert_int_equal(ra_os_link(from, to, &linked, &err), RA_INTERNAL);  // it is there
    assert_false(linked);
    // Another file system.
    assert_int_equal(ra_os_link("/proc/self/status", in_folder("status", to), &linked, &err), 0);
    assert_false(linked);
    assert_int_not_equal(access(to, F_OK), 0);
}

static void copies_are_equal_whatever_the_way(void **state) {
    (void)state;
    // The kernel copies the first; it refuses files without a size, which are read by hand.
    static const char *const names[] = {"plain", "/proc/self/cmdline"};
    for (int i = 0; i < 2; i++) {
        char from[128], to[128], here[64] = "", there[64] = "";
        ra_error err;
        int in, out;
        write_file(in_folder("plain", from), "0123456789");
        if (i > 0)
            snprintf(from, sizeof from, "%s", names[i]);
        assert_int_equal(ra_os_open(from, O_RDONLY, 0, &in, &err), 0);
        assert_int_equal(
            ra_os_open(in_folder("copy", to), O_RDWR | O_CREAT | O_TRUNC, 0644, &out, &err), 0);
        assert_int_equal(ra_os_copy(in, out, 0, 5, &err), 0);
        assert_int_equal(ra_os_copy(in, out, 5, 5, &err), 0);
        assert_int_equal(pread(in, here, 10, 0), 10);
        assert_int_equal(pread(out, there, sizeof there, 0), 10);
        assert_memory_equal(here, there, 10);
        assert_int_equal(ra_os_copy(in, out, 10, 1 << 20, &err), RA_INTERNAL);  // it ends early
        ra_os_close(in);
        ra_os_close(out);
    }
}

static void removing_a_tree_follows_no_link(void **state) {
    (void)state;
    char tree[128], path[128], kept[128];
    ra_error err;
    in_folder("tree", tree);
    write_file(in_folder("kept", kept), "mine");
    assert_int_equal(ra_os_mkdir(tree, 0755, &err), 0);
    assert_int_equal(ra_os_mkdir(in_folder("tree/inner", path), 0755, &err), 0);
    write_file(in_folder("tree/inner/file", path), "x");
    assert_int_equal(symlink(kept, in_folder("tree/link", path)), 0);
    assert_int_equal(symlink(folder, in_folder("tree/inner/folder", path)), 0);
    assert_int_equal(ra_os_remove_tree(tree, &err), 0);
    assert_int_not_equal(access(tree, F_OK), 0);
    assert_holds(kept, "mine");
    assert_int_equal(ra_os_remove_tree(tree, &err), RA_INTERNAL);
}

static void only_plain_names_are_taken(void **state) {
    (void)state;
    static const char *const plain[] = {"a", "a.b", "a b", "\xc3\xa9"};
    static const char *const others[] = {"", ".", "..", ".a", "/", "a/b", "a\\b", "a\x7f", "a\n"};
    char longest[257];
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_int_equal(ra_file_name_check(ra_str_of(plain[i]), "a file", NULL), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(ra_file_name_check(ra_str_of(others[i]), "a file", NULL), RA_INVALID);
    assert_int_equal(ra_file_name_check((ra_str){"a\0b", 3}, "a file", NULL), RA_INVALID);
    assert_int_equal(ra_file_name_check((ra_str){longest, 255}, "a file", NULL), 0);
    assert_int_equal(ra_file_name_check((ra_str){longest, 256}, "a file", NULL), RA_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_name_replaces_nothing),
        cmocka_unit_test(links_are_made_where_they_can_be),
        cmocka_unit_test(copies_are_equal_whatever_the_way),
        cmocka_unit_test(removing_a_tree_follows_no_link),
        cmocka_unit_test(only_plain_names_are_taken),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ra_os_remove_tree(folder, NULL) == 0 ? failed : 1;
}
