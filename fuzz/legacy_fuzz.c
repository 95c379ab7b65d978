// libFuzzer: Python literals and whole legacy commands are refused or give a tree that can be
// written as JSON, which reads back as the same tree.
#include "base/utf8.h"
#include "query/command_tree.h"
#include "query/literal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tree(json_t *tree) {
    char *text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    ra_assert(text);
    json_t *again = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    // Keys with NUL cannot be read from JSON.
    ra_assert(again || strstr(text, "\\u0000"));
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ra_str text = {(const char *)data, size};
    ra_error err;
    ra_command_tree command;
    json_t *value;
    size_t at = 0;
    if (ra_command_tree_read(text, NULL, &command, &err) == 0)
        check_tree(command.root);
    ra_command_tree_fini(&command);
    if (!ra_utf8_is_valid(text.data, text.len))
        return 0;
    if (ra_literal_read(text, &at, &value, &err) == 0) {
        ra_assert(at <= size);
        check_tree(value);
        json_decref(value);
    }
    return 0;
}
