#include "wire/descriptors.h"

#include "wire/protobuf.h"

// google.protobuf.FieldDescriptorProto.Type and Label.
enum {
    TYPE_DOUBLE = 1,
    TYPE_INT64 = 3,
    TYPE_UINT64 = 4,
    TYPE_INT32 = 5,
    TYPE_BOOL = 8,
    TYPE_STRING = 9,
    TYPE_MESSAGE = 11,
    TYPE_BYTES = 12,
    TYPE_ENUM = 14,
    LABEL_OPTIONAL = 1,
    LABEL_REPEATED = 3
};

enum { ANSWERS_STREAM = 1, BOTH_STREAM = 2, IN_ONEOF = 4, PROTO3_OPTIONAL = 8 };
enum { FILE_MAX_BYTES = 64 * 1024, NAME_MAX_BYTES = 256, MAX_DEPTH = 4 };

typedef enum {
    ROW_FILE,
    ROW_DEPENDENCY,
    ROW_MESSAGE,
    ROW_FIELD,
    ROW_ONEOF,
    ROW_ENUM,
    ROW_VALUE,
    ROW_SERVICE,
    ROW_METHOD,
    ROW_END
} row_kind;

typedef struct {
    row_kind kind;
    const char *name;
    const char *type;    // package of a file, type of a field, input of a method
    const char *output;  // of a method
    int number;
    int field_type;
    int label;
    int flags;
} row;

#define FLIGHT(name) ".arrow.flight.protocol." name
#define FILE_ROW(row_name, package) {.kind = ROW_FILE, .name = row_name, .type = package},
#define DEPENDENCY(row_name) {.kind = ROW_DEPENDENCY, .name = row_name},
#define MESSAGE(row_name) {.kind = ROW_MESSAGE, .name = row_name},
#define ENUM_ROW(row_name) {.kind = ROW_ENUM, .name = row_name},
#define SERVICE(row_name) {.kind = ROW_SERVICE, .name = row_name},
#define ONEOF(row_name) {.kind = ROW_ONEOF, .name = row_name},
#define END {.kind = ROW_END},
#define VALUE(n, row_name) {.kind = ROW_VALUE, .name = row_name, .number = n},
#define METHOD(row_name, in, out, how) \
    {.kind = ROW_METHOD, .name = row_name, .type = in, .output = out, .flags = how},
#define ANY_FIELD(n, t, of, row_name, l, f) \
    {.kind = ROW_FIELD,                     \
     .name = row_name,                      \
     .type = of,                            \
     .number = n,                           \
     .field_type = TYPE_##t,                \
     .label = LABEL_##l,                    \
     .flags = f},
#define FIELD(n, t, row_name) ANY_FIELD(n, t, NULL, row_name, OPTIONAL, 0)
#define FIELD_OF(n, t, of, row_name) ANY_FIELD(n, t, of, row_name, OPTIONAL, 0)
#define REPEATED(n, t, of, row_name) ANY_FIELD(n, t, of, row_name, REPEATED, 0)
#define CHOICE(n, t, of, row_name) ANY_FIELD(n, t, of, row_name, OPTIONAL, IN_ONEOF)
#define OPTIONAL(n, t, row_name) \
    ANY_FIELD(n, t, NULL, row_name, OPTIONAL, IN_ONEOF | PROTO3_OPTIONAL)

static const row rows[] = {
#include "wire/descriptors.def"
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static int first_row_of(int file) {
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].kind == ROW_FILE && file-- == 0)
            return i;
    return N_ROWS;
}

int ra_descriptors_count(void) {
    int n = 0;
    for (int i = 0; i < N_ROWS; i++)
        n += rows[i].kind == ROW_FILE;
    return n;
}

int ra_descriptors_find_file(ra_str name) {
    int file = -1;
    for (int i = 0; i < N_ROWS; i++) {
        file += rows[i].kind == ROW_FILE;
        if (rows[i].kind == ROW_FILE && ra_str_eq(ra_str_of(rows[i].name), name))
            return file;
    }
    return -1;
}

static bool opens_scope(row_kind kind) {
    return kind == ROW_MESSAGE || kind == ROW_ENUM || kind == ROW_SERVICE;
}

// Full names while walking over the rows: "package.Message.Nested".
typedef struct {
    ra_bytes name;
    size_t lengths[MAX_DEPTH];  // of the scopes that are open
    int depth;
} scope;

static int push_name(scope *s, const char *name, ra_error *err) {
    RA_TRY(ra_bytes_append(&s->name, ".", 1, err));
    return ra_bytes_append(&s->name, name, strlen(name), err);
}

// Goes one row on; `s->name` is then the full name of what the row defines.
static int walk(scope *s, const row *r, ra_error *err) {
    if (r->kind == ROW_FILE) {
        ra_bytes_clear(&s->name);
        s->depth = 0;
        RA_TRY(ra_bytes_append(&s->name, r->type, strlen(r->type), err));
        s->lengths[0] = s->name.len;
        return 0;
    }
    if (r->kind == ROW_END)
        s->depth--;
    s->name.len = s->lengths[s->depth];
    if (!opens_scope(r->kind))
        return r->kind == ROW_METHOD ? push_name(s, r->name, err) : 0;
    ra_assert(s->depth + 1 < MAX_DEPTH);
    RA_TRY(push_name(s, r->name, err));
    s->lengths[++s->depth] = s->name.len;
    return 0;
}

int ra_descriptors_find_symbol(ra_str symbol) {
    scope s = {0};
    ra_bytes_init(&s.name, NAME_MAX_BYTES);
    int file = -1, found = -1;
    for (int i = 0; i < N_ROWS && found < 0; i++) {
        file += rows[i].kind == ROW_FILE;
        if (walk(&s, &rows[i], NULL) != 0)
            break;
        if ((opens_scope(rows[i].kind) || rows[i].kind == ROW_METHOD) &&
            ra_str_eq(ra_bytes_str(&s.name), symbol))
            found = file;
    }
    ra_bytes_fini(&s.name);
    return found;
}

int ra_descriptors_each_service(int (*fn)(void *context, ra_str name, ra_error *err), void *context,
                                ra_error *err) {
    scope s = {0};
    ra_bytes_init(&s.name, NAME_MAX_BYTES);
    int rc = 0;
    for (int i = 0; i < N_ROWS && rc == 0; i++) {
        rc = walk(&s, &rows[i], err);
        if (rc == 0 && rows[i].kind == ROW_SERVICE)
            rc = fn(context, ra_bytes_str(&s.name), err);
    }
    ra_bytes_fini(&s.name);
    return rc;
}

static int put_text(ra_bytes *out, uint32_t number, const char *text, ra_error *err) {
    return ra_pb_put_bytes(out, number, ra_str_of(text), err);
}

static int put_flag(ra_bytes *out, uint32_t number, bool value, ra_error *err) {
    return value ? ra_pb_put_varint(out, number, 1, err) : 0;
}

// FieldDescriptorProto{name=1, number=3, label=4, type=5, type_name=6, oneof_index=9,
// proto3_optional=17}.
static int put_field(ra_bytes *out, const row *r, ra_error *err) {
    RA_TRY(put_text(out, 1, r->name, err));
    RA_TRY(ra_pb_put_varint(out, 3, (uint64_t)r->number, err));
    RA_TRY(ra_pb_put_varint(out, 4, (uint64_t)r->label, err));
    RA_TRY(ra_pb_put_varint(out, 5, (uint64_t)r->field_type, err));
    if (r->type)
        RA_TRY(put_text(out, 6, r->type, err));
    if (r->flags & IN_ONEOF)
        RA_TRY(ra_pb_put_varint(out, 9, 0, err));
    return put_flag(out, 17, r->flags & PROTO3_OPTIONAL, err);
}

// MethodDescriptorProto{name=1, input_type=2, output_type=3, client_streaming=5,
// server_streaming=6}.
static int put_method(ra_bytes *out, const row *r, ra_error *err) {
    RA_TRY(put_text(out, 1, r->name, err));
    RA_TRY(put_text(out, 2, r->type, err));
    RA_TRY(put_text(out, 3, r->output, err));
    RA_TRY(put_flag(out, 5, r->flags & BOTH_STREAM, err));
    return put_flag(out, 6, r->flags != 0, err);
}

// The field of the enclosing descriptor that a row's descriptor stands in.
static uint32_t place_of(const row *r, row_kind enclosing) {
    switch (r->kind) {
        case ROW_MESSAGE:
            return enclosing == ROW_FILE ? 4 : 3;
        case ROW_ENUM:
            return enclosing == ROW_FILE ? 5 : 4;
        case ROW_SERVICE:
            return 6;
        case ROW_ONEOF:
            return 8;
        default:
            return 2;  // fields, values and methods
    }
}

// Builds the descriptor of the row at `*at`, with all rows up to its END, and goes behind it. The
// table nests less than MAX_DEPTH.
static int put_row(int *at, ra_bytes *out, ra_error *err) {
    const row *r = &rows[(*at)++];
    if (r->kind == ROW_FIELD)
        return put_field(out, r, err);
    if (r->kind == ROW_METHOD)
        return put_method(out, r, err);
    RA_TRY(put_text(out, 1, r->name, err));
    if (r->kind == ROW_VALUE)
        return ra_pb_put_varint(out, 2, (uint64_t)r->number, err);
    if (!opens_scope(r->kind))
        return 0;
    ra_bytes part;
    ra_bytes_init(&part, FILE_MAX_BYTES);
    int rc = 0;
    while (rc == 0 && rows[*at].kind != ROW_END) {
        uint32_t place = place_of(&rows[*at], r->kind);
        ra_bytes_clear(&part);
        rc = put_row(at, &part, err);
        if (rc == 0)
            rc = ra_pb_put_bytes(out, place, ra_bytes_str(&part), err);
    }
    (*at)++;
    ra_bytes_fini(&part);
    return rc;
}

// FileDescriptorProto{name=1, package=2, dependency=3, …, syntax=12}.
int ra_descriptors_put_file(int file, ra_bytes *out, ra_error *err) {
    int at = first_row_of(file);
    ra_assert(at < N_ROWS);
    RA_TRY(put_text(out, 1, rows[at].name, err));
    RA_TRY(put_text(out, 2, rows[at].type, err));
    ra_bytes part;
    ra_bytes_init(&part, FILE_MAX_BYTES);
    int rc = 0;
    for (at++; rc == 0 && at < N_ROWS && rows[at].kind != ROW_FILE;) {
        if (rows[at].kind == ROW_DEPENDENCY) {
            rc = put_text(out, 3, rows[at++].name, err);
            continue;
        }
        uint32_t place = place_of(&rows[at], ROW_FILE);
        ra_bytes_clear(&part);
        rc = put_row(&at, &part, err);
        if (rc == 0)
            rc = ra_pb_put_bytes(out, place, ra_bytes_str(&part), err);
    }
    ra_bytes_fini(&part);
    if (rc == 0)
        rc = put_text(out, 12, "proto3", err);
    return rc;
}
