#include "store/content_parts.h"

#include <string.h>

#include "base/os.h"
#include "store/xxh3.h"

void ra_part_list_fini(ra_part_list *list) {
    for (int i = 0; i < list->n; i++) {
        ra_segment_unref(list->items[i].segment);
        ra_free(list->items[i].columns);
    }
    ra_free(list->items);
    *list = (ra_part_list){0};
}

static bool continues(const ra_part *last, const ra_segment *segment, int first_batch,
                      const int *columns, int n_columns) {
    return last->segment == segment && last->first_batch + last->n_batches == first_batch &&
           last->n_columns == n_columns &&
           (n_columns <= 0 ||
            memcmp(last->columns, columns, (size_t)n_columns * sizeof *columns) == 0);
}

static int grow(ra_part_list *list, ra_error *err) {
    if (list->n < list->capacity)
        return 0;
    if (list->n >= RA_MAX_PARTS)
        RA_FAIL(err, LIMIT, "a table of more than %d parts", RA_MAX_PARTS);
    int capacity = list->capacity ? 2 * list->capacity : 4;
    ra_part *grown = ra_realloc(list->items, (size_t)capacity * sizeof *grown);
    if (!grown)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table of %d parts", list->n);
    list->items = grown;
    list->capacity = capacity;
    return 0;
}

int ra_part_list_add(ra_part_list *list, ra_segment *segment, int first_batch, int n_batches,
                     const int *columns, int n_columns, ra_error *err) {
    if (n_batches == 0)
        return 0;
    ra_part *last = list->n > 0 ? &list->items[list->n - 1] : NULL;
    if (last && continues(last, segment, first_batch, columns, n_columns)) {
        last->n_batches += n_batches;
        return 0;
    }
    RA_TRY(grow(list, err));
    int *copy = NULL;
    if (n_columns > 0) {
        copy = ra_malloc((size_t)n_columns * sizeof *copy);
        if (!copy)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table of %d columns", n_columns);
        memcpy(copy, columns, (size_t)n_columns * sizeof *copy);
    }
    list->items[list->n++] = (ra_part){.segment = ra_segment_ref(segment),
                                       .first_batch = first_batch,
                                       .n_batches = n_batches,
                                       .n_columns = n_columns,
                                       .columns = copy};
    return 0;
}

int ra_part_list_add_content(ra_part_list *list, const ra_content *content, ra_error *err) {
    for (int i = 0; i < content->n_parts; i++) {
        const ra_part *part = &content->parts[i];
        RA_TRY(ra_part_list_add(list, part->segment, part->first_batch, part->n_batches,
                                part->columns, part->n_columns, err));
    }
    return 0;
}

int ra_content_from_list(ra_store *store, ra_schema *schema, ra_part_list *list, bool combined,
                         ra_content **out, ra_error *err) {
    ra_part *parts = list->items;
    int n = list->n;
    *list = (ra_part_list){0};
    return ra_content_new(store, schema, parts, n, combined, out, err);
}

uint64_t ra_part_dictionary_key(const ra_content *content, const ra_part *part) {
    if (content->schema->n_dictionaries == 0)
        return 0;
    if (part->n_columns < 0)
        return part->segment->dictionary_hash;
    return XXH3_64bits_withSeed(part->columns, (size_t)part->n_columns * sizeof *part->columns,
                                part->segment->dictionary_hash);
}

// The last i in [low, high) with starts[i] <= row.
static int last_at_or_below(const int64_t *starts, int low, int high, int64_t row) {
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (starts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int ra_content_find_part(const ra_content *content, int64_t i) {
    ra_assert(i >= 0 && i < content->n_batches);
    return last_at_or_below(content->batch_starts, 0, content->n_parts, i);
}

void ra_content_locate(const ra_content *content, int64_t row, int64_t *batch,
                       int64_t *row_in_batch) {
    ra_assert(row >= 0 && row < content->n_rows);
    int p = 0;
    while (row >= content->parts[p].n_rows)
        row -= content->parts[p++].n_rows;
    const ra_part *part = &content->parts[p];
    const int64_t *starts = part->segment->row_starts;
    row += starts[part->first_batch];
    int i = last_at_or_below(starts, part->first_batch, part->first_batch + part->n_batches, row);
    *batch = content->batch_starts[p] + i - part->first_batch;
    *row_in_batch = row - starts[i];
}
