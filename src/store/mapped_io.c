#include "store/mapped_io.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "store/xxh3.h"

static struct sigaction previous;
static _Thread_local sigjmp_buf *volatile landing;

static void on_bus_error(int signal_number) {
    if (landing)
        siglongjmp(*landing, 1);
    sigaction(signal_number, &previous, NULL);
}

static void install(void) {
    struct sigaction action = {.sa_handler = on_bus_error};
    sigemptyset(&action.sa_mask);
    ra_assert(sigaction(SIGBUS, &action, &previous) == 0);
}

void ra_mapped_io_install(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ra_assert(pthread_once(&once, install) == 0);
}

bool ra_mapped_io_hash(const uint8_t *data, size_t bytes, uint64_t *hash) {
    sigjmp_buf here;
    if (sigsetjmp(here, 1) != 0) {
        landing = NULL;
        return false;
    }
    landing = &here;
    *hash = XXH3_64bits(data, bytes);
    landing = NULL;
    return true;
}

static bool touch_pages(const uint8_t *data, size_t bytes, size_t page_bytes) {
    sigjmp_buf here;
    if (sigsetjmp(here, 1) != 0) {
        landing = NULL;
        return false;
    }
    landing = &here;
    for (size_t at = 0; at < bytes; at += page_bytes)
        (void)*(const volatile uint8_t *)(data + at);
    landing = NULL;
    return true;
}

typedef struct {
    uint8_t *start;
    size_t bytes;
    size_t page_bytes;
} page_range;

static page_range pages_of(const uint8_t *data, size_t bytes) {
    page_range range = {.page_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    size_t before = (uintptr_t)data & (range.page_bytes - 1);
    range.start = (uint8_t *)(uintptr_t)(data - before);
    range.bytes = bytes + before;
    return range;
}

bool ra_mapped_io_is_resident(const uint8_t *data, size_t bytes) {
    enum { PAGES_AT_ONCE = 1024 };
    unsigned char is_in[PAGES_AT_ONCE];
    page_range range = pages_of(data, bytes);
    while (range.bytes > 0) {
        size_t n = (range.bytes + range.page_bytes - 1) / range.page_bytes;
        n = n < PAGES_AT_ONCE ? n : PAGES_AT_ONCE;
        size_t length = n * range.page_bytes < range.bytes ? n * range.page_bytes : range.bytes;
        if (mincore(range.start, length, is_in) != 0)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!(is_in[i] & 1))
                return false;
        range.start += length;
        range.bytes -= length;
    }
    return true;
}

bool ra_mapped_io_fault_in(const uint8_t *data, size_t bytes) {
    if (bytes == 0)
        return true;
    page_range range = pages_of(data, bytes);
    int rc;
    do
        rc = madvise(range.start, range.bytes, MADV_POPULATE_READ);
    while (rc != 0 && errno == EINTR);
    // Kernels before 5.14 do not know the advice; any other failure is looked at page by page.
    return rc == 0 || touch_pages(range.start, range.bytes, range.page_bytes);
}
