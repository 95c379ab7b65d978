// Every integer of the metadata replaced by every awkward one: an error or a batch that is sound,
// quickly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

#include "arrow/check.h"
#include "arrow/testing_ipc.h"
#include "arrow/testing_random.h"

// Far above what any answer needs, also with sanitizers on a busy machine.
enum { MOST_CPU_MS = 100, N_VALUES = 10, MAX_DICTIONARIES = 16 };

static const int64_t values[N_VALUES] = {
    -1, 0, 1, 0 /* n - 1 */, 0 /* n + 1 */, INT32_MAX, 1LL << 31, 1LL << 61, INT64_MAX, INT64_MIN};

static int64_t hostile_value(int i, int64_t n) {
    if (i == 3)
        return (int64_t)((uint64_t)n - 1);
    if (i == 4)
        return (int64_t)((uint64_t)n + 1);
    return values[i];
}

typedef struct {
    ra_schema *schema;
    ra_bytes schema_message;
    int n_dictionaries;
    testing_message dictionaries[MAX_DICTIONARIES];
    testing_message batch;
    int n_accepted;
    int n_refused;
} corpus;

static int64_t cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void assert_sound(ra_batch *batch) {
    ra_error err;
    if (ra_check_batch(batch, &err) != 0)
        fail_msg("accepted, but: %s", err.message);
    testing_message m = testing_encode_batch(batch);
    testing_message_fini(&m);
}

static void count(corpus *c, int rc, const ra_error *err) {
    if (rc == 0) {
        c->n_accepted++;
        return;
    }
    c->n_refused++;
    assert_int_equal(rc, err->code);
    assert_true(err->message[0] != 0);
}

// Decodes the corpus' stream as it is now. Returns the first code.
static int decode_stream(corpus *c, ra_error *err) {
    ra_ipc_decoder *decoder;
    ra_budget budget;
    ra_batch *batch = NULL;
    ra_budget_init(&budget, NULL, "test", 1 << 20);
    int rc = ra_ipc_decoder_new(testing_span(&c->schema_message), &budget, &decoder, err);
    if (rc == 0) {
        for (int i = 0; i < c->n_dictionaries && rc == 0; i++) {
            testing_message *m = &c->dictionaries[i];
            rc = ra_ipc_decode(decoder, testing_span(&m->message), m->body, m->blob, &batch, err);
            assert_null(batch);
        }
        testing_message *m = &c->batch;
        if (rc == 0)
            rc = ra_ipc_decode(decoder, testing_span(&m->message), m->body, m->blob, &batch, err);
        if (rc == 0)
            assert_sound(batch);
        ra_batch_unref(batch);
        ra_ipc_decoder_free(decoder);
    }
    ra_budget_fini(&budget);
    return rc;
}

static void try_value(corpus *c, uint8_t *at, int width, int which) {
    uint8_t old[8];
    ra_error err;
    memcpy(old, at, (size_t)width);
    int64_t n = width == 4 ? ra_load_i32(at) : ra_load_i64(at);
    int64_t value = hostile_value(which, n);
    memcpy(at, &value, (size_t)width);
    int64_t before = cpu_ms();
    count(c, decode_stream(c, &err), &err);
    if (cpu_ms() - before > MOST_CPU_MS)
        fail_msg("an answer took %d ms", (int)(cpu_ms() - before));
    memcpy(at, old, (size_t)width);
}

static void try_all(corpus *c, uint8_t *data, size_t bytes) {
    for (int width = 4; width <= 8; width += 4)
        for (size_t at = 0; at + (size_t)width <= bytes; at += (size_t)width)
            for (int i = 0; i < N_VALUES; i++)
                try_value(c, data + at, width, i);
}

static ra_schema *many_types(void) {
    static const ra_type_id dictionary_types[] = {RA_TYPE_UTF8, RA_TYPE_STRUCT, RA_TYPE_INT32};
    ra_error err;
    ra_schema *schema;
    testing_rng rng = {7};
    testing_must(ra_schema_new(RA_N_TYPES + 3, &schema, &err), &err);
    for (int i = 0; i < schema->n_fields; i++) {
        bool is_dictionary = i >= RA_N_TYPES;
        ra_type_id type = is_dictionary ? dictionary_types[i - RA_N_TYPES] : (ra_type_id)i;
        ra_field *field = &schema->fields[i];
        *field = (ra_field){.name = testing_name(schema, "c", i), .nullable = true};
        ra_field *value = testing_set_type(schema, &rng, field, type);
        if (value)
            *value = (ra_field){.name = RA_STR("value"), .nullable = true, .type = RA_TYPE_INT16};
        else if (ra_type_layout(type) >= RA_LAYOUT_LIST32)
            testing_plain_children(schema, field);
        field->is_dictionary = is_dictionary;
        field->index_type = RA_TYPE_INT8;
        if (is_dictionary && type == RA_TYPE_STRUCT) {  // a dictionary in a dictionary
            field->children[1].is_dictionary = true;
            field->children[1].index_type = RA_TYPE_UINT16;
        }
    }
    testing_add_metadata(schema, &schema->metadata, RA_STR("key"), RA_STR("value"));
    testing_add_metadata(schema, &schema->fields[0].metadata, RA_STR("k"), RA_STR("v"));
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void add_dictionary(void *context, ra_batch *dictionary, int64_t id) {
    corpus *c = context;
    assert_true(c->n_dictionaries < MAX_DICTIONARIES);
    c->dictionaries[c->n_dictionaries++] = testing_encode_dictionary(dictionary, id);
}

static corpus corpus_new(void) {
    corpus c = {.schema = many_types()};
    ra_batch *batch = testing_random_batch(3, 6, c.schema);
    c.schema_message = testing_encode_schema(c.schema);
    for (int i = 0; i < batch->n_columns; i++)
        testing_each_dictionary(batch, &batch->columns[i], add_dictionary, &c);
    c.batch = testing_encode_batch(batch);
    ra_batch_unref(batch);
    ra_error err;
    if (decode_stream(&c, &err) != 0)
        fail_msg("the corpus itself is refused: %s", err.message);
    return c;
}

static void corpus_fini(corpus *c) {
    assert_true(c->n_refused > 100);
    assert_true(c->n_accepted > 10);  // padding and values that do not matter
    for (int i = 0; i < c->n_dictionaries; i++)
        testing_message_fini(&c->dictionaries[i]);
    testing_message_fini(&c->batch);
    ra_bytes_fini(&c->schema_message);
    ra_schema_unref(c->schema);
}

static void hostile_schema_metadata_is_answered(void **state) {
    (void)state;
    corpus c = corpus_new();
    try_all(&c, c.schema_message.data, c.schema_message.len);
    corpus_fini(&c);
}

static void hostile_dictionary_metadata_is_answered(void **state) {
    (void)state;
    corpus c = corpus_new();
    for (int i = 0; i < c.n_dictionaries; i++)
        try_all(&c, c.dictionaries[i].message.data, c.dictionaries[i].message.len);
    corpus_fini(&c);
}

static void hostile_batch_metadata_is_answered(void **state) {
    (void)state;
    corpus c = corpus_new();
    try_all(&c, c.batch.message.data, c.batch.message.len);
    corpus_fini(&c);
}

static void hostile_body_is_answered(void **state) {
    (void)state;
    corpus c = corpus_new();
    for (int64_t at = 0; at + 4 <= c.batch.body.bytes; at += 4)
        for (int i = 0; i < N_VALUES; i++)
            try_value(&c, c.batch.blob->data + 1 + at, 4, i);
    corpus_fini(&c);
}

static void hostile_compressed_sizes_are_answered(void **state) {
    (void)state;
    corpus c = corpus_new();
    testing_parts parts = testing_take_apart(c.batch);
    testing_compress(&parts, RA_CODEC_LZ4);
    ra_bytes buffers = testing_copy_bytes(parts.buffers.data, (int64_t)parts.buffers.len);
    c.batch = testing_put_together(parts);
    ra_error err;
    assert_int_equal(decode_stream(&c, &err), 0);
    for (size_t i = 0; i < buffers.len / 16; i++)
        for (int v = 0; v < N_VALUES && ra_load_i64(buffers.data + 16 * i + 8); v++) {
            int64_t offset = ra_load_i64(buffers.data + 16 * i);
            try_value(&c, c.batch.blob->data + offset, 8, v);      // the claim
            try_value(&c, c.batch.blob->data + offset + 8, 4, v);  // the frame
            try_value(&c, c.batch.blob->data + offset + 12, 4, v);
        }
    ra_bytes_fini(&buffers);
    corpus_fini(&c);
}

static void cut_messages_are_refused(void **state) {
    (void)state;
    corpus c = corpus_new();
    ra_bytes *messages[] = {&c.schema_message, &c.dictionaries[0].message, &c.batch.message};
    for (int i = 0; i < 3; i++) {
        size_t whole = messages[i]->len;
        for (size_t n = 0; n + 16 < whole; n++) {
            ra_error err;
            messages[i]->len = n;
            count(&c, decode_stream(&c, &err), &err);
        }
        messages[i]->len = whole;
    }
    c.n_accepted = 100;
    corpus_fini(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_schema_metadata_is_answered),
        cmocka_unit_test(hostile_dictionary_metadata_is_answered),
        cmocka_unit_test(hostile_batch_metadata_is_answered),
        cmocka_unit_test(hostile_body_is_answered),
        cmocka_unit_test(hostile_compressed_sizes_are_answered),
        cmocka_unit_test(cut_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
