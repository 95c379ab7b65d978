// The table of methods: names, parameters and what carries them out (methods.def).
#ifndef RA_QUERY_METHOD_H
#define RA_QUERY_METHOD_H

#include <jansson.h>

#include "base/bytes.h"
#include "store/content.h"

typedef struct ra_binder ra_binder;
typedef struct ra_step ra_step;
typedef struct ra_run ra_run;

typedef struct {
    const char *name;
    const char *default_json;  // NULL: must be given
    const char *type;          // for the documentation
    const char *text;
} ra_param;

enum { RA_MAX_PARAMS = 4 };
typedef enum { RA_FORM_BOTH, RA_FORM_JSON } ra_forms;

typedef struct {
    const char *name;
    const char *text;
    ra_forms forms;
    const ra_param *params;  // in pyarrow's order, ended by one without a name
    // Checks the arguments against the schema so far, fills the step, changes the schema to that of
    // the result and appends the canonical arguments. `args` has a value a parameter, NULL where
    // the default holds.
    int (*bind)(ra_binder *binder, ra_step *step, json_t *const *args, ra_error *err);
    // Makes the content of the step's result (a reference); `in` is borrowed.
    int (*run)(ra_run *run, const ra_step *step, ra_content *in, ra_content **out, ra_error *err);
} ra_table_method;

extern const ra_table_method ra_table_methods[];
extern const int ra_n_table_methods;

// A second name of a method.
typedef struct {
    const char *name;
    const char *method;
} ra_alias;
extern const ra_alias ra_method_aliases[];
extern const int ra_n_method_aliases;

// The method called `name`. UNKNOWN_METHOD or, for methods that are planned, NOT_IMPLEMENTED; both
// name it.
RA_MUST int ra_method_find(ra_str name, bool is_legacy, const ra_table_method **out, ra_error *err);

// Puts the arguments of `given`, an object, in the order of the parameters; values are borrowed.
// TYPE_ERROR naming an unknown or missing parameter.
RA_MUST int ra_method_arguments(const ra_table_method *method, json_t *given,
                                json_t *args[RA_MAX_PARAMS], ra_error *err);

#endif
