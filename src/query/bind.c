#include "query/bind.h"

#include <inttypes.h>

#include "base/os.h"
#include "query/canonical.h"

// Recursion over commands inside commands: each is at least two JSON levels, of which there are at
// most RA_MAX_COMMAND_NESTING.

static bool is_one_of(ra_str key, const char *const *known) {
    for (; *known; known++)
        if (ra_str_eq(key, ra_str_of(*known)))
            return true;
    return false;
}

static int check_keys(json_t *object, const char *what, const char *const *known,
                      const char *const *extra, ra_error *err) {
    const char *key;
    size_t key_len;
    json_t *value;
    if (!json_is_object(object))
        RA_FAIL(err, MALFORMED_REQUEST, "%s must be an object", what);
    json_object_keylen_foreach(object, key, key_len, value) {
        ra_str name = {key, key_len};
        if (is_one_of(name, known) || (extra && is_one_of(name, extra)))
            continue;
        RA_FAIL(err, MALFORMED_REQUEST, "%s has an unknown key '%.*s'", what, RA_STR_ARG(name));
    }
    return 0;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_uid(json_t *given, uint8_t uid[16], ra_error *err) {
    ra_str text = json_is_string(given) ? ra_json_str(given) : RA_STR("");
    bool ok = text.len == 32;
    for (size_t i = 0; i < 16 && ok; i++) {
        int high = hex_value(text.data[2 * i]), low = hex_value(text.data[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        uid[i] = (uint8_t)((high & 15) << 4 | (low & 15));
    }
    if (!ok)
        RA_FAIL(err, MALFORMED_REQUEST, "\"uid\" must be a string of 32 hexadecimal digits");
    return 0;
}

typedef struct {
    bool by_id;
    int64_t id;
    ra_str name;
    int64_t version;  // 0: the newest
    bool has_uid;
    uint8_t uid[16];
} source;

static int read_source(json_t *from, source *out, ra_error *err) {
    static const char *const keys[] = {"id", "name", "version", "uid", NULL};
    *out = (source){0};
    RA_TRY(check_keys(from, "\"from\"", keys, NULL, err));
    json_t *id = json_object_get(from, "id"), *name = json_object_get(from, "name");
    json_t *version = json_object_get(from, "version"), *uid = json_object_get(from, "uid");
    if (!id == !name)
        RA_FAIL(err, MALFORMED_REQUEST, "\"from\" must have one of \"id\" and \"name\"");
    if (id && (!json_is_integer(id) || json_integer_value(id) < 0))
        RA_FAIL(err, MALFORMED_REQUEST, "\"id\" must be an integer that is not negative");
    if (name && !json_is_string(name))
        RA_FAIL(err, MALFORMED_REQUEST, "\"name\" must be a string");
    if (version && (!json_is_integer(version) || json_integer_value(version) < 1))
        RA_FAIL(err, MALFORMED_REQUEST, "\"version\" must be a positive integer");
    out->by_id = id != NULL;
    out->id = json_integer_value(id);
    out->name = name ? ra_json_str(name) : RA_STR("");
    out->version = json_integer_value(version);
    out->has_uid = uid != NULL;
    return uid ? read_uid(uid, out->uid, err) : 0;
}

static ra_version *find_version(const ra_flight *flight, int64_t number) {
    if (number == 0)
        return ra_flight_newest(flight);
    for (int i = 0; i < flight->n_versions; i++)
        if (flight->versions[i]->number == number)
            return flight->versions[i];
    return NULL;
}

static int check_uid(const source *s, const ra_version *version, ra_error *err) {
    if (!s->has_uid || memcmp(s->uid, version->uid, sizeof s->uid) == 0)
        return 0;
    RA_FAIL(err, FLIGHT_NOT_FOUND,
            "Flight %" PRId64 " is another one than the uid says: it was made anew",
            version->flight_id);
}

// All inputs of a command come from its snapshot; the store words what is not there. References.
static int look_up(ra_binder *b, const source *s, ra_flight **flight, ra_version **version,
                   ra_error *err) {
    ra_flight *found =
        s->by_id ? ra_snapshot_get(b->snapshot, s->id) : ra_snapshot_find(b->snapshot, s->name);
    ra_version *of_it = found ? find_version(found, s->version) : NULL;
    if (of_it) {
        *flight = ra_flight_ref(found);
        *version = ra_version_ref(of_it);
        return 0;
    }
    if (s->by_id)
        return ra_store_get(b->store, s->id, s->version, flight, version, err);
    return ra_store_find(b->store, s->name, s->version, flight, version, err);
}

static int find_source(ra_binder *b, const source *s, ra_version **out, ra_error *err) {
    ra_flight *flight;
    RA_TRY(look_up(b, s, &flight, out, err));
    int rc = check_uid(s, *out, err);
    if (rc == 0)
        rc = ra_version_check_lost(flight, *out, err);
    if (rc == 0)
        ra_flight_touch(flight);
    else
        ra_version_unref(*out);
    ra_flight_unref(flight);
    return rc;
}

// Takes the reference in any case.
static int keep_input(ra_plan *plan, ra_version *version, ra_version **out, ra_error *err) {
    *out = version;
    for (int i = 0; i < plan->n_inputs; i++) {
        if (plan->inputs[i]->flight_id == version->flight_id &&
            plan->inputs[i]->number == version->number) {
            *out = plan->inputs[i];
            ra_version_unref(version);
            return 0;
        }
    }
    if (plan->n_inputs == plan->input_capacity) {
        int capacity = plan->input_capacity ? 2 * plan->input_capacity : 4;
        ra_version **grown = ra_realloc(plan->inputs, (size_t)capacity * sizeof grown[0]);
        if (!grown) {
            ra_version_unref(version);
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
        }
        plan->inputs = grown;
        plan->input_capacity = capacity;
    }
    plan->inputs[plan->n_inputs++] = version;
    return 0;
}

// Counts towards the limits of the whole command.
static int count_step(int *n, const char *what, ra_error *err) {
    if (++*n > RA_MAX_COMMAND_STEPS)
        RA_FAIL(err, LIMIT, "a command may have %d %s", RA_MAX_COMMAND_STEPS, what);
    return 0;
}

static int bind_source(ra_binder *b, json_t *from, ra_relation *relation, ra_error *err) {
    source s;
    ra_version *version;
    RA_TRY(count_step(&b->n_sources, "sources", err));
    RA_TRY(read_source(from, &s, err));
    RA_TRY(find_source(b, &s, &version, err));
    RA_TRY(keep_input(b->plan, version, &relation->input, err));
    RA_TRY(ra_shape_init(b->shape, relation->input->content->schema, err));
    RA_TRY(ra_canonical_printf(b, err, "{\"from\":"));
    RA_TRY(ra_canonical_input(relation->input, &b->plan->canonical, err));
    return ra_canonical_printf(b, err, ",\"do\":[");
}

static int add_step(ra_binder *b, ra_relation *relation, const ra_table_method *method,
                    json_t *arguments, ra_error *err) {
    ra_step *step;
    json_t *args[RA_MAX_PARAMS];
    RA_TRY(count_step(&b->n_steps, "steps", err));
    RA_TRY(ra_method_arguments(method, arguments, args, err));
    RA_TRY(ra_plan_alloc(b->plan, 1, sizeof *step, &step, err));
    step->method = method;
    const char *comma = relation->n_steps++ > 0 ? "," : "";
    RA_TRY(ra_canonical_printf(b, err, "%s{\"%s\":{", comma, method->name));
    RA_TRY(method->bind(b, step, args, err));
    *relation->last = step;
    relation->last = &step->next;
    return ra_canonical_printf(b, err, "}}");
}

static int bind_step(ra_binder *b, ra_relation *relation, json_t *given, ra_error *err) {
    if (!json_is_object(given) || json_object_size(given) != 1)
        RA_FAIL(err, MALFORMED_REQUEST,
                "a step must be an object with one key, the method: {\"slice\": {…}}");
    void *entry = json_object_iter(given);
    ra_str name = {json_object_iter_key(entry), json_object_iter_key_len(entry)};
    json_t *arguments = json_object_iter_value(entry);
    const ra_table_method *method;
    RA_TRY(ra_method_find(name, b->is_legacy, &method, err));
    if (!json_is_object(arguments))
        RA_FAIL(err, MALFORMED_REQUEST, "the arguments of %s must be an object", method->name);
    return add_step(b, relation, method, arguments, err);
}

static int bind_chain(ra_binder *b, json_t *command, const char *const *extra_keys,
                      ra_relation *relation, ra_error *err);

// {"concat": {"tables": [first, …]}} in place of a source: the first table, then a step with the
// others.
static int bind_concat_source(ra_binder *b, json_t *arguments, ra_relation *relation,
                              ra_error *err) {
    const ra_table_method *method;
    json_t *args[RA_MAX_PARAMS];
    RA_TRY(ra_method_find(RA_STR("concat"), false, &method, err));
    if (!json_is_object(arguments))
        RA_FAIL(err, MALFORMED_REQUEST, "the arguments of concat must be an object");
    RA_TRY(ra_method_arguments(method, arguments, args, err));
    if (!json_is_array(args[0]))
        RA_FAIL(err, TYPE_ERROR, "concat: tables must be a list of commands");
    if (json_array_size(args[0]) == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "Must pass at least one table");
    RA_TRY(bind_chain(b, json_array_get(args[0], 0), NULL, relation, err));
    if (json_array_size(args[0]) == 1)
        return ra_bind_promote_options(args[1], err);
    b->n_tables_bound = 1;
    return add_step(b, relation, method, arguments, err);
}

// The source and the steps of a command, appended to `relation`, whose shape is the binder's.
static int bind_chain(ra_binder *b, json_t *command, const char *const *extra_keys,
                      ra_relation *relation, ra_error *err) {
    static const char *const keys[] = {"from", "concat", "do", NULL};
    RA_TRY(check_keys(command, "a command", keys, extra_keys, err));
    json_t *from = json_object_get(command, "from"), *concat = json_object_get(command, "concat");
    json_t *steps = json_object_get(command, "do");
    if (!from == !concat)
        RA_FAIL(err, MALFORMED_REQUEST, "a command must have one of \"from\" and \"concat\"");
    if (steps && !json_is_array(steps))
        RA_FAIL(err, MALFORMED_REQUEST, "\"do\" must be a list of steps");
    if (from)
        RA_TRY(bind_source(b, from, relation, err));
    else
        RA_TRY(bind_concat_source(b, concat, relation, err));
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step) {
        int rc = bind_step(b, relation, step, err);
        if (rc == 0)
            continue;
        if (err->flight < 0 && relation->input)
            err->flight = relation->input->flight_id;
        if (json_array_size(steps) > 1)
            ra_error_prefix(err, "do[%zu]", i);
        return rc;
    }
    return 0;
}

int ra_bind_relation(ra_binder *b, json_t *command, const char *const *extra_keys, ra_shape *shape,
                     ra_relation **out, ra_error *err) {
    ra_shape *outer = b->shape;
    *out = NULL;
    *shape = (ra_shape){0};
    ra_relation *relation;
    RA_TRY(ra_plan_alloc(b->plan, 1, sizeof *relation, &relation, err));
    relation->last = &relation->steps;
    b->shape = shape;
    int rc = bind_chain(b, command, extra_keys, relation, err);
    b->shape = outer;
    if (rc == 0)
        rc = ra_canonical_printf(b, err, "]");
    if (rc != 0)
        ra_shape_fini(shape);
    else
        *out = relation;
    return rc;
}

static int read_publishing(ra_plan *plan, json_t *command, ra_error *err) {
    json_t *name = json_object_get(command, "as"), *publish = json_object_get(command, "publish");
    json_t *if_exists = json_object_get(command, "if_exists");
    json_t *if_version = json_object_get(command, "if_version");
    plan->publish = !json_is_false(publish);
    plan->if_version = -1;
    if (publish && !json_is_boolean(publish))
        RA_FAIL(err, MALFORMED_REQUEST, "\"publish\" must be true or false");
    if (name && !json_is_string(name))
        RA_FAIL(err, MALFORMED_REQUEST, "\"as\" must be a string");
    if (!name && (if_exists || if_version))
        RA_FAIL(err, MALFORMED_REQUEST, "\"if_exists\" and \"if_version\" need \"as\"");
    if (name && !plan->publish)
        RA_FAIL(err, MALFORMED_REQUEST, "\"as\" needs a result that is published");
    if (if_version && (!json_is_integer(if_version) || json_integer_value(if_version) < 1))
        RA_FAIL(err, MALFORMED_REQUEST, "\"if_version\" must be a positive integer");
    if (if_version)
        plan->if_version = json_integer_value(if_version);
    if (if_exists && !json_is_string(if_exists))
        RA_FAIL(err, MALFORMED_REQUEST, "\"if_exists\" must be a string");
    if (if_exists)
        RA_TRY(ra_if_exists_read(ra_json_str(if_exists), &plan->if_exists, err));
    if (!name)
        return 0;
    RA_TRY(ra_name_check(ra_json_str(name), err));
    return ra_plan_copy(plan, ra_json_str(name), &plan->name, err);
}

int ra_bind_command(ra_binder *b, const ra_command_tree *command, ra_error *err) {
    static const char *const keys[] = {"as", "if_exists", "if_version", "publish", NULL};
    ra_shape shape;
    if (!json_is_object(command->root))
        RA_FAIL(err, MALFORMED_REQUEST, "a command must be an object");
    RA_TRY(read_publishing(b->plan, command->root, err));
    int rc = ra_bind_relation(b, command->root, keys, &shape, &b->plan->root, err);
    RA_TRY(rc);
    rc = ra_shape_schema(&shape, &b->plan->schema, err);
    if (rc == 0)
        rc = ra_canonical_printf(b, err, "}");
    ra_shape_fini(&shape);
    return rc;
}
