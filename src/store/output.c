#include "store/output.h"

#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "base/os.h"
#include "store/disk.h"

enum {
    // Written at once and aligned, 2 MiB become one huge page of the page cache: mapping it for a
    // download then costs 0.001 s/GB instead of 0.046, and writing no more.
    UNIT_BYTES = 2 * 1024 * 1024,
    SMALL_BYTES = 64 * 1024,
    COPIED_BYTES = 4 * 1024,  // larger pieces are written from where they are if they can
    MEMORY_BYTES = UNIT_BYTES + SMALL_BYTES,
    FIRST_STEP_BYTES = UNIT_BYTES,  // files up to this are written without allocating ahead
    LAST_STEP_BYTES = 64 * 1024 * 1024,
    WRITE_BACK_BYTES = 8 * 1024 * 1024,
    MEMORY_ALIGNMENT = 64
};

static void count_bytes(ra_output *output, int64_t bytes) {
    atomic_fetch_add(&output->store->writing_bytes, bytes - output->counted_bytes);
    output->counted_bytes = bytes;
}

static int make_file(ra_output *output, const char *path, ra_error *err) {
    int rc = ra_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0640, &output->fd, err);
    return rc == 0 ? 0 : ra_store_word_disk_full(output->store, UNIT_BYTES, rc, err);
}

int ra_output_open(ra_output *output, ra_store *store, ra_write_kind kind, const char *path,
                   ra_error *err) {
    *output = (ra_output){.store = store, .kind = kind, .fd = -1};
    RA_TRY(ra_budget_charge(store->options.budget, MEMORY_BYTES, err));
    output->memory = ra_malloc(MEMORY_BYTES);
    if (!output->memory) {
        ra_budget_release(store->options.budget, MEMORY_BYTES);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to write a segment");
    }
    if (kind == RA_WRITE_TEMPORARY) {
        output->path = path;
        return 0;
    }
    int rc = make_file(output, path, err);
    if (rc != 0)
        ra_output_close(output);
    return rc;
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
    int64_t bytes = ra_round_up(end - from, UNIT_BYTES);
    bytes = bytes < step ? step : bytes;
    RA_TRY(check_room(output, bytes, err));
    int rc = ra_os_allocate(output->fd, from, bytes, err);
    if (rc != 0)
        return ra_store_word_disk_full(output->store, bytes, rc, err);
    output->allocated_bytes = from + bytes;
    count_bytes(output, output->allocated_bytes);
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

// Writes tail and pending pieces up to the position `end`; what is behind it stays pending.
static int write_until(ra_output *output, int64_t end, ra_error *err) {
    struct iovec iov[RA_OUTPUT_MAX_PENDING + 1];
    int64_t bytes = end - output->written_bytes;
    size_t left = (size_t)bytes;
    int n = 0, n_done = 0;
    if (output->tail_bytes > 0)
        iov[n++] = (struct iovec){output->memory, output->tail_bytes};
    left -= output->tail_bytes;
    for (; n_done < output->n_pending && output->pending[n_done].iov_len <= left; n_done++) {
        iov[n++] = output->pending[n_done];
        left -= output->pending[n_done].iov_len;
    }
    if (left > 0)
        iov[n++] = (struct iovec){output->pending[n_done].iov_base, left};
    if (output->fd < 0)
        RA_TRY(make_file(output, output->path, err));
    RA_TRY(make_room(output, end, err));
    int rc = ra_os_pwritev(output->fd, iov, n, output->written_bytes, err);
    if (rc != 0)
        return ra_store_word_disk_full(output->store, bytes, rc, err);
    if (left > 0) {
        struct iovec *cut = &output->pending[n_done];
        *cut = (struct iovec){(uint8_t *)cut->iov_base + left, cut->iov_len - left};
    }
    output->n_pending -= n_done;
    memmove(output->pending, output->pending + n_done,
            (size_t)output->n_pending * sizeof *output->pending);
    output->written_bytes = end;
    if (end > output->counted_bytes)
        count_bytes(output, end);
    output->tail_bytes = 0;
    start_write_back(output);
    return 0;
}

// Writes all complete units and copies what is left to the tail, so that nothing is borrowed.
static int drain(ra_output *output, ra_error *err) {
    int64_t end = output->position & ~(int64_t)(UNIT_BYTES - 1);
    if (end > output->written_bytes)
        RA_TRY(write_until(output, end, err));
    for (int i = 0; i < output->n_pending; i++) {
        const struct iovec *piece = &output->pending[i];
        memcpy(output->memory + output->tail_bytes, piece->iov_base, piece->iov_len);
        output->tail_bytes += piece->iov_len;
    }
    output->n_pending = 0;
    output->small_bytes = 0;
    return 0;
}

static int append_copied(ra_output *output, const void *data, size_t bytes, ra_error *err) {
    if (output->small_bytes + bytes > SMALL_BYTES)
        RA_TRY(drain(output, err));
    uint8_t *to = output->memory + UNIT_BYTES + output->small_bytes;
    memcpy(to, data, bytes);
    output->small_bytes += bytes;
    struct iovec *last = output->n_pending ? &output->pending[output->n_pending - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == to)
        last->iov_len += bytes;
    else
        output->pending[output->n_pending++] = (struct iovec){to, bytes};
    output->position += (int64_t)bytes;
    return 0;
}

int ra_output_append(ra_output *output, const void *data, size_t bytes, ra_error *err) {
    if (bytes == 0)
        return 0;
    if (output->n_pending == RA_OUTPUT_MAX_PENDING)
        RA_TRY(drain(output, err));
    if (bytes <= COPIED_BYTES)
        return append_copied(output, data, bytes, err);
    output->pending[output->n_pending++] = (struct iovec){(void *)(uintptr_t)data, bytes};
    output->position += (int64_t)bytes;
    return 0;
}

int ra_output_pad(ra_output *output, ra_error *err) {
    static const uint8_t zeros[64];
    return ra_output_append(output, zeros, (size_t)(-output->position & 63), err);
}

int ra_output_settle(ra_output *output, ra_error *err) {
    return drain(output, err);
}

int ra_output_finish(ra_output *output, ra_error *err) {
    RA_TRY(drain(output, err));
    if (output->fd < 0)
        return 0;
    if (output->tail_bytes > 0)
        RA_TRY(write_until(output, output->position, err));
    if (output->allocated_bytes > output->position)
        RA_TRY(ra_os_truncate(output->fd, output->position, err));
    return 0;
}

int ra_output_take_memory(ra_output *output, uint8_t **out, ra_error *err) {
    ra_budget *budget = output->store->options.budget;
    ra_assert(output->fd < 0 && output->n_pending == 0);
    ra_assert((int64_t)output->tail_bytes == output->position);
    *out = NULL;
    RA_TRY(ra_budget_charge(budget, output->position, err));
    *out = ra_aligned_alloc(MEMORY_ALIGNMENT, output->tail_bytes);
    if (!*out) {
        ra_budget_release(budget, output->position);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a result of %zu bytes", output->tail_bytes);
    }
    memcpy(*out, output->memory, output->tail_bytes);
    return 0;
}

void ra_output_close(ra_output *output) {
    ra_os_close(output->fd);
    output->fd = -1;
    if (output->counted_bytes > 0)
        count_bytes(output, 0);
    if (output->memory)
        ra_budget_release(output->store->options.budget, MEMORY_BYTES);
    ra_free(output->memory);
    output->memory = NULL;
}
