// Compressed buffers: both codecs, and claims that are not to be believed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/testing_ipc.h"
#include "arrow/testing_random.h"

static const ra_ipc_codec codecs[] = {RA_CODEC_LZ4, RA_CODEC_ZSTD};

typedef struct {
    ra_schema *schema;
    ra_ipc_decoder *decoder;
    ra_budget budget;
} fixture;

static fixture *fixture_new(ra_schema *schema, int64_t budget_bytes) {
    ra_error err;
    fixture *f = calloc(1, sizeof *f);
    f->schema = schema;
    ra_budget_init(&f->budget, NULL, "test", budget_bytes);
    ra_bytes message = testing_encode_schema(schema);
    testing_ok(ra_ipc_decoder_new(testing_span(&message), &f->budget, &f->decoder, &err), &err);
    ra_bytes_fini(&message);
    return f;
}

static void fixture_free(fixture *f) {
    ra_ipc_decoder_free(f->decoder);
    assert_int_equal(ra_budget_used(&f->budget), 0);
    ra_budget_fini(&f->budget);
    ra_schema_unref(f->schema);
    free(f);
}

// Takes the parts.
static int decode(fixture *f, testing_parts parts, ra_batch **out, ra_error *err) {
    testing_message m = testing_put_together(parts);
    int rc = ra_ipc_decode(f->decoder, testing_span(&m.message), m.body, m.blob, out, err);
    testing_message_fini(&m);
    return rc;
}

static ra_schema *one_column(ra_type_id type) {
    ra_error err;
    ra_schema *schema;
    testing_must(ra_schema_new(1, &schema, &err), &err);
    schema->fields[0] = (ra_field){.name = RA_STR("c"), .nullable = true, .type = type};
    testing_must(ra_schema_seal(schema, &err), &err);
    return schema;
}

static void compressed_batches_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        for (int i = 0; i < 2; i++) {
            ra_error err;
            ra_schema *schema = testing_random_schema(seed, 6, 2);
            if (schema->n_dictionaries > 0) {  // those are another test's
                ra_schema_unref(schema);
                continue;
            }
            fixture *f = fixture_new(schema, 1 << 24);
            ra_batch *read, *batch = testing_random_batch(seed, 70, schema);
            testing_parts parts = testing_take_apart(testing_encode_batch(batch));
            testing_compress(&parts, codecs[i]);
            if (decode(f, parts, &read, &err) != 0)
                fail_msg("%s", err.message);
            for (int c = 0; c < schema->n_fields; c++)
                assert_true(ra_array_equal(&batch->columns[c], &read->columns[c], true));
            ra_batch_unref(read);
            ra_batch_unref(batch);
            fixture_free(f);
        }
    }
}

// A batch of 100 int64, its values compressed, as parts.
static testing_parts int64_parts(fixture *f, ra_ipc_codec codec) {
    ra_batch *batch = testing_random_batch(1, 100, f->schema);
    batch->columns[0].null_count = 0;
    testing_parts parts = testing_take_apart(testing_encode_batch(batch));
    ra_batch_unref(batch);
    testing_compress(&parts, codec);
    return parts;
}

static void claims_beyond_what_rows_need_are_refused(void **state) {
    (void)state;
    static const int64_t claims[] = {-2, INT64_MIN, INT64_MAX, 1LL << 40, 4 * 800 + 65537};
    for (int i = 0; i < 2; i++) {
        fixture *f = fixture_new(one_column(RA_TYPE_INT64), 1 << 24);
        for (size_t k = 0; k < sizeof claims / sizeof *claims; k++) {
            ra_error err;
            ra_batch *read;
            testing_parts parts = int64_parts(f, codecs[i]);
            ra_store_i64(parts.body.data, claims[k]);
            assert_int_equal(decode(f, parts, &read, &err), RA_INVALID);
            assert_string_equal(err.subject, "c");
            assert_non_null(strstr(err.message, "claims"));
        }
        fixture_free(f);
    }
}

static void lengths_that_lie_a_little_are_refused(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        fixture *f = fixture_new(one_column(RA_TYPE_INT64), 1 << 24);
        for (int64_t more = -8; more <= 8; more += 16) {
            ra_error err;
            ra_batch *read;
            testing_parts parts = int64_parts(f, codecs[i]);
            ra_store_i64(parts.body.data, 800 + more);
            assert_int_equal(decode(f, parts, &read, &err), RA_INVALID);
            assert_non_null(strstr(err.message, "cannot be decompressed"));
        }
        fixture_free(f);
    }
}

static void damaged_frames_are_refused(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        fixture *f = fixture_new(one_column(RA_TYPE_INT64), 1 << 24);
        for (int64_t cut = 0; cut < 30; cut++) {
            ra_error err;
            ra_batch *read;
            testing_parts parts = int64_parts(f, codecs[i]);
            ra_store_i64(parts.buffers.data + 16 + 8, cut);  // the length of the values' buffer
            int rc = decode(f, parts, &read, &err);
            assert_int_equal(rc, RA_INVALID);
            assert_null(read);
        }
        fixture_free(f);
    }
}

static void decompression_stays_in_its_budget(void **state) {
    (void)state;
    fixture *f = fixture_new(one_column(RA_TYPE_INT64), 1000);
    ra_error err;
    ra_batch *first, *second;
    assert_int_equal(decode(f, int64_parts(f, RA_CODEC_LZ4), &first, &err), 0);
    assert_int_equal(ra_budget_used(&f->budget), 800);
    assert_int_equal(decode(f, int64_parts(f, RA_CODEC_LZ4), &second, &err), RA_EXHAUSTED);
    assert_int_equal(err.reason, RA_REASON_OUT_OF_MEMORY);
    ra_batch_unref(first);
    assert_int_equal(decode(f, int64_parts(f, RA_CODEC_LZ4), &second, &err), 0);
    ra_batch_unref(second);
    fixture_free(f);
}

// Offsets say how much string data there is: the data cannot claim more.
static void string_claims_are_checked_against_offsets(void **state) {
    (void)state;
    ra_error err;
    ra_batch *read;
    fixture *f = fixture_new(one_column(RA_TYPE_LARGE_UTF8), 1 << 24);
    ra_batch *batch = testing_random_batch(5, 100, f->schema);
    testing_parts parts = testing_take_apart(testing_encode_batch(batch));
    testing_compress(&parts, RA_CODEC_ZSTD);
    uint8_t *data_buffer = parts.buffers.data + 32;
    int64_t offset = ra_load_i64(data_buffer);
    ra_bytes bomb;  // 16 MiB of zeros in a KiB
    uint8_t *zeros = calloc(1, 16 << 20);
    ra_bytes_init(&bomb, TESTING_CEILING_BYTES);
    testing_append_compressed(&bomb, zeros, 16 << 20, RA_CODEC_ZSTD);
    parts.body.len = (size_t)offset;
    testing_ok(ra_bytes_append(&parts.body, bomb.data, bomb.len, &err), &err);
    ra_store_i64(data_buffer + 8, (int64_t)bomb.len);
    assert_int_equal(decode(f, parts, &read, &err), RA_INVALID);
    assert_non_null(strstr(err.message, "claims"));
    free(zeros);
    ra_bytes_fini(&bomb);
    ra_batch_unref(batch);
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed_batches_come_back),
        cmocka_unit_test(claims_beyond_what_rows_need_are_refused),
        cmocka_unit_test(lengths_that_lie_a_little_are_refused),
        cmocka_unit_test(damaged_frames_are_refused),
        cmocka_unit_test(decompression_stays_in_its_budget),
        cmocka_unit_test(string_claims_are_checked_against_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
