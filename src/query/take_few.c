#include "query/take_few.h"

#include "base/checked.h"
#include "compute/methods.h"

enum { MAX_ROWS = 1024, MIN_BATCHES_PER_ROW = 4 };

static int64_t index_at(const ra_array *chunk, int64_t i) {
    return ra_load_i64(chunk->buffers[0].data + i * (int64_t)sizeof(int64_t));
}

bool ra_take_is_few(const ra_content *content, const ra_column *indices) {
    if (indices->length == 0 || indices->length > MAX_ROWS ||
        indices->length * MIN_BATCHES_PER_ROW > content->n_batches ||
        content->schema->n_fields == 0)
        return false;
    for (int c = 0; c < indices->n_chunks; c++) {
        const ra_array *chunk = indices->chunks[c];
        if (chunk->field->type != RA_TYPE_INT64 || chunk->field->is_dictionary)
            return false;
        for (int64_t i = 0; i < chunk->length; i++)
            if (ra_array_is_valid(chunk, i) &&
                (index_at(chunk, i) < 0 || index_at(chunk, i) >= content->n_rows))
                return false;
    }
    return true;
}

// The batches that were loaded, and the rows in terms of them.
typedef struct {
    int n_batches;
    int64_t n_rows;
    int64_t numbers[MAX_ROWS];  // of the batches in the content
    ra_batch *batches[MAX_ROWS];
    ra_row rows[MAX_ROWS];
} few_rows;

// The place of a batch of the content among the loaded ones; loads it when it is new.
static int load_batch(few_rows *few, ra_run *run, ra_content *content, int64_t number,
                      uint32_t *place, ra_error *err) {
    for (int i = few->n_batches; i-- > 0;)
        if (few->numbers[i] == number) {
            *place = (uint32_t)i;
            return 0;
        }
    *place = (uint32_t)few->n_batches;
    few->numbers[few->n_batches] = number;
    RA_TRY(ra_loaded_batch(run, content, number, &few->batches[few->n_batches], err));
    few->n_batches++;
    return 0;
}

static int add_row(few_rows *few, ra_run *run, ra_content *content, int64_t row, ra_error *err) {
    int64_t number, row_in_batch;
    ra_content_locate(content, row, &number, &row_in_batch);
    ra_row *out = &few->rows[few->n_rows++];
    out->row = (uint32_t)row_in_batch;
    return load_batch(few, run, content, number, &out->batch, err);
}

static int load_rows(few_rows *few, ra_run *run, ra_content *content, const ra_column *indices,
                     ra_error *err) {
    for (int c = 0; c < indices->n_chunks; c++) {
        const ra_array *chunk = indices->chunks[c];
        for (int64_t i = 0; i < chunk->length; i++) {
            if (ra_array_is_valid(chunk, i))
                RA_TRY(add_row(few, run, content, index_at(chunk, i), err));
            else
                few->rows[few->n_rows++] = (ra_row){RA_ROW_NULL, 0};
        }
    }
    return 0;
}

static int write_rows(const few_rows *few, ra_run *run, ra_content *content, ra_content **out,
                      ra_error *err) {
    ra_table table = {
        .schema = content->schema, .batches = few->batches, .n_batches = few->n_batches};
    for (int i = 0; i < few->n_batches; i++)
        table.n_rows += few->batches[i]->n_rows;
    ra_batch *batch;
    RA_TRY(ra_gather(&run->compute, &table, few->rows, few->n_rows, &batch, err));
    ra_writer *writer = NULL;
    int rc = ra_run_writer_new(run, content->schema, &writer, err);
    if (rc == 0)
        rc = ra_writer_add(writer, batch, (ra_span){0}, err);
    if (rc == 0)
        rc = ra_writer_finish(writer, out, err);
    if (writer)
        ra_writer_free(writer);
    ra_batch_unref(batch);
    return rc;
}

int ra_run_take_few(ra_run *run, ra_content *content, const ra_column *indices, ra_content **out,
                    ra_error *err) {
    few_rows few;
    few.n_batches = 0;
    few.n_rows = 0;
    int rc = load_rows(&few, run, content, indices, err);
    if (rc == 0)
        rc = write_rows(&few, run, content, out, err);
    for (int i = 0; i < few.n_batches; i++)
        ra_batch_unref(few.batches[i]);
    return rc;
}
