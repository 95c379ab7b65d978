#include "query/literal.h"

#include "base/os.h"
#include "base/utf8.h"
#include "query/reader.h"

static int read_value(ra_reader *r, json_t **out);

static int fail(const ra_reader *r, const char *what) {
    RA_FAIL(r->err, MALFORMED_REQUEST, "legacy command: %s at byte %zu", what, r->at);
}

static bool is_word(int c) {
    return ra_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c >= 128;
}

// What a numeric escape stands for: a byte in bytes, a character in str.
static int put_code(ra_reader *r, uint32_t code, bool is_bytes) {
    if (is_bytes) {
        if (code > 0xFF)
            return fail(r, "an escape beyond a byte");
        uint8_t byte = (uint8_t)code;
        return ra_bytes_append(&r->scratch, &byte, 1, r->err);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return fail(r, "an escape that is not a Unicode character");
    return ra_reader_put_char(r, code);
}

// The position is behind the backslash.
static int read_escape(ra_reader *r, bool is_bytes) {
    int c = ra_reader_peek(r);
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
        for (int i = 0; i < 3 && ra_reader_peek(r) >= '0' && ra_reader_peek(r) <= '7'; i++)
            code = code * 8 + (uint32_t)ra_digit_value(r->text[r->at++]);
        return put_code(r, code, is_bytes);
    }
    int n_digits = c == 'x' ? 2 : is_bytes ? 0 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N' && !is_bytes)
        return fail(r, "\\N escapes are not supported");
    if (n_digits == 0)  // as Python does: the backslash stays
        return ra_bytes_append(&r->scratch, "\\", 1, r->err);
    r->at++;
    RA_TRY(ra_reader_hex(r, n_digits, &code));
    return put_code(r, code, is_bytes);
}

typedef struct {
    bool is_bytes;
    bool raw;
} string_kind;

// Whether a string literal begins here; `kind` and the length of its prefix.
static bool is_string(const ra_reader *r, string_kind *kind, size_t *prefix) {
    *kind = (string_kind){0};
    for (size_t n = 0; n <= 2; n++) {
        int c = ra_reader_peek_at(r, n);
        if (c == '\'' || c == '"') {
            *prefix = n;
            return true;
        }
        c |= 0x20;
        if (c == 'b' && !kind->is_bytes)
            kind->is_bytes = true;
        else if (c == 'r' && !kind->raw)
            kind->raw = true;
        else if (c != 'u' || n > 0 ||
                 (ra_reader_peek_at(r, 1) != '\'' && ra_reader_peek_at(r, 1) != '"'))
            return false;
    }
    return false;
}

// One quoted piece, appended to the scratch buffer.
static int read_quoted(ra_reader *r, string_kind kind, size_t prefix) {
    r->at += prefix;
    char quote = r->text[r->at++];
    for (;;) {
        size_t from = r->at;
        while (r->at < r->len && r->text[r->at] != quote && r->text[r->at] != '\\' &&
               r->text[r->at] != '\n' && !(kind.is_bytes && (unsigned char)r->text[r->at] >= 128))
            r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, r->text + from, r->at - from, r->err));
        int c = ra_reader_peek(r);
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
            if (ra_reader_peek(r) == quote || ra_reader_peek(r) == '\\')
                RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at++], 1, r->err));
        }
    }
}

// Strings that follow each other are one, as in Python. Leaves the text in the scratch buffer.
static int read_string(ra_reader *r, bool *found) {
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
        ra_reader_skip_space(r);
    }
    if (*found && !ra_utf8_is_valid(r->scratch.data, r->scratch.len))
        return fail(r, "bytes that are not UTF-8 text, ending");
    return 0;
}

// Copies digits of a base without their underscores, which may only stand between digits.
static int read_digits(ra_reader *r, int base, size_t *n_digits) {
    *n_digits = 0;
    for (;; r->at++) {
        int c = ra_reader_peek(r);
        if (c == '_' && *n_digits > 0 && ra_digit_value(ra_reader_peek_at(r, 1)) < base)
            continue;
        if (c < 0 || ra_digit_value(c) >= base)
            return 0;
        RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at], 1, r->err));
        ++*n_digits;
    }
}

// The rest of a decimal number whose integer digits were read.
static int read_fraction(ra_reader *r, size_t n_digits) {
    size_t n = 0;
    if (ra_reader_peek(r) == '.') {
        r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, ".", 1, r->err));
        RA_TRY(read_digits(r, 10, &n));
    }
    if (n_digits + n == 0)
        return fail(r, "unexpected text");
    if ((ra_reader_peek(r) | 0x20) == 'e') {
        r->at++;
        RA_TRY(ra_bytes_append(&r->scratch, "e", 1, r->err));
        if (ra_reader_peek(r) == '+' || ra_reader_peek(r) == '-')
            RA_TRY(ra_bytes_append(&r->scratch, &r->text[r->at++], 1, r->err));
        RA_TRY(read_digits(r, 10, &n));
        if (n == 0)
            return fail(r, "an exponent without digits");
    }
    return 0;
}

// Of digits behind a sign.
static bool is_all_zeros(ra_str digits) {
    for (size_t i = 1; i < digits.len; i++)
        if (digits.data[i] != '0')
            return false;
    return true;
}

// `integer`: where an integer goes when nothing else is allowed (keys of a dict), else NULL.
static int read_number(ra_reader *r, json_t **out, int64_t *integer) {
    ra_bytes_clear(&r->scratch);
    char sign = '+';
    if (ra_reader_peek(r) == '+' || ra_reader_peek(r) == '-') {
        sign = r->text[r->at++];
        ra_reader_skip_space(r);
    }
    RA_TRY(ra_bytes_append(&r->scratch, &sign, 1, r->err));
    int mark = ra_reader_peek_at(r, 1) | 0x20, base = 10;
    if (ra_reader_peek(r) == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
        r->at += ra_reader_peek_at(r, 2) == '_' ? 3 : 2;
    }
    size_t n_digits;
    RA_TRY(read_digits(r, base, &n_digits));
    bool is_float = base == 10 && (ra_reader_peek(r) == '.' || (ra_reader_peek(r) | 0x20) == 'e');
    if (is_float)
        RA_TRY(read_fraction(r, n_digits));
    if (n_digits == 0 && !is_float)
        return fail(r, "unexpected text");
    if (is_word(ra_reader_peek(r)))
        return fail(r, "unexpected text after a number");
    if (is_float && integer)
        return fail(r, "a float as key");
    if (is_float)
        return ra_reader_real(r, out);
    if (base == 10 && r->scratch.data[1] == '0' && !is_all_zeros(ra_reader_scratch(r)))
        return fail(r, "a decimal integer with leading zeros, ending");
    int64_t value;
    RA_TRY(ra_reader_integer(r, base, &value));
    if (integer) {
        *integer = value;
        return 0;
    }
    *out = json_integer(value);
    return *out ? 0 : ra_reader_no_memory(r);
}

static int read_word(ra_reader *r, json_t **out) {
    size_t n = 0;
    while (is_word(ra_reader_peek_at(r, n)))
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
static int read_items(ra_reader *r, char close, json_t *list, size_t *n_commas) {
    *n_commas = 0;
    for (;;) {
        ra_reader_skip_space(r);
        if (ra_reader_peek(r) == close) {
            r->at++;
            return 0;
        }
        if (json_array_size(list) > *n_commas)
            return fail(r, "expected ',' or a closing bracket");
        json_t *item;
        RA_TRY(read_value(r, &item));
        if (json_array_append_new(list, item) != 0)
            return ra_reader_no_memory(r);
        ra_reader_skip_space(r);
        if (ra_reader_peek(r) == ',') {
            r->at++;
            ++*n_commas;
        }
    }
}

static int read_list(ra_reader *r, char close, json_t **out) {
    json_t *list = json_array();
    if (!list)
        return ra_reader_no_memory(r);
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
static int read_key(ra_reader *r) {
    bool found;
    RA_TRY(read_string(r, &found));
    if (found)
        return 0;
    int c = ra_reader_peek(r);
    if (!ra_is_digit(c) && c != '-' && c != '+')
        return fail(r, "a key that is neither str nor int");
    int64_t key;
    RA_TRY(read_number(r, NULL, &key));
    ra_bytes_clear(&r->scratch);
    return ra_bytes_printf(&r->scratch, r->err, "%lld", (long long)key);
}

static int read_pair(ra_reader *r, json_t *dict) {
    RA_TRY(read_key(r));
    return ra_reader_pair(r, dict, read_value);
}

static int read_pairs(ra_reader *r, json_t *dict) {
    bool comma = true;
    for (;;) {
        ra_reader_skip_space(r);
        if (ra_reader_peek(r) == '}') {
            r->at++;
            return 0;
        }
        if (!comma)
            return fail(r, "expected ',' or '}'");
        RA_TRY(read_pair(r, dict));
        ra_reader_skip_space(r);
        comma = ra_reader_peek(r) == ',';
        if (comma)
            r->at++;
    }
}

static int read_dict(ra_reader *r, json_t **out) {
    json_t *dict = json_object();
    if (!dict)
        return ra_reader_no_memory(r);
    int rc = read_pairs(r, dict);
    if (rc != 0)
        json_decref(dict);
    else
        *out = dict;
    return rc;
}

static int read_nested(ra_reader *r, json_t **out) {
    if (r->depth == RA_MAX_COMMAND_NESTING)
        return fail(r, "more than 64 levels of nesting");
    r->depth++;
    char open = r->text[r->at++];
    int rc = open == '{' ? read_dict(r, out) : read_list(r, open == '[' ? ']' : ')', out);
    r->depth--;
    return rc;
}

static int read_value(ra_reader *r, json_t **out) {
    *out = NULL;
    bool found;
    int c = ra_reader_peek(r);
    if (c < 0)
        return fail(r, "unexpected end");
    if (c == '{' || c == '[' || c == '(')
        return read_nested(r, out);
    if (ra_is_digit(c) || c == '-' || c == '+' || c == '.')
        return read_number(r, out, NULL);
    RA_TRY(read_string(r, &found));
    if (!found)
        return read_word(r, out);
    ra_str text = ra_reader_scratch(r);
    *out = json_stringn_nocheck(text.data, text.len);
    return *out ? 0 : ra_reader_no_memory(r);
}

int ra_literal_read(ra_str text, size_t *at, json_t **out, ra_error *err) {
    ra_reader r = {.text = text.data,
                   .len = text.len,
                   .at = *at,
                   .space = " \t\r\n\f",
                   .fail = fail,
                   .err = err};
    ra_bytes_init(&r.scratch, text.len * 2 + 64);
    ra_reader_skip_space(&r);
    int rc = read_value(&r, out);
    ra_bytes_fini(&r.scratch);
    *at = r.at;
    return rc;
}
