#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/os.h"

enum { FIRST_CAPACITY = 256 };

void ra_bytes_init(ra_bytes *b, size_t ceiling) {
    *b = (ra_bytes){.ceiling = ceiling};
}

void ra_bytes_fini(ra_bytes *b) {
    ra_free(b->data);
    *b = (ra_bytes){.ceiling = b->ceiling};
}

int ra_bytes_reserve(ra_bytes *b, size_t more, ra_error *err) {
    size_t need;
    if (!ra_add_size(b->len, more, &need) || need > b->ceiling)
        RA_FAIL(err, LIMIT, "a buffer would exceed its limit of %zu bytes", b->ceiling);
    if (need <= b->capacity && b->data)
        return 0;
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity < need)
        capacity *= 2;
    if (capacity > b->ceiling)
        capacity = b->ceiling;
    uint8_t *data = ra_realloc(b->data, capacity);
    if (!data)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %zu bytes", capacity);
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int ra_bytes_append(ra_bytes *b, const void *data, size_t bytes, ra_error *err) {
    RA_TRY(ra_bytes_reserve(b, bytes, err));
    if (bytes)
        memcpy(b->data + b->len, data, bytes);
    b->len += bytes;
    return 0;
}

int ra_bytes_append_zeros(ra_bytes *b, size_t bytes, ra_error *err) {
    RA_TRY(ra_bytes_reserve(b, bytes, err));
    memset(b->data + b->len, 0, bytes);
    b->len += bytes;
    return 0;
}

int ra_bytes_printf(ra_bytes *b, ra_error *err, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ra_assert(n >= 0);
    int rc = ra_bytes_reserve(b, (size_t)n + 1, err);
    if (rc == 0) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

uint8_t *ra_bytes_take(ra_bytes *b) {
    uint8_t *data = b->data;
    *b = (ra_bytes){.ceiling = b->ceiling};
    return data;
}
