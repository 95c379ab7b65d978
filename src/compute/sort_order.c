#include "compute/sort_order.h"

#include <string.h>

#include "compute/morsel.h"

// Rows are first scattered by the highest bits of their codes, straight from the columns, into
// buckets that fit a core's cache; then buckets are sorted in parallel.
enum { MAX_BUCKET_BITS = 11, BUCKET_ROWS = 4 * 1024, TASK_ROWS = 16 * 1024 };

typedef struct {
    const ra_sort_leaves *leaves;
    ra_sort_code code;
    ra_sort_order *order;
    int bucket_bits;
    ra_row_slices slices;
    uint32_t *places;  // by slice, then bucket: counts, then where the next element goes
    uint32_t *bucket_ends;
    int *task_buckets;  // first bucket of each task, and the end
    int n_tasks;
    ra_scratch memory[3];
} sorting;

static void code_block(const sorting *s, const ra_block_walk *block, ra_u128 *wide,
                       uint64_t *narrow) {
    if (s->order->is_wide)
        ra_sort_code_rows(&s->code, block->batch, block->from, block->n, wide);
    else
        ra_sort_code_rows_64(&s->code, block->batch, block->from, block->n, narrow);
}

static int count_slice(void *context, int slice, ra_error *err) {
    (void)err;
    const sorting *s = context;
    uint32_t *counts = s->places + ((int64_t)slice << s->bucket_bits);
    int shift = s->code.bits - s->bucket_bits;
    ra_u128 wide[RA_SORT_BLOCK_ROWS];
    uint64_t narrow[RA_SORT_BLOCK_ROWS];
    ra_block_walk walk;
    ra_block_walk_start(&walk, &s->leaves->locator, &s->slices, slice);
    while (ra_block_walk_next(&walk)) {
        code_block(s, &walk, wide, narrow);
        if (s->order->is_wide)
            for (int64_t i = 0; i < walk.n; i++)
                counts[(uint32_t)(wide[i] >> shift)]++;
        else
            for (int64_t i = 0; i < walk.n; i++)
                counts[(uint32_t)(narrow[i] >> shift)]++;
    }
    return 0;
}

static int place_slice(void *context, int slice, ra_error *err) {
    (void)err;
    const sorting *s = context;
    uint32_t *places = s->places + ((int64_t)slice << s->bucket_bits);
    int shift = s->code.bits - s->bucket_bits, index_bits = s->order->index_bits;
    ra_u128 wide[RA_SORT_BLOCK_ROWS], *wide_out = s->order->memory.data;
    uint64_t narrow[RA_SORT_BLOCK_ROWS], *narrow_out = s->order->memory.data;
    ra_block_walk walk;
    ra_block_walk_start(&walk, &s->leaves->locator, &s->slices, slice);
    while (ra_block_walk_next(&walk)) {
        code_block(s, &walk, wide, narrow);
        uint64_t row = (uint64_t)walk.first;
        if (s->order->is_wide)
            for (int64_t i = 0; i < walk.n; i++)
                wide_out[places[(uint32_t)(wide[i] >> shift)]++] =
                    wide[i] << index_bits | (row + (uint64_t)i);
        else
            for (int64_t i = 0; i < walk.n; i++)
                narrow_out[places[(uint32_t)(narrow[i] >> shift)]++] =
                    narrow[i] << index_bits | (row + (uint64_t)i);
    }
    return 0;
}

// Turns the slices' counts into places: buckets in order, in each the slices in order.
static void number_places(sorting *s) {
    uint32_t at = 0;
    for (int64_t b = 0; b < INT64_C(1) << s->bucket_bits; b++) {
        for (int slice = 0; slice < s->slices.n_slices; slice++) {
            uint32_t *place = &s->places[((int64_t)slice << s->bucket_bits) + b];
            uint32_t count = *place;
            *place = at;
            at += count;
        }
        s->bucket_ends[b] = at;
    }
}

static int64_t bucket_start(const sorting *s, int b) {
    return b > 0 ? s->bucket_ends[b - 1] : 0;
}

// Joins small buckets to tasks.
static void make_tasks(sorting *s) {
    int n_buckets = 1 << s->bucket_bits;
    int first = 0;
    for (int b = 0; b < n_buckets; b++) {
        if (b + 1 < n_buckets && s->bucket_ends[b] - bucket_start(s, first) < TASK_ROWS)
            continue;
        s->task_buckets[s->n_tasks++] = first;
        first = b + 1;
    }
    s->task_buckets[s->n_tasks] = n_buckets;
}

static int sort_bucket(const sorting *s, int64_t from, int64_t n, void *scratch, ra_error *err) {
    int index_bits = s->order->index_bits;
    if (!s->order->is_wide) {
        ra_radix_sort_64((uint64_t *)s->order->memory.data + from, scratch, n, index_bits);
        return 0;
    }
    ra_u128 *elements = (ra_u128 *)s->order->memory.data + from;
    ra_radix_sort_128(elements, scratch, n, index_bits);
    return s->code.is_exact
               ? 0
               : ra_sort_refine(s->leaves, &s->code, index_bits, elements, scratch, n, err);
}

static int sort_task(void *context, int task, ra_error *err) {
    const sorting *s = context;
    int64_t most = 0;
    for (int b = s->task_buckets[task]; b < s->task_buckets[task + 1]; b++) {
        int64_t n = s->bucket_ends[b] - bucket_start(s, b);
        most = n > most ? n : most;
    }
    if (most <= 1)
        return 0;
    ra_scratch scratch;
    RA_TRY(ra_scratch_alloc(s->leaves->compute, most, s->order->is_wide ? 16 : 8, &scratch, err));
    int rc = 0;
    for (int b = s->task_buckets[task]; b < s->task_buckets[task + 1] && rc == 0; b++) {
        int64_t from = bucket_start(s, b), n = s->bucket_ends[b] - from;
        if (n > 1)
            rc = sort_bucket(s, from, n, scratch.data, err);
    }
    ra_scratch_free(s->leaves->compute, &scratch);
    return rc;
}

static int bits_of(int64_t n) {
    return n > 0 ? 64 - __builtin_clzll((uint64_t)n) : 0;
}

static int alloc_sorting(sorting *s, ra_error *err) {
    const ra_compute *compute = s->leaves->compute;
    int64_t n_buckets = INT64_C(1) << s->bucket_bits;
    RA_TRY(ra_scratch_calloc(compute, n_buckets * s->slices.n_slices, sizeof *s->places,
                             &s->memory[0], err));
    RA_TRY(ra_scratch_alloc(compute, n_buckets, sizeof *s->bucket_ends, &s->memory[1], err));
    RA_TRY(ra_scratch_alloc(compute, n_buckets + 1, sizeof *s->task_buckets, &s->memory[2], err));
    s->places = s->memory[0].data;
    s->bucket_ends = s->memory[1].data;
    s->task_buckets = s->memory[2].data;
    return ra_scratch_alloc(compute, s->order->n, s->order->is_wide ? 16 : 8, &s->order->memory,
                            err);
}

static int run_sorting(sorting *s, ra_error *err) {
    const ra_compute *compute = s->leaves->compute;
    RA_TRY(alloc_sorting(s, err));
    RA_TRY(ra_pieces_run(compute, s->slices.n_slices, count_slice, s, err));
    number_places(s);
    RA_TRY(ra_pieces_run(compute, s->slices.n_slices, place_slice, s, err));
    make_tasks(s);
    return ra_pieces_run(compute, s->n_tasks, sort_task, s, err);
}

int ra_sort_order_init(ra_sort_leaves *leaves, ra_sort_order *out, ra_error *err) {
    int64_t n = leaves->locator.n_rows;
    *out = (ra_sort_order){.n = n};
    if (n >= UINT32_MAX)
        RA_FAIL(err, LIMIT, "sorting more than %u rows", UINT32_MAX);
    RA_TRY(ra_sort_find_stats(leaves, err));
    sorting s = {.leaves = leaves, .order = out, .slices = ra_row_slices_of(n)};
    out->index_bits = n > 1 ? bits_of(n - 1) : 1;
    ra_sort_code_init(leaves, (ra_sort_place){0}, 128 - out->index_bits, &s.code);
    out->is_wide = !s.code.is_exact || s.code.bits + out->index_bits > 64;
    s.bucket_bits = bits_of(n / BUCKET_ROWS);
    if (s.bucket_bits > MAX_BUCKET_BITS)
        s.bucket_bits = MAX_BUCKET_BITS;
    if (s.bucket_bits > s.code.bits)
        s.bucket_bits = s.code.bits;
    int rc = n > 0 ? run_sorting(&s, err) : 0;
    for (size_t i = 0; i < sizeof s.memory / sizeof s.memory[0]; i++)
        ra_scratch_free(leaves->compute, &s.memory[i]);
    return rc;
}

void ra_sort_order_fini(const ra_compute *compute, ra_sort_order *order) {
    ra_scratch_free(compute, &order->memory);
}

int ra_sort_rank_values(const ra_compute *compute, ra_schema *schema, const ra_array *array,
                        ra_value_order value_order, uint32_t *ranks, ra_error *err) {
    ra_sort_leaves leaves;
    ra_sort_order order = {0};
    int rc = ra_sort_leaves_init_array(compute, schema, array, value_order, &leaves, err);
    if (rc == 0)
        rc = ra_sort_order_init(&leaves, &order, err);
    uint32_t rank = 0;
    ra_row last = {RA_ROW_NULL, 0};
    for (int64_t i = 0; i < order.n && rc == 0; i++) {
        ra_row row = {0, (uint32_t)ra_sort_order_row(&order, i)};
        ra_value_class class = ra_value_class_of(array, row.row);
        if (class != RA_CLASS_VALUE) {
            ranks[row.row] = class == RA_CLASS_NULL ? RA_RANK_NULL : RA_RANK_NAN;
            continue;
        }
        if (last.batch != RA_ROW_NULL && ra_sort_compare(&leaves, 0, last, row) != 0)
            rank++;
        last = row;
        ranks[row.row] = rank;
    }
    ra_sort_order_fini(compute, &order);
    ra_sort_leaves_fini(&leaves);
    return rc;
}
