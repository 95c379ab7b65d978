// Log lines on stderr: text ("2026-01-02T03:04:05.678Z INFO store: …") or one JSON object a line.
#ifndef RA_BASE_LOG_H
#define RA_BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

typedef enum { RA_LOG_DEBUG, RA_LOG_INFO, RA_LOG_WARNING, RA_LOG_ERROR, RA_LOG_OFF } ra_log_level;

// For the whole process; any time, any thread.
void ra_log_set(ra_log_level level, bool json);
bool ra_log_enabled(ra_log_level level);

// One line, cut at 4 KiB, control characters replaced; `area` is a static word such as "store".
void ra_log(ra_log_level level, const char *area, const char *fmt, ...) RA_PRINTF(3, 4);

#endif
