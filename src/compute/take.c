#include <inttypes.h>

#include "base/checked.h"
#include "compute/gather.h"
#include "compute/methods.h"

enum { FEW_INDICES = 64 * 1024 };

typedef struct {
    const ra_compute *compute;
    const ra_gather_plan *plan;
    const ra_column *indices;
    ra_row_locator locator;
    int64_t morsel_rows;
    int64_t *chunk_starts;
} take_run;

static int out_of_bounds(const uint8_t *value, ra_type_id type, int32_t width, ra_error *err) {
    uint64_t bits = 0;
    memcpy(&bits, value, (size_t)width);
    if (type >= RA_TYPE_UINT8)
        RA_FAIL(err, INDEX_OUT_OF_BOUNDS, "Index %" PRIu64 " out of bounds", bits);
    int shift = 64 - 8 * width;
    RA_FAIL(err, INDEX_OUT_OF_BOUNDS, "Index %" PRId64 " out of bounds",
            (int64_t)(bits << shift) >> shift);
}

// Resolves `n` indices of `chunk` from `from` on; returns the first that is out of bounds, or n.
// As an unsigned number a negative index is a large one.
static inline __attribute__((always_inline)) int64_t resolve(const ra_row_locator *locator,
                                                             const ra_array *chunk, int64_t from,
                                                             int64_t n, int width, bool is_signed,
                                                             ra_row *rows) {
    const uint8_t *values = chunk->buffers[0].data + from * width;
    bool has_nulls = chunk->null_count > 0;
    int shift = 64 - 8 * width;
    for (int64_t i = 0; i < n; i++) {
        if (has_nulls && !ra_array_is_valid(chunk, from + i)) {
            rows[i] = (ra_row){RA_ROW_NULL, 0};
            continue;
        }
        uint64_t value = 0;
        memcpy(&value, values + i * width, (size_t)width);
        if (is_signed)
            value = (uint64_t)((int64_t)(value << shift) >> shift);
        if (value >= (uint64_t)locator->n_rows)
            return i;
        rows[i] = ra_row_locate(locator, (int64_t)value);
    }
    return n;
}

static int64_t resolve_of(const ra_row_locator *locator, const ra_array *chunk, int64_t from,
                          int64_t n, ra_row *rows) {
    switch (chunk->field->type) {
        case RA_TYPE_INT8:
            return resolve(locator, chunk, from, n, 1, true, rows);
        case RA_TYPE_INT16:
            return resolve(locator, chunk, from, n, 2, true, rows);
        case RA_TYPE_INT32:
            return resolve(locator, chunk, from, n, 4, true, rows);
        case RA_TYPE_INT64:
            return resolve(locator, chunk, from, n, 8, true, rows);
        case RA_TYPE_UINT8:
            return resolve(locator, chunk, from, n, 1, false, rows);
        case RA_TYPE_UINT16:
            return resolve(locator, chunk, from, n, 2, false, rows);
        case RA_TYPE_UINT32:
            return resolve(locator, chunk, from, n, 4, false, rows);
        case RA_TYPE_UINT64:
            return resolve(locator, chunk, from, n, 8, false, rows);
        default:
            for (int64_t i = 0; i < n; i++)
                rows[i] = (ra_row){RA_ROW_NULL, 0};
            return n;
    }
}

static int resolve_range(const take_run *take, int64_t first, int64_t n, ra_row *rows,
                         ra_error *err) {
    int chunk = 0;
    while (take->chunk_starts[chunk + 1] <= first)
        chunk++;
    while (n > 0) {
        const ra_array *array = take->indices->chunks[chunk];
        int64_t from = first - take->chunk_starts[chunk];
        int64_t n_here = array->length - from < n ? array->length - from : n;
        int64_t bad = n_here > 0 ? resolve_of(&take->locator, array, from, n_here, rows) : 0;
        if (bad < n_here)
            return out_of_bounds(array->buffers[0].data + (from + bad) * array->byte_width,
                                 array->field->type, array->byte_width, err);
        rows += n_here;
        first += n_here;
        n -= n_here;
        chunk++;
    }
    return 0;
}

static int take_morsel(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    const take_run *take = context;
    int64_t first = morsel * take->morsel_rows, n = take->indices->length - first;
    n = n < take->morsel_rows ? n : take->morsel_rows;
    ra_scratch memory;
    RA_TRY(ra_scratch_alloc(take->compute, n, sizeof(ra_row), &memory, err));
    int rc = resolve_range(take, first, n, memory.data, err);
    if (rc == 0) {
        ra_picks picks;
        ra_picks_init(&picks, memory.data, n);
        rc = ra_gather_emit(take->plan, &picks, run, morsel, err);
        ra_picks_fini(take->compute, &picks);
    }
    ra_scratch_free(take->compute, &memory);
    return rc;
}

static int check_indices(const ra_column *indices, ra_error *err) {
    if (indices->n_chunks == 0)
        return 0;
    const ra_field *field = indices->chunks[0]->field;
    if (!field->is_dictionary && (ra_type_is_integer(field->type) || field->type == RA_TYPE_NULL))
        return 0;
    ra_bytes type;
    ra_bytes_init(&type, 256);
    ra_type_print(field, &type);
    int rc = ra_error_set(err, RA_REASON_NOT_IMPLEMENTED,
                          "Function 'array_take' has no kernel for indices of type %.*s",
                          RA_STR_ARG(ra_bytes_str(&type)));
    ra_bytes_fini(&type);
    return rc;
}

static int start_chunks(take_run *take, ra_scratch *memory, ra_error *err) {
    int n = take->indices->n_chunks;
    RA_TRY(ra_scratch_alloc(take->compute, (int64_t)n + 1, sizeof(int64_t), memory, err));
    take->chunk_starts = memory->data;
    take->chunk_starts[0] = 0;
    for (int c = 0; c < n; c++)
        take->chunk_starts[c + 1] = take->chunk_starts[c] + take->indices->chunks[c]->length;
    ra_assert(take->chunk_starts[n] == take->indices->length);
    return 0;
}

static int take_all(take_run *take, ra_batch_sink *sink, ra_error *err) {
    int64_t n = take->indices->length;
    take->morsel_rows = ra_gather_batch_rows(take->plan);
    if (n / take->morsel_rows >= INT32_MAX)
        take->morsel_rows = n / INT32_MAX + 1;
    int n_morsels = (int)((n + take->morsel_rows - 1) / take->morsel_rows);
    return ra_morsels_run(take->compute, n_morsels, take_morsel, take, sink, err);
}

// A few rows need not have all dictionaries unified: marks the batches that the rows are of.
// Nothing is marked, and `*used` NULL, where that would not pay.
static int mark_used(const take_run *take, const ra_table *table, ra_scratch *memory, bool **used,
                     ra_error *err) {
    int64_t n = take->indices->length;
    *used = NULL;
    if (table->schema->n_dictionaries == 0 || n > FEW_INDICES || n == 0)
        return 0;
    ra_scratch row_memory;
    RA_TRY(ra_scratch_alloc(take->compute, n, sizeof(ra_row), &row_memory, err));
    ra_row *rows = row_memory.data;
    int rc = resolve_range(take, 0, n, rows, err);
    if (rc == 0)
        rc = ra_scratch_calloc(take->compute, table->n_batches, sizeof(bool), memory, err);
    if (rc == 0) {
        *used = memory->data;
        for (int64_t i = 0; i < n; i++)
            if (rows[i].batch != RA_ROW_NULL)
                (*used)[rows[i].batch] = true;
    }
    ra_scratch_free(take->compute, &row_memory);
    return rc;
}

int ra_take(const ra_compute *compute, const ra_table *table, const ra_column *indices,
            ra_batch_sink *sink, ra_error *err) {
    take_run take = {.compute = compute, .indices = indices};
    RA_TRY(check_indices(indices, err));
    RA_TRY(ra_row_locator_init(compute, table, &take.locator, err));
    ra_gather_plan *plan = NULL;
    ra_scratch memory[2] = {{0}};
    bool *used = NULL;
    int rc = start_chunks(&take, &memory[0], err);
    if (rc == 0)
        rc = mark_used(&take, table, &memory[1], &used, err);
    if (rc == 0)
        rc = ra_gather_plan_new(compute, table, used, &plan, err);
    if (rc == 0) {
        take.plan = plan;
        rc = take_all(&take, sink, err);
    }
    ra_gather_plan_free(plan);
    ra_scratch_free(compute, &memory[0]);
    ra_scratch_free(compute, &memory[1]);
    ra_row_locator_fini(compute, &take.locator);
    return rc;
}
