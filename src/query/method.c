#include "query/method.h"

#include "query/bind.h"
#include "query/run.h"

#define RA_PARAM(name, default_json, type, text) {name, default_json, type, text},
#define RA_NO_PARAM
#define RA_ALIAS(name, method)
#define RA_LATER_METHOD(name)
#define RA_LATER_PARAM(method, name)

#define RA_METHOD(name, bind, run, forms, text, ...) \
    static const ra_param name##_params[] = {__VA_ARGS__{NULL, NULL, NULL, NULL}};
#include "query/methods.def"
#undef RA_METHOD

#define RA_METHOD(name, bind, run, forms, text, ...) \
    {#name, text, forms, name##_params, ra_bind_##bind, ra_run_##run},
const ra_table_method ra_table_methods[] = {
#include "query/methods.def"
};
#undef RA_METHOD
#undef RA_ALIAS
#undef RA_LATER_METHOD
#undef RA_LATER_PARAM

const int ra_n_table_methods = (int)(sizeof ra_table_methods / sizeof ra_table_methods[0]);

const ra_alias ra_method_aliases[] = {
#define RA_METHOD(name, bind, run, forms, text, ...)
#define RA_ALIAS(name, method) {#name, #method},
#define RA_LATER_METHOD(name)
#define RA_LATER_PARAM(method, name)
#include "query/methods.def"
#undef RA_ALIAS
#undef RA_LATER_METHOD
#undef RA_LATER_PARAM
};
const int ra_n_method_aliases = (int)(sizeof ra_method_aliases / sizeof ra_method_aliases[0]);

static const char *const later_methods[] = {
#define RA_ALIAS(name, method)
#define RA_LATER_METHOD(name) #name,
#define RA_LATER_PARAM(method, name)
#include "query/methods.def"
#undef RA_LATER_METHOD
#undef RA_LATER_PARAM
};

static const struct {
    const char *method;
    const char *param;
} later_params[] = {
#define RA_LATER_METHOD(name)
#define RA_LATER_PARAM(method, name) {#method, #name},
#include "query/methods.def"
};

int ra_method_find(ra_str name, bool is_legacy, const ra_table_method **out, ra_error *err) {
    for (int i = 0; i < ra_n_method_aliases; i++)
        if (ra_str_eq(name, ra_str_of(ra_method_aliases[i].name)))
            name = ra_str_of(ra_method_aliases[i].method);
    for (int i = 0; i < ra_n_table_methods; i++) {
        const ra_table_method *method = &ra_table_methods[i];
        if (ra_str_eq(name, ra_str_of(method->name)) &&
            !(is_legacy && method->forms == RA_FORM_JSON)) {
            *out = method;
            return 0;
        }
    }
    int rc = 0;
    for (size_t i = 0; i < sizeof later_methods / sizeof later_methods[0] && rc == 0; i++)
        if (ra_str_eq(name, ra_str_of(later_methods[i])))
            rc = ra_error_set(err, RA_REASON_NOT_IMPLEMENTED,
                              "method '%s' is not implemented by this server", later_methods[i]);
    if (rc == 0)
        rc = ra_error_set(err, RA_REASON_UNKNOWN_METHOD, "unknown method '%.*s'", RA_STR_ARG(name));
    ra_error_set_subject(err, "method", name.data, name.len);
    return rc;
}

static int find_param(const ra_table_method *method, ra_str name) {
    for (int i = 0; method->params[i].name; i++)
        if (ra_str_eq(name, ra_str_of(method->params[i].name)))
            return i;
    return -1;
}

static int fail_param(const ra_table_method *method, ra_str name, ra_error *err) {
    for (size_t i = 0; i < sizeof later_params / sizeof later_params[0]; i++)
        if (strcmp(method->name, later_params[i].method) == 0 &&
            ra_str_eq(name, ra_str_of(later_params[i].param)))
            RA_FAIL(err, NOT_IMPLEMENTED, "argument '%s' of %s() is not implemented by this server",
                    later_params[i].param, method->name);
    RA_FAIL(err, TYPE_ERROR, "%s() got an unexpected argument '%.*s'", method->name,
            RA_STR_ARG(name));
}

int ra_method_arguments(const ra_table_method *method, json_t *given, json_t *args[RA_MAX_PARAMS],
                        ra_error *err) {
    const char *key;
    size_t key_len;
    json_t *value;
    memset(args, 0, RA_MAX_PARAMS * sizeof args[0]);
    json_object_keylen_foreach(given, key, key_len, value) {
        ra_str name = {key, key_len};
        int i = find_param(method, name);
        if (i < 0)
            return fail_param(method, name, err);
        args[i] = value;
    }
    for (int i = 0; method->params[i].name; i++)
        if (!args[i] && !method->params[i].default_json)
            RA_FAIL(err, TYPE_ERROR, "%s() misses its argument '%s'", method->name,
                    method->params[i].name);
    return 0;
}
