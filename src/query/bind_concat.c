// The tables of concat, by pyarrow's rules for concat_tables with promote_options="none".
#include "query/bind.h"
#include "query/canonical.h"

static bool is_same_column(const ra_shape_column *a, const ra_shape_column *b) {
    return ra_str_eq(a->name, b->name) && a->field->nullable == b->field->nullable &&
           ra_type_equal(a->field, b->field);
}

static int first_difference(const ra_shape *a, const ra_shape *b) {
    int n = a->n_columns < b->n_columns ? a->n_columns : b->n_columns;
    for (int i = 0; i < n; i++)
        if (!is_same_column(&a->columns[i], &b->columns[i]))
            return i;
    return a->n_columns == b->n_columns ? -1 : n;
}

// Types that differ only in what does not count (such as names of list items).
static int are_equal(const ra_shape *a, const ra_shape *b, bool *equal, ra_error *err) {
    ra_schema *left, *right;
    RA_TRY(ra_shape_schema(a, &left, err));
    int rc = ra_shape_schema(b, &right, err);
    if (rc == 0) {
        *equal = ra_schema_equal(left, right, false);
        ra_schema_unref(right);
    }
    ra_schema_unref(left);
    return rc;
}

static void print_column(const ra_shape *shape, int i, ra_bytes *out) {
    if (i >= shape->n_columns) {
        (void)!ra_bytes_printf(out, NULL, "%d columns", shape->n_columns);
        return;
    }
    const ra_shape_column *column = &shape->columns[i];
    if (ra_bytes_printf(out, NULL, "'%.*s: ", RA_STR_ARG(column->name)) != 0)
        return;
    ra_type_print(column->field, out);
    (void)!ra_bytes_printf(out, NULL, "%s'", column->field->nullable ? "" : " not null");
}

static int check_schema(ra_binder *b, const ra_shape *shape, int index, ra_error *err) {
    bool equal = false;
    int column = first_difference(b->shape, shape);
    if (column < 0)
        return 0;
    if (b->shape->n_columns == shape->n_columns)
        RA_TRY(are_equal(b->shape, shape, &equal, err));
    if (equal)
        return 0;
    ra_bytes left, right;
    ra_bytes_init(&left, 250);
    ra_bytes_init(&right, 250);
    print_column(b->shape, column, &left);
    print_column(shape, column, &right);
    int rc =
        ra_error_set(err, RA_REASON_SCHEMA_MISMATCH,
                     "Schema at index %d was different: column %d is %.*s, not %.*s", index, column,
                     RA_STR_ARG(ra_bytes_str(&right)), RA_STR_ARG(ra_bytes_str(&left)));
    ra_bytes_fini(&left);
    ra_bytes_fini(&right);
    return rc;
}

static int bind_table(ra_binder *b, json_t *command, int i, ra_relation **out, ra_error *err) {
    ra_shape shape;
    RA_TRY(ra_canonical_printf(b, err, "%s", i > 0 ? "," : ""));
    RA_TRY(ra_bind_relation(b, command, NULL, &shape, out, err));
    int rc = check_schema(b, &shape, i + 1, err);
    ra_shape_fini(&shape);
    RA_TRY(rc);
    return ra_canonical_printf(b, err, "}");
}

int ra_bind_promote_options(json_t *given, ra_error *err) {
    ra_str promote = RA_STR("none");
    if (given)
        promote = json_is_string(given) ? ra_json_str(given) : RA_STR("None");
    if (ra_str_eq(promote, RA_STR("default")) || ra_str_eq(promote, RA_STR("permissive")))
        RA_FAIL(err, NOT_IMPLEMENTED, "concat: promote_options \"%.*s\" is not implemented",
                RA_STR_ARG(promote));
    if (!ra_str_eq(promote, RA_STR("none")))
        RA_FAIL(err, INVALID_ARGUMENT, "Invalid promote options: %.*s", RA_STR_ARG(promote));
    return 0;
}

int ra_bind_concat(ra_binder *b, ra_step *step, json_t *const *args, ra_error *err) {
    size_t first = (size_t)b->n_tables_bound, n = json_array_size(args[0]);
    b->n_tables_bound = 0;
    RA_TRY(ra_bind_promote_options(args[1], err));
    if (!json_is_array(args[0]))
        RA_FAIL(err, TYPE_ERROR, "concat: tables must be a list of commands");
    if (n == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "Must pass at least one table");
    step->concat.n = (int)(n - first);
    RA_TRY(ra_plan_alloc(b->plan, n - first, sizeof step->concat.tables[0], &step->concat.tables,
                         err));
    RA_TRY(ra_canonical_printf(b, err, "\"tables\":["));
    for (int i = 0; i < step->concat.n; i++)
        RA_TRY(bind_table(b, json_array_get(args[0], first + (size_t)i), i, &step->concat.tables[i],
                          err));
    return ra_canonical_printf(b, err, "],\"promote_options\":\"none\"");
}
