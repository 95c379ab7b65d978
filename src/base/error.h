// Errors: a code that is a gRPC status code, an Arrow status, a reason and a bounded message.
//
// Functions that can fail return 0 or a code and fill the caller's `ra_error`. The reason decides
// code and Arrow status (reasons.def), so that one fault looks the same wherever it is found.
#ifndef RA_BASE_ERROR_H
#define RA_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RA_MUST __attribute__((warn_unused_result))
#define RA_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

typedef enum {
    RA_OK = 0,
    RA_CANCELLED = 1,
    RA_UNKNOWN = 2,
    RA_INVALID = 3,
    RA_DEADLINE = 4,
    RA_NOT_FOUND = 5,
    RA_EXISTS = 6,
    RA_PERMISSION = 7,
    RA_EXHAUSTED = 8,
    RA_PRECONDITION = 9,
    RA_ABORTED = 10,
    RA_OUT_OF_RANGE = 11,
    RA_UNIMPLEMENTED = 12,
    RA_INTERNAL = 13,
    RA_UNAVAILABLE = 14,
    RA_DATA_LOSS = 15,
    RA_UNAUTHENTICATED = 16
} ra_code;

// Arrow C++ StatusCode values, sent in the trailer `x-arrow-status`; NONE sends no such trailer.
typedef enum {
    RA_ARROW_NONE = 0,
    RA_ARROW_OOM = 1,
    RA_ARROW_KEY_ERROR = 2,
    RA_ARROW_TYPE_ERROR = 3,
    RA_ARROW_INVALID = 4,
    RA_ARROW_IO = 5,
    RA_ARROW_CAPACITY = 6,
    RA_ARROW_INDEX_ERROR = 7,
    RA_ARROW_CANCELLED = 8,
    RA_ARROW_UNKNOWN = 9,
    RA_ARROW_NOT_IMPLEMENTED = 10
} ra_arrow_status;

typedef enum {
    RA_REASON_NONE = 0,
#define RA_REASON(name, code, status, retryable, text) RA_REASON_##name,
#include "base/reasons.def"
#undef RA_REASON
    RA_N_REASONS
} ra_reason;

#define RA_ERROR_MESSAGE_BYTES 768
#define RA_ERROR_SUBJECT_BYTES 256

typedef struct {
    ra_code code;
    ra_arrow_status status;
    ra_reason reason;
    int64_t flight;           // the Flight at fault, -1 = none
    const char *subject_key;  // static string such as "column" or "name"; NULL = no subject
    char subject[RA_ERROR_SUBJECT_BYTES];
    char message[RA_ERROR_MESSAGE_BYTES];  // valid UTF-8, NUL-terminated, cut when longer
} ra_error;

typedef struct {
    const char *name;  // "COLUMN_NOT_FOUND"
    ra_code code;
    ra_arrow_status status;
    bool retryable;
    const char *text;  // one sentence for the documentation
} ra_reason_info;

// Makes `err` the empty error.
void ra_error_init(ra_error *err);

// Fills `err` from the reason's row and a message; returns the reason's code. A message that is too
// long is cut at a character; invalid UTF-8 is replaced. `err` may be NULL.
int ra_error_set(ra_error *err, ra_reason reason, const char *fmt, ...) RA_PRINTF(3, 4);

// Adds what was at fault, for the trailer `remote-arrow-error`: `key` is a static string.
void ra_error_set_subject(ra_error *err, const char *key, const char *value, size_t value_bytes);

// Puts "prefix: " before the message; keeps reason and subject.
void ra_error_prefix(ra_error *err, const char *fmt, ...) RA_PRINTF(2, 3);

// The row of a reason; never NULL.
const ra_reason_info *ra_reason_get(ra_reason reason);

// The code of each reason as a constant, so that the compiler sees that RA_FAIL returns no 0.
enum {
#define RA_REASON(name, code, status, retryable, text) RA_REASON_CODE_##name = code,
#include "base/reasons.def"
#undef RA_REASON
};

#define RA_FAIL(err, reason, ...)                             \
    do {                                                      \
        ra_error_set((err), RA_REASON_##reason, __VA_ARGS__); \
        return RA_REASON_CODE_##reason;                       \
    } while (0)

#define RA_TRY(expr)             \
    do {                         \
        int ra_try_rc_ = (expr); \
        if (ra_try_rc_ != 0)     \
            return ra_try_rc_;   \
    } while (0)

// Like RA_TRY for functions that clean up at a label; needs a local `int rc`.
#define RA_GOTO(expr, label) \
    do {                     \
        rc = (expr);         \
        if (rc != 0)         \
            goto label;      \
    } while (0)

// What must hold if our own code is right; always compiled in. Nothing from outside may reach it.
#define ra_assert(cond) ((cond) ? (void)0 : ra_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void ra_assert_failed(const char *cond, const char *file, int line);

#endif
