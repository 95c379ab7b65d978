#include "compute/sort_stats.h"

#include <string.h>

#include "arrow/access.h"
#include "compute/morsel.h"

enum { MAX_SLICES = 64, MIN_SLICE_ROWS = 32 * 1024 };

ra_row_slices ra_row_slices_of(int64_t n_rows) {
    int64_t rows = (n_rows + MAX_SLICES - 1) / MAX_SLICES;
    if (rows < MIN_SLICE_ROWS)
        rows = MIN_SLICE_ROWS;
    return (ra_row_slices){n_rows, rows, (int)((n_rows + rows - 1) / rows)};
}

void ra_block_walk_start(ra_block_walk *walk, const ra_row_locator *locator,
                         const ra_row_slices *slices, int slice) {
    int64_t row = slice * slices->slice_rows, end = row + slices->slice_rows;
    *walk = (ra_block_walk){
        .locator = locator, .row = row, .end = end < slices->n_rows ? end : slices->n_rows};
    walk->batch = row < slices->n_rows ? ra_row_locate(locator, row).batch : 0;
}

bool ra_block_walk_next(ra_block_walk *walk) {
    if (walk->row >= walk->end)
        return false;
    const int64_t *starts = walk->locator->starts;
    while (starts[walk->batch + 1] <= walk->row)
        walk->batch++;
    int64_t end = starts[walk->batch + 1] < walk->end ? starts[walk->batch + 1] : walk->end;
    walk->first = walk->row;
    walk->from = walk->row - starts[walk->batch];
    walk->n = end - walk->row < RA_SORT_BLOCK_ROWS ? end - walk->row : RA_SORT_BLOCK_ROWS;
    walk->row += walk->n;
    return true;
}

// What one slice has seen of one leaf.
typedef struct {
    bool has_values;
    bool has_nans;
    uint64_t min[RA_MAX_WORDS];
    uint64_t max[RA_MAX_WORDS];
    ra_span sample;        // a value, for the common prefix
    int64_t common_bytes;  // that all values share with the sample
    int64_t min_bytes;
    int64_t max_bytes;
} leaf_stats;

typedef struct {
    ra_sort_leaves *leaves;
    int n_leaves;  // encoded ones
    ra_row_slices slices;
    leaf_stats *stats;  // by slice, then leaf
} stats_run;

static void widen(leaf_stats *stats, int word, uint64_t min, uint64_t max, bool is_first) {
    if (is_first || min < stats->min[word])
        stats->min[word] = min;
    if (is_first || max > stats->max[word])
        stats->max[word] = max;
}

static void see_words(const ra_sort_leaf *leaf, const ra_block_walk *block, const uint8_t *classes,
                      leaf_stats *stats) {
    uint64_t values[RA_SORT_BLOCK_ROWS];
    bool is_first = !stats->has_values;
    for (int w = 0; w < leaf->n_words; w++) {
        uint64_t min = UINT64_MAX, max = 0;
        ra_sort_leaf_words(leaf, w, block->batch, block->from, block->n, values);
        for (int64_t i = 0; i < block->n; i++) {
            if (classes && classes[i] != RA_CLASS_VALUE)
                continue;
            min = values[i] < min ? values[i] : min;
            max = values[i] > max ? values[i] : max;
        }
        if (min <= max)
            widen(stats, w, min, max, is_first);
        stats->has_values |= min <= max;
    }
}

static int64_t common_prefix(ra_span a, ra_span b, int64_t n) {
    n = a.bytes < n ? a.bytes : n;
    n = b.bytes < n ? b.bytes : n;
    int64_t i = 0;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

static void see_bytes(const ra_sort_leaf *leaf, const ra_block_walk *block, const uint8_t *classes,
                      leaf_stats *stats) {
    const ra_array *source = leaf->sources[block->batch];
    for (int64_t i = 0; i < block->n; i++) {
        if (classes && classes[i] != RA_CLASS_VALUE)
            continue;
        ra_span value = ra_array_bytes(source, block->from + i);
        if (!stats->has_values) {
            stats->has_values = true;
            stats->sample = value;
            stats->common_bytes = stats->min_bytes = stats->max_bytes = value.bytes;
            continue;
        }
        stats->common_bytes = common_prefix(stats->sample, value, stats->common_bytes);
        stats->min_bytes = value.bytes < stats->min_bytes ? value.bytes : stats->min_bytes;
        stats->max_bytes = value.bytes > stats->max_bytes ? value.bytes : stats->max_bytes;
    }
}

static bool is_float(const ra_sort_leaf *leaf) {
    return leaf->kind == RA_LEAF_WORDS && leaf->n_words == 1 &&
           ra_word_is_float(leaf->words[0].kind);
}

static void see_block(const ra_sort_leaf *leaf, const ra_block_walk *block, leaf_stats *stats) {
    uint8_t class_memory[RA_SORT_BLOCK_ROWS], *classes = NULL;
    if (leaf->kind == RA_LEAF_OTHER)
        return;
    if (leaf->has_nulls || leaf->has_nans || is_float(leaf)) {
        classes = class_memory;
        ra_sort_leaf_classes(leaf, block->batch, block->from, block->n, classes);
        for (int64_t i = 0; i < block->n; i++)
            stats->has_nans |= classes[i] == RA_CLASS_NAN;
    }
    if (leaf->kind == RA_LEAF_BYTES)
        see_bytes(leaf, block, classes, stats);
    else
        see_words(leaf, block, classes, stats);
}

static int see_slice(void *context, int slice, ra_error *err) {
    (void)err;
    stats_run *run = context;
    leaf_stats *stats = run->stats + (int64_t)slice * run->n_leaves;
    ra_block_walk walk;
    ra_block_walk_start(&walk, &run->leaves->locator, &run->slices, slice);
    while (ra_block_walk_next(&walk))
        for (int k = 0; k < run->n_leaves; k++)
            see_block(&run->leaves->leaves[k], &walk, &stats[k]);
    return 0;
}

static void join_stats(leaf_stats *all, const leaf_stats *more, int n_words) {
    all->has_nans |= more->has_nans;
    if (!more->has_values)
        return;
    if (!all->has_values) {
        bool has_nans = all->has_nans;
        *all = *more;
        all->has_nans = has_nans;
        return;
    }
    for (int w = 0; w < n_words; w++)
        widen(all, w, more->min[w], more->max[w], false);
    int64_t common =
        all->common_bytes < more->common_bytes ? all->common_bytes : more->common_bytes;
    all->common_bytes = common_prefix(all->sample, more->sample, common);
    all->min_bytes = more->min_bytes < all->min_bytes ? more->min_bytes : all->min_bytes;
    all->max_bytes = more->max_bytes > all->max_bytes ? more->max_bytes : all->max_bytes;
}

static void set_facts(ra_sort_leaf *leaf, const leaf_stats *stats) {
    leaf->has_nans |= stats->has_nans;
    leaf->common_bytes = stats->common_bytes;
    leaf->min_bytes = stats->min_bytes;
    leaf->max_bytes = stats->max_bytes;
    for (int w = 0; w < leaf->n_words; w++) {
        uint64_t range = stats->max[w] - stats->min[w];
        leaf->min[w] = stats->min[w];
        leaf->max[w] = stats->max[w];
        leaf->word_bits[w] = range == 0 ? 0 : 64 - __builtin_clzll(range);
    }
    bool may_be_special = leaf->kind == RA_LEAF_OTHER;
    leaf->class_bits = may_be_special ? 2 : (int)leaf->has_nulls + (int)leaf->has_nans;
}

int ra_sort_find_stats(ra_sort_leaves *leaves, ra_error *err) {
    int n = leaves->n < RA_MAX_ENCODED_LEAVES ? leaves->n : RA_MAX_ENCODED_LEAVES;
    stats_run run = {.leaves = leaves, .n_leaves = n};
    run.slices = ra_row_slices_of(leaves->locator.n_rows);
    ra_scratch memory;
    RA_TRY(ra_scratch_calloc(leaves->compute, ((int64_t)run.slices.n_slices + 1) * n,
                             sizeof(leaf_stats), &memory, err));
    run.stats = memory.data;
    int rc = ra_pieces_run(leaves->compute, run.slices.n_slices, see_slice, &run, err);
    leaf_stats *all = run.stats + (int64_t)run.slices.n_slices * n;
    for (int k = 0; k < n && rc == 0; k++) {
        for (int s = 0; s < run.slices.n_slices; s++)
            join_stats(&all[k], &run.stats[(int64_t)s * n + k], leaves->leaves[k].n_words);
        set_facts(&leaves->leaves[k], &all[k]);
    }
    ra_scratch_free(leaves->compute, &memory);
    return rc;
}
