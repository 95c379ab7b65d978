// Array arguments: take's indices and filter's mask.
#ifndef RA_QUERY_ARRAY_ARGUMENT_H
#define RA_QUERY_ARRAY_ARGUMENT_H

#include "query/bind.h"

typedef enum { RA_ROLE_INDICES, RA_ROLE_MASK } ra_array_role;

// Binds an array argument, given as a JSON list, {"arrow": "<base64 IPC stream>"},
// {"from": …, "column": …} or {"stream": true}, and appends its canonical form. It lives in the
// plan. NOT_IMPLEMENTED for types that the role does not take, TYPE_ERROR, MALFORMED_REQUEST,
// MALFORMED_ARROW, INVALID_ARGUMENT, and what binding a command fails with.
RA_MUST int ra_array_argument_bind(ra_binder *binder, json_t *value, ra_array_role role,
                                   ra_array_argument **out, ra_error *err);

// Whether a column's type is one that the role takes; words the error.
RA_MUST int ra_array_role_check(ra_array_role role, const ra_field *field, ra_error *err);

#endif
