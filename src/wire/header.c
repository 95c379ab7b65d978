#include "wire/header.h"

#include "base/base64.h"
#include "base/utf8.h"

void ra_headers_init(ra_headers *headers, size_t ceiling) {
    ra_bytes_init(&headers->text, ceiling);
    // The shortest header that HTTP/2 counts has 32 bytes beside its text.
    ra_bytes_init(&headers->entries, ceiling / 32 * sizeof(ra_header_entry));
}

void ra_headers_fini(ra_headers *headers) {
    ra_bytes_fini(&headers->text);
    ra_bytes_fini(&headers->entries);
}

void ra_headers_clear(ra_headers *headers) {
    ra_bytes_clear(&headers->text);
    ra_bytes_clear(&headers->entries);
}

static ra_header_entry entry_of(const ra_headers *headers, int i) {
    ra_header_entry entry;
    memcpy(&entry, headers->entries.data + (size_t)i * sizeof entry, sizeof entry);
    return entry;
}

ra_str ra_headers_name(const ra_headers *headers, int i) {
    ra_header_entry entry = entry_of(headers, i);
    return (ra_str){(const char *)headers->text.data + entry.name_at, entry.name_len};
}

ra_str ra_headers_value(const ra_headers *headers, int i) {
    ra_header_entry entry = entry_of(headers, i);
    return (ra_str){(const char *)headers->text.data + entry.value_at, entry.value_len};
}

ra_str ra_headers_get(const ra_headers *headers, const char *name) {
    ra_str wanted = ra_str_of(name);
    for (int i = 0; i < ra_headers_count(headers); i++)
        if (ra_str_eq(ra_headers_name(headers, i), wanted))
            return ra_headers_value(headers, i);
    return (ra_str){NULL, 0};
}

// Adds the name; the value follows it in `text`.
static int begin_entry(ra_headers *headers, ra_str name, ra_header_entry *entry, ra_error *err) {
    *entry =
        (ra_header_entry){.name_at = (uint32_t)headers->text.len, .name_len = (uint32_t)name.len};
    RA_TRY(ra_bytes_append(&headers->text, name.data, name.len, err));
    entry->value_at = (uint32_t)headers->text.len;
    return 0;
}

// What was appended since begin_entry is the value.
static int end_entry(ra_headers *headers, ra_header_entry *entry, ra_error *err) {
    entry->value_len = (uint32_t)headers->text.len - entry->value_at;
    return ra_bytes_append(&headers->entries, entry, sizeof *entry, err);
}

int ra_headers_add(ra_headers *headers, ra_str name, ra_str value, ra_error *err) {
    ra_header_entry entry;
    RA_TRY(begin_entry(headers, name, &entry, err));
    RA_TRY(ra_bytes_append(&headers->text, value.data, value.len, err));
    return end_entry(headers, &entry, err);
}

int ra_headers_add_decoded(ra_headers *headers, ra_str name, ra_str value, ra_error *err) {
    if (!ra_header_is_binary(name))
        return ra_headers_add(headers, name, value, err);
    const char *comma = value.len ? memchr(value.data, ',', value.len) : NULL;
    if (comma)
        value.len = (size_t)(comma - value.data);
    ra_header_entry entry;
    RA_TRY(begin_entry(headers, name, &entry, err));
    if (ra_base64_decode(value, &headers->text, NULL) != 0)
        headers->text.len = entry.value_at;
    return end_entry(headers, &entry, err);
}

static bool is_header_text(ra_str value) {
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7E)
            return false;
    return true;
}

int ra_headers_add_encoded(ra_headers *headers, const char *name, ra_str value, ra_error *err) {
    ra_str key = ra_str_of(name);
    if (!ra_header_is_binary(key)) {
        if (!is_header_text(value))
            RA_FAIL(err, INVALID_ARGUMENT, "the value of header '%s' is not ASCII", name);
        return ra_headers_add(headers, key, value, err);
    }
    ra_header_entry entry;
    RA_TRY(begin_entry(headers, key, &entry, err));
    RA_TRY(ra_base64_encode(value, false, &headers->text, err));
    return end_entry(headers, &entry, err);
}

bool ra_header_is_binary(ra_str name) {
    return name.len >= 4 && memcmp(name.data + name.len - 4, "-bin", 4) == 0;
}

// Bytes of the valid character at the front of `text`; 1 for a byte that begins none.
static size_t character_bytes(ra_str text) {
    uint8_t lead = (uint8_t)text.data[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return n <= text.len && ra_utf8_is_valid(text.data, n) ? n : 1;
}

int ra_percent_encode(ra_bytes *out, ra_str text, size_t max_bytes, ra_error *err) {
    static const char hex[] = "0123456789ABCDEF";
    size_t end = out->len + max_bytes;
    while (text.len > 0) {
        size_t n = character_bytes(text), encoded = 0;
        uint8_t bytes[12];
        for (size_t i = 0; i < n; i++) {
            uint8_t c = (uint8_t)text.data[i];
            if (c >= 0x20 && c <= 0x7E && c != '%') {
                bytes[encoded++] = c;
                continue;
            }
            bytes[encoded++] = '%';
            bytes[encoded++] = (uint8_t)hex[c >> 4];
            bytes[encoded++] = (uint8_t)hex[c & 15];
        }
        if (out->len + encoded > end)
            return 0;
        RA_TRY(ra_bytes_append(out, bytes, encoded, err));
        text.data += n;
        text.len -= n;
    }
    return 0;
}

int64_t ra_grpc_timeout_parse(ra_str text) {
    if (text.len < 2 || text.len > 9)
        return -1;
    int64_t number = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    int64_t unit_ns;
    switch (text.data[text.len - 1]) {
        case 'H':
            unit_ns = INT64_C(3600000000000);
            break;
        case 'M':
            unit_ns = INT64_C(60000000000);
            break;
        case 'S':
            unit_ns = 1000000000;
            break;
        case 'm':
            unit_ns = 1000000;
            break;
        case 'u':
            unit_ns = 1000;
            break;
        case 'n':
            unit_ns = 1;
            break;
        default:
            return -1;
    }
    int64_t ns;
    return __builtin_mul_overflow(number, unit_ns, &ns) ? INT64_MAX : ns;
}
