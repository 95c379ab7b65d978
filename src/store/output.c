#include "store/output.h"

#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"
#include "store/disk.h"

enum {
    STAGING_BYTES = 256 * 1024,
    COPIED_BYTES = 16 * 1024,        // larger pieces are written from where they are
    FIRST_STEP_BYTES = 1024 * 1024,  // files up to this are written without allocating ahead
    LAST_STEP_BYTES = 64 * 1024 * 1024,
    WRITE_BACK_BYTES = 8 * 1024 * 1024
};

int ra_output_open(ra_output *output, ra_store *store, ra_write_kind kind, const char *path,
                   ra_error *err) {
    *output = (ra_output){.store = store, .kind = kind, .fd = -1};
    RA_TRY(ra_budget_charge(store->options.budget, STAGING_BYTES, err));
    output->staging = ra_malloc(STAGING_BYTES);
    if (!output->staging) {
        ra_budget_release(store->options.budget, STAGING_BYTES);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to write a segment");
    }
    int rc = ra_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0640, &output->fd, err);
    if (rc != 0) {
        ra_output_close(output);
        return ra_store_word_disk_full(store, STAGING_BYTES, err);
    }
    return 0;
}

static int check_room(ra_output *output, int64_t bytes, ra_error *err) {
    if (output->kind == RA_WRITE_DURABLE)
        return ra_store_check_disk(output->store, bytes, err);
    return ra_store_check_disk_for_result(output->store, bytes, err);
}

// Makes room for the file to reach `end`. Allocating ahead makes a full disk an early error, and
// in growing steps it costs small files nothing.
static int make_room(ra_output *output, int64_t end, ra_error *err) {
    if (end <= output->allocated_bytes)
        return 0;
    if (end <= FIRST_STEP_BYTES)
        return check_room(output, end - output->written_bytes, err);
    int64_t step = output->allocated_bytes;
    step = step < FIRST_STEP_BYTES ? FIRST_STEP_BYTES : step;
    step = step > LAST_STEP_BYTES ? LAST_STEP_BYTES : step;
    int64_t from = output->allocated_bytes ? output->allocated_bytes : output->written_bytes;
    int64_t bytes = ra_round_up(end - from, FIRST_STEP_BYTES);
    bytes = bytes < step ? step : bytes;
    RA_TRY(check_room(output, bytes, err));
    if (ra_os_allocate(output->fd, from, bytes, err) != 0)
        return ra_store_word_disk_full(output->store, bytes, err);
    output->allocated_bytes = from + bytes;
    return 0;
}

// Only a hint, so its result does not count; the error of a failed write-back stays for fsync.
static void start_write_back(ra_output *output) {
    int64_t bytes = output->written_bytes - output->written_back_bytes;
    if (output->kind != RA_WRITE_DURABLE || !output->store->options.durable ||
        bytes < WRITE_BACK_BYTES)
        return;
    (void)sync_file_range(output->fd, output->written_back_bytes, bytes, SYNC_FILE_RANGE_WRITE);
    output->written_back_bytes = output->written_bytes;
}

static int flush(ra_output *output, ra_error *err) {
    if (output->n_pending == 0)
        return 0;
    int64_t bytes = output->position - output->written_bytes;
    RA_TRY(make_room(output, output->position, err));
    if (ra_os_pwritev(output->fd, output->pending, output->n_pending, output->written_bytes, err) !=
        0)
        return ra_store_word_disk_full(output->store, bytes, err);
    output->written_bytes = output->position;
    output->staged_bytes = 0;
    output->n_pending = 0;
    output->has_borrowed = false;
    start_write_back(output);
    return 0;
}

static int append_borrowed(ra_output *output, const void *data, size_t bytes, ra_error *err) {
    if (output->n_pending == RA_OUTPUT_MAX_PENDING)
        RA_TRY(flush(output, err));
    output->pending[output->n_pending++] = (struct iovec){(void *)(uintptr_t)data, bytes};
    output->position += (int64_t)bytes;
    output->has_borrowed = true;
    return 0;
}

static int append_copied(ra_output *output, const void *data, size_t bytes, ra_error *err) {
    if (output->staged_bytes + bytes > STAGING_BYTES)
        RA_TRY(flush(output, err));
    uint8_t *to = output->staging + output->staged_bytes;
    struct iovec *last = output->n_pending ? &output->pending[output->n_pending - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == to) {
        last->iov_len += bytes;
    } else {
        if (output->n_pending == RA_OUTPUT_MAX_PENDING) {
            RA_TRY(flush(output, err));
            to = output->staging;
        }
        output->pending[output->n_pending++] = (struct iovec){to, bytes};
    }
    memcpy(to, data, bytes);
    output->staged_bytes += bytes;
    output->position += (int64_t)bytes;
    return 0;
}

int ra_output_append(ra_output *output, const void *data, size_t bytes, ra_error *err) {
    if (bytes == 0)
        return 0;
    if (bytes > COPIED_BYTES)
        return append_borrowed(output, data, bytes, err);
    return append_copied(output, data, bytes, err);
}

int ra_output_pad(ra_output *output, ra_error *err) {
    static const uint8_t zeros[64];
    return ra_output_append(output, zeros, (size_t)(-output->position & 63), err);
}

int ra_output_settle(ra_output *output, ra_error *err) {
    if (output->has_borrowed || output->staged_bytes > STAGING_BYTES / 2)
        return flush(output, err);
    return 0;
}

int ra_output_finish(ra_output *output, ra_error *err) {
    RA_TRY(flush(output, err));
    if (output->allocated_bytes > output->position)
        RA_TRY(ra_os_truncate(output->fd, output->position, err));
    return 0;
}

void ra_output_close(ra_output *output) {
    ra_os_close(output->fd);
    output->fd = -1;
    if (output->staging)
        ra_budget_release(output->store->options.budget, STAGING_BYTES);
    ra_free(output->staging);
    output->staging = NULL;
}
