#include "arrow/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arrow/equal.h"
#include "arrow/slice.h"
#include "arrow/testing_random.h"
#include "arrow/value_hash.h"

// A span of numbers of one type, at an odd address so that a load that wants alignment is seen.
#define BYTES(type, ...) odd_span((type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__}))
#define I8(...) BYTES(int8_t, __VA_ARGS__)
#define I16(...) BYTES(int16_t, __VA_ARGS__)
#define I32(...) BYTES(int32_t, __VA_ARGS__)
#define I64(...) BYTES(int64_t, __VA_ARGS__)
#define TEXT(literal) odd_span(literal, sizeof(literal) - 1)
#define NONE ((ra_span){NULL, 0})

static uint8_t odd_memory[64 * 1024];
static size_t odd_used;

static ra_span odd_span(const void *data, size_t bytes) {
    odd_used += odd_used % 2 == 0;
    assert_true(odd_used + bytes <= sizeof odd_memory);
    uint8_t *at = odd_memory + odd_used;
    if (bytes > 0)
        memcpy(at, data, bytes);
    odd_used += bytes;
    return (ra_span){at, (int64_t)bytes};
}

// One column called "c" of a batch of `n` rows, with plain children.
typedef struct {
    ra_schema *schema;
    ra_batch *batch;
    ra_batch *dictionary;
    ra_array *column;
} fixture;

static fixture make(ra_field field, int64_t n) {
    ra_error err;
    fixture f = {0};
    testing_must(ra_schema_new(1, &f.schema, &err), &err);
    field.name = RA_STR("c");
    field.nullable = true;
    f.schema->fields[0] = field;
    testing_rng rng = {1};
    if (field.type == RA_TYPE_MAP || field.type == RA_TYPE_RUN_END_ENCODED) {
        ra_field *value = testing_set_type(f.schema, &rng, f.schema->fields, field.type);
        *value = (ra_field){.name = RA_STR("value"), .type = RA_TYPE_UTF8, .nullable = true};
        if (field.type == RA_TYPE_RUN_END_ENCODED)
            f.schema->fields[0].children[0].type = RA_TYPE_INT16;
    } else if (field.type >= RA_TYPE_LIST) {
        testing_plain_children(f.schema, f.schema->fields);
    }
    testing_must(ra_schema_seal(f.schema, &err), &err);
    testing_must(ra_batch_new(f.schema, n, &f.batch, &err), &err);
    f.column = &f.batch->columns[0];
    if (field.is_dictionary) {
        testing_must(ra_dictionary_new(f.schema, f.schema->fields, 3, &f.dictionary, &err), &err);
        f.column->dictionary = f.dictionary->columns;
    }
    return f;
}

static fixture make_type(ra_type_id type, int64_t n) {
    return make((ra_field){.type = type, .byte_width = 3, .list_size = 2, .precision = 5}, n);
}

static void done(fixture *f) {
    ra_batch_unref(f->batch);
    ra_batch_unref(f->dictionary);
    ra_schema_unref(f->schema);
    odd_used = 0;
}

static void accepts(fixture f) {
    ra_error err;
    if (ra_check_batch(f.batch, &err) != 0)
        fail_msg("refused: %s", err.message);
    done(&f);
}

static void refuses(fixture f, const char *fault) {
    ra_error err;
    if (ra_check_batch(f.batch, &err) == 0)
        fail_msg("accepted, expected: %s", fault);
    assert_int_equal(err.reason, RA_REASON_MALFORMED_ARROW);
    assert_string_equal(err.subject_key, "column");
    assert_string_equal(err.subject, "c");
    if (!strstr(err.message, fault) || strncmp(err.message, "column 'c'", 10) != 0)
        fail_msg("'%s' does not say '%s'", err.message, fault);
    done(&f);
}

static fixture with(ra_type_id type, int64_t n, ra_span validity, ra_span first, ra_span second) {
    fixture f = make_type(type, n);
    f.column->validity = validity;
    f.column->buffers[0] = first;
    f.column->buffers[1] = second;
    return f;
}

static void buffers_must_hold_the_rows(void **state) {
    (void)state;
    accepts(with(RA_TYPE_INT32, 2, NONE, I32(1, 2, 3), NONE));
    refuses(with(RA_TYPE_INT32, 2, NONE, I32(1), NONE), "4 bytes but 8 are needed");
    refuses(with(RA_TYPE_INT32, 2, NONE, NONE, NONE), "0 bytes but 8 are needed");
    accepts(with(RA_TYPE_INT32, 0, NONE, NONE, NONE));
    accepts(with(RA_TYPE_NULL, 5, NONE, NONE, NONE));
    accepts(with(RA_TYPE_BOOL, 8, NONE, I8(1), NONE));
    refuses(with(RA_TYPE_BOOL, 9, NONE, I8(1), NONE), "bitmap of values has 1 bytes for 9");
    refuses(with(RA_TYPE_INT8, 9, I8(1), I64(1, 2), NONE), "validity bitmap has 1 bytes for 9");
    refuses(with(RA_TYPE_INT64, INT64_MAX / 4, NONE, I64(1), NONE), "too many");
    refuses(with(RA_TYPE_UTF8, INT64_MAX, NONE, I32(1), NONE), "too many");
    refuses(with(RA_TYPE_BINARY_VIEW, 2, NONE, I64(0, 0), NONE), "16 bytes but 32 are needed");
    refuses(with(RA_TYPE_FIXED_SIZE_BINARY, 2, NONE, I8(1, 2, 3, 4, 5), NONE), "6 are needed");
    fixture f = make((ra_field){.type = RA_TYPE_FIXED_SIZE_BINARY, .byte_width = 0}, 5);
    accepts(f);
}

static void rows_must_be_those_of_the_batch(void **state) {
    (void)state;
    fixture f = with(RA_TYPE_INT32, 2, NONE, I32(1, 2, 3), NONE);
    f.column->length = 3;
    refuses(f, "3 rows in a batch of 2 rows");
    f = with(RA_TYPE_INT32, 2, NONE, I32(1, 2, 3), NONE);
    f.column->length = -1;
    refuses(f, "-1 rows");
}

static void nulls_are_counted(void **state) {
    (void)state;
    ra_error err;
    fixture f = with(RA_TYPE_INT8, 10, I8(-1, 1), I64(0, 0), NONE);
    f.column->null_count = 7;
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->null_count, 1);
    assert_non_null(f.column->validity.data);
    done(&f);
    f = with(RA_TYPE_INT8, 10, I8(-1, 3), I64(0, 0), NONE);
    f.column->null_count = 7;
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->null_count, 0);
    assert_null(f.column->validity.data);
    done(&f);
    f = make_type(RA_TYPE_NULL, 4);
    f.column->null_count = 0;
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->null_count, 4);
    done(&f);
}

static void offsets_must_rise_within_the_data(void **state) {
    (void)state;
    ra_type_id t = RA_TYPE_BINARY;
    accepts(with(t, 2, NONE, I32(1, 2, 4), TEXT("abcd")));
    accepts(with(t, 0, NONE, NONE, NONE));
    accepts(with(t, 0, NONE, I32(77), NONE));
    refuses(with(t, 0, NONE, I32(-1), NONE), "offset -1 in row 0 is negative");
    refuses(with(t, 0, NONE, I16(0), NONE), "2 bytes but 4 are needed");
    refuses(with(t, 1, NONE, I32(0), TEXT("abcd")), "8 are needed");
    refuses(with(t, 2, NONE, I32(0, 3, 2), TEXT("abcd")), "offset 3 in row 1 is above the next");
    refuses(with(t, 2, I8(1), I32(0, 3, 2), TEXT("abcd")), "offset 3 in row 1");
    refuses(with(t, 2, NONE, I32(0, 9, 2), TEXT("abcd")), "offset 9 in row 1");
    refuses(with(t, 2, NONE, I32(0, 2, 5), TEXT("abcd")), "last offset 5 is beyond the 4");
    refuses(with(t, 1, NONE, I32(-1, 2), TEXT("abcd")), "offset -1 in row 0 is negative");
    refuses(with(t, 2, NONE, I32(2147483647, -2147483647 - 1, 2), TEXT("abcd")), "row 0");
    t = RA_TYPE_LARGE_BINARY;
    accepts(with(t, 2, NONE, I64(1, 2, 4), TEXT("abcd")));
    refuses(with(t, 2, NONE, I64(0, INT64_MAX, 4), TEXT("abcd")), "row 1 is above");
    refuses(with(t, 1, NONE, I64(INT64_MIN, INT64_MAX), TEXT("abcd")), "negative");
    refuses(with(t, 2, NONE, I64(0, 2, 5), TEXT("abcd")), "last offset 5");
}

// A fall anywhere in a long run of offsets is found, whatever block of the fast loop it is in.
static void a_falling_offset_is_found_anywhere(void **state) {
    (void)state;
    enum { N = 200 };
    for (int wide = 0; wide < 2; wide++)
        for (int at = 0; at < N; at++) {
            int64_t offsets[N + 1];
            int32_t narrow[N + 1];
            for (int i = 0; i <= N; i++)
                narrow[i] = (int32_t)(offsets[i] = i < at ? i + 1 : i - (i > at));
            narrow[at] = (int32_t)(offsets[at] = at + 2);
            ra_span data = odd_span((uint8_t[N + 2]){0}, N + 2);
            ra_span span =
                wide ? odd_span(offsets, sizeof offsets) : odd_span(narrow, sizeof narrow);
            fixture f = with(wide ? RA_TYPE_LARGE_BINARY : RA_TYPE_BINARY, N, NONE, span, data);
            char fault[40];
            snprintf(fault, sizeof fault, "in row %d is above", at);
            refuses(f, fault);
        }
}

static void strings_must_be_utf8_where_they_are_valid(void **state) {
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        ra_type_id t = wide ? RA_TYPE_LARGE_UTF8 : RA_TYPE_UTF8;
        ra_span both = wide ? I64(0, 1, 2) : I32(0, 1, 2), one = wide ? I64(2, 3) : I32(2, 3);
        accepts(with(t, 2, NONE, both, TEXT("ab")));
        both = wide ? I64(0, 1, 2) : I32(0, 1, 2);
        accepts(with(t, 2, I8(1), both, TEXT("a\xFF")));
        both = wide ? I64(0, 1, 2) : I32(0, 1, 2);
        refuses(with(t, 2, I8(3), both, TEXT("a\xFF")), "row 1 is not UTF-8");
        both = wide ? I64(0, 1, 2) : I32(0, 1, 2);
        refuses(with(t, 2, NONE, both, TEXT("\xC3\xA4")), "row 0 is not UTF-8");
        both = wide ? I64(0, 1, 2) : I32(0, 1, 2);
        accepts(with(t, 2, I8(0), both, TEXT("\xC3\xA4")));
        one = wide ? I64(2, 3) : I32(2, 3);
        accepts(with(t, 1, NONE, one,
                     TEXT("\xFF\xFF"
                          "a\xFF")));
        one = wide ? I64(1, 2) : I32(1, 2);
        refuses(with(t, 1, NONE, one, TEXT("\xC3\xA4")), "row 0 is not UTF-8");
    }
}

static void damaged_characters_are_found_anywhere(void **state) {
    (void)state;
    static const char *const bad[] = {
        "\x80",         "\xC3",         "\xC0\x80",         "\xED\xA0\x80", "\xE2\x82",
        "\xF5\x80\x80", "\xF0\x80\x80", "\xF4\x90\x80\x80", "\xF0\x9F\x98", "\xFF"};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (int at = 0; at < 150; at += 7)
            for (int filler = 0; filler < 2; filler++) {
                ra_bytes text;
                ra_bytes_init(&text, 10000);
                int32_t offsets[4] = {0};
                for (int i = 0; i < at; i++)
                    testing_append(&text, filler ? "\xE2\x82\xAC" : "x", filler ? 3 : 1);
                offsets[1] = (int32_t)text.len;
                testing_append(&text, bad[b], strlen(bad[b]));
                offsets[2] = (int32_t)text.len;
                testing_append(&text, "\xC3\xA4yz", 4);
                offsets[3] = (int32_t)text.len;
                ra_span data = odd_span(text.data, text.len);
                refuses(with(RA_TYPE_UTF8, 3, NONE, odd_span(offsets, sizeof offsets), data),
                        "row 1 is not UTF-8");
                data = odd_span(text.data, text.len);
                accepts(with(RA_TYPE_UTF8, 3, I8(5), odd_span(offsets, sizeof offsets), data));
                ra_bytes_fini(&text);
            }
}

static ra_span view_near(const char *text, char padding) {
    uint8_t view[16];
    memset(view, padding, sizeof view);
    ra_store_i32(view, (int32_t)strlen(text));
    memcpy(view + 4, text, strlen(text));
    return odd_span(view, sizeof view);
}

static ra_span view_far(int32_t size, const char *prefix, int32_t buffer, int32_t offset) {
    uint8_t view[16];
    ra_store_i32(view, size);
    memcpy(view + 4, prefix, 4);
    ra_store_i32(view + 8, buffer);
    ra_store_i32(view + 12, offset);
    return odd_span(view, sizeof view);
}

static fixture with_view(ra_type_id type, ra_span validity, ra_span view, ra_span *data) {
    fixture f = with(type, 1, validity, view, NONE);
    f.column->variadic = data;
    f.column->n_variadic = 1;
    return f;
}

static void views_must_lie_in_their_buffers(void **state) {
    (void)state;
    static const char text[] = "hello world, this is long";
    ra_span data = {(const uint8_t *)text, 25}, bad = {(const uint8_t *)"\xFFyyyyyyyyyyyyy", 14};
    ra_type_id t = RA_TYPE_UTF8_VIEW;
    accepts(with_view(t, NONE, view_near("abc", 0), &data));
    refuses(with_view(t, NONE, view_near("abc", 'x'), &data), "padding");
    accepts(with_view(t, I8(0), view_near("abc", 'x'), &data));
    refuses(with_view(t, NONE, view_near("\xFF", 0), &data), "row 0 is not UTF-8");
    accepts(with_view(RA_TYPE_BINARY_VIEW, NONE, view_near("\xFF", 0), &data));
    accepts(with_view(t, NONE, view_far(25, "hell", 0, 0), &data));
    accepts(with_view(t, NONE, view_far(13, "orld", 0, 7), &data));
    refuses(with_view(t, NONE, view_far(26, "hell", 0, 0), &data), "outside of its buffer");
    refuses(with_view(t, NONE, view_far(25, "ello", 0, 1), &data), "outside of its buffer");
    refuses(with_view(t, NONE, view_far(20, "ello", 0, -1), &data), "offset -1");
    refuses(with_view(t, NONE, view_far(INT32_MAX, "ello", 0, INT32_MAX), &data), "outside");
    refuses(with_view(t, NONE, view_far(25, "hell", 1, 0), &data), "buffer 1 of 1");
    refuses(with_view(t, NONE, view_far(25, "hell", -1, 0), &data), "buffer -1 of 1");
    refuses(with_view(t, NONE, view_far(25, "Hell", 0, 0), &data), "prefix");
    refuses(with_view(t, NONE, view_far(-1, "hell", 0, 0), &data), "size -1");
    accepts(with_view(t, I8(0), view_far(-1, "hell", 50, -9), &data));
    refuses(with_view(t, NONE, view_far(14, "\xFFyyy", 0, 0), &bad), "row 0 is not UTF-8");
    accepts(with_view(RA_TYPE_BINARY_VIEW, NONE, view_far(14, "\xFFyyy", 0, 0), &bad));
}

static fixture with_indices(ra_type_id type, ra_span validity, int64_t n, ra_span indices) {
    fixture f =
        make((ra_field){.type = RA_TYPE_UTF8, .is_dictionary = true, .index_type = type}, n);
    f.column->validity = validity;
    f.column->buffers[0] = indices;
    return f;
}

static void indices_must_be_in_the_dictionary(void **state) {
    (void)state;
    accepts(with_indices(RA_TYPE_INT32, NONE, 3, I32(0, 2, 1)));
    refuses(with_indices(RA_TYPE_INT32, NONE, 3, I32(0, 2, 3)), "index 3 in row 2");
    refuses(with_indices(RA_TYPE_INT32, NONE, 3, I32(0, -1, 3)), "index -1 in row 1");
    accepts(with_indices(RA_TYPE_INT32, I8(1), 3, I32(0, -1, 3)));
    refuses(with_indices(RA_TYPE_INT8, NONE, 3, I8(0, -1, 3)), "index -1 in row 1");
    refuses(with_indices(RA_TYPE_UINT8, NONE, 3, I8(0, -1, 3)), "index 255 in row 1");
    refuses(with_indices(RA_TYPE_INT16, NONE, 1, I16(-32768)), "index -32768");
    refuses(with_indices(RA_TYPE_UINT16, NONE, 1, I16(-1)), "index 65535");
    refuses(with_indices(RA_TYPE_UINT64, NONE, 1, I64(-1)), "in row 0 is outside");
    refuses(with_indices(RA_TYPE_UINT32, NONE, 3, I32(0)), "12 are needed");
    fixture f = with_indices(RA_TYPE_INT8, NONE, 1, I8(-1));
    f.dictionary->columns[0].length = 1000;
    refuses(f, "index -1");
    f = with_indices(RA_TYPE_UINT8, NONE, 1, I8(-1));
    f.dictionary->columns[0].length = 1000;
    accepts(f);
    f = with_indices(RA_TYPE_INT8, NONE, 1, I8(0));
    f.column->dictionary = NULL;
    refuses(f, "no dictionary");
}

static void indices_are_found_in_long_columns(void **state) {
    (void)state;
    for (int at = 0; at < 200; at++) {
        int16_t indices[200] = {0};
        indices[at] = 3;
        refuses(with_indices(RA_TYPE_INT16, NONE, 200, odd_span(indices, sizeof indices)),
                "index 3 in row");
    }
}

static fixture with_decimal(ra_type_id type, int32_t precision, ra_span validity, ra_span value) {
    fixture f = make((ra_field){.type = type, .precision = precision}, 1);
    f.column->validity = validity;
    f.column->buffers[0] = value;
    return f;
}

// 10^precision in 32-bit words, lowest first; negated, and 1 nearer to zero, when asked.
static void make_power(unsigned power[10], int32_t precision, bool negative, bool nearer) {
    memset(power, 0, 10 * sizeof *power);
    power[0] = 1;
    for (int32_t e = 0; e < precision; e++) {
        uint64_t carry = 0;
        for (int k = 0; k < 10; k++) {
            carry += (uint64_t)power[k] * 10;
            power[k] = (unsigned)carry;
            carry >>= 32;
        }
    }
    for (int k = 0; nearer && power[k]-- == 0;)
        k++;
    unsigned carry = negative;
    for (int k = 0; negative && k < 10; k++) {
        power[k] = ~power[k] + carry;
        carry = carry && power[k] == 0;
    }
}

static void decimals_must_fit_their_precision(void **state) {
    (void)state;
    static const int32_t max[] = {9, 18, 38, 76};
    for (int w = 0; w < 4; w++)
        for (int32_t precision = 1; precision <= max[w]; precision++)
            for (int negative = 0; negative < 2; negative++) {
                unsigned power[10], nearer[10];
                make_power(power, precision, negative, false);
                make_power(nearer, precision, negative, true);
                size_t width = (size_t)4 << w;
                ra_type_id t = (ra_type_id)(RA_TYPE_DECIMAL32 + w);
                accepts(with_decimal(t, precision, NONE, odd_span(nearer, width)));
                refuses(with_decimal(t, precision, NONE, odd_span(power, width)), "digits");
                accepts(with_decimal(t, precision, I8(0), odd_span(power, width)));
            }
}

static fixture with_time(ra_type_id type, ra_time_unit unit, ra_span validity, ra_span value) {
    fixture f = make((ra_field){.type = type, .unit = unit}, 1);
    f.column->validity = validity;
    f.column->buffers[0] = value;
    return f;
}

static void times_must_be_within_a_day(void **state) {
    (void)state;
    accepts(with_time(RA_TYPE_TIME32, RA_UNIT_SECOND, NONE, I32(86399)));
    refuses(with_time(RA_TYPE_TIME32, RA_UNIT_SECOND, NONE, I32(86400)), "time 86400 in row 0");
    refuses(with_time(RA_TYPE_TIME32, RA_UNIT_SECOND, NONE, I32(-1)), "time -1");
    accepts(with_time(RA_TYPE_TIME32, RA_UNIT_SECOND, I8(0), I32(-1)));
    accepts(with_time(RA_TYPE_TIME32, RA_UNIT_MILLI, NONE, I32(86399999)));
    refuses(with_time(RA_TYPE_TIME32, RA_UNIT_MILLI, NONE, I32(86400000)), "within a day");
    accepts(with_time(RA_TYPE_TIME64, RA_UNIT_MICRO, NONE, I64(86399999999)));
    refuses(with_time(RA_TYPE_TIME64, RA_UNIT_MICRO, NONE, I64(86400000000)), "within a day");
    accepts(with_time(RA_TYPE_TIME64, RA_UNIT_NANO, NONE, I64(86399999999999)));
    refuses(with_time(RA_TYPE_TIME64, RA_UNIT_NANO, NONE, I64(86400000000000)), "within a day");
    refuses(with_time(RA_TYPE_TIME64, RA_UNIT_NANO, NONE, I64(INT64_MIN)), "within a day");
    accepts(with_time(RA_TYPE_DATE64, RA_UNIT_MILLI, NONE, I64(-86400000)));
    refuses(with_time(RA_TYPE_DATE64, RA_UNIT_MILLI, NONE, I64(1)), "whole number of days");
    accepts(with_time(RA_TYPE_DATE64, RA_UNIT_MILLI, I8(0), I64(1)));
    accepts(with_time(RA_TYPE_TIMESTAMP, RA_UNIT_SECOND, NONE, I64(INT64_MIN)));
}

// Gives a child `n` int32 values.
static void set_child(fixture *f, int i, int64_t n, ra_span validity) {
    ra_array *child = &f->column->children[i];
    child->length = n;
    child->validity = validity;
    child->buffers[0] = testing_random_bytes(&(testing_rng){5}, f->batch, n * 4 + 4);
    if (child->field->type == RA_TYPE_UTF8)
        memset((uint8_t *)(uintptr_t)child->buffers[0].data, 0, (size_t)n * 4 + 4);
}

static fixture with_list(ra_type_id type, int64_t n, ra_span validity, ra_span first,
                         ra_span second) {
    fixture f = with(type, n, validity, first, second);
    set_child(&f, 0, 5, NONE);
    return f;
}

static void lists_must_lie_in_their_values(void **state) {
    (void)state;
    ra_type_id t = RA_TYPE_LIST;
    accepts(with_list(t, 2, NONE, I32(1, 2, 5), NONE));
    refuses(with_list(t, 2, NONE, I32(0, 2, 6), NONE), "last offset 6 is beyond the 5");
    refuses(with_list(t, 2, I8(0), I32(0, 3, 2), NONE), "offset 3 in row 1");
    refuses(with_list(RA_TYPE_LARGE_LIST, 2, NONE, I64(0, 2, 6), NONE), "last offset 6");
    t = RA_TYPE_LIST_VIEW;
    accepts(with_list(t, 2, NONE, I32(3, 0), I32(2, 3)));
    accepts(with_list(t, 2, NONE, I32(5, 0), I32(0, 5)));
    refuses(with_list(t, 2, NONE, I32(6, 0), I32(0, 3)), "row 0 (offset 6, size 0)");
    refuses(with_list(t, 2, NONE, I32(0, 3), I32(3, 3)), "row 1 (offset 3, size 3)");
    refuses(with_list(t, 2, I8(1), I32(0, 3), I32(3, 3)), "row 1");
    refuses(with_list(t, 2, NONE, I32(-3, 0), I32(0, 3)), "row 0");
    refuses(with_list(t, 2, NONE, I32(3, 0), I32(-1, 3)), "row 0");
    refuses(with_list(t, 2, NONE, I32(0, 0), I32(0)), "8 are needed");
    refuses(with_list(t, 2, NONE, I32(0), I32(0, 0)), "8 are needed");
    refuses(with_list(RA_TYPE_LARGE_LIST_VIEW, 1, NONE, I64(INT64_MAX), I64(INT64_MAX)), "row 0");
    accepts(with_list(RA_TYPE_FIXED_SIZE_LIST, 2, NONE, NONE, NONE));
    refuses(with_list(RA_TYPE_FIXED_SIZE_LIST, 3, NONE, NONE, NONE), "5 rows but 6 are needed");
    fixture f = with_list(RA_TYPE_FIXED_SIZE_LIST, 2, NONE, NONE, NONE);
    f.column->length = f.batch->n_rows = INT64_MAX;
    refuses(f, "too many");
}

static void children_are_cut_to_the_exact_length(void **state) {
    (void)state;
    ra_error err;
    fixture f = with(RA_TYPE_FIXED_SIZE_LIST, 2, NONE, NONE, NONE);
    set_child(&f, 0, 6, I8(0x1F));
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->children[0].length, 4);
    assert_int_equal(f.column->children[0].null_count, 0);
    assert_null(f.column->children[0].validity.data);
    done(&f);
    ra_type_id types[] = {RA_TYPE_STRUCT, RA_TYPE_SPARSE_UNION};
    for (int t = 0; t < 2; t++) {
        f = with(types[t], 3, NONE, I8(5, 2, 5), NONE);
        set_child(&f, 0, 5, I8(0x1B));
        set_child(&f, 1, 3, NONE);
        testing_must(ra_check_batch(f.batch, &err), &err);
        assert_int_equal(f.column->children[0].length, 3);
        assert_int_equal(f.column->children[0].null_count, 1);
        done(&f);
        f = with(types[t], 4, NONE, I8(5, 2, 5, 5), NONE);
        set_child(&f, 0, 5, NONE);
        set_child(&f, 1, 3, NONE);
        refuses(f, "child 1 has 3 rows but 4 are needed");
    }
}

static fixture with_map(ra_span key_validity, ra_span entry_validity) {
    fixture f = with(RA_TYPE_MAP, 2, NONE, I32(0, 1, 1), NONE);
    ra_array *entries = &f.column->children[0];
    entries->length = 2;
    entries->validity = entry_validity;
    for (int i = 0; i < 2; i++) {
        entries->children[i].length = 3;
        entries->children[i].buffers[0] = I32(0, 0, 0, 0);
    }
    entries->children[0].validity = key_validity;
    return f;
}

static void maps_have_no_null_keys_or_entries(void **state) {
    (void)state;
    accepts(with_map(NONE, NONE));
    accepts(with_map(I8(7), I8(3)));
    refuses(with_map(I8(6), NONE), "keys must not be null");
    refuses(with_map(I8(3), NONE), "keys must not be null");
    refuses(with_map(NONE, I8(1)), "entries must not be null");
}

static fixture with_union(ra_type_id type, ra_span ids, ra_span offsets) {
    fixture f = with(type, 3, NONE, ids, offsets);
    set_child(&f, 0, 3, NONE);
    set_child(&f, 1, 3, NONE);
    return f;
}

static void unions_must_have_known_types_and_offsets(void **state) {
    (void)state;
    ra_type_id t = RA_TYPE_SPARSE_UNION;
    accepts(with_union(t, I8(5, 2, 5), NONE));
    refuses(with_union(t, I8(5, 2, 4), NONE), "type id 4 in row 2");
    refuses(with_union(t, I8(5, -1, 4), NONE), "type id -1 in row 1");
    refuses(with_union(t, I8(5, 2), NONE), "3 are needed");
    t = RA_TYPE_DENSE_UNION;
    accepts(with_union(t, I8(5, 2, 5), I32(0, 0, 2)));
    accepts(with_union(t, I8(5, 2, 5), I32(1, 0, 1)));
    refuses(with_union(t, I8(5, 2, 5), I32(1, 0, 0)), "offset 0 in row 2 is below");
    refuses(with_union(t, I8(5, 2, 5), I32(1, 3, 2)), "offset 3 in row 1");
    refuses(with_union(t, I8(5, 2, 5), I32(1, -1, 2)), "offset -1 in row 1");
    refuses(with_union(t, I8(5, 2, 5), I32(1, 1)), "12 are needed");
}

static fixture with_runs(int64_t n, int64_t n_ends, ra_span ends, int64_t n_values) {
    fixture f = with(RA_TYPE_RUN_END_ENCODED, n, NONE, NONE, NONE);
    f.column->children[0].length = n_ends;
    f.column->children[0].buffers[0] = ends;
    f.column->children[1].length = n_values;
    f.column->children[1].buffers[0] = I32(0, 0, 0, 0, 0, 0);
    return f;
}

static void run_ends_must_rise_and_reach_the_length(void **state) {
    (void)state;
    ra_error err;
    accepts(with_runs(3, 3, I16(1, 2, 3), 3));
    accepts(with_runs(0, 0, NONE, 0));
    refuses(with_runs(4, 3, I16(1, 2, 3), 3), "end at 3 before row 4");
    refuses(with_runs(1, 0, NONE, 0), "end at 0 before row 1");
    refuses(with_runs(3, 3, I16(0, 2, 3), 3), "run end 0 of run 0");
    refuses(with_runs(3, 3, I16(1, 1, 3), 3), "run end 1 of run 1");
    refuses(with_runs(3, 3, I16(1, 4, 3), 3), "run end 3 of run 2");
    refuses(with_runs(3, 3, I16(1, 2, 3), 2), "3 runs have only 2 values");
    fixture f = with_runs(3, 3, I16(1, 2, 3), 3);
    f.column->children[0].validity = I8(5);
    refuses(f, "run ends must not be null");
    f = with_runs(3, 4, I16(1, 5, 9, 10), 5);
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->children[0].length, 2);
    assert_int_equal(f.column->children[1].length, 2);
    done(&f);
    f = with_runs(0, 2, I16(1, 5), 2);
    testing_must(ra_check_batch(f.batch, &err), &err);
    assert_int_equal(f.column->children[1].length, 0);
    done(&f);
}

static void nested_faults_name_column_and_field(void **state) {
    (void)state;
    ra_error err;
    fixture f = with(RA_TYPE_STRUCT, 1, NONE, NONE, NONE);
    set_child(&f, 0, 1, NONE);
    f.column->children[1].length = 1;
    f.column->children[1].buffers[0] = I32(0, 1);
    f.column->children[1].buffers[1] = TEXT("\xFF");
    assert_int_equal(ra_check_batch(f.batch, &err), RA_INVALID);
    assert_string_equal(err.message, "column 'c', field 'f1': the string in row 0 is not UTF-8");
    done(&f);
}

// `depth` levels, each of two rows that show both rows below: lists, or with `dictionary` lists of
// indices into such a dictionary.
static fixture with_levels(int depth, bool dictionary) {
    ra_error err;
    fixture f = {0};
    testing_must(ra_schema_new(1, &f.schema, &err), &err);
    ra_field *field = f.schema->fields;
    for (int level = 0; level <= depth; level++) {
        bool leaf = level == depth;
        *field = (ra_field){.name = RA_STR("c"), .type = leaf ? RA_TYPE_INT8 : RA_TYPE_LIST_VIEW};
        if (!leaf && dictionary)
            *field = (ra_field){.name = RA_STR("c"),
                                .type = RA_TYPE_LIST,
                                .is_dictionary = true,
                                .index_type = RA_TYPE_INT8};
        field = leaf ? field : testing_set_children(f.schema, field, 1);
    }
    testing_must(ra_schema_seal(f.schema, &err), &err);
    testing_must(ra_batch_new(f.schema, 2, &f.batch, &err), &err);
    f.column = &f.batch->columns[0];
    ra_array *a = f.column;
    ra_batch *owner = f.batch;
    for (int level = 0; level < depth; level++, a = &a->children[0]) {
        a->length = 2;
        a->buffers[0] = dictionary ? I8(0, 1) : I32(0, 0);
        a->buffers[1] = I32(2, 2);
        if (dictionary) {
            ra_batch *values;
            testing_must(ra_dictionary_new(f.schema, a->field, 2, &values, &err), &err);
            testing_must(ra_batch_own_dictionary(owner, values, &err), &err);
            ra_batch_unref(values);
            a->dictionary = values->columns;
            a = values->columns;
            owner = values;
            a->buffers[0] = I32(0, 2, 4);
        }
    }
    a->length = dictionary ? 4 : 2;
    a->buffers[0] = I8(1, 2, 3, 4);
    return f;
}

// In a dictionary's lists the indices are 0, 1, 0, 1.
static void repeat_indices(const ra_array *a) {
    for (; a->dictionary; a = a->dictionary->children) {
        ra_array *below = &a->dictionary->children[0];
        below->length = 4;
        if (below->dictionary)
            below->buffers[0] = I8(0, 1, 0, 1);
    }
}

static void values_shown_too_often_are_a_limit(void **state) {
    (void)state;
    ra_error err;
    for (int dictionary = 0; dictionary < 2; dictionary++) {
        fixture f = with_levels(10, dictionary);
        repeat_indices(f.column);
        accepts(f);
        f = with_levels(30, dictionary);
        repeat_indices(f.column);
        assert_int_equal(ra_check_batch(f.batch, &err), RA_EXHAUSTED);
        assert_int_equal(err.reason, RA_REASON_LIMIT);
        assert_string_equal(err.subject, "c");
        done(&f);
    }
}

// Damages random bytes and sizes. What the check lets pass, everything else must survive: this is
// for the sanitizers, and for the checks of what comes out.
static void damage(testing_rng *rng, ra_array *array) {
    while (array->n_children > 0 && testing_one_in(rng, 2))
        array = &array->children[testing_below(rng, array->n_children)];
    ra_span *spans[] = {&array->validity, &array->buffers[0], &array->buffers[1],
                        array->n_variadic ? &array->variadic[0] : &array->buffers[0]};
    ra_span *span = spans[testing_below(rng, 4)];
    static const int64_t words[] = {0, -1, 1, INT32_MAX, INT32_MIN, 255, 100};
    int64_t word = testing_one_in(rng, 2) ? words[testing_below(rng, 7)] : testing_below(rng, 70);
    if (testing_one_in(rng, 6)) {
        array->length = testing_below(rng, array->length + 3);
    } else if (testing_one_in(rng, 6)) {
        span->bytes = testing_below(rng, span->bytes);
    } else if (span->data && span->bytes > 0) {
        int64_t width = INT64_C(1) << testing_below(rng, 4);
        int64_t at = testing_below(rng, span->bytes / width) * width;
        if (at + width <= span->bytes)
            memcpy((uint8_t *)(uintptr_t)span->data + at, &word, (size_t)width);
    }
}

static void use(ra_batch *batch) {
    ra_error err;
    ra_batch *slice, *joined;
    int64_t from = batch->n_rows / 3;
    testing_must(ra_batch_slice(batch, from, batch->n_rows - from, &slice, &err), &err);
    testing_must(ra_check_batch(slice, &err), &err);
    testing_must(ra_batch_concat((ra_batch *[]){slice, batch}, 2, &joined, &err), &err);
    testing_must(ra_check_batch(joined, &err), &err);
    for (int i = 0; i < batch->n_columns; i++) {
        assert_true(ra_array_ranges_equal(&joined->columns[i], 0, &slice->columns[i], 0,
                                          slice->n_rows, RA_FLOATS_AS_KEYS));
        for (int64_t r = 0; r < slice->n_rows; r++)
            assert_int_equal(ra_array_hash_row(&batch->columns[i], from + r, 1),
                             ra_array_hash_row(&joined->columns[i], r, 1));
    }
    ra_batch_unref(joined);
    ra_batch_unref(slice);
}

static void damaged_batches_are_refused_or_harmless(void **state) {
    (void)state;
    int n_passed = 0, n_refused = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        testing_rng rng = {seed};
        ra_error err;
        ra_schema *schema = testing_random_schema(seed, 1, 2);
        ra_batch *batch = testing_random_batch(seed, 1 + testing_below(&rng, 70), schema);
        ra_batch *damaged = testing_misaligned(batch);
        for (int64_t n = 1 + testing_below(&rng, 3); n > 0; n--)
            damage(&rng, &damaged->columns[0]);
        if (ra_check_batch(damaged, &err) == 0) {
            use(damaged);
            n_passed++;
        } else {
            assert_string_equal(err.subject, "c0");
            n_refused++;
        }
        ra_batch_unref(damaged);
        ra_batch_unref(batch);
        ra_schema_unref(schema);
    }
    assert_true(n_passed > 500 && n_refused > 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_must_hold_the_rows),
        cmocka_unit_test(rows_must_be_those_of_the_batch),
        cmocka_unit_test(nulls_are_counted),
        cmocka_unit_test(offsets_must_rise_within_the_data),
        cmocka_unit_test(a_falling_offset_is_found_anywhere),
        cmocka_unit_test(strings_must_be_utf8_where_they_are_valid),
        cmocka_unit_test(damaged_characters_are_found_anywhere),
        cmocka_unit_test(views_must_lie_in_their_buffers),
        cmocka_unit_test(indices_must_be_in_the_dictionary),
        cmocka_unit_test(indices_are_found_in_long_columns),
        cmocka_unit_test(decimals_must_fit_their_precision),
        cmocka_unit_test(times_must_be_within_a_day),
        cmocka_unit_test(lists_must_lie_in_their_values),
        cmocka_unit_test(children_are_cut_to_the_exact_length),
        cmocka_unit_test(maps_have_no_null_keys_or_entries),
        cmocka_unit_test(unions_must_have_known_types_and_offsets),
        cmocka_unit_test(run_ends_must_rise_and_reach_the_length),
        cmocka_unit_test(nested_faults_name_column_and_field),
        cmocka_unit_test(values_shown_too_often_are_a_limit),
        cmocka_unit_test(damaged_batches_are_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
