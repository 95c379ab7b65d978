// docs/commands.md and docs/command.schema.json say what the table of methods says. Runs in the
// project's folder.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/testing.h"
#include "query/method.h"

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

// The part of the text under a heading, up to the next one; freed by the caller.
static char *section(const char *text, const char *method) {
    char heading[64];
    snprintf(heading, sizeof heading, "\n### %s\n", method);
    const char *from = strstr(text, heading);
    if (!from)
        fail_msg("docs/commands.md has no section '%s'", method);
    from += strlen(heading);
    const char *to = strstr(from, "\n##");
    return strndup(from, to ? (size_t)(to - from) : strlen(from));
}

static void assert_has(const char *text, const char *line) {
    if (!strstr(text, line))
        fail_msg("docs/commands.md lacks: %s", line);
}

static void the_page_has_every_method_and_parameter(void **state) {
    (void)state;
    char *text = read_file("docs/commands.md");
    for (int m = 0; m < ra_n_table_methods; m++) {
        const ra_table_method *method = &ra_table_methods[m];
        char *part = section(text, method->name), line[512];
        assert_has(part, method->text);
        for (int i = 0; method->params[i].name; i++) {
            const ra_param *param = &method->params[i];
            char position[16] = "";
            if (method->forms == RA_FORM_BOTH)
                snprintf(position, sizeof position, "%d ", i);
            const char *tick = param->default_json ? "`" : "";
            snprintf(line, sizeof line, "| %s| `%s` | %s | %s%s%s%s| %s |", position, param->name,
                     param->type, tick, param->default_json ? param->default_json : "", tick,
                     tick[0] ? " " : "", param->text);
            assert_has(part, line);
        }
        snprintf(line, sizeof line, "{\"%s\": {", method->name);
        assert_has(part, line);
        if (method->forms == RA_FORM_BOTH && strcmp(method->name, "drop_columns") != 0) {
            snprintf(line, sizeof line, "0$%s${", method->name);
            assert_has(part, line);
        }
        free(part);
    }
    free(text);
}

static json_t *follow(json_t *root, json_t *schema) {
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    return ref ? json_object_get(json_object_get(root, "$defs"), ref + strlen("#/$defs/")) : schema;
}

static void assert_is_required(json_t *schema, const char *name, bool required) {
    size_t i;
    json_t *item;
    bool found = false;
    json_array_foreach(json_object_get(schema, "required"), i, item) {
        found |= strcmp(json_string_value(item), name) == 0;
    }
    if (found != required)
        fail_msg("'%s' is %srequired in the JSON Schema", name, found ? "" : "not ");
}

static void the_json_schema_has_every_method_and_parameter(void **state) {
    (void)state;
    char *text = read_file("docs/command.schema.json");
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_t *step = json_object_get(json_object_get(root, "$defs"), "step");
    json_t *methods = json_object_get(step, "properties");
    assert_int_equal(json_object_size(methods), ra_n_table_methods + ra_n_method_aliases);
    for (int a = 0; a < ra_n_method_aliases; a++)
        assert_true(json_equal(json_object_get(methods, ra_method_aliases[a].name),
                               json_object_get(methods, ra_method_aliases[a].method)));
    for (int m = 0; m < ra_n_table_methods; m++) {
        const ra_table_method *method = &ra_table_methods[m];
        json_t *schema = follow(root, json_object_get(methods, method->name));
        json_t *properties = json_object_get(schema, "properties");
        size_t n = 0;
        for (; method->params[n].name; n++) {
            const ra_param *param = &method->params[n];
            json_t *property = json_object_get(properties, param->name);
            if (!property)
                fail_msg("%s has no '%s' in the JSON Schema", method->name, param->name);
            assert_is_required(schema, param->name, !param->default_json);
            if (!param->default_json)
                continue;
            json_t *value = json_loads(param->default_json, JSON_DECODE_ANY, NULL);
            assert_true(json_equal(value, json_object_get(property, "default")));
            json_decref(value);
        }
        assert_int_equal(json_object_size(properties), n);
        assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    }
    json_decref(root);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_every_method_and_parameter),
        cmocka_unit_test(the_json_schema_has_every_method_and_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
