#include "query/json_reader.h"

#include "base/os.h"
#include "query/reader.h"

static int read_value(ra_reader *r, json_t **out);

// Columns count characters, from 1.
static int fail(const ra_reader *r, const char *what) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < r->at && i < r->len; i++) {
        if (r->text[i] == '\n') {
            line++;
            column = 1;
        } else {
            column += ((unsigned char)r->text[i] & 0xC0) != 0x80;
        }
    }
    RA_FAIL(r->err, MALFORMED_REQUEST, "JSON: %s at line %zu, column %zu (byte %zu)", what, line,
            column, r->at);
}

// \uXXXX, or two of them for a character beyond U+FFFF; the position is behind the first 'u'.
static int read_unicode_escape(ra_reader *r) {
    uint32_t c, low;
    RA_TRY(ra_reader_hex(r, 4, &c));
    if (c >= 0xD800 && c < 0xDC00 && ra_reader_peek(r) == '\\' && ra_reader_peek_at(r, 1) == 'u') {
        r->at += 2;
        RA_TRY(ra_reader_hex(r, 4, &low));
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(r, "a lone surrogate");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (c >= 0xD800 && c <= 0xDFFF)
        return fail(r, "a lone surrogate");
    return ra_reader_put_char(r, c);
}

static int read_escape(ra_reader *r) {
    static const char simple[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    int c = ra_reader_peek(r);
    if (c == 'u') {
        r->at++;
        return read_unicode_escape(r);
    }
    for (size_t i = 0; i + 1 < sizeof simple; i += 2) {
        if (simple[i] == c) {
            r->at++;
            return ra_bytes_append(&r->scratch, &simple[i + 1], 1, r->err);
        }
    }
    return fail(r, "an unknown escape");
}

// Leaves the string in the scratch buffer.
static int read_string(ra_reader *r) {
    ra_bytes_clear(&r->scratch);
    r->at++;
    for (;;) {
        size_t n = 0;
        int c = ra_reader_peek(r);
        while (c >= 0x20 && c != '"' && c != '\\')
            c = ra_reader_peek_at(r, ++n);
        RA_TRY(ra_reader_keep(r, n));
        if (c < 0)
            return fail(r, "an unterminated string");
        if (c < 0x20)
            return fail(r, "a control character in a string");
        r->at++;
        if (c == '"')
            return 0;
        RA_TRY(read_escape(r));
    }
}

static int read_digits(ra_reader *r) {
    size_t n = 0;
    while (ra_is_digit(ra_reader_peek_at(r, n)))
        n++;
    if (n == 0)
        return fail(r, "a digit is missing");
    return ra_reader_keep(r, n);
}

static int read_number(ra_reader *r, json_t **out) {
    ra_bytes_clear(&r->scratch);
    bool is_real = false;
    if (ra_reader_peek(r) == '-')
        RA_TRY(ra_reader_keep(r, 1));
    else
        RA_TRY(ra_bytes_append(&r->scratch, "+", 1, r->err));
    if (ra_reader_peek(r) == '0' && ra_is_digit(ra_reader_peek_at(r, 1)))
        return fail(r, "a number with leading zeros");
    RA_TRY(read_digits(r));
    if (ra_reader_peek(r) == '.') {
        is_real = true;
        RA_TRY(ra_reader_keep(r, 1));
        RA_TRY(read_digits(r));
    }
    if ((ra_reader_peek(r) | 0x20) == 'e') {
        is_real = true;
        RA_TRY(ra_reader_keep(r, 1));
        if (ra_reader_peek(r) == '+' || ra_reader_peek(r) == '-')
            RA_TRY(ra_reader_keep(r, 1));
        RA_TRY(read_digits(r));
    }
    if (is_real)
        return ra_reader_real(r, out);
    int64_t value;
    RA_TRY(ra_reader_integer(r, 10, &value));
    *out = json_integer(value);
    return *out ? 0 : ra_reader_no_memory(r);
}

static int read_word(ra_reader *r, json_t **out) {
    static const char *const words[] = {"null", "true", "false"};
    json_t *const values[] = {json_null(), json_true(), json_false()};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (n <= r->len - r->at && memcmp(r->text + r->at, words[i], n) == 0) {
            r->at += n;
            *out = values[i];
            return 0;
        }
    }
    return fail(r, r->at == r->len ? "an unexpected end" : "unexpected text");
}

// Moves behind what stands between two items; `*more` is false behind the closing bracket.
static int next_item(ra_reader *r, bool is_first, char close, bool *more) {
    ra_reader_skip_space(r);
    *more = ra_reader_peek(r) != close;
    if (!*more) {
        r->at++;
        return 0;
    }
    if (is_first)
        return 0;
    if (ra_reader_peek(r) != ',')
        return fail(r, "expected ',' or a closing bracket");
    r->at++;
    ra_reader_skip_space(r);
    return 0;
}

static int read_items(ra_reader *r, json_t *list) {
    bool more;
    for (bool is_first = true;; is_first = false) {
        json_t *item;
        RA_TRY(next_item(r, is_first, ']', &more));
        if (!more)
            return 0;
        RA_TRY(read_value(r, &item));
        if (json_array_append_new(list, item) != 0)
            return ra_reader_no_memory(r);
    }
}

static int read_pair(ra_reader *r, json_t *object) {
    if (ra_reader_peek(r) != '"')
        return fail(r, "expected a key");
    RA_TRY(read_string(r));
    ra_str key = ra_reader_scratch(r);
    if (memchr(key.data, '\0', key.len))
        return fail(r, "a key with U+0000, ending");
    return ra_reader_pair(r, object, read_value);
}

static int read_pairs(ra_reader *r, json_t *object) {
    bool more;
    for (bool is_first = true;; is_first = false) {
        RA_TRY(next_item(r, is_first, '}', &more));
        if (!more)
            return 0;
        RA_TRY(read_pair(r, object));
    }
}

static int read_nested(ra_reader *r, json_t **out) {
    if (r->depth == RA_MAX_COMMAND_NESTING)
        return fail(r, "more than 64 levels of nesting");
    bool is_list = r->text[r->at++] == '[';
    json_t *value = is_list ? json_array() : json_object();
    if (!value)
        return ra_reader_no_memory(r);
    r->depth++;
    int rc = is_list ? read_items(r, value) : read_pairs(r, value);
    r->depth--;
    if (rc != 0)
        json_decref(value);
    else
        *out = value;
    return rc;
}

static int read_value(ra_reader *r, json_t **out) {
    int c = ra_reader_peek(r);
    *out = NULL;
    if (c == '{' || c == '[')
        return read_nested(r, out);
    if (c == '-' || ra_is_digit(c))
        return read_number(r, out);
    if (c != '"')
        return read_word(r, out);
    RA_TRY(read_string(r));
    ra_str text = ra_reader_scratch(r);
    *out = json_stringn_nocheck(text.data, text.len);
    return *out ? 0 : ra_reader_no_memory(r);
}

int ra_json_read(ra_str text, json_t **out, ra_error *err) {
    ra_reader r = {
        .text = text.data, .len = text.len, .space = " \t\r\n", .fail = fail, .err = err};
    ra_bytes_init(&r.scratch, text.len + 64);
    ra_reader_skip_space(&r);
    int rc = read_value(&r, out);
    if (rc == 0) {
        ra_reader_skip_space(&r);
        if (r.at < r.len)
            rc = fail(&r, "unexpected text");
    }
    if (rc != 0) {
        json_decref(*out);
        *out = NULL;
    }
    ra_bytes_fini(&r.scratch);
    return rc;
}
