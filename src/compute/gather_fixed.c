// Gathers bits and values of a fixed number of bytes.
#include "compute/gather_internal.h"

int ra_gather_null(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                   ra_array *out, ra_error *err) {
    (void)target, (void)node, (void)err;
    out->null_count = picks->n;
    return 0;
}

// Eight rows a byte.
static void copy_bits_of_rows(uint8_t *to, const uint8_t *const *bases, const ra_row *rows,
                              int64_t n) {
    for (int64_t i = 0; i < n; i += 8) {
        int64_t n_here = n - i < 8 ? n - i : 8;
        uint32_t byte = 0;
        for (int64_t k = 0; k < n_here; k++)
            byte |= (uint32_t)ra_gather_is_valid(bases, rows[i + k]) << k;
        to[i >> 3] = (uint8_t)byte;
    }
}

static void copy_bits_of_runs(uint8_t *to, const uint8_t *const *bases, const ra_picks *picks) {
    int64_t at = 0;
    for (int64_t r = 0; r < picks->n_runs; r++) {
        const ra_row_run *run = &picks->runs[r];
        if (run->batch == RA_ROW_NULL || !bases[run->batch])
            ra_fill_bits(to, at, run->n, run->batch != RA_ROW_NULL);
        else
            ra_copy_bits(to, at, bases[run->batch], run->row, run->n);
        at += run->n;
    }
}

int ra_gather_bits(ra_gather_target *target, const uint8_t *const *bases, ra_picks *picks,
                   uint8_t **out, ra_error *err) {
    int64_t bytes = ra_bit_bytes(picks->n);
    RA_TRY(ra_gather_alloc(target, bytes, out, err));
    if (!picks->runs) {
        copy_bits_of_rows(*out, bases, picks->rows, picks->n);
        return 0;
    }
    if (bytes > 0)
        (*out)[bytes - 1] = 0;
    copy_bits_of_runs(*out, bases, picks);
    return 0;
}

int ra_gather_validity(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                       ra_array *out, ra_error *err) {
    if (!node->has_nulls && !picks->has_null_rows)
        return 0;
    uint8_t *bits;
    RA_TRY(ra_gather_bits(target, node->validity, picks, &bits, err));
    out->null_count = picks->n - ra_count_bits(bits, picks->n);
    if (out->null_count > 0)
        out->validity = (ra_span){bits, ra_bit_bytes(picks->n)};
    return 0;
}

int ra_gather_bit(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                  ra_array *out, ra_error *err) {
    uint8_t *bits;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_gather_bits(target, node->buffers[0], picks, &bits, err));
    out->buffers[0] = (ra_span){bits, ra_bit_bytes(picks->n)};
    return 0;
}

// One body for all widths: with `width` and `has_null_rows` constant each copy is a move or two.
static inline __attribute__((always_inline)) void copy_rows(uint8_t *to,
                                                            const uint8_t *const *bases,
                                                            const ra_row *rows, int64_t n,
                                                            size_t width, bool has_null_rows) {
    for (int64_t i = 0; i < n; i++) {
        if (i + RA_GATHER_AHEAD < n) {
            ra_row ahead = rows[i + RA_GATHER_AHEAD];
            if (!has_null_rows || ahead.batch != RA_ROW_NULL)
                __builtin_prefetch(bases[ahead.batch] + ahead.row * width);
        }
        ra_row row = rows[i];
        if (has_null_rows && row.batch == RA_ROW_NULL)
            memset(to + (size_t)i * width, 0, width);
        else
            memcpy(to + (size_t)i * width, bases[row.batch] + row.row * width, width);
    }
}

typedef void (*copy_rows_fn)(uint8_t *to, const uint8_t *const *bases, const ra_row *rows,
                             int64_t n, bool has_null_rows);

#define COPY_ROWS_OF(width)                                                                     \
    static void copy_rows_##width(uint8_t *to, const uint8_t *const *bases, const ra_row *rows, \
                                  int64_t n, bool has_null_rows) {                              \
        if (has_null_rows)                                                                      \
            copy_rows(to, bases, rows, n, width, true);                                         \
        else                                                                                    \
            copy_rows(to, bases, rows, n, width, false);                                        \
    }
COPY_ROWS_OF(1)
COPY_ROWS_OF(2)
COPY_ROWS_OF(4)
COPY_ROWS_OF(8)
COPY_ROWS_OF(16)
COPY_ROWS_OF(32)

static copy_rows_fn copy_rows_of(int32_t width) {
    switch (width) {
        case 1:
            return copy_rows_1;
        case 2:
            return copy_rows_2;
        case 4:
            return copy_rows_4;
        case 8:
            return copy_rows_8;
        case 16:
            return copy_rows_16;
        case 32:
            return copy_rows_32;
        default:
            return NULL;
    }
}

static void copy_runs(uint8_t *to, const uint8_t *const *bases, const ra_picks *picks,
                      size_t width) {
    for (int64_t r = 0; r < picks->n_runs; r++) {
        const ra_row_run *run = &picks->runs[r];
        size_t bytes = (size_t)run->n * width;
        if (run->batch == RA_ROW_NULL)
            memset(to, 0, bytes);
        else
            memcpy(to, bases[run->batch] + (size_t)run->row * width, bytes);
        to += bytes;
    }
}

int ra_gather_values(ra_gather_target *target, const uint8_t *const *bases, int32_t width,
                     ra_picks *picks, uint8_t **out, ra_error *err) {
    int64_t bytes;
    if (!ra_mul_i64(picks->n, width, &bytes))
        RA_FAIL(err, LIMIT, "a batch over 2^63 bytes");
    RA_TRY(ra_gather_alloc(target, bytes, out, err));
    if (bytes == 0)
        return 0;
    copy_rows_fn copy = copy_rows_of(width);
    if (picks->runs)
        copy_runs(*out, bases, picks, (size_t)width);
    else if (copy)
        copy(*out, bases, picks->rows, picks->n, picks->has_null_rows);
    else
        copy_rows(*out, bases, picks->rows, picks->n, (size_t)width, true);
    return 0;
}

int ra_gather_fixed(ra_gather_target *target, const ra_gather_node *node, ra_picks *picks,
                    ra_array *out, ra_error *err) {
    uint8_t *values;
    RA_TRY(ra_gather_validity(target, node, picks, out, err));
    RA_TRY(ra_gather_values(target, node->buffers[0], node->byte_width, picks, &values, err));
    out->buffers[0] = (ra_span){values, picks->n * node->byte_width};
    out->dictionary = node->dictionary;
    return 0;
}
