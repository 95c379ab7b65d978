// Times the kernels in memory: compute_bench [rows [part of a name]]. Prints milliseconds of the
// clock and of all threads, best of five.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arrow/slice.h"
#include "base/checked.h"
#include "base/os.h"
#include "compute/methods.h"

enum { BATCH_ROWS = 128 * 1024, N_WORDS = 1000, N_STRINGS = 1000 * 1000, STRING_BYTES = 12 };

static uint64_t random_state = 42;

static uint64_t next_random(void) {
    uint64_t x = random_state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void must(int rc, const ra_error *err) {
    if (rc == 0)
        return;
    fprintf(stderr, "compute_bench: %s\n", err->message);
    exit(1);
}

static uint8_t *alloc(ra_batch *batch, int64_t bytes) {
    ra_error err;
    uint8_t *p;
    must(ra_batch_alloc(batch, bytes, &p, &err), &err);
    return p;
}

static ra_schema *make_schema(void) {
    static const struct {
        const char *name;
        ra_type_id type;
        bool is_dictionary;
    } columns[] = {{"random", RA_TYPE_INT64, false},
                   {"float", RA_TYPE_DOUBLE, false},
                   {"string", RA_TYPE_UTF8, false},
                   {"word", RA_TYPE_UTF8, true},
                   {"group", RA_TYPE_INT64, false}};
    ra_error err;
    ra_schema *schema;
    must(ra_schema_new(5, &schema, &err), &err);
    for (int c = 0; c < 5; c++)
        schema->fields[c] = (ra_field){.name = ra_str_of(columns[c].name),
                                       .type = columns[c].type,
                                       .nullable = true,
                                       .is_dictionary = columns[c].is_dictionary,
                                       .index_type = RA_TYPE_INT32};
    must(ra_schema_seal(schema, &err), &err);
    return schema;
}

// Strings of hexadecimal digits of `number`, scrambled.
static void fill_strings(ra_batch *batch, ra_array *array, int64_t n, int64_t n_distinct) {
    uint8_t *offsets = alloc(batch, 4 * (n + 1)), *data = alloc(batch, STRING_BYTES * n);
    for (int64_t i = 0; i < n; i++) {
        uint64_t number = n_distinct ? next_random() % (uint64_t)n_distinct : (uint64_t)i;
        number = (number + 1) * 0x9E3779B97F4A7C15u;
        for (int k = 0; k < STRING_BYTES; k++)
            data[STRING_BYTES * i + k] = (uint8_t) "0123456789abcdef"[number >> (4 * k) & 15];
        ra_store_i32(offsets + 4 * (i + 1), (int32_t)(STRING_BYTES * (i + 1)));
    }
    array->buffers[0] = (ra_span){offsets, 4 * (n + 1)};
    array->buffers[1] = (ra_span){data, STRING_BYTES * n};
}

static void fill_words(ra_batch *batch, ra_array *array, int64_t n, ra_batch *words) {
    ra_error err;
    uint8_t *indices = alloc(batch, 4 * n);
    for (int64_t i = 0; i < n; i++)
        ra_store_i32(indices + 4 * i, (int32_t)(next_random() % N_WORDS));
    array->buffers[0] = (ra_span){indices, 4 * n};
    array->dictionary = &words->columns[0];
    must(ra_batch_own_dictionary(batch, words, &err), &err);
}

static ra_batch *make_batch(ra_schema *schema, int64_t n, ra_batch *words) {
    ra_error err;
    ra_batch *batch;
    must(ra_batch_new(schema, n, &batch, &err), &err);
    uint8_t *values[5] = {0};
    for (int c = 0; c < 5; c++) {
        if (c == 2 || c == 3)
            continue;
        values[c] = alloc(batch, 8 * n);
        batch->columns[c].buffers[0] = (ra_span){values[c], 8 * n};
    }
    for (int64_t i = 0; i < n; i++) {
        double f = (double)(int64_t)next_random() / 1e12;
        memcpy(values[1] + 8 * i, &f, sizeof f);
        ra_store_u64(values[0] + 8 * i, next_random());
        ra_store_i64(values[4] + 8 * i, (int64_t)(next_random() % 100));
    }
    fill_strings(batch, &batch->columns[2], n, N_STRINGS);
    fill_words(batch, &batch->columns[3], n, words);
    return batch;
}

typedef struct {
    int64_t n_rows;
    int64_t n_batches;
    int64_t bytes;
} tally;

static int count_batch(void *context, ra_batch *batch, ra_error *err) {
    (void)err;
    tally *t = context;
    t->n_rows += batch->n_rows;
    t->n_batches++;
    t->bytes += ra_batch_body_bytes(batch);
    return 0;
}

typedef struct {
    ra_compute compute;
    ra_table table;
    ra_column indices;
    ra_column mask;
    ra_sort_key keys[2];
    int n_keys;
} bench;

typedef int (*bench_fn)(bench *b, ra_batch_sink *sink, ra_error *err);

static int run_take(bench *b, ra_batch_sink *sink, ra_error *err) {
    return ra_take(&b->compute, &b->table, &b->indices, sink, err);
}
static int run_filter(bench *b, ra_batch_sink *sink, ra_error *err) {
    return ra_filter(&b->compute, &b->table, &b->mask, false, sink, err);
}
static int run_sort(bench *b, ra_batch_sink *sink, ra_error *err) {
    return ra_sort(&b->compute, &b->table, b->keys, b->n_keys, sink, err);
}

static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static const char *only = "";

static void measure(const char *name, bench *b, bench_fn run) {
    if (!strstr(name, only))
        return;
    double best = 1e30, best_cpu = 1e30;
    tally t = {0};
    for (int round = 0; round < 5; round++) {
        ra_error err;
        t = (tally){0};
        ra_batch_sink sink = {count_batch, &t};
        double cpu_start = cpu_ms();
        int64_t start = ra_os_now_ns();
        must(run(b, &sink, &err), &err);
        double ms = (double)(ra_os_now_ns() - start) / 1e6;
        double cpu = cpu_ms() - cpu_start;
        best = ms < best ? ms : best;
        best_cpu = cpu < best_cpu ? cpu : best_cpu;
    }
    printf("%-28s %8.1f ms %8.1f cpu %9lld rows %4lld batches %7.1f MB\n", name, best, best_cpu,
           (long long)t.n_rows, (long long)t.n_batches, (double)t.bytes / 1e6);
    fflush(stdout);
}

// A column of one chunk: `n` int64 below `below`, or bits of which one in `one_in` is set.
static ra_batch *make_argument(ra_type_id type, int64_t n, int64_t below, int64_t one_in) {
    ra_error err;
    ra_schema *schema;
    ra_batch *batch;
    must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("x"), .type = type};
    must(ra_schema_seal(schema, &err), &err);
    must(ra_batch_new(schema, n, &batch, &err), &err);
    ra_schema_unref(schema);
    int64_t bytes = type == RA_TYPE_BOOL ? ra_bit_bytes(n) : 8 * n;
    uint8_t *values = alloc(batch, bytes);
    for (int64_t i = 0; i < n; i++) {
        uint64_t random = next_random();
        if (type != RA_TYPE_BOOL)
            ra_store_u64(values + 8 * i, random % (uint64_t)below);
        else if (random % (uint64_t)one_in == 0)
            ra_bit_set(values, i);
    }
    batch->columns[0].buffers[0] = (ra_span){values, bytes};
    return batch;
}

static void bench_argument(const char *name, bench *b, ra_column *column, ra_batch *argument,
                           bench_fn run) {
    const ra_array *chunk = &argument->columns[0];
    *column = (ra_column){&chunk, 1, argument->n_rows};
    measure(name, b, run);
    ra_batch_unref(argument);
}

static void bench_sort(const char *name, bench *b, int n_keys, int first, int second) {
    b->keys[0] = (ra_sort_key){.column = first};
    b->keys[1] = (ra_sort_key){.column = second, .descending = true};
    b->n_keys = n_keys;
    measure(name, b, run_sort);
}

int main(int argc, char **argv) {
    int64_t n_rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 10 * 1000 * 1000;
    only = argc > 2 ? argv[2] : only;
    ra_error err;
    bench b = {0};
    ra_schema *schema = make_schema();
    ra_batch *words;
    must(ra_dictionary_new(schema, &schema->fields[3], N_WORDS, &words, &err), &err);
    fill_strings(words, &words->columns[0], N_WORDS, 0);
    int n_batches = (int)((n_rows + BATCH_ROWS - 1) / BATCH_ROWS);
    ra_batch **batches = calloc((size_t)n_batches, sizeof *batches);
    for (int i = 0; i < n_batches; i++) {
        int64_t left = n_rows - (int64_t)i * BATCH_ROWS;
        batches[i] = make_batch(schema, left < BATCH_ROWS ? left : BATCH_ROWS, words);
    }
    b.table = (ra_table){schema, batches, n_batches, n_rows};
    must(ra_workers_new("bench", ra_os_cores(), &b.compute.workers, &err), &err);

    bench_argument("take 1 M random", &b, &b.indices,
                   make_argument(RA_TYPE_INT64, 1000 * 1000, n_rows, 0), run_take);
    bench_argument("take 10", &b, &b.indices, make_argument(RA_TYPE_INT64, 10, n_rows, 0),
                   run_take);
    bench_argument("filter 50 %", &b, &b.mask, make_argument(RA_TYPE_BOOL, n_rows, 0, 2),
                   run_filter);
    bench_argument("filter 1 %", &b, &b.mask, make_argument(RA_TYPE_BOOL, n_rows, 0, 100),
                   run_filter);
    bench_sort("sort random int64", &b, 1, 0, 0);
    bench_sort("sort float64", &b, 1, 1, 0);
    bench_sort("sort string", &b, 1, 2, 0);
    bench_sort("sort dictionary", &b, 1, 3, 0);
    bench_sort("sort group", &b, 1, 4, 0);
    bench_sort("sort group, int64 descending", &b, 2, 4, 0);
    bench_sort("sort string, int64 desc.", &b, 2, 2, 0);

    for (int i = 0; i < n_batches; i++)
        ra_batch_unref(batches[i]);
    free(batches);
    ra_batch_unref(words);
    ra_schema_unref(schema);
    ra_workers_free(b.compute.workers);
    return 0;
}
