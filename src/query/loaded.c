#include "query/loaded.h"

#include "base/checked.h"
#include "base/os.h"

static int charge(ra_loaded *loaded, ra_run *run, const ra_content *content, ra_error *err) {
    int64_t bytes;
    int64_t a_batch =
        (int64_t)sizeof(ra_batch) + content->schema->n_fields * (int64_t)sizeof(ra_array);
    loaded->budget = run->compute.budget;
    if (!loaded->budget)
        return 0;
    if (!ra_mul_i64(content->n_batches, a_batch, &bytes))
        RA_FAIL(err, OUT_OF_MEMORY, "a table has too many batches");
    RA_TRY(ra_budget_charge(loaded->budget, bytes, err));
    loaded->charged_bytes = bytes;
    return 0;
}

int ra_loaded_batch(ra_run *run, ra_content *content, int64_t i, ra_batch **out, ra_error *err) {
    int rc = ra_content_batch(content, i, out, err);
    if (rc != 0 && run->flight >= 0) {
        err->flight = run->flight;
        ra_error_prefix(err, "Flight %lld", (long long)run->flight);
    }
    return rc;
}

int ra_loaded_init(ra_loaded *loaded, ra_run *run, ra_content *content, ra_error *err) {
    *loaded = (ra_loaded){.n_rows = content->n_rows};
    if (content->n_batches > INT32_MAX)
        RA_FAIL(err, LIMIT, "a table of more than 2147483647 batches");
    RA_TRY(charge(loaded, run, content, err));
    loaded->batches = ra_calloc((size_t)content->n_batches, sizeof loaded->batches[0]);
    if (!loaded->batches)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a table's batches");
    for (int64_t i = 0; i < content->n_batches; i++) {
        RA_TRY(ra_compute_check_cancelled(&run->compute, err));
        RA_TRY(ra_loaded_batch(run, content, i, &loaded->batches[i], err));
        loaded->n_batches++;
    }
    return 0;
}

void ra_loaded_fini(ra_loaded *loaded) {
    for (int i = 0; i < loaded->n_batches; i++)
        ra_batch_unref(loaded->batches[i]);
    ra_free(loaded->batches);
    if (loaded->charged_bytes > 0)
        ra_budget_release(loaded->budget, loaded->charged_bytes);
    *loaded = (ra_loaded){0};
}

ra_table ra_loaded_table(const ra_loaded *loaded, ra_schema *schema) {
    return (ra_table){.schema = schema,
                      .batches = loaded->batches,
                      .n_batches = loaded->n_batches,
                      .n_rows = loaded->n_rows};
}

// The batches of an argument: its own ones, those of a relation that is run now, or the stream's.
static int load_batches(ra_loaded_column *loaded, ra_run *run, const ra_array_argument *argument,
                        ra_batch *const **batches, int *n, ra_error *err) {
    if (argument->source == RA_ARRAY_VALUES) {
        *batches = argument->batches;
        *n = argument->n_batches;
        return 0;
    }
    ra_content *content;
    if (argument->source == RA_ARRAY_STREAM) {
        ra_assert(run->stream);
        if (run->stream->schema->n_fields == 0)
            RA_FAIL(err, INVALID_ARGUMENT, "the streamed argument has no column");
        content = ra_content_ref(run->stream);
    } else {
        RA_TRY(ra_run_relation(run, argument->relation, &content, err));
    }
    int rc = ra_loaded_init(&loaded->loaded, run, content, err);
    ra_content_unref(content);
    *batches = loaded->loaded.batches;
    *n = loaded->loaded.n_batches;
    return rc;
}

int ra_loaded_column_init(ra_loaded_column *loaded, ra_run *run, const ra_array_argument *argument,
                          ra_error *err) {
    ra_batch *const *batches;
    int n;
    *loaded = (ra_loaded_column){0};
    RA_TRY(load_batches(loaded, run, argument, &batches, &n, err));
    loaded->chunks = ra_calloc((size_t)n, sizeof loaded->chunks[0]);
    if (!loaded->chunks)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for an array argument");
    loaded->column = (ra_column){.chunks = loaded->chunks, .n_chunks = n};
    for (int i = 0; i < n; i++) {
        loaded->chunks[i] = &batches[i]->columns[argument->column];
        loaded->column.length += batches[i]->n_rows;
    }
    return 0;
}

void ra_loaded_column_fini(ra_loaded_column *loaded) {
    ra_free(loaded->chunks);
    ra_loaded_fini(&loaded->loaded);
}
