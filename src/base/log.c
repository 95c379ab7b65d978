#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/os.h"
#include "base/utf8.h"

enum { LINE_BYTES = 4096 };

static atomic_int log_level = RA_LOG_INFO;
static atomic_bool log_json = false;

void ra_log_set(ra_log_level level, bool json) {
    atomic_store(&log_level, level);
    atomic_store(&log_json, json);
}

bool ra_log_enabled(ra_log_level level) {
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

// Writes `text` with control characters, and for JSON quotes, backslashes and what is no UTF-8,
// made harmless.
static size_t put_text(char *out, size_t capacity, const char *text, bool json) {
    size_t n = 0;
    bool ascii_only = json && !ra_utf8_is_valid(text, strlen(text));
    for (; *text && n + 2 < capacity; text++) {
        unsigned char c = (unsigned char)*text;
        if (ascii_only && c >= 0x80)
            c = '?';
        if (json && (c == '"' || c == '\\'))
            out[n++] = '\\';
        out[n++] = c < 0x20 || c == 0x7F ? ' ' : (char)c;
    }
    out[n] = 0;
    return n;
}

void ra_log(ra_log_level level, const char *area, const char *fmt, ...) {
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    if (!ra_log_enabled(level) || level >= RA_LOG_OFF)
        return;
    char text[LINE_BYTES / 2], line[LINE_BYTES], when[RA_TIME_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ra_time_text(ra_os_wall_ns(), when);
    bool json = atomic_load_explicit(&log_json, memory_order_relaxed);
    const char *head =
        json ? "{\"time\":\"%s\",\"level\":\"%s\",\"area\":\"%s\",\"message\":\"" : "%s %s %s: ";
    size_t n = (size_t)snprintf(line, sizeof line, head, when, names[level], area);
    n += put_text(line + n, sizeof line - n - 4, text, json);
    n += (size_t)snprintf(line + n, sizeof line - n, json ? "\"}\n" : "\n");
    if (write(STDERR_FILENO, line, n) < 0)
        return;  // nowhere left to say it
}
