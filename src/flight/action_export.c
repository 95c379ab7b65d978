// export: writes a Flight's version to a file in the data directory, on a job thread. save, of the
// legacy client, names the Flight and keeps it durable, too.
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/os.h"
#include "flight/action_job.h"
#include "flight/descriptor.h"
#include "sql/export.h"

typedef struct {
    ra_action_job job;
    ra_content *content;
    ra_export export;
    bool lossy;
    bool is_save;  // the Flight `flight_id` becomes `name`, and is kept
    int64_t flight_id;
    ra_str name;
    char file[NAME_MAX + 1];
    char caller[RA_CALLER_BYTES];  // of save, for the audit log
    ra_export_result result;
} export_state;

static void free_export(void *state) {
    export_state *e = state;
    ra_content_unref(e->content);
    ra_free(e);
}

static int answer(ra_call *call, ra_action_job *job, ra_error *err) {
    const export_state *e = (const export_state *)job;
    if (e->is_save) {
        char text[NAME_MAX + 64];
        snprintf(text, sizeof text, "Flight %" PRId64 " saved as %s", e->flight_id, e->export.file);
        return ra_action_reply_text(call, text, err);
    }
    return ra_action_reply_json(
        call,
        json_pack("{s:s, s:s, s:I, s:I}", "file", e->export.file, "format",
                  ra_format_name(e->export.format), "rows", (json_int_t)e->result.n_rows, "bytes",
                  (json_int_t)e->result.n_bytes),
        err);
}

static int change_flight(const export_state *e, ra_change_kind kind, ra_error *err) {
    ra_change change = {.change = kind,
                        .flight_id = e->flight_id,
                        .name = e->name,
                        .if_exists = RA_IF_EXISTS_ERROR,
                        .if_version = -1,
                        .caller = ra_str_of(e->caller)};
    ra_change_result result = {0};
    RA_TRY(ra_store_change_wait(e->job.action->app->store, &change, &result, err));
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    return 0;
}

// A file that cannot be written leaves the Flight named and kept: the call says why.
static int work(ra_action_job *job, ra_error *err) {
    export_state *e = (export_state *)job;
    ra_store *store = job->action->app->store;
    RA_TRY(ra_store_check_writable(store, err));
    RA_TRY(ra_store_check_disk(store, 0, err));  // how long a file will be is unknown
    RA_TRY(ra_export_check_schema(e->content->schema, e->export.format, e->lossy, err));
    if (e->is_save) {
        RA_TRY(change_flight(e, RA_CHANGE_KEEP, err));
        RA_TRY(change_flight(e, RA_CHANGE_RENAME, err));
    }
    return ra_export_run(&e->export, &e->result, err);
}

// The format: as named, else by the file's suffix.
static int read_format(const json_t *json, ra_export *export, ra_error *err) {
    const json_t *named = json_object_get(json, "format");
    bool known = named ? json_is_string(named) &&
                             ra_format_read(ra_str_of(json_string_value(named)), &export->format)
                       : ra_format_of_file(ra_str_of(export->file), &export->format);
    if (!known)
        RA_FAIL(err, INVALID_ARGUMENT,
                "no format is told: \"format\" or the suffix of the file must be parquet, csv or "
                "arrow");
    return 0;
}

static int read_export(export_state *e, const json_t *json, ra_error *err) {
    const json_t *file = json_object_get(json, "file");
    const json_t *if_exists = json_object_get(json, "if_exists");
    const json_t *lossy = json_object_get(json, "lossy");
    const char *word = if_exists ? json_string_value(if_exists) : "error";
    if (!json_is_string(file))
        RA_FAIL(err, INVALID_ARGUMENT, "\"file\" must name the file");
    RA_TRY(ra_export_check_name((ra_str){json_string_value(file), json_string_length(file)}, err));
    if (!word || (strcmp(word, "error") != 0 && strcmp(word, "replace") != 0))
        RA_FAIL(err, INVALID_ARGUMENT, "\"if_exists\" is \"error\" or \"replace\"");
    if (lossy && !json_is_boolean(lossy))
        RA_FAIL(err, INVALID_ARGUMENT, "\"lossy\" is true or false");
    e->lossy = json_is_true(lossy);
    e->export.file = json_string_value(file);
    e->export.replace = strcmp(word, "replace") == 0;
    return read_format(json, &e->export, err);
}

// "<id> <name>": the file has the suffix .parquet unless the name has one of ours.
static int read_save(export_state *e, ra_str body, ra_error *err) {
    const char *space = memchr(body.data, ' ', body.len);
    e->is_save = true;
    e->name = (ra_str){space + 1, body.len - (size_t)(space + 1 - body.data)};
    RA_TRY(ra_name_check(e->name, err));
    RA_TRY(ra_export_check_name(e->name, err));
    bool has_suffix = ra_format_of_file(e->name, &e->export.format);
    if (!has_suffix)
        e->export.format = RA_FORMAT_PARQUET;
    int bytes = snprintf(e->file, sizeof e->file, "%.*s%s", (int)e->name.len, e->name.data,
                         has_suffix ? "" : ".parquet");
    RA_TRY(ra_export_check_name((ra_str){e->file, (size_t)bytes}, err));
    e->export.file = e->file;
    return 0;
}

static int find_saved(const ra_action_call *action, ra_flight **flight, ra_version **version,
                      ra_error *err) {
    ra_str body = action->body;
    const char *space = body.len ? memchr(body.data, ' ', body.len) : NULL;
    int64_t id;
    if (action->json || !space ||
        !ra_number_read((ra_str){body.data, (size_t)(space - body.data)}, &id))
        RA_FAIL(err, INVALID_ARGUMENT, "the body of 'save' is \"<id> <name>\"");
    return ra_store_get(action->app->store, id, 0, flight, version, err);
}

// Takes the references.
static int new_state(ra_action_call *action, ra_flight *flight, ra_version *version,
                     export_state **out, ra_error *err) {
    export_state *e = *out = ra_calloc(1, sizeof *e);
    int rc = e ? ra_version_check_lost(flight, version, err)
               : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for a request");
    if (e) {
        e->job.work = work;
        e->job.answer = answer;
        e->flight_id = flight->id;
        e->content = ra_content_ref(version->content);
        e->export.data_dir = action->app->data_dir;
        e->export.budget = action->app->budget;
        e->export.content = e->content;
        e->export.cancelled = &e->job.cancelled;
        action->state = e;
        action->free_state = free_export;
    }
    ra_flight_unref(flight);
    ra_version_unref(version);
    return rc;
}

int ra_action_export(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"id",     "name",      "version", "file",
                                       "format", "if_exists", "lossy",   NULL};
    ra_flight *flight;
    ra_version *version;
    export_state *e;
    RA_TRY(ra_action_find_flight(action, keys, &flight, &version, err));
    RA_TRY(new_state(action, flight, version, &e, err));
    RA_TRY(read_export(e, action->json, err));
    return ra_action_job_start(call, action, &e->job, err);
}

int ra_action_save(ra_call *call, ra_action_call *action, ra_error *err) {
    ra_flight *flight;
    ra_version *version;
    export_state *e;
    RA_TRY(find_saved(action, &flight, &version, err));
    RA_TRY(new_state(action, flight, version, &e, err));
    RA_TRY(read_save(e, action->body, err));
    char buffer[RA_CALLER_BYTES];
    ra_str caller = ra_app_caller(call, buffer);
    snprintf(e->caller, sizeof e->caller, "%.*s", RA_STR_ARG(caller));
    return ra_action_job_start(call, action, &e->job, err);
}
