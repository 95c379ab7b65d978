// Tokens: who may call.
#ifndef RA_WIRE_AUTH_H
#define RA_WIRE_AUTH_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "wire/header.h"

// The tokens of a file at one moment. Immutable, shared: a call that was let in keeps them, since
// its token points into them.
typedef struct {
    atomic_int refs;
    ra_bytes text;    // of the token file
    ra_bytes tokens;  // of ra_str
} ra_auth;

// Reads a file of tokens, one a line; empty lines and lines that begin with '#' are skipped, blanks
// around a token too. One reference. IO_ERROR, OUT_OF_MEMORY; INVALID_ARGUMENT when there is none
// or the file is over 1 MiB.
RA_MUST int ra_auth_read(const char *path, ra_auth **out, ra_error *err);
ra_auth *ra_auth_ref(ra_auth *auth);
void ra_auth_unref(ra_auth *auth);  // NULL is allowed

// The stored token equal to `token`, or data == NULL. Takes the same time for every wrong token of
// a length.
ra_str ra_auth_find(const ra_auth *auth, ra_str token);

typedef enum { RA_AUTH_NONE, RA_AUTH_WRONG, RA_AUTH_RIGHT } ra_auth_result;
// Looks for a token in a call's headers: `authorization` as Bearer or as the password of Basic,
// else `auth-token-bin` (§1.7). RIGHT sets `*token` to the stored token; NONE: there is none.
ra_auth_result ra_auth_check(const ra_auth *auth, const ra_headers *headers, ra_str *token);

#endif
