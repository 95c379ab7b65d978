#include "query/literal.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/os.h"
#include "base/utf8.h"

typedef struct {
    const char *text;
    size_t len;
    size_t at;
    int depth;
    ra_bytes scratch;  // the string or number that is being read
    ra_error *err;
} reader;

static int read_value(reader *r, json_t **out);

static int fail(const reader *r, const char *what) {
    RA_FAIL(r->err, MALFORMED_REQUEST, "legacy command: %s at byte %zu", what, r->at);
}

static int no_memory(const reader *r) {
    RA_FAIL(r->err, OUT_OF_MEMORY, "no memory for the arguments of a legacy command");
}

// The byte at the position, -1 at the end.
static int peek(const reader *r) {
    return r->at < r->len ? (unsigned char)r->text[r->at] : -1;
}

static int peek_at(const reader *r, size_t more) {
    return r->at + more < r->len ? (unsigned char)r->text[r->at + more] : -1;
}

static void skip_space(reader *r) {
    while (r->at < r->len && memchr(" \t\r\n\f", r->text[r->at], 5))
        r->at++;
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static bool is_word(int c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 128;
}

static int digit_value(int c) {
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static int put_char(reader *r, uint32_t c) {
    uint8_t utf8[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (n == 1) {
        utf8[0] = (uint8_t)c;
    } else {
        static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (size_t i = n; i-- > 1; c >>= 6)
            utf8[i] = (uint8_t)(0x80 | (c & 0x3F));
        utf8[0] = (uint8_t)(lead[n] | c);
    }
    return ra_bytes_append(&r->scratch, utf8, n, r->err);
}

// What a numeric escape stands for: a byte in bytes, a character in str.
static int put_code(reader *r, uint32_t code, bool is_bytes) {
    if (is_bytes) {
        if (code > 0xFF)
            return fail(r, "an escape beyond a byte");
        uint8_t byte = (uint8_t)code;
        return ra_bytes_append(&r->scratch, &byte, 1, r->err);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return fail(r, "an escape that is not a Unicode character");
    return put_char(r, code);
}

// The position is behind the backslash.
static int read_escape(reader *r, bool is_bytes) {
    int c = peek(r);
    if (c < 0)
        return fail(r, "unterminated string");
    static const char simple[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    for (size_t i = 0; i + 1 < sizeof simple; i += 2) {
        if (simple[i] == c) {
            r->at++;
            return ra_bytes_append(&r->scratch, &simple[i + 1], 1, r->err);
        }
    }
    if (c == '\n') {
        r->at++;
        return 0;
    }
    uint32_t code = 0;
    if (c >= '0' && c <= '7') {
        for (int i = 0; i < 3 && peek(r) >= '0' && peek(r) <= '7'; i++)
            code = code * 8 + (uint32_t)digit_value(r->text[r->at++]);
        return put_code(r, code, is_bytes);
    }
    int n_digits = c == 'x' ? 2 : is_bytes ? 0 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N' && !is_bytes)
        return fail(r, "\\N escapes are not supported");
    if (n_digits == 0)  // as Python does: the backslash stays
        return ra_bytes_append(&r->scratch, "\\", 1, r->err);
    r->at++;
    for (int i = 0; i < n_digits; i++, r->at++) {
        int value = digit_value(peek(r));
        if (value >= 16)
            return fail(r, "a truncated escape");
        code = code * 16 + (uint32_t)value;
    }
    return put_code(r, code, is_bytes);
}

typedef struct {
    bool is_bytes;
    bool raw;
} string_kind;

// Whether a string literal begins here; `kind` and the length of its prefix.
static bool is_string(const reader *r, string_kind *kind, size_t *prefix) {
    *kind = (string_kind){0};
    for (size_t n = 0; n <= 2; n++) {
        int c = peek_at(r, n);
        if (c == '\'' || c == '"') {
            *prefix = n;
            return true;
        }
        c |= 0x20;
        if (c == 'b' && !kind->is_bytes)
            kind->is_bytes = true;
        else if (c == 'r' && !kind->raw)
            kind->raw = true;
        else if (c != 'u' || n > 0 || (peek_at(r, 1) != '\'' && peek_at(r, 1) != '"'))
            return false;
    }
    return false;
}

// One quoted piece, appended to the scratch buffer.
static int read_quoted(reader *r, string_kind kind, size_t prefix) {
    r->at += prefix;
    char quote = r->text[r->at++];
    for (;;) {
        size_t from = r->at;
        while (r->at < r->len && r->text[r->at] != quote && r->text[r->at] != '\\' &&
               r->text[r->at] != '\n' && !(kind.is_bytes && (unsigned char)r->text[r->at] >= 128))
            r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, r->text + from, r->at - from, r->err));
        int c = peek(r);
        if (c < 0 || c == '\n')
            return fail(r, "unterminated string");
        if (c >= 128)
            return fail(r, "a character beyond ASCII in bytes");
        r->at++;
        if (c == quote)
            return 0;
        if (!kind.raw) {
            RA_TRY(read_escape(r, kind.is_bytes));
        } else {
            RA_TRY(ra_bytes_append(&r->scratch, "\\", 1, r->err));
            if (peek(r) == quote || peek(r) == '\\')
                RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at++], 1, r->err));
        }
    }
}

// Strings that follow each other are one, as in Python. Leaves the text in the scratch buffer.
static int read_string(reader *r, bool *found) {
    string_kind kind, first = {0};
    size_t prefix;
    *found = false;
    ra_bytes_clear(&r->scratch);
    while (is_string(r, &kind, &prefix)) {
        if (*found && kind.is_bytes != first.is_bytes)
            return fail(r, "str and bytes side by side");
        first = kind;
        *found = true;
        RA_TRY(read_quoted(r, kind, prefix));
        skip_space(r);
    }
    if (*found && !ra_utf8_is_valid(r->scratch.data, r->scratch.len))
        return fail(r, "bytes that are not UTF-8 text, ending");
    return 0;
}

// Copies digits of a base without their underscores, which may only stand between digits.
static int read_digits(reader *r, int base, size_t *n_digits) {
    *n_digits = 0;
    for (;; r->at++) {
        int c = peek(r);
        if (c == '_' && *n_digits > 0 && digit_value(peek_at(r, 1)) < base)
            continue;
        if (c < 0 || digit_value(c) >= base)
            return 0;
        RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at], 1, r->err));
        ++*n_digits;
    }
}

// The digits in the scratch buffer, of which the first may be a sign.
static int take_integer(reader *r, int base, int64_t *out) {
    bool negative = r->scratch.data[0] == '-';
    int64_t value = 0;
    for (size_t i = 1; i < r->scratch.len; i++) {
        int digit = digit_value(r->scratch.data[i]);
        if (!ra_mul_i64(value, base, &value) ||
            !(negative ? ra_sub_i64(value, digit, &value) : ra_add_i64(value, digit, &value)))
            return fail(r, "an integer beyond 64 bits, ending");
    }
    *out = value;
    return 0;
}

static int take_float(reader *r, json_t **out) {
    RA_TRY(ra_bytes_append(&r->scratch, "", 1, r->err));
    double value = strtod((const char *)r->scratch.data, NULL);
    if (!isfinite(value))
        return fail(r, "a float out of range, ending");
    *out = json_real(value);
    return *out ? 0 : no_memory(r);
}

// The rest of a decimal number whose integer digits were read.
static int read_fraction(reader *r, size_t n_digits) {
    size_t n = 0;
    if (peek(r) == '.') {
        r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, ".", 1, r->err));
        RA_TRY(read_digits(r, 10, &n));
    }
    if (n_digits + n == 0)
        return fail(r, "unexpected text");
    if ((peek(r) | 0x20) == 'e') {
        r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, "e", 1, r->err));
        if (peek(r) == '+' || peek(r) == '-')
            RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at++], 1, r->err));
        RA_TRY(read_digits(r, 10, &n));
        if (n == 0)
            return fail(r, "an exponent without digits");
    }
    return 0;
}

// `integer`: where an integer goes when nothing else is allowed (keys of a dict), else NULL.
static int read_number(reader *r, json_t **out, int64_t *integer) {
    ra_bytes_clear(&r->scratch);
    char sign = '+';
    if (peek(r) == '+' || peek(r) == '-') {
        sign = r->text[r->at++];
        skip_space(r);
    }
    RA_TRY(ra_bytes_append(&r->scratch, &sign, 1, r->err));
    int mark = peek_at(r, 1) | 0x20, base = 10;
    if (peek(r) == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
        r->at += peek_at(r, 2) == '_' ? 3 : 2;
    }
    size_t n_digits;
    RA_TRY(read_digits(r, base, &n_digits));
    bool is_float = base == 10 && (peek(r) == '.' || (peek(r) | 0x20) == 'e');
    if (is_float)
        RA_TRY(read_fraction(r, n_digits));
    if (n_digits == 0 && !is_float)
        return fail(r, "unexpected text");
    if (is_word(peek(r)))
        return fail(r, "unexpected text after a number");
    if (is_float && integer)
        return fail(r, "a float as key");
    if (is_float)
        return take_float(r, out);
    if (base == 10 && n_digits > 1 && r->scratch.data[1] == '0' &&
        strspn((const char *)r->scratch.data + 1, "0") < n_digits)
        return fail(r, "a decimal integer with leading zeros, ending");
    int64_t value;
    RA_TRY(take_integer(r, base, &value));
    if (integer) {
        *integer = value;
        return 0;
    }
    *out = json_integer(value);
    return *out ? 0 : no_memory(r);
}

static int read_word(reader *r, json_t **out) {
    size_t n = 0;
    while (is_word(peek_at(r, n)))
        n++;
    ra_str word = {r->text + r->at, n};
    if (ra_str_eq(word, RA_STR("None")))
        *out = json_null();
    else if (ra_str_eq(word, RA_STR("True")))
        *out = json_true();
    else if (ra_str_eq(word, RA_STR("False")))
        *out = json_false();
    else
        return fail(r, "unexpected text");
    r->at += n;
    return 0;
}

// Items of a list or tuple up to `close`. `*n_commas` tells `(1)` from `(1,)`.
static int read_items(reader *r, char close, json_t *list, size_t *n_commas) {
    *n_commas = 0;
    for (;;) {
        skip_space(r);
        if (peek(r) == close) {
            r->at++;
            return 0;
        }
        if (json_array_size(list) > *n_commas)
            return fail(r, "expected ',' or a closing bracket");
        json_t *item;
        RA_TRY(read_value(r, &item));
        if (json_array_append_new(list, item) != 0)
            return no_memory(r);
        skip_space(r);
        if (peek(r) == ',') {
            r->at++;
            ++*n_commas;
        }
    }
}

static int read_list(reader *r, char close, json_t **out) {
    json_t *list = json_array();
    if (!list)
        return no_memory(r);
    size_t n_commas;
    int rc = read_items(r, close, list, &n_commas);
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    if (close == ')' && n_commas == 0 && json_array_size(list) == 1) {
        *out = json_incref(json_array_get(list, 0));
        json_decref(list);
    } else {
        *out = list;
    }
    return 0;
}

// A key of a dict, left as text in the scratch buffer.
static int read_key(reader *r) {
    bool found;
    RA_TRY(read_string(r, &found));
    if (found)
        return 0;
    int c = peek(r);
    if (!is_digit(c) && c != '-' && c != '+')
        return fail(r, "a key that is neither str nor int");
    int64_t key;
    RA_TRY(read_number(r, NULL, &key));
    ra_bytes_clear(&r->scratch);
    return ra_bytes_printf(&r->scratch, r->err, "%lld", (long long)key);
}

static int read_pair(reader *r, json_t *dict) {
    RA_TRY(read_key(r));
    const char *key = r->scratch.data ? (const char *)r->scratch.data : "";
    size_t key_len = r->scratch.len;
    if (json_object_getn(dict, key, key_len))
        return fail(r, "a duplicate key");
    char *copy = ra_malloc(key_len);  // the value uses the scratch buffer too
    if (!copy)
        return no_memory(r);
    memcpy(copy, key, key_len);
    json_t *value = NULL;
    skip_space(r);
    int rc = peek(r) == ':' ? 0 : fail(r, "expected ':'");
    if (rc == 0) {
        r->at++;
        skip_space(r);
        rc = read_value(r, &value);
    }
    if (rc == 0 && json_object_setn_new(dict, copy, key_len, value) != 0)
        rc = no_memory(r);
    ra_free(copy);
    return rc;
}

static int read_pairs(reader *r, json_t *dict) {
    bool comma = true;
    for (;;) {
        skip_space(r);
        if (peek(r) == '}') {
            r->at++;
            return 0;
        }
        if (!comma)
            return fail(r, "expected ',' or '}'");
        RA_TRY(read_pair(r, dict));
        skip_space(r);
        comma = peek(r) == ',';
        if (comma)
            r->at++;
    }
}

static int read_dict(reader *r, json_t **out) {
    json_t *dict = json_object();
    if (!dict)
        return no_memory(r);
    int rc = read_pairs(r, dict);
    if (rc != 0)
        json_decref(dict);
    else
        *out = dict;
    return rc;
}

static int read_nested(reader *r, json_t **out) {
    if (r->depth == RA_MAX_COMMAND_NESTING)
        return fail(r, "more than 64 levels of nesting");
    r->depth++;
    char open = r->text[r->at++];
    int rc = open == '{' ? read_dict(r, out) : read_list(r, open == '[' ? ']' : ')', out);
    r->depth--;
    return rc;
}

static int read_value(reader *r, json_t **out) {
    *out = NULL;
    bool found;
    int c = peek(r);
    if (c < 0)
        return fail(r, "unexpected end");
    if (c == '{' || c == '[' || c == '(')
        return read_nested(r, out);
    if (is_digit(c) || c == '-' || c == '+' || c == '.')
        return read_number(r, out, NULL);
    RA_TRY(read_string(r, &found));
    if (!found)
        return read_word(r, out);
    const char *text = r->scratch.data ? (const char *)r->scratch.data : "";
    *out = json_stringn_nocheck(text, r->scratch.len);
    return *out ? 0 : no_memory(r);
}

int ra_literal_read(ra_str text, size_t *at, json_t **out, ra_error *err) {
    reader r = {.text = text.data, .len = text.len, .at = *at, .err = err};
    ra_bytes_init(&r.scratch, text.len * 2 + 64);
    skip_space(&r);
    int rc = read_value(&r, out);
    ra_bytes_fini(&r.scratch);
    *at = r.at;
    return rc;
}
