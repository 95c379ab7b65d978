#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "store/disk.h"

// "12.3 GB", or plain bytes below 10,000.
static void print_bytes(char text[32], int64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    if (bytes < 10000) {
        snprintf(text, 32, "%" PRId64 " bytes", bytes);
        return;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 32, "%.1f %s", value, units[unit]);
}

// An amount of the options: bytes, or below 0 a share of the file system.
static int64_t amount_of(int64_t amount, int64_t total_bytes) {
    return amount >= 0 ? amount : total_bytes / 100 * -amount;
}

static int64_t reserve_of(const ra_store *store, int64_t total_bytes) {
    return amount_of(store->options.disk_reserve_bytes, total_bytes);
}

int64_t ra_store_disk_bytes(ra_store *store) {
    return atomic_load(&store->segment_bytes) - atomic_load(&store->memory_bytes) +
           atomic_load(&store->writing_bytes) + atomic_load(&store->spool_bytes);
}

static int check_quota(ra_store *store, int64_t bytes, int64_t total_bytes, ra_error *err) {
    int64_t quota = amount_of(store->options.disk_quota_bytes, total_bytes);
    int64_t used = ra_store_disk_bytes(store);
    if (quota == 0 || (used <= quota && bytes <= quota - used))
        return 0;
    char wanted[32], used_text[32], quota_text[32];
    print_bytes(wanted, bytes);
    print_bytes(used_text, used);
    print_bytes(quota_text, quota);
    RA_FAIL(err, DISK_FULL, "the disk quota is used up: %s wanted, %s of %s used", wanted,
            used_text, quota_text);
}

static int fail_full(int64_t bytes, int64_t free_bytes, int64_t reserve_bytes, ra_error *err) {
    char wanted[32], free_text[32], reserve[32];
    print_bytes(wanted, bytes);
    print_bytes(free_text, free_bytes);
    print_bytes(reserve, reserve_bytes);
    RA_FAIL(err, DISK_FULL, "no room in the data directory: %s wanted, %s free, %s kept in reserve",
            wanted, free_text, reserve);
}

// Whether `bytes` more leave `percent` of the reserve.
static int check_disk(ra_store *store, int64_t bytes, int percent, ra_error *err) {
    int64_t free_bytes, total_bytes;
    RA_TRY(ra_os_disk(store->data_dir, &free_bytes, &total_bytes, err));
    RA_TRY(check_quota(store, bytes, total_bytes, err));
    int64_t reserve = reserve_of(store, total_bytes) / 100 * percent;
    if (bytes > free_bytes || free_bytes - bytes < reserve)
        return fail_full(bytes, free_bytes, reserve, err);
    return 0;
}

int ra_store_check_disk(ra_store *store, int64_t bytes, ra_error *err) {
    return check_disk(store, bytes, 100, err);
}

int ra_store_check_disk_for_result(ra_store *store, int64_t bytes, ra_error *err) {
    return check_disk(store, bytes, 50, err);
}

int ra_store_word_disk_full(ra_store *store, int64_t bytes, int rc, ra_error *err) {
    if (!err || err->reason != RA_REASON_DISK_FULL)
        return rc;
    int64_t free_bytes, total_bytes;
    ra_error ignored;
    if (ra_os_disk(store->data_dir, &free_bytes, &total_bytes, &ignored) != 0)
        return rc;
    return fail_full(bytes, free_bytes, reserve_of(store, total_bytes), err);
}

int ra_store_word_sync_failure(ra_store *store, ra_error *err) {
    ra_error why;
    if (err)
        why = *err;
    else
        ra_error_set(&why, RA_REASON_IO_ERROR, "fsync failed");
    ra_store_sync_failed(store, &why);
    RA_FAIL(err, UNAVAILABLE, "the store is read-only after a failed fsync: %.500s", why.message);
}
