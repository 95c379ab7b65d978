#include "sql/export.h"

#include <stdlib.h>
#include <strings.h>

#include "base/os.h"

static bool is_kept(const ra_field *field, ra_format format) {
    switch (field->type) {
        case RA_TYPE_BOOL:
        case RA_TYPE_INT8:
        case RA_TYPE_INT16:
        case RA_TYPE_INT32:
        case RA_TYPE_INT64:
        case RA_TYPE_UINT8:
        case RA_TYPE_UINT16:
        case RA_TYPE_UINT32:
        case RA_TYPE_UINT64:
        case RA_TYPE_FLOAT:
        case RA_TYPE_DOUBLE:
        case RA_TYPE_UTF8:
        case RA_TYPE_LARGE_UTF8:
        case RA_TYPE_DATE32:
            return !field->is_dictionary;
        case RA_TYPE_BINARY:
        case RA_TYPE_LARGE_BINARY:
            return !field->is_dictionary && format != RA_FORMAT_CSV;
        case RA_TYPE_TIMESTAMP:
            return !field->is_dictionary && field->unit == RA_UNIT_MICRO && !field->has_timezone;
        default:
            return false;
    }
}

static int fail_type(const ra_field *field, ra_format format, ra_error *err) {
    ra_bytes type;
    ra_bytes_init(&type, RA_ERROR_SUBJECT_BYTES);
    ra_type_print(field, &type);
    ra_error_set(err, RA_REASON_NOT_IMPLEMENTED, "column '%.*s': %s does not keep %.*s",
                 RA_STR_ARG(field->name),
                 format == RA_FORMAT_CSV ? "CSV" : "an exported Parquet file",
                 RA_STR_ARG(ra_bytes_str(&type)));
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

int ra_export_check_schema(const ra_schema *schema, ra_format format, ra_error *err) {
    if (format == RA_FORMAT_ARROW)
        return 0;
    if (schema->n_fields == 0)
        RA_FAIL(err, NOT_IMPLEMENTED, "a table without columns cannot be exported");
    for (int i = 0; i < schema->n_fields; i++) {
        const ra_field *field = &schema->fields[i];
        if (!is_kept(field, format))
            return fail_type(field, format, err);
        if (field->name.len == 0 || memchr(field->name.data, 0, field->name.len))
            RA_FAIL(err, INVALID_ARGUMENT, "column %d has a name that a file cannot have", i);
    }
    return check_names(schema, err);
}
