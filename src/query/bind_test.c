// What commands are refused for, what they mean, and which of them mean the same.
#include "query/testing_store.h"

static testing_store t;

static int open_store(void **state) {
    (void)state;
    testing_store_open(&t);
    TESTING_PUBLISH(&t, "t", "i:a s:b b:c S:s",
                    "[[3,1],[\"x\",\"y\"],[true,null],[[1,\"p\"],null]]",
                    "[[2],[null],[false],[[2,null]]]");
    TESTING_PUBLISH(&t, "dup", "i:a i:a s:b", "[[1,2],[3,4],[\"x\",\"y\"]]");
    TESTING_PUBLISH(&t, "idx", "i:i b:m r:r s:s",
                    "[[2,0,null],[true,null,true],[false,true,true],[\"\",\"\",\"\"]]");
    TESTING_PUBLISH(&t, "none", "", NULL);
    return 0;
}

static int close_store(void **state) {
    (void)state;
    testing_store_close(&t);
    return 0;
}

// A command on table 0 with one step.
#define STEP(step) "{\"from\":{\"id\":0},\"do\":[{" step "}]}"

static void commands_that_are_no_json_name_the_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        ra_reason reason;
        const char *words;
    } cases[] = {
        {"", RA_REASON_INVALID_ARGUMENT, "begins with"},
        {"x", RA_REASON_INVALID_ARGUMENT, "begins with"},
        {" {}", RA_REASON_INVALID_ARGUMENT, "begins with"},
        {"{", RA_REASON_MALFORMED_REQUEST, "line 1, column 2 (byte 1)"},
        {"{\"from\": {\"id\": 0},\n \"do\": [}", RA_REASON_MALFORMED_REQUEST, "line 2"},
        {"{\"from\": {\"id\": 0}} x", RA_REASON_MALFORMED_REQUEST, "line 1"},
        {"{\"from\": {\"id\": 0, \"id\": 1}}", RA_REASON_MALFORMED_REQUEST, "duplicate key"},
        {"{\"from\": {\"id\": 99999999999999999999}}", RA_REASON_MALFORMED_REQUEST,
         "beyond 64 bits"},
        {"{\"from\": {\"id\": 1e999}}", RA_REASON_MALFORMED_REQUEST, "out of range"},
        {"{\"from\": {\"name\": \"\xff\"}}", RA_REASON_MALFORMED_REQUEST, "UTF-8 at byte 19"},
        {"{\"from\": {\"name\": \"\\ud800\"}}", RA_REASON_MALFORMED_REQUEST, "line 1"},
        {"{\"fr\\u0000om\": 1}", RA_REASON_MALFORMED_REQUEST, "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(&t, cases[i].text, cases[i].reason, cases[i].words);
}

static void commands_of_the_wrong_shape_are_malformed(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"from\": 3}",
        "{\"from\": {}}",
        "{\"from\": {\"id\": 0, \"name\": \"t\"}}",
        "{\"from\": {\"id\": -1}}",
        "{\"from\": {\"id\": 0.0}}",
        "{\"from\": {\"id\": true}}",
        "{\"from\": {\"name\": 1}}",
        "{\"from\": {\"id\": 0, \"version\": 0}}",
        "{\"from\": {\"id\": 0, \"uid\": \"0\"}}",
        "{\"from\": {\"id\": 0, \"uid\": \"0123456789ABCDEF0123456789ABCDEF\"}}",
        "{\"from\": {\"id\": 0, \"x\": 0}}",
        "{\"from\": {\"id\": 0}, \"concat\": {\"tables\": []}}",
        "{\"from\": {\"id\": 0}, \"x\": 1}",
        "{\"from\": {\"id\": 0}, \"do\": {}}",
        "{\"from\": {\"id\": 0}, \"do\": [1]}",
        "{\"from\": {\"id\": 0}, \"do\": [{}]}",
        "{\"from\": {\"id\": 0}, \"do\": [{\"drop_null\": {}, \"flatten\": {}}]}",
        "{\"from\": {\"id\": 0}, \"do\": [{\"drop_null\": []}]}",
        "{\"from\": {\"id\": 0}, \"as\": 1}",
        "{\"from\": {\"id\": 0}, \"if_exists\": \"replace\"}",
        "{\"from\": {\"id\": 0}, \"if_version\": 1}",
        "{\"from\": {\"id\": 0}, \"as\": \"n\", \"if_exists\": 1}",
        "{\"from\": {\"id\": 0}, \"as\": \"n\", \"if_version\": 0}",
        "{\"from\": {\"id\": 0}, \"as\": \"n\", \"publish\": false}",
        "{\"from\": {\"id\": 0}, \"publish\": 1}",
        "{\"concat\": []}",
        "{\"concat\": {\"tables\": [{\"from\": {\"id\": 0}, \"as\": \"n\"}]}}",
        "{\"concat\": {\"tables\": [{\"from\": {\"id\": 0}, \"publish\": false}]}}",
        "{\"concat\": {\"tables\": [1]}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_fails(&t, texts[i], RA_REASON_MALFORMED_REQUEST, "");
    assert_fails(&t, "{\"from\": {\"id\": 0}, \"as\": \"#n\"}", RA_REASON_INVALID_ARGUMENT, "");
    assert_fails(&t, "{\"from\": {\"id\": 0}, \"as\": \"\"}", RA_REASON_INVALID_ARGUMENT, "");
    assert_fails(&t, "{\"from\": {\"id\": 0}, \"as\": \"n\", \"if_exists\": \"x\"}",
                 RA_REASON_INVALID_ARGUMENT, "'x'");
}

static void sources_that_are_not_there_are_not_found(void **state) {
    (void)state;
    assert_fails(&t, "{\"from\": {\"id\": 77}}", RA_REASON_FLIGHT_NOT_FOUND, "77");
    assert_fails(&t, "{\"from\": {\"name\": \"zzz\"}}", RA_REASON_FLIGHT_NOT_FOUND, "zzz");
    assert_fails(&t, "{\"from\": {\"id\": 0, \"version\": 9}}", RA_REASON_FLIGHT_NOT_FOUND, "9");
    assert_fails(&t, "{\"from\": {\"id\": 0, \"uid\": \"0123456789abcdef0123456789abcdef\"}}",
                 RA_REASON_FLIGHT_NOT_FOUND, "uid");
    assert_fails(&t, "77$drop_null${}${}", RA_REASON_FLIGHT_NOT_FOUND, "77");
    assert_fails(&t, "9223372036854775807$drop_null${}${}", RA_REASON_FLIGHT_NOT_FOUND, "");
}

static void unknown_and_later_methods_are_told_apart(void **state) {
    (void)state;
    assert_fails(&t, STEP("\"tak\":{}"), RA_REASON_UNKNOWN_METHOD, "'tak'");
    assert_fails(&t, STEP("\"\":{}"), RA_REASON_UNKNOWN_METHOD, "''");
    assert_fails(&t, STEP("\"join\":{}"), RA_REASON_NOT_IMPLEMENTED, "'join'");
    assert_fails(&t, STEP("\"group_by\":1"), RA_REASON_NOT_IMPLEMENTED, "'group_by'");
    assert_fails(&t, STEP("\"filter\":{\"where\":[\"x\"]}"), RA_REASON_NOT_IMPLEMENTED, "where");
    assert_fails(&t, "0$cast${}${}", RA_REASON_NOT_IMPLEMENTED, "'cast'");
    assert_fails(&t, "0$concat${}${}", RA_REASON_UNKNOWN_METHOD, "'concat'");
    assert_fails(&t, "0$to_pandas${}${}", RA_REASON_UNKNOWN_METHOD, "'to_pandas'");
}

static void arguments_are_checked_against_the_parameters(void **state) {
    (void)state;
    assert_fails(&t, STEP("\"take\":{}"), RA_REASON_TYPE_ERROR, "'indices'");
    assert_fails(&t, STEP("\"take\":{\"indices\":[],\"x\":1}"), RA_REASON_TYPE_ERROR, "'x'");
    assert_fails(&t, STEP("\"drop_null\":{\"x\":null}"), RA_REASON_TYPE_ERROR, "'x'");
    assert_fails(&t, STEP("\"flatten\":{\"memory_pool\":1}"), RA_REASON_TYPE_ERROR, "null");
    assert_fails(&t, "0$take${}${}", RA_REASON_TYPE_ERROR, "'indices'");
    assert_fails(&t, "0$take${0: [1], 1: [2]}${}", RA_REASON_TYPE_ERROR, "at most 1");
    assert_fails(&t, "0$take${0: [1]}${'indices': [2]}", RA_REASON_TYPE_ERROR, "multiple values");
    assert_fails(&t, "0$take${1: [1]}${}", RA_REASON_MALFORMED_REQUEST, "numbered");
    assert_fails(&t, "0$take${'0x': [1]}${}", RA_REASON_MALFORMED_REQUEST, "numbered");
    assert_fails(&t, "0$take${}${'x': [1]}", RA_REASON_TYPE_ERROR, "'x'");
}

static void legacy_commands_of_the_wrong_form_name_the_byte(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "0$",
        "0$take",
        "0$take$",
        "0$take${0: [1]}",
        "0$take${}$",
        "0 take",
        "0$take$[]${}",
        "0$take${}$1",
        "0$take${}${}x",
        "0$take${}${}$",
        "00x$take${}${}",
        "99999999999999999999$take${}${}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ra_outcome outcome;
        testing_run(&t, texts[i], &outcome);
        if (outcome.err.code != RA_INVALID)
            fail_msg("%s: %s", texts[i], outcome.err.message);
    }
}

static void select_addresses_columns_as_pyarrow_does(void **state) {
    (void)state;
    assert_gives(&t, STEP("\"select\":{\"columns\":[\"b\",0]}"),
                 "{\"b\":[\"x\",\"y\",null],\"a\":[3,1,2]}");
    assert_gives(&t, STEP("\"select\":{\"columns\":[-3]}"), "{\"b\":[\"x\",\"y\",null]}");
    assert_gives(&t, STEP("\"select\":{\"columns\":[]}"), "{}");
    assert_gives(&t, "0$select${0: 'ab'}${}", "{\"a\":[3,1,2],\"b\":[\"x\",\"y\",null]}");
    assert_fails(&t, STEP("\"select\":{\"columns\":[\"x\"]}"), RA_REASON_KEY_ERROR,
                 "Field \"x\" does not exist in schema");
    assert_fails(&t, "{\"from\":{\"id\":1},\"do\":[{\"select\":{\"columns\":[\"a\"]}}]}",
                 RA_REASON_KEY_ERROR, "Field \"a\" exists 2 times in schema");
    assert_fails(&t, STEP("\"select\":{\"columns\":[4]}"), RA_REASON_INDEX_OUT_OF_BOUNDS,
                 "index out of bounds");
    assert_fails(&t, STEP("\"select\":{\"columns\":[-5]}"), RA_REASON_INDEX_OUT_OF_BOUNDS,
                 "index out of bounds");
    assert_fails(&t, STEP("\"select\":{\"columns\":[0.5]}"), RA_REASON_TYPE_ERROR,
                 "Index must either be string or integer");
    assert_fails(&t, STEP("\"select\":{\"columns\":\"ab\"}"), RA_REASON_TYPE_ERROR, "list");
    assert_fails(&t, STEP("\"select\":{\"columns\":null}"), RA_REASON_TYPE_ERROR, "list");
}

static void an_error_names_column_and_flight(void **state) {
    (void)state;
    ra_plan *plan;
    ra_error err;
    assert_int_equal(ra_plan_new(t.engine, RA_STR("1$select${0: ['no']}${}"), &plan, &err),
                     RA_NOT_FOUND);
    assert_int_equal(err.flight, 1);
    assert_string_equal(err.subject_key, "column");
    assert_string_equal(err.subject, "no");
}

static void drop_columns_drops_as_pyarrow_does(void **state) {
    (void)state;
    assert_gives(&t, STEP("\"drop_columns\":{\"columns\":[\"s\",\"c\",\"b\"]}"), "{\"a\":[3,1,2]}");
    assert_gives(&t, STEP("\"drop\":{\"columns\":[\"s\",\"b\",\"c\"]}"), "{\"a\":[3,1,2]}");
    assert_gives(&t, "0$drop${0: ('s', 'c')}${}", "{\"a\":[3,1,2],\"b\":[\"x\",\"y\",null]}");
    // A name given twice also removes what slid into its place.
    assert_gives(&t, STEP("\"drop\":{\"columns\":[\"b\",\"s\",\"b\"]}"), "{\"a\":[3,1,2]}");
    assert_fails(&t, STEP("\"drop\":{\"columns\":[\"s\",\"s\"]}"), RA_REASON_INVALID_ARGUMENT,
                 "Invalid column index to remove field.");
    assert_fails(&t, STEP("\"drop\":{\"columns\":\"ab\"}"), RA_REASON_KEY_ERROR,
                 "Column 'ab' not found");
    assert_fails(&t, "1$drop_columns${0: 'a'}${}", RA_REASON_KEY_ERROR, "Column 'a' not found");
    assert_fails(&t, STEP("\"drop\":{\"columns\":[0]}"), RA_REASON_TYPE_ERROR, "names");
    assert_fails(&t, STEP("\"drop\":{\"columns\":null}"), RA_REASON_TYPE_ERROR, "drop_columns:");
}

static void remove_column_takes_a_position_only(void **state) {
    (void)state;
    assert_gives(&t, "1$remove_column${0: 1}${}", "{\"a\":[1,2],\"b\":[\"x\",\"y\"]}");
    assert_gives(&t, "1$remove_column${}${'i': 2}", "{\"a\":[3,4]}");
    assert_fails(&t, "1$remove_column${0: -1}${}", RA_REASON_INVALID_ARGUMENT,
                 "Invalid column index to remove field.");
    assert_fails(&t, "1$remove_column${0: 3}${}", RA_REASON_INVALID_ARGUMENT, "Invalid column");
    assert_fails(&t, "1$remove_column${0: 'a'}${}", RA_REASON_TYPE_ERROR, "integer");
}

static void rename_columns_takes_a_list_or_pairs(void **state) {
    (void)state;
    assert_gives(&t, "1$rename_columns${0: ['x', 'y', 'z']}${}",
                 "{\"x\":[1,2],\"y\":[3,4],\"z\":[\"x\",\"y\"]}");
    assert_gives(&t, "1$rename_columns${0: {'b': 'q'}}${}", "{\"a\":[3,4],\"q\":[\"x\",\"y\"]}");
    assert_gives(&t, "0$rename_columns${0: {'a': 'b', 'b': 'a', 's': '', 'c': 'c'}}${}",
                 "{\"b\":[3,1,2],\"a\":[\"x\",\"y\",null],\"c\":[true,null,false],"
                 "\"\":[[1,\"p\"],null,[2,null]]}");
    assert_fails(&t, "1$rename_columns${0: ['x', 'y']}${}", RA_REASON_INVALID_ARGUMENT,
                 "tried to rename a table of 3 columns but only 2 names were provided");
    assert_fails(&t, "1$rename_columns${0: {'z': 'y'}}${}", RA_REASON_KEY_ERROR,
                 "Column 'z' not found");
    assert_fails(&t, "1$rename_columns${0: {'b': 1}}${}", RA_REASON_TYPE_ERROR, "string");
    assert_fails(&t, "1$rename_columns${0: ['x', 'y', 1]}${}", RA_REASON_TYPE_ERROR, "string");
    assert_fails(&t, "1$rename_columns${0: 'xyz'}${}", RA_REASON_TYPE_ERROR, "list");
}

static void slice_takes_what_python_slices_take(void **state) {
    (void)state;
    assert_gives(&t, "1$slice${}${}", "{\"a\":[3,4],\"b\":[\"x\",\"y\"]}");
    assert_gives(&t, "1$slice${0: 1}${}", "{\"a\":[4],\"b\":[\"y\"]}");
    assert_gives(&t, "1$slice${0: 1, 1: None}${}", "{\"a\":[4],\"b\":[\"y\"]}");
    assert_gives(&t, "1$slice${0: 0, 1: 1}${}", "{\"a\":[3],\"b\":[\"x\"]}");
    assert_gives(&t, "1$slice${0: 9223372036854775807, 1: 9223372036854775807}${}",
                 "{\"a\":[],\"b\":[]}");
    assert_gives(&t, "1$slice${0: 1, 1: -1}${}", "{\"a\":[],\"b\":[]}");
    assert_fails(&t, "1$slice${0: -1}${}", RA_REASON_INDEX_OUT_OF_BOUNDS,
                 "Offset must be non-negative");
    assert_fails(&t, "1$slice${0: None}${}", RA_REASON_TYPE_ERROR, "offset");
    assert_fails(&t, "1$slice${0: 0, 1: 1.5}${}", RA_REASON_TYPE_ERROR, "length");
}

static void take_refuses_indices_that_are_no_integers(void **state) {
    (void)state;
    assert_fails(&t, "0$take${0: [1.0]}${}", RA_REASON_NOT_IMPLEMENTED, "array_take");
    assert_fails(&t, "0$take${0: [1, 'a']}${}", RA_REASON_NOT_IMPLEMENTED, "item 1");
    assert_fails(&t, "0$take${0: [True]}${}", RA_REASON_NOT_IMPLEMENTED, "array_take");
    assert_fails(&t, "0$take${0: 5}${}", RA_REASON_NOT_IMPLEMENTED, "Unsupported types");
    assert_fails(&t, "0$take${0: None}${}", RA_REASON_NOT_IMPLEMENTED, "Unsupported types");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"from\":{\"id\":2},\"column\":\"s\"}}"),
                 RA_REASON_NOT_IMPLEMENTED, "string");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"from\":{\"id\":2},\"column\":\"zz\"}}"),
                 RA_REASON_KEY_ERROR, "zz");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"from\":{\"id\":2}}}"),
                 RA_REASON_NOT_IMPLEMENTED, "Unsupported types");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"stream\":false}}"), RA_REASON_TYPE_ERROR,
                 "true");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"arrow\":1}}"), RA_REASON_TYPE_ERROR, "string");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"arrow\":\"?\"}}"), RA_REASON_INVALID_ARGUMENT,
                 "base64");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"arrow\":\"AAAA\"}}"), RA_REASON_MALFORMED_ARROW,
                 "");
    assert_fails(&t, STEP("\"take\":{\"indices\":{\"arrow\":\"\"}}"), RA_REASON_MALFORMED_ARROW,
                 "");
}

static void filter_refuses_masks_that_are_not_boolean(void **state) {
    (void)state;
    static const char *const masks[] = {"[]", "[None, None, None]", "[1, 0, 1]", "['a']"};
    for (size_t i = 0; i < 4; i++) {
        char command[64];
        snprintf(command, sizeof command, "0$filter${0: %s}${}", masks[i]);
        assert_fails(&t, command, RA_REASON_NOT_IMPLEMENTED,
                     "Filter argument must be boolean type");
    }
    assert_fails(&t, "0$filter${0: [True]}${}", RA_REASON_INVALID_ARGUMENT,
                 "Filter inputs must all be the same length");
    assert_fails(&t, "0$filter${0: True}${}", RA_REASON_TYPE_ERROR, "Filter should be array-like");
    assert_fails(&t, "0$filter${0: [True, True, True], 1: 'x'}${}", RA_REASON_INVALID_ARGUMENT,
                 "\"x\" is not a valid null selection behavior");
    assert_fails(&t, STEP("\"filter\":{\"mask\":{\"from\":{\"id\":2},\"column\":\"i\"}}"),
                 RA_REASON_NOT_IMPLEMENTED, "Filter argument must be boolean type");
}

static void sort_keys_are_checked_as_pyarrow_does(void **state) {
    (void)state;
    assert_fails(&t, "0$sort_by${0: []}${}", RA_REASON_INVALID_ARGUMENT,
                 "Must specify one or more sort keys");
    assert_fails(&t, "0$sort_by${0: 'x'}${}", RA_REASON_COLUMN_NOT_FOUND,
                 "Invalid sort key column: No match for FieldRef.Name(x) in a: int64, b: string");
    assert_fails(&t, "1$sort_by${0: 'a'}${}", RA_REASON_COLUMN_NOT_FOUND,
                 "Multiple matches for FieldRef.Name(a)");
    assert_fails(&t, "0$sort_by${0: [(9, 'ascending')]}${}", RA_REASON_COLUMN_NOT_FOUND,
                 "FieldRef.FieldPath(9)");
    assert_fails(&t, "0$sort_by${0: [(-1, 'ascending')]}${}", RA_REASON_COLUMN_NOT_FOUND,
                 "FieldRef.FieldPath(-1)");
    assert_fails(&t, "0$sort_by${0: [('a', 'up')]}${}", RA_REASON_INVALID_ARGUMENT,
                 "\"up\" is not a valid sort order");
    assert_fails(&t, "0$sort_by${0: [('a', 'ascending', 'mid')]}${}", RA_REASON_INVALID_ARGUMENT,
                 "\"mid\" is not a valid null placement");
    assert_fails(&t, "0$sort_by${0: 'a'}${'null_placement': 'x'}", RA_REASON_INVALID_ARGUMENT,
                 "\"x\" is not a valid null placement");
    assert_fails(&t, "0$sort_by${0: ['a']}${}", RA_REASON_INVALID_ARGUMENT, "sort key");
    assert_fails(&t, "0$sort_by${0: [('a',)]}${}", RA_REASON_INVALID_ARGUMENT, "sort key");
    assert_fails(&t, "0$sort_by${0: {'a': 'ascending'}}${}", RA_REASON_INVALID_ARGUMENT, "list");
    assert_fails(&t, "0$sort_by${0: None}${}", RA_REASON_TYPE_ERROR, "list");
    assert_fails(&t, "0$sort_by${0: [(None, 'ascending')]}${}", RA_REASON_TYPE_ERROR, "field");
    assert_fails(&t, "0$sort_by${0: '.s.zz'}${}", RA_REASON_COLUMN_NOT_FOUND, "Nested(.s.zz)");
    assert_fails(&t, "0$sort_by${0: '.s[2]'}${}", RA_REASON_COLUMN_NOT_FOUND, "No match");
    assert_fails(&t, "0$sort_by${0: '.a.x'}${}", RA_REASON_COLUMN_NOT_FOUND, "No match");
    assert_fails(&t, "0$sort_by${0: '.s[0'}${}", RA_REASON_INVALID_ARGUMENT, "unterminated");
    assert_fails(&t, "0$sort_by${0: '.s[0]x'}${}", RA_REASON_INVALID_ARGUMENT, "Dot path");
    assert_fails(&t, "0$sort_by${0: [([], 'ascending')]}${}", RA_REASON_INVALID_ARGUMENT, "empty");
}

static void concat_wants_equal_schemas(void **state) {
    (void)state;
    assert_fails(&t, "{\"concat\":{\"tables\":[]}}", RA_REASON_INVALID_ARGUMENT,
                 "Must pass at least one table");
    assert_fails(&t, "{\"concat\":{\"tables\":{}}}", RA_REASON_TYPE_ERROR, "list");
    assert_fails(&t, "{\"concat\":{\"tables\":[{\"from\":{\"id\":0}},{\"from\":{\"id\":1}}]}}",
                 RA_REASON_SCHEMA_MISMATCH,
                 "Schema at index 1 was different: column 1 is 'a: int64', not 'b: string'");
    assert_fails(&t, "{\"concat\":{\"tables\":[{\"from\":{\"id\":0}}],\"promote_options\":\"x\"}}",
                 RA_REASON_INVALID_ARGUMENT, "Invalid promote options: x");
    assert_fails(
        &t, "{\"concat\":{\"tables\":[{\"from\":{\"id\":0}}],\"promote_options\":\"default\"}}",
        RA_REASON_NOT_IMPLEMENTED, "default");
    assert_fails(&t, STEP("\"concat\":{\"tables\":[]}"), RA_REASON_INVALID_ARGUMENT,
                 "at least one");
}

static void the_error_of_a_longer_chain_names_the_step(void **state) {
    (void)state;
    assert_fails(&t,
                 "{\"from\":{\"id\":0},\"do\":[{\"drop\":{\"columns\":\"a\"}},"
                 "{\"select\":{\"columns\":[\"a\"]}}]}",
                 RA_REASON_KEY_ERROR, "do[1]: Field \"a\" does not exist");
}

static void assert_same(const char *a, const char *b, bool same) {
    char *left = testing_canonical(&t, a), *right = testing_canonical(&t, b);
    if ((strcmp(left, right) == 0) != same)
        fail_msg("%s\n%s\n%s", same ? "differ:" : "are the same:", left, right);
    free(left);
    free(right);
}

static void other_spellings_are_the_same_command(void **state) {
    (void)state;
    assert_same("0$slice${}${}", STEP("\"slice\":{\"length\":null,\"offset\":0}"), true);
    assert_same("{\"from\":{\"name\":\"t\"},\"as\":\"x\",\"if_exists\":\"replace\"}",
                "{\"from\":{\"version\":1,\"id\":0},\"do\":[],\"publish\":false}", true);
    assert_same("0$drop${0: 'a'}${}", "0$drop${0: ('a',)}${}", true);
    assert_same("0$drop${0: ['a', 'b']}${}", "0$drop_columns${0: ['b', 'a']}${}", true);
    assert_same("0$select${0: [-4]}${}", "0$select${0: ['a']}${}", true);
    assert_same("0$sort_by${0: 'a'}${}", STEP("\"sort_by\":{\"sorting\":[[0,\"ascending\"]]}"),
                true);
    assert_same("0$sort_by${0: 'a'}${'null_placement': 'at_start'}",
                "0$sort_by${0: [('a', 'ascending', 'at_start'), ('a', 'descending')]}${}", true);
    assert_same("0$sort_by${0: '.s.x'}${}",
                STEP("\"sort_by\":{\"sorting\":[[[\"s\",0],\"ascending\"]]}"), true);
    assert_same("0$rename_columns${0: {'a': 'x', 'b': 'y'}}${}",
                "0$rename_columns${0: {'b': 'y', 'a': 'x'}}${}", true);
    assert_same("0$replace_schema_metadata${0: {'k': 'v'}}${}",
                "0$replace_schema_metadata${0: [('k', b'v')]}${}", true);
    assert_same(
        "{\"concat\":{\"tables\":[{\"from\":{\"id\":0}},{\"from\":{\"id\":0}}]}}",
        STEP("\"concat\":{\"tables\":[{\"from\":{\"id\":0}}],\"promote_options\":\"none\"}"), true);
    assert_same("{\"concat\":{\"tables\":[{\"from\":{\"id\":0}}]}}", "{\"from\":{\"id\":0}}", true);
    assert_same("0$slice${0: 1}${}", "0$slice${0: 2}${}", false);
    assert_same("0$slice${0: 1}${}", "1$slice${0: 1}${}", false);
    assert_same("0$take${0: [1]}${}", "0$take${0: [None]}${}", false);
    assert_same("0$filter${0: [True, True, None]}${}",
                "0$filter${0: [True, True, None], 1: 'emit_null'}${}", false);
    assert_same("0$replace_schema_metadata${}${}", "0$replace_schema_metadata${0: {}}${}", false);
}

static void canonical_text_is_itself_a_command(void **state) {
    (void)state;
    static const char *const commands[] = {
        "0$take${0: [1, None, 0]}${}",
        "0$slice${0: 1, 1: 5}${}",
        "0$select${0: ['b', 0, 0]}${}",
        "1$select${0: [0, 1, 'b']}${}",
        "0$filter${0: [True, False, None], 1: 'emit_null'}${}",
        "0$sort_by${0: [('a', 'descending', 'at_start'), ('.s.y', 'ascending')]}${}",
        "0$drop${0: ['a', 'a']}${}",
        "0$remove_column${0: 2}${}",
        "1$rename_columns${0: {'b': 'é\"\\\\'}}${}",
        "1$rename_columns${0: ['x', '', 'z']}${}",
        "0$flatten${}${}",
        "0$replace_schema_metadata${0: {'é': 'v'}}${}",
        STEP("\"replace_schema_metadata\":{\"metadata\":[[{\"base64\":\"/w==\"},\"v\"]]}"),
        STEP("\"take\":{\"indices\":{\"from\":{\"id\":2},\"do\":[{\"slice\":{}}],\"column\":0}}"),
        STEP("\"filter\":{\"mask\":{\"stream\":true}}"),
        ("{\"concat\":{\"tables\":[{\"from\":{\"id\":1}},{\"from\":{\"id\":1},\"do\":"
         "[{\"slice\":{}}]}]},\"do\":[{\"drop_null\":{}}]}"),
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char *once = testing_canonical(&t, commands[i]), *twice = testing_canonical(&t, once);
        assert_string_equal(once, twice);
        free(once);
        free(twice);
    }
    char *text = testing_canonical(&t, "0$select${0: ['b']}${}");
    assert_non_null(strstr(text, "{\"from\":{\"id\":0,\"uid\":\""));
    assert_non_null(strstr(text, "\",\"version\":1},\"do\":[{\"select\":{\"columns\":[\"b\"]}}]}"));
    free(text);
}

static void long_arrays_are_known_by_their_content(void **state) {
    (void)state;
    char command[1024], other[1024];
    size_t n = (size_t)snprintf(command, sizeof command, "0$take${0: [");
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(command + n, sizeof command - n, "%d, ", i % 3);
    snprintf(command + n, sizeof command - n, "0]}${}");
    memcpy(other, command, sizeof other);
    assert_same(command, other, true);
    *strstr(other, "2, ") = '1';
    assert_same(command, other, false);
    char *text = testing_canonical(&t, command);
    assert_non_null(strstr(text, "\"indices\":{\"type\":\"int64\",\"length\":41,\"hash\":\""));
    free(text);
}

static void only_one_argument_may_be_streamed(void **state) {
    (void)state;
    assert_fails(&t,
                 "{\"from\":{\"id\":0},\"do\":[{\"take\":{\"indices\":{\"stream\":true}}},"
                 "{\"take\":{\"indices\":{\"stream\":true}}}]}",
                 RA_REASON_INVALID_ARGUMENT, "only one");
}

// `head`, `n` times `unit`, `tail`.
static char *repeat(const char *head, const char *unit, size_t n, const char *tail) {
    size_t at = strlen(head), bytes = strlen(unit);
    char *text = malloc(at + n * bytes + strlen(tail) + 1);
    assert_non_null(text);
    memcpy(text, head, at);
    for (size_t i = 0; i < n; i++, at += bytes)
        memcpy(text + at, unit, bytes);
    strcpy(text + at, tail);
    return text;
}

static void assert_fails_fast(char *command, ra_reason reason, const char *words) {
    int64_t start = ra_os_now_ns();
    assert_fails(&t, command, reason, words);
    assert_true(ra_os_now_ns() - start < 10 * 1000000000LL);
    free(command);
}

static void hostile_commands_are_refused_quickly(void **state) {
    (void)state;
    assert_fails_fast(repeat("{\"from\":", "[", 1024 * 1024 - 100, ""), RA_REASON_MALFORMED_REQUEST,
                      "64 levels");
    assert_fails_fast(repeat("{", "\"a\":{", 200000, ""), RA_REASON_MALFORMED_REQUEST, "64 levels");
    assert_fails_fast(repeat("{\"from\":\"", "x", 1024 * 1024, "\"}"), RA_REASON_MESSAGE_TOO_LARGE,
                      "1048576");
    assert_fails_fast(repeat("0$take${0: [", "0,", 1024 * 1024, "]}${}"),
                      RA_REASON_MESSAGE_TOO_LARGE, "1048576");
    assert_fails_fast(
        repeat("{\"from\":{\"id\":0},\"do\":[", "{\"slice\":{}},", 1024, "{\"slice\":{}}]}"),
        RA_REASON_LIMIT, "1024");
    assert_fails_fast(repeat("{\"concat\":{\"tables\":[", "{\"from\":{\"id\":0}},", 1024,
                             "{\"from\":{\"id\":0}}]}}"),
                      RA_REASON_LIMIT, "1024");
    assert_fails_fast(
        repeat("{\"from\":{\"id\":0},\"do\":[{\"select\":{\"columns\":[", "0,", 40000, "0]}}]}"),
        RA_REASON_LIMIT, "columns");
    assert_fails_fast(repeat("0$select${0: '", "a", 100000, "'}${}"), RA_REASON_LIMIT, "columns");
    assert_fails_fast(repeat("{\"from\":{\"id\":0},\"do\":[{\"select\":{\"columns\":[\"", "x",
                             1000000, "\"]}}]}"),
                      RA_REASON_KEY_ERROR, "xxx");
    assert_fails_fast(repeat("0$", "x", 1000000, "${}${}"), RA_REASON_UNKNOWN_METHOD, "xxx");
    assert_fails_fast(repeat("", "0", 1000000, "$x${}${}"), RA_REASON_UNKNOWN_METHOD, "'x'");
    assert_fails_fast(repeat("0$take${0: [", "9,", 500000, "None]}${}"),
                      RA_REASON_INDEX_OUT_OF_BOUNDS, "out of bounds");
}

// A table of `n` columns "0", "1", …, published as "wide".
static void publish_wide(int n) {
    char *fields = malloc((size_t)n * 8), *columns = malloc((size_t)n * 4);
    size_t at = 0, to = 0;
    columns[to++] = '[';
    for (int i = 0; i < n; i++) {
        at += (size_t)sprintf(fields + at, i > 0 ? " i:%d" : "i:%d", i);
        to += (size_t)sprintf(columns + to, i > 0 ? ",[]" : "[]");
    }
    strcpy(columns + to, "]");
    TESTING_PUBLISH(&t, "wide", fields, columns);
    free(fields);
    free(columns);
}

static void long_chains_on_wide_tables_bind_quickly(void **state) {
    (void)state;
    static const char *const steps[] = {
        "{\"rename_columns\":{\"names\":{\"0\":\"0\"}}},",
        "{\"sort_by\":{\"sorting\":\"9999\"}},",
        "{\"sort_by\":{\"sorting\":[[\"9\",\"ascending\"],[\"8\",\"ascending\"],[\"7\","
        "\"ascending\"],"
        "[\"6\",\"ascending\"],[\"5\",\"ascending\"],[\"4\",\"ascending\"]]}},",
        "{\"replace_schema_metadata\":{}},",
        "{\"flatten\":{}},",
        "{\"concat\":{\"tables\":[{\"from\":{\"name\":\"wide\"},\"do\":[{\"slice\":{}}]}]}},",
    };
    publish_wide(10000);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char *command =
            repeat("{\"from\":{\"name\":\"wide\"},\"do\":[", steps[i], 500, "{\"slice\":{}}]}");
        ra_plan *plan;
        ra_error err;
        int64_t start = ra_os_now_ns();
        assert_ok(ra_plan_new(t.engine, ra_str_of(command), &plan, &err), &err);
        int64_t ms = (ra_os_now_ns() - start) / 1000000;
        if (ms > 15000)  // below 100 ms when nothing else runs; sanitizers and neighbours cost
            fail_msg("%s takes %d ms", steps[i], (int)ms);
        ra_plan_unref(plan);
        free(command);
    }
}

static void commands_inside_commands_nest_to_the_limit(void **state) {
    (void)state;
    char *deep = repeat("", "{\"concat\":{\"tables\":[", 20, "{\"from\":{\"id\":1}}");
    char *command = repeat(deep, "]}}", 20, "");
    assert_gives(&t, command, "{\"a\":[3,4],\"b\":[\"x\",\"y\"]}");
    free(command);
    free(deep);
}

static void a_changed_command_never_misbehaves(void **state) {
    (void)state;
    static const char *const seeds[] = {
        "0$take${0: [1, None, 0]}${'indices': [1]}",
        "{\"from\":{\"id\":0},\"do\":[{\"filter\":{\"mask\":[true,false,null]}},{\"sort_by\":"
        "{\"sorting\":[[\"a\",\"descending\"]]}},{\"rename_columns\":{\"names\":{\"a\":\"b\"}}}]}",
    };
    srandom(7);
    for (int round = 0; round < 4000; round++) {
        char text[256];
        const char *seed = seeds[round & 1];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (int i = 0; i < 3; i++)
            text[(size_t)random() % n] = "{}[]\":,0-1$'\\ue\x80"[random() % 16];
        ra_plan *plan;
        ra_error err;
        int rc = ra_plan_new(t.engine, (ra_str){text, n - (size_t)(random() % 3)}, &plan, &err);
        if (rc == 0)
            ra_plan_unref(plan);
        else
            assert_true(err.reason != RA_REASON_INTERNAL && err.message[0] != 0);
    }
}

static atomic_int allocations_left;
static int fail_allocation(void *context, const ra_os_event *event) {
    (void)context;
    return event->call == RA_OS_ALLOC && atomic_fetch_sub(&allocations_left, 1) == 0 ? 12 : 0;
}

static void every_failed_allocation_is_out_of_memory(void **state) {
    (void)state;
    static const char *const commands[] = {
        "0$take${0: [1, None, 0]}${}",
        "0$select${0: 'ab'}${}",
        ("{\"from\":{\"id\":0},\"do\":[{\"filter\":{\"mask\":[true,false,null]}},{\"flatten\":{}},"
         "{\"rename_columns\":{\"names\":{\"a\":\"z\"}}},{\"sort_by\":{\"sorting\":\"z\"}},"
         "{\"replace_schema_metadata\":{\"metadata\":[[\"k\",{\"base64\":\"AA==\"}]]}},"
         "{\"drop\":{\"columns\":\"b\"}}],\"as\":\"n\"}"),
        "{\"concat\":{\"tables\":[{\"from\":{\"id\":1}},{\"from\":{\"id\":1}}]}}",
        ("{\"from\":{\"id\":0},\"do\":[{\"take\":{\"indices\":{\"from\":{\"id\":2},\"column\":"
         "\"i\"}"
         "}}]}"),
    };
    for (size_t c = 0; c < sizeof commands / sizeof commands[0]; c++) {
        int rc = -1;
        for (int i = 0; rc != 0; i++) {
            ra_plan *plan;
            ra_error err;
            atomic_store(&allocations_left, i);
            ra_os_set_gate(fail_allocation, NULL);
            rc = ra_plan_new(t.engine, ra_str_of(commands[c]), &plan, &err);
            ra_os_set_gate(NULL, NULL);
            if (rc == 0)
                ra_plan_unref(plan);
            else if (err.reason != RA_REASON_OUT_OF_MEMORY && err.reason != RA_REASON_LIMIT)
                fail_msg("%s, allocation %d: %s", commands[c], i, err.message);
            assert_int_equal(ra_budget_used(&t.budget), 0);
            assert_true(i < 1000);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_that_are_no_json_name_the_place),
        cmocka_unit_test(commands_of_the_wrong_shape_are_malformed),
        cmocka_unit_test(sources_that_are_not_there_are_not_found),
        cmocka_unit_test(unknown_and_later_methods_are_told_apart),
        cmocka_unit_test(arguments_are_checked_against_the_parameters),
        cmocka_unit_test(legacy_commands_of_the_wrong_form_name_the_byte),
        cmocka_unit_test(select_addresses_columns_as_pyarrow_does),
        cmocka_unit_test(an_error_names_column_and_flight),
        cmocka_unit_test(drop_columns_drops_as_pyarrow_does),
        cmocka_unit_test(remove_column_takes_a_position_only),
        cmocka_unit_test(rename_columns_takes_a_list_or_pairs),
        cmocka_unit_test(slice_takes_what_python_slices_take),
        cmocka_unit_test(take_refuses_indices_that_are_no_integers),
        cmocka_unit_test(filter_refuses_masks_that_are_not_boolean),
        cmocka_unit_test(sort_keys_are_checked_as_pyarrow_does),
        cmocka_unit_test(concat_wants_equal_schemas),
        cmocka_unit_test(the_error_of_a_longer_chain_names_the_step),
        cmocka_unit_test(other_spellings_are_the_same_command),
        cmocka_unit_test(canonical_text_is_itself_a_command),
        cmocka_unit_test(long_arrays_are_known_by_their_content),
        cmocka_unit_test(only_one_argument_may_be_streamed),
        cmocka_unit_test(hostile_commands_are_refused_quickly),
        cmocka_unit_test(long_chains_on_wide_tables_bind_quickly),
        cmocka_unit_test(commands_inside_commands_nest_to_the_limit),
        cmocka_unit_test(a_changed_command_never_misbehaves),
        cmocka_unit_test(every_failed_allocation_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, open_store, close_store);
}
