// Arrow's logical types, fields and schemas.
//
// A schema is immutable once made and reference-counted; its fields and strings live in its arena.
// Field trees are at most RA_MAX_NESTING deep, which is what makes recursion over them safe.
#ifndef RA_ARROW_SCHEMA_H
#define RA_ARROW_SCHEMA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    RA_MAX_NESTING = 32,
    RA_MAX_COLUMNS = 32 * 1024,
    RA_MAX_FIELDS = 128 * 1024,            // of a schema, nested ones included
    RA_MAX_SCHEMA_BYTES = 8 * 1024 * 1024  // of encoded metadata
};

typedef enum {
    RA_TYPE_NULL,
    RA_TYPE_BOOL,
    RA_TYPE_INT8,
    RA_TYPE_INT16,
    RA_TYPE_INT32,
    RA_TYPE_INT64,
    RA_TYPE_UINT8,
    RA_TYPE_UINT16,
    RA_TYPE_UINT32,
    RA_TYPE_UINT64,
    RA_TYPE_HALF_FLOAT,
    RA_TYPE_FLOAT,
    RA_TYPE_DOUBLE,
    RA_TYPE_DECIMAL32,
    RA_TYPE_DECIMAL64,
    RA_TYPE_DECIMAL128,
    RA_TYPE_DECIMAL256,
    RA_TYPE_DATE32,
    RA_TYPE_DATE64,
    RA_TYPE_TIME32,
    RA_TYPE_TIME64,
    RA_TYPE_TIMESTAMP,
    RA_TYPE_DURATION,
    RA_TYPE_INTERVAL_MONTHS,
    RA_TYPE_INTERVAL_DAY_TIME,
    RA_TYPE_INTERVAL_MONTH_DAY_NANO,
    RA_TYPE_BINARY,
    RA_TYPE_UTF8,
    RA_TYPE_LARGE_BINARY,
    RA_TYPE_LARGE_UTF8,
    RA_TYPE_BINARY_VIEW,
    RA_TYPE_UTF8_VIEW,
    RA_TYPE_FIXED_SIZE_BINARY,
    RA_TYPE_LIST,
    RA_TYPE_LARGE_LIST,
    RA_TYPE_LIST_VIEW,
    RA_TYPE_LARGE_LIST_VIEW,
    RA_TYPE_FIXED_SIZE_LIST,
    RA_TYPE_STRUCT,
    RA_TYPE_MAP,
    RA_TYPE_SPARSE_UNION,
    RA_TYPE_DENSE_UNION,
    RA_TYPE_RUN_END_ENCODED,
    RA_N_TYPES
} ra_type_id;

typedef enum { RA_UNIT_SECOND, RA_UNIT_MILLI, RA_UNIT_MICRO, RA_UNIT_NANO } ra_time_unit;

// How the values of an array lie in memory; what kernels switch on.
typedef enum {
    RA_LAYOUT_NULL,    // no buffers
    RA_LAYOUT_BIT,     // values: bitmap
    RA_LAYOUT_FIXED,   // values: `byte_width` bytes a row (0 is legal)
    RA_LAYOUT_VAR32,   // int32 offsets, data
    RA_LAYOUT_VAR64,   // int64 offsets, data
    RA_LAYOUT_VIEW,    // 16-byte views, variadic data buffers
    RA_LAYOUT_LIST32,  // int32 offsets; one child (also maps)
    RA_LAYOUT_LIST64,
    RA_LAYOUT_LIST_VIEW32,  // int32 offsets, int32 sizes; one child
    RA_LAYOUT_LIST_VIEW64,
    RA_LAYOUT_FIXED_LIST,  // one child of `list_size` a row
    RA_LAYOUT_STRUCT,
    RA_LAYOUT_SPARSE_UNION,  // type ids; no validity
    RA_LAYOUT_DENSE_UNION,   // type ids, int32 offsets; no validity
    RA_LAYOUT_RUN_END,       // children: run ends, values; no validity, no buffers
    RA_N_LAYOUTS
} ra_layout;

typedef struct {
    ra_str key;
    ra_str value;
} ra_key_value;

typedef struct {
    bool present;  // Arrow tells "no metadata" from "empty metadata" in a schema
    int n;
    ra_key_value *items;  // ordered, duplicate keys kept
} ra_metadata;

typedef struct ra_field {
    ra_str name;
    ra_type_id
        type;  // of the values; for a dictionary field the type of what the indices stand for
    bool nullable;
    ra_time_unit unit;   // time32/64, timestamp, duration
    int32_t precision;   // decimals
    int32_t scale;       // decimals
    int32_t byte_width;  // fixed-size binary
    int32_t list_size;   // fixed-size list
    bool keys_sorted;    // map
    bool has_timezone;   // timestamp
    ra_str timezone;     // timestamp
    int n_type_ids;      // unions: equals n_children
    int8_t *type_ids;    // unions: type id of child i
    bool is_dictionary;  // rows are indices of `index_type` into a dictionary of `type`
    bool dictionary_ordered;
    ra_type_id index_type;  // an integer type
    int64_t dictionary_id;  // in a schema of ours: 0, 1, 2 … over dictionary fields in pre-order
    ra_metadata metadata;
    int n_children;
    struct ra_field *children;
} ra_field;

typedef struct ra_schema {
    atomic_int refs;
    ra_arena arena;
    int n_fields;
    ra_field *fields;
    ra_metadata metadata;
    int n_dictionaries;  // dictionary fields, nested ones included
} ra_schema;

// Reference counting. A schema from any function below has one reference for the caller.
ra_schema *ra_schema_ref(ra_schema *schema);
void ra_schema_unref(ra_schema *schema);

// An empty schema to be filled: allocate fields and strings from its arena, then call `seal`.
RA_MUST int ra_schema_new(int n_fields, ra_schema **out, ra_error *err);
// Checks what every schema must satisfy (nesting, counts, type parameters, UTF-8 names, union type
// ids unique in 0…127) and numbers the dictionaries in pre-order. The schema is immutable
// afterwards.
RA_MUST int ra_schema_seal(ra_schema *schema, ra_error *err);
// Ends the making of a schema whose fields were filled in with the result `rc`: seals it. When
// either failed, the reference is gone.
RA_MUST int ra_schema_end(ra_schema *schema, int rc, ra_error *err);

// Deep copy of a field into the arena of a schema under construction.
RA_MUST int ra_field_copy(ra_schema *into, const ra_field *from, ra_field *to, ra_error *err);
RA_MUST int ra_metadata_copy(ra_schema *into, const ra_metadata *from, ra_metadata *to,
                             ra_error *err);

// New schemas from old ones; `columns` are indices (repeats allowed). select keeps schema metadata.
RA_MUST int ra_schema_select(const ra_schema *schema, const int *columns, int n, ra_schema **out,
                             ra_error *err);
// All names given; `metadata` NULL drops the schema metadata.
RA_MUST int ra_schema_rename(const ra_schema *schema, const ra_str *names,
                             const ra_metadata *metadata, ra_schema **out, ra_error *err);
RA_MUST int ra_schema_with_metadata(const ra_schema *schema, const ra_metadata *metadata,
                                    ra_schema **out, ra_error *err);

// Equality of names, types, nullability, ordered flags; with metadata also of all metadata, as
// pyarrow's Schema.equals(check_metadata). Dictionary ids do not count; union child names do.
bool ra_schema_equal(const ra_schema *a, const ra_schema *b, bool check_metadata);
bool ra_field_equal(const ra_field *a, const ra_field *b, bool check_metadata);
// As above, of the types only (names of children count, the field's own name and nullability not).
bool ra_type_equal(const ra_field *a, const ra_field *b);

// Index of the only column called `name`; -1 when there is none, -2 when there are several.
int ra_schema_find(const ra_schema *schema, ra_str name);

// The field with our dictionary id; NULL when there is none.
const ra_field *ra_schema_dictionary_field(const ra_schema *schema, int64_t id);

// Layout of a field's array, and the bytes of a row for RA_LAYOUT_FIXED (0 for others).
ra_layout ra_field_layout(const ra_field *field);
int32_t ra_field_byte_width(const ra_field *field);
// The layout of the dictionary's values of a dictionary field.
ra_layout ra_type_layout(ra_type_id type);
int32_t ra_type_byte_width(const ra_field *field);  // of `field->type`, ignoring is_dictionary
bool ra_layout_has_validity(ra_layout layout);      // false: null, unions, run-end
int ra_layout_n_buffers(ra_layout layout);          // without validity and variadic buffers: 0…2

bool ra_type_is_integer(ra_type_id type);
bool ra_type_is_utf8(ra_type_id type);

// A type's name as pyarrow prints it ("int64", "list<item: string>", "dictionary<values=string,
// indices=int32, ordered=0>"), for messages; appends to `out`, cut at its ceiling without an error.
void ra_type_print(const ra_field *field, ra_bytes *out);

#endif
