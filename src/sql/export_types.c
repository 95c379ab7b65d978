// What of a table a Parquet or CSV file keeps. docs/files.md has the table; how the values get
// there is the worker's (worker/storage.h).
#include <stdlib.h>
#include <strings.h>

#include "base/os.h"
#include "sql/export.h"

enum { MAX_DECIMAL_DIGITS = 38 };

// What becomes of a type's values.
typedef enum { KEPT, LOST_IN_PART, REFUSED } fate;

static fate worse(fate a, fate b) {
    return a > b ? a : b;
}

static bool is_kept_decimal(const ra_field *field) {
    return field->precision <= MAX_DECIMAL_DIGITS && field->scale >= 0 &&
           field->scale <= field->precision;
}

static fate fate_of(const ra_field *field, ra_format format) {
    fate in_csv = format == RA_FORMAT_CSV ? LOST_IN_PART : KEPT;
    fate own = KEPT;
    switch (field->type) {
        case RA_TYPE_DECIMAL32:
        case RA_TYPE_DECIMAL64:
        case RA_TYPE_DECIMAL128:
        case RA_TYPE_DECIMAL256:
            return is_kept_decimal(field) ? KEPT : LOST_IN_PART;
        case RA_TYPE_TIME64:
            return field->unit == RA_UNIT_NANO ? LOST_IN_PART : KEPT;
        case RA_TYPE_TIMESTAMP:
            return field->unit == RA_UNIT_NANO && field->has_timezone ? LOST_IN_PART : KEPT;
        case RA_TYPE_INTERVAL_MONTHS:
        case RA_TYPE_INTERVAL_DAY_TIME:
        case RA_TYPE_INTERVAL_MONTH_DAY_NANO:
        case RA_TYPE_SPARSE_UNION:
        case RA_TYPE_DENSE_UNION:
            return REFUSED;
        case RA_TYPE_BINARY:
        case RA_TYPE_LARGE_BINARY:
        case RA_TYPE_BINARY_VIEW:
        case RA_TYPE_FIXED_SIZE_BINARY:
            return in_csv;
        case RA_TYPE_STRUCT:
            own = field->n_children == 0 ? REFUSED : in_csv;
            break;
        case RA_TYPE_LIST:
        case RA_TYPE_LARGE_LIST:
        case RA_TYPE_LIST_VIEW:
        case RA_TYPE_LARGE_LIST_VIEW:
        case RA_TYPE_FIXED_SIZE_LIST:
        case RA_TYPE_MAP:
            own = in_csv;
            break;
        default:
            break;
    }
    for (int i = 0; i < field->n_children; i++)
        own = worse(own, fate_of(&field->children[i], format));
    return own;
}

static int fail_type(const ra_field *field, fate what, ra_format format, ra_error *err) {
    ra_bytes type;
    ra_bytes_init(&type, RA_ERROR_SUBJECT_BYTES);
    ra_type_print(field, &type);
    ra_error_set(err, RA_REASON_NOT_IMPLEMENTED, "column '%.*s': %s does not keep %.*s%s",
                 RA_STR_ARG(field->name),
                 format == RA_FORMAT_CSV ? "CSV" : "an exported Parquet file",
                 RA_STR_ARG(ra_bytes_str(&type)),
                 what == LOST_IN_PART ? "; \"lossy\": true would write what it can" : "");
    ra_error_set_subject(err, "column", field->name.data, field->name.len);
    ra_bytes_fini(&type);
    return RA_UNIMPLEMENTED;
}

static int compare_names(const void *a, const void *b) {
    ra_str x = (*(const ra_field *const *)a)->name, y = (*(const ra_field *const *)b)->name;
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    return strncasecmp(x.data, y.data, x.len);
}

// To DuckDB names that differ only in case are one.
static int check_names(const ra_schema *schema, ra_error *err) {
    size_t n = (size_t)schema->n_fields;
    const ra_field **sorted = ra_malloc(n * sizeof(const ra_field *));
    if (!sorted)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to compare %zu names", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &schema->fields[i];
    qsort(sorted, n, sizeof(const ra_field *), compare_names);
    int rc = 0;
    for (size_t i = 1; i < n && rc == 0; i++)
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0)
            rc = ra_error_set(err, RA_REASON_INVALID_ARGUMENT,
                              "columns '%.*s' and '%.*s' have the same name for the file",
                              RA_STR_ARG(sorted[i - 1]->name), RA_STR_ARG(sorted[i]->name));
    ra_free(sorted);
    return rc;
}

int ra_export_check_schema(const ra_schema *schema, ra_format format, bool lossy, ra_error *err) {
    if (format == RA_FORMAT_ARROW)
        return 0;
    if (schema->n_fields == 0)
        RA_FAIL(err, NOT_IMPLEMENTED, "a table without columns cannot be exported");
    for (int i = 0; i < schema->n_fields; i++) {
        const ra_field *field = &schema->fields[i];
        fate what = fate_of(field, format);
        if (what == REFUSED || (what == LOST_IN_PART && !lossy))
            return fail_type(field, what, format, err);
        if (field->name.len == 0 || memchr(field->name.data, 0, field->name.len))
            RA_FAIL(err, INVALID_ARGUMENT, "column %d has a name that a file cannot have", i);
    }
    return check_names(schema, err);
}
