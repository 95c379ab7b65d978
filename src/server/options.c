#include "server/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/os.h"

typedef enum { TEXT, NUMBER, SIZE, DISK, MILLISECONDS, FLAG, WORD } option_kind;

typedef struct {
    const char *name;
    option_kind kind;
    const char *default_text;
    int64_t min;
    int64_t max;
    const char *unit;
    const char *help;
    size_t offset;
} option;

static const option table[] = {
#define RA_OPTION(field, name, kind, default_text, min, max, unit, help) \
    {name, kind, default_text, min, max, unit, help, offsetof(ra_options, field)},
#include "server/options.def"
#undef RA_OPTION
};

enum { N_OPTIONS = sizeof table / sizeof *table, VARIABLE_BYTES = 64, EXPECTED_BYTES = 160 };

static ra_option_value *value_of(ra_options *options, const option *o) {
    return (ra_option_value *)((char *)options + o->offset);
}

typedef struct {
    const char *suffix;
    int64_t factor;
} unit_suffix;

// A number with one of the suffixes; the first suffix is the default. False when it is neither.
static bool read_with_unit(const char *text, const unit_suffix *units, int n, int64_t *out) {
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    int64_t number = strtoll(text, &end, 10);
    for (int i = 0; i < n; i++)
        if (strcasecmp(end, units[i].suffix) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out);
    return false;
}

static const unit_suffix size_units[] = {
    {"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", INT64_C(1) << 40}};

static bool read_bytes(const char *text, int64_t *out) {
    return read_with_unit(text, size_units, sizeof size_units / sizeof *size_units, out);
}

static bool read_percent(const char *text, int64_t least, int64_t *out) {
    char *end;
    *out = strtol(text, &end, 10);
    return strcmp(end, "%") == 0 && *out >= least && *out <= 100;
}

static bool read_size(const char *text, int64_t *out) {
    int64_t percent;
    if (!read_percent(text, 1, &percent))
        return read_bytes(text, out);
    *out = ra_os_memory_bytes() / 100 * percent;
    return true;
}

// Bytes; minus the percent for a share, as only the store knows the file system; 0 for none.
static bool read_disk(const char *text, int64_t *out) {
    int64_t percent;
    bool is_share = read_percent(text, 0, &percent);
    *out = is_share ? -percent : 0;
    return is_share || strcasecmp(text, "none") == 0 || (read_bytes(text, out) && *out >= 0);
}

static bool read_time(const char *text, int64_t *out) {
    *out = INT64_MAX;
    if (strcasecmp(text, "never") == 0)
        return true;
    static const unit_suffix units[] = {
        {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    return read_with_unit(text, units, sizeof units / sizeof *units, out);
}

static bool read_flag(const char *text, int64_t *out) {
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

// The position of a word in "a|b|c".
static bool read_word(const char *text, const char *list, int64_t *out) {
    size_t n = strlen(text);
    *out = 0;
    for (const char *at = list;; (*out)++) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, text, n) == 0)
            return true;
        at += length;
        if (!*at++)
            return false;
    }
}

static bool read_value(const option *o, const char *text, int64_t *number) {
    static const unit_suffix plain = {"", 1};
    *number = 0;
    switch (o->kind) {
        case TEXT:
            return (int64_t)strlen(text) >= o->min && (int64_t)strlen(text) <= o->max;
        case NUMBER:
            return read_with_unit(text, &plain, 1, number) && *number >= o->min &&
                   *number <= o->max;
        case SIZE:
            return read_size(text, number) && *number >= o->min && *number <= o->max;
        case DISK:
            return read_disk(text, number);
        case MILLISECONDS:
            return read_time(text, number) && *number >= o->min && *number <= o->max;
        case FLAG:
            return read_flag(text, number);
        case WORD:
            return read_word(text, o->unit, number);
    }
    return false;
}

// What the option takes, after "is not" or "needs".
static void print_expected(const option *o, char out[EXPECTED_BYTES]) {
    int n = 0;
    switch (o->kind) {
        case TEXT:
            n = snprintf(out, EXPECTED_BYTES, "a text of %" PRId64 " to %" PRId64 " bytes (%s)",
                         o->min, o->max, o->unit);
            break;
        case NUMBER:
            n = snprintf(out, EXPECTED_BYTES, "a number from %" PRId64 " to %" PRId64, o->min,
                         o->max);
            break;
        case SIZE:
            n = snprintf(out, EXPECTED_BYTES,
                         "a size such as 512M, 4G or 50%%, at least %" PRId64 "M", o->min >> 20);
            break;
        case DISK:
            n = snprintf(out, EXPECTED_BYTES, "a size such as 512M, 4G or 50%%, or none");
            break;
        case MILLISECONDS:
            n = snprintf(out, EXPECTED_BYTES, "a time such as 500ms, 30s, 2m, 1h or 7d, %s",
                         o->max == INT64_MAX ? "or never" : "and not longer than 1d");
            break;
        case FLAG:
            n = snprintf(out, EXPECTED_BYTES, "yes or no");
            break;
        case WORD:
            n = snprintf(out, EXPECTED_BYTES, "one of %s", o->unit);
            break;
    }
    ra_assert(n > 0 && n < EXPECTED_BYTES);
}

static int set_option(ra_options *options, const option *o, const char *text, const char *from,
                      ra_error *err) {
    ra_option_value *value = value_of(options, o);
    value->text = text;
    if (read_value(o, text, &value->number))
        return 0;
    char expected[EXPECTED_BYTES];
    print_expected(o, expected);
    RA_FAIL(err, INVALID_ARGUMENT, "%s: '%.100s' is not %s", from, text, expected);
}

static void variable_name(const option *o, char out[VARIABLE_BYTES]) {
    int n = snprintf(out, VARIABLE_BYTES, "REMOTE_ARROW_%s", o->name);
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

// Kubernetes sets REMOTE_ARROW_PORT=tcp://10.0.0.1:5005 beside a service called remote-arrow.
static bool is_service_link(const char *text) {
    return strncmp(text, "tcp://", 6) == 0;
}

static int set_defaults(ra_options *options, ra_error *err) {
    for (int i = 0; i < N_OPTIONS; i++) {
        char variable[VARIABLE_BYTES];
        variable_name(&table[i], variable);
        const char *text = getenv(variable);
        if (text && table[i].kind == NUMBER && is_service_link(text))
            text = NULL;
        RA_TRY(set_option(options, &table[i], text ? text : table[i].default_text, variable, err));
    }
    return 0;
}

static const option *find_option(const char *name, size_t n) {
    for (int i = 0; i < N_OPTIONS; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
            return &table[i];
    return NULL;
}

// Reads argv[*at], and the next one when it is the value.
static int read_argument(ra_options *options, int argc, char *const *argv, int *at, ra_error *err) {
    const char *word = argv[*at];
    if (strcmp(word, "-h") == 0)
        word = "--help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0) {
        *(word[2] == 'h' ? &options->show_help : &options->show_version) = true;
        return 0;
    }
    size_t n = strcspn(word, "=");
    const option *o = strncmp(word, "--", 2) == 0 ? find_option(word + 2, n - 2) : NULL;
    if (!o)
        RA_FAIL(err, INVALID_ARGUMENT, "unknown option '%.100s' (--help lists them)", word);
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    if (!value && o->kind == FLAG)
        value = "yes";
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value) {
        char expected[EXPECTED_BYTES];
        print_expected(o, expected);
        RA_FAIL(err, INVALID_ARGUMENT, "--%s needs %s", o->name, expected);
    }
    char from[VARIABLE_BYTES];
    snprintf(from, sizeof from, "--%s", o->name);
    return set_option(options, o, value, from, err);
}

int ra_options_read(ra_options *out, int argc, char *const *argv, ra_error *err) {
    *out = (ra_options){0};
    RA_TRY(set_defaults(out, err));
    for (int i = 1; i < argc; i++)
        RA_TRY(read_argument(out, argc, argv, &i, err));
    return 0;
}

bool ra_options_find_log_level(const char *name, int64_t *level) {
    static const char option_name[] = "log-level";
    return read_value(find_option(option_name, sizeof option_name - 1), name, level);
}

int ra_options_help(ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_printf(out, err,
                           "remote-arrow-server: shares Arrow tables by Arrow Flight\n\n"
                           "  -h, --help\n      this text\n"
                           "  --version\n      the version\n"));
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &table[i];
        char variable[VARIABLE_BYTES];
        variable_name(o, variable);
        RA_TRY(ra_bytes_printf(out, err, "  --%s%s%s\n      %s\n      default %s", o->name,
                               o->unit[0] ? " " : "", o->unit, o->help,
                               o->default_text[0] ? o->default_text : "none"));
        if (o->kind == NUMBER)
            RA_TRY(ra_bytes_printf(out, err, ", %" PRId64 " to %" PRId64, o->min, o->max));
        RA_TRY(ra_bytes_printf(out, err, "; or %s\n", variable));
    }
    return 0;
}
