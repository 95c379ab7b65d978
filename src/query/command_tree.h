// A command as it was sent, read into one tree whichever form it had.
#ifndef RA_QUERY_COMMAND_TREE_H
#define RA_QUERY_COMMAND_TREE_H

#include <jansson.h>

#include "base/budget.h"
#include "base/bytes.h"

enum {
    RA_MAX_COMMAND_TEXT_BYTES = 1024 * 1024,  // inline Arrow not counted
    RA_MAX_COMMAND_BYTES = 64 * 1024 * 1024,
    RA_MAX_COMMAND_STEPS = 1024
};

typedef struct {
    json_t *root;  // an object: "from" or "concat", "do", "as" …
    bool is_legacy;
    ra_budget *budget;
    int64_t charged_bytes;  // for the tree
} ra_command_tree;

// Reads JSON (begins with '{') or the legacy form (begins with a digit), which becomes the tree of
// the JSON command that means the same. Checks size, nesting, syntax and duplicate keys; keys and
// values are checked when the command is bound. The tree is charged to `budget` (NULL does not
// count) until fini, which is needed after a failure too. MESSAGE_TOO_LARGE, MALFORMED_REQUEST
// naming the place, UNKNOWN_METHOD and TYPE_ERROR (legacy arguments), INVALID_ARGUMENT (neither
// form), OUT_OF_MEMORY. Any thread.
RA_MUST int ra_command_tree_read(ra_str text, ra_budget *budget, ra_command_tree *out,
                                 ra_error *err);
void ra_command_tree_fini(ra_command_tree *command);

#endif
