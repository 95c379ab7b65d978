// Gathers strings: a size pass that writes offsets, then a fill pass that copies bytes.
#include "compute/gather_internal.h"

// Short strings are the common ones: two overlapping moves instead of a call.
static inline void copy_string(uint8_t *to, const uint8_t *from, size_t n) {
    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        uint64_t head = ra_load_u64(from), tail = ra_load_u64(from + n - 8);
        ra_store_u64(to, head);
        ra_store_u64(to + n - 8, tail);
    } else if (n >= 4) {
        uint32_t head = ra_load_u32(from), tail = ra_load_u32(from + n - 4);
        ra_store_u32(to, head);
        ra_store_u32(to + n - 4, tail);
    } else if (n > 0) {
        uint8_t middle = from[n / 2], last = from[n - 1];
        to[0] = from[0];
        to[n / 2] = middle;
        to[n - 1] = last;
    }
}

// Writes the offsets of the rows' copies and where each is copied from; returns the bytes in all,
// which may be more than 32-bit offsets hold. Null slots take no bytes.
static inline __attribute__((always_inline)) int64_t size_rows(const ra_gather_node *node,
                                                               const ra_row *rows, int64_t n,
                                                               uint8_t *offsets,
                                                               const uint8_t **from, bool is_wide,
                                                               bool has_nulls) {
    const uint8_t *const *bases = node->buffers[0];
    size_t width = is_wide ? 8 : 4;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i + RA_GATHER_AHEAD < n) {
            ra_row ahead = rows[i + RA_GATHER_AHEAD];
            if (!has_nulls || ahead.batch != RA_ROW_NULL)
                __builtin_prefetch(bases[ahead.batch] + ahead.row * width);
        }
        ra_gather_set_offset(offsets, i, is_wide, at);
        ra_row row = rows[i];
        if (has_nulls && !ra_gather_is_valid(node->validity, row)) {
            from[i] = NULL;
            continue;
        }
        int64_t first = ra_gather_offset(bases[row.batch], row.row, is_wide);
        from[i] = node->buffers[1][row.batch] + first;
        at += ra_gather_offset(bases[row.batch], (int64_t)row.row + 1, is_wide) - first;
    }
    ra_gather_set_offset(offsets, n, is_wide, at);
    return at;
}

static int64_t size_rows_of(const ra_gather_node *node, const ra_row *rows, int64_t n,
                            uint8_t *offsets, const uint8_t **from, bool is_wide, bool has_nulls) {
    if (is_wide)
        return has_nulls ? size_rows(node, rows, n, offsets, from, true, true)
                         : size_rows(node, rows, n, offsets, from, true, false);
    return has_nulls ? size_rows(node, rows, n, offsets, from, false, true)
                     : size_rows(node, rows, n, offsets, from, false, false);
}

static inline __attribute__((always_inline)) void fill_rows(uint8_t *to, const uint8_t *offsets,
                                                            const uint8_t *const *from, int64_t n,
                                                            bool is_wide) {
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i + RA_GATHER_AHEAD < n)
            __builtin_prefetch(from[i + RA_GATHER_AHEAD]);
        int64_t end = ra_gather_offset(offsets, i + 1, is_wide);
        copy_string(to + at, from[i], (size_t)(end - at));
        at = end;
    }
}

static int gather_rows(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                       ra_array *out, uint8_t *offsets, ra_error *err) {
    bool is_wide = node->layout == RA_LAYOUT_VAR64;
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(target->compute, picks->n, sizeof(uint8_t *), &memory, err));
    const uint8_t **from = memory.data;
    bool has_nulls = node->has_nulls || picks->has_null_rows;
    int64_t bytes = size_rows_of(node, picks->rows, picks->n, offsets, from, is_wide, has_nulls);
    uint8_t *data;
    int rc = 0;
    if (!is_wide && bytes > INT32_MAX)
        rc = ra_gather_too_large(node, "bytes of strings", err);
    if (rc == 0)
        rc = ra_gather_alloc(target, bytes, &data, err);
    if (rc == 0) {
        if (is_wide)
            fill_rows(data, offsets, from, picks->n, true);
        else
            fill_rows(data, offsets, from, picks->n, false);
        out->buffers[1] = (ra_span){data, bytes};
    }
    ra_scratch_free(target->compute, &memory);
    return rc;
}

// Bytes of a run's strings, null slots not counted.
static int64_t run_bytes(const ra_gather_node *node, const ra_row_run *run, bool is_wide) {
    if (run->batch == RA_ROW_NULL)
        return 0;
    const uint8_t *offsets = node->buffers[0][run->batch], *bits = node->validity[run->batch];
    if (!bits)
        return ra_gather_offset(offsets, run->row + run->n, is_wide) -
               ra_gather_offset(offsets, run->row, is_wide);
    int64_t bytes = 0;
    for (int64_t i = run->row; i < run->row + run->n; i++)
        if (ra_bit_get(bits, i))
            bytes +=
                ra_gather_offset(offsets, i + 1, is_wide) - ra_gather_offset(offsets, i, is_wide);
    return bytes;
}

// Copies a run's strings to `data` + *at; `offsets` are those of the run's first row.
static void fill_run(const ra_gather_node *node, const ra_row_run *run, bool is_wide,
                     uint8_t *offsets, uint8_t *data, int64_t *at) {
    if (run->batch == RA_ROW_NULL) {
        for (int64_t i = 0; i < run->n; i++)
            ra_gather_set_offset(offsets, i, is_wide, *at);
        return;
    }
    const uint8_t *from = node->buffers[0][run->batch], *bits = node->validity[run->batch];
    int64_t first = ra_gather_offset(from, run->row, is_wide);
    int64_t last = ra_gather_offset(from, run->row + run->n, is_wide);
    const uint8_t *bytes = node->buffers[1][run->batch];
    if (!bits) {
        for (int64_t i = 0; i < run->n; i++)
            ra_gather_set_offset(offsets, i, is_wide,
                                 *at + ra_gather_offset(from, run->row + i, is_wide) - first);
        if (last > first)
            memcpy(data + *at, bytes + first, (size_t)(last - first));
        *at += last - first;
        return;
    }
    for (int64_t i = 0; i < run->n; i++) {
        ra_gather_set_offset(offsets, i, is_wide, *at);
        if (!ra_bit_get(bits, run->row + i))
            continue;
        int64_t begin = ra_gather_offset(from, run->row + i, is_wide);
        int64_t n = ra_gather_offset(from, run->row + i + 1, is_wide) - begin;
        copy_string(data + *at, bytes + begin, (size_t)n);
        *at += n;
    }
}

static int gather_runs(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                       ra_array *out, uint8_t *offsets, ra_error *err) {
    bool is_wide = node->layout == RA_LAYOUT_VAR64;
    int64_t bytes = 0;
    for (int64_t r = 0; r < picks->n_runs; r++)
        bytes += run_bytes(node, &picks->runs[r], is_wide);
    if (!is_wide && bytes > INT32_MAX)
        return ra_gather_too_large(node, "bytes of strings", err);
    uint8_t *data;
    RA_TRY(ra_gather_alloc(target, bytes, &data, err));
    int64_t at = 0, row = 0;
    for (int64_t r = 0; r < picks->n_runs; r++) {
        fill_run(node, &picks->runs[r], is_wide, offsets + row * (is_wide ? 8 : 4), data, &at);
        row += picks->runs[r].n;
    }
    ra_gather_set_offset(offsets, picks->n, is_wide, at);
    out->buffers[1] = (ra_span){data, bytes};
    return 0;
}

int ra_gather_var(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                  ra_array *out, ra_error *err) {
    int64_t offset_bytes = (picks->n + 1) * (node->layout == RA_LAYOUT_VAR64 ? 8 : 4);
    uint8_t *offsets;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_gather_alloc(target, offset_bytes, &offsets, err));
    out->buffers[0] = (ra_span){offsets, offset_bytes};
    return picks->runs ? gather_runs(target, node, picks, out, offsets, err)
                       : gather_rows(target, node, picks, out, offsets, err);
}

enum { VIEW_BYTES = 16, INLINE_BYTES = 12 };

// Copies views as they are; null rows give zeros. Returns the bytes of strings that are not inline.
static int64_t copy_views(const ra_gather_node *node, const ra_row *rows, int64_t n,
                          uint8_t *views) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t *to = views + i * VIEW_BYTES;
        if (i + RA_GATHER_AHEAD < n && rows[i + RA_GATHER_AHEAD].batch != RA_ROW_NULL)
            __builtin_prefetch(node->buffers[0][rows[i + RA_GATHER_AHEAD].batch] +
                               (size_t)rows[i + RA_GATHER_AHEAD].row * VIEW_BYTES);
        if (!ra_gather_is_valid(node->validity, rows[i])) {
            memset(to, 0, VIEW_BYTES);
            continue;
        }
        memcpy(to, node->buffers[0][rows[i].batch] + (size_t)rows[i].row * VIEW_BYTES, VIEW_BYTES);
        int32_t length = ra_load_i32(to);
        bytes += length > INLINE_BYTES ? length : 0;
    }
    return bytes;
}

// Copies the strings that are not inline and points their views to the copies.
static void move_strings(const ra_gather_node *node, const ra_row *rows, int64_t n, uint8_t *views,
                         uint8_t *data) {
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t *view = views + i * VIEW_BYTES;
        int32_t length = ra_load_i32(view);
        if (length <= INLINE_BYTES)
            continue;
        const ra_span *from = &node->sources[rows[i].batch]->variadic[ra_load_i32(view + 8)];
        memcpy(data + at, from->data + ra_load_i32(view + 12), (size_t)length);
        ra_store_i32(view + 8, 0);
        ra_store_i32(view + 12, (int32_t)at);
        at += length;
    }
}

int ra_gather_view(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                   ra_array *out, ra_error *err) {
    const ra_row *rows;
    uint8_t *views, *data;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_picks_rows(target->compute, picks, &rows, err));
    RA_TRY(ra_gather_alloc(target, picks->n * VIEW_BYTES, &views, err));
    out->buffers[0] = (ra_span){views, picks->n * VIEW_BYTES};
    int64_t bytes = copy_views(node, rows, picks->n, views);
    if (bytes == 0)
        return 0;
    if (bytes > INT32_MAX)
        return ra_gather_too_large(node, "bytes of strings", err);
    RA_TRY(ra_gather_alloc(target, bytes, &data, err));
    move_strings(node, rows, picks->n, views, data);
    out->variadic = ra_arena_alloc(&target->batch->arena, 1, sizeof *out->variadic);
    if (!out->variadic)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a batch");
    out->variadic[0] = (ra_span){data, bytes};
    out->n_variadic = 1;
    return 0;
}
