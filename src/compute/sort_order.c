#include "compute/sort_order.h"

#include <string.h>

#include "compute/morsel.h"

// Rows are first scattered by the highest bits of their codes, straight from the columns, into
// buckets that fit a core's cache; then buckets are sorted in parallel. Which values of those bits
// (cells) make a bucket is told by a sample, so that crowded values do not crowd one bucket.
enum {
    MAX_CELL_BITS = 16,
    MAX_BUCKETS = 2048,
    BUCKET_ROWS = 4 * 1024,
    SAMPLE_BLOCKS = 256,
    TASK_ROWS = 16 * 1024
};

typedef struct {
    const ra_sort_leaves *leaves;
    ra_sort_code code;
    ra_sort_order *order;
    int cell_bits;
    uint16_t *bucket_of_cell;
    int n_buckets;
    ra_row_slices slices;
    uint32_t *places;  // by slice, then bucket: counts, then where the next element goes
    uint32_t *bucket_ends;
    int *task_buckets;  // first bucket of each task, and the end
    int n_tasks;
    ra_scratch memory[4];
} sorting;

// The codes of a block, in the form of the order's elements.
typedef union {
    ra_u128 wide[RA_SORT_BLOCK_ROWS];
    uint64_t narrow[RA_SORT_BLOCK_ROWS];
} code_block;

static void read_codes(const sorting *s, const ra_block_walk *block, code_block *out) {
    if (s->order->is_wide)
        ra_sort_code_rows(&s->code, block->batch, block->from, block->n, out->wide);
    else
        ra_sort_code_rows_64(&s->code, block->batch, block->from, block->n, out->narrow);
}

static uint32_t cell_of(const sorting *s, const code_block *codes, int64_t i) {
    int shift = s->code.bits - s->cell_bits;
    return s->order->is_wide ? (uint32_t)(codes->wide[i] >> shift)
                             : (uint32_t)(codes->narrow[i] >> shift);
}

// Counts the cells of about SAMPLE_BLOCKS blocks from all over the rows; returns how many rows.
static uint32_t count_sample(const sorting *s, uint32_t *counts) {
    int64_t n = s->order->n, step = n / SAMPLE_BLOCKS;
    if (step < RA_SORT_BLOCK_ROWS)
        step = RA_SORT_BLOCK_ROWS;
    ra_row_slices steps = {.n_rows = n, .slice_rows = step};
    uint32_t n_seen = 0;
    for (int i = 0; i * step < n; i++) {
        ra_block_walk walk;
        code_block codes;
        ra_block_walk_start(&walk, &s->leaves->locator, &steps, i);
        if (!ra_block_walk_next(&walk))
            break;
        read_codes(s, &walk, &codes);
        for (int64_t k = 0; k < walk.n; k++)
            counts[cell_of(s, &codes, k)]++;
        n_seen += (uint32_t)walk.n;
    }
    return n_seen;
}

// Joins neighbouring cells to buckets of about equal shares of the sample.
static int make_buckets(sorting *s, ra_error *err) {
    const ra_compute *compute = s->leaves->compute;
    int64_t wanted = s->order->n / BUCKET_ROWS, n_cells;
    wanted = wanted > MAX_BUCKETS ? MAX_BUCKETS : wanted;
    s->cell_bits = wanted <= 1 ? 0 : s->code.bits < MAX_CELL_BITS ? s->code.bits : MAX_CELL_BITS;
    n_cells = INT64_C(1) << s->cell_bits;
    RA_TRY(ra_scratch_alloc(compute, n_cells, sizeof(uint16_t), &s->memory[3], err));
    s->bucket_of_cell = s->memory[3].data;
    ra_scratch memory;
    RA_TRY(ra_scratch_calloc(compute, n_cells, sizeof(uint32_t), &memory, err));
    uint32_t *counts = memory.data, in_bucket = 0;
    uint32_t share = wanted > 1 ? count_sample(s, counts) / (uint32_t)wanted : 0;
    int bucket = 0;
    for (int64_t c = 0; c < n_cells; c++) {
        if (in_bucket > 0 && in_bucket + counts[c] > share && bucket + 1 < MAX_BUCKETS) {
            bucket++;
            in_bucket = 0;
        }
        s->bucket_of_cell[c] = (uint16_t)bucket;
        in_bucket += counts[c];
    }
    s->n_buckets = bucket + 1;
    ra_scratch_free(compute, &memory);
    return 0;
}

static int count_slice(void *context, int slice, ra_error *err) {
    (void)err;
    const sorting *s = context;
    uint32_t *counts = s->places + (int64_t)slice * s->n_buckets;
    code_block codes;
    ra_block_walk walk;
    ra_block_walk_start(&walk, &s->leaves->locator, &s->slices, slice);
    while (ra_block_walk_next(&walk)) {
        read_codes(s, &walk, &codes);
        for (int64_t i = 0; i < walk.n; i++)
            counts[s->bucket_of_cell[cell_of(s, &codes, i)]]++;
    }
    return 0;
}

static int place_slice(void *context, int slice, ra_error *err) {
    (void)err;
    const sorting *s = context;
    uint32_t *places = s->places + (int64_t)slice * s->n_buckets;
    int index_bits = s->order->index_bits;
    ra_u128 *wide_out = s->order->memory.data;
    uint64_t *narrow_out = s->order->memory.data;
    code_block codes;
    ra_block_walk walk;
    ra_block_walk_start(&walk, &s->leaves->locator, &s->slices, slice);
    while (ra_block_walk_next(&walk)) {
        read_codes(s, &walk, &codes);
        for (int64_t i = 0; i < walk.n; i++) {
            uint32_t place = places[s->bucket_of_cell[cell_of(s, &codes, i)]]++;
            uint64_t row = (uint64_t)(walk.first + i);
            if (s->order->is_wide)
                wide_out[place] = codes.wide[i] << index_bits | row;
            else
                narrow_out[place] = codes.narrow[i] << index_bits | row;
        }
    }
    return 0;
}

// Turns the slices' counts into places: buckets in order, in each the slices in order.
static void number_places(sorting *s) {
    uint32_t at = 0;
    for (int64_t b = 0; b < s->n_buckets; b++) {
        for (int64_t slice = 0; slice < s->slices.n_slices; slice++) {
            uint32_t *place = &s->places[slice * s->n_buckets + b];
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
    int first = 0;
    for (int b = 0; b < s->n_buckets; b++) {
        if (b + 1 < s->n_buckets && s->bucket_ends[b] - bucket_start(s, first) < TASK_ROWS)
            continue;
        s->task_buckets[s->n_tasks++] = first;
        first = b + 1;
    }
    s->task_buckets[s->n_tasks] = s->n_buckets;
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
    int64_t n_buckets = s->n_buckets;
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
    RA_TRY(make_buckets(s, err));
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
