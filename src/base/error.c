#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static const ra_reason_info reason_table[RA_N_REASONS] = {
    [RA_REASON_NONE] = {"NONE", RA_UNKNOWN, RA_ARROW_NONE, false, ""},
#define RA_REASON(name, code, status, retryable, text) \
    [RA_REASON_##name] = {#name, code, status, retryable, text},
#include "base/reasons.def"
#undef RA_REASON
};

const ra_reason_info *ra_reason_get(ra_reason reason) {
    ra_assert(reason >= 0 && reason < RA_N_REASONS);
    return &reason_table[reason];
}

void ra_error_init(ra_error *err) {
    memset(err, 0, sizeof *err);
    err->flight = -1;
}

// Makes the NUL-terminated text valid UTF-8: a character that snprintf cut is dropped, anything
// else that is invalid becomes '?'.
static void mend_text(char *text) {
    size_t n = strlen(text);
    for (size_t at = ra_utf8_valid_prefix(text, n); at < n;
         at += ra_utf8_valid_prefix(text + at, n - at)) {
        if (n - at < 4 && ra_utf8_is_cut(text + at, n - at)) {
            text[at] = 0;
            return;
        }
        text[at] = '?';
    }
}

static void set_text(ra_error *err, const char *fmt, va_list args) {
    vsnprintf(err->message, sizeof err->message, fmt, args);
    mend_text(err->message);
}

int ra_error_set(ra_error *err, ra_reason reason, const char *fmt, ...) {
    const ra_reason_info *info = ra_reason_get(reason);
    if (err) {
        ra_error_init(err);
        err->code = info->code;
        err->status = info->status;
        err->reason = reason;
        va_list args;
        va_start(args, fmt);
        set_text(err, fmt, args);
        va_end(args);
    }
    return (int)info->code;
}

void ra_error_set_subject(ra_error *err, const char *key, const char *value, size_t value_bytes) {
    if (!err)
        return;
    err->subject_key = key;
    size_t n = value_bytes < sizeof err->subject - 1 ? value_bytes : sizeof err->subject - 1;
    memcpy(err->subject, value, n);
    err->subject[n] = 0;
    mend_text(err->subject);
}

void ra_error_prefix(ra_error *err, const char *fmt, ...) {
    if (!err)
        return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, fmt);
    set_text(err, fmt, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", old);
    mend_text(err->message);
}

void ra_assert_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}
