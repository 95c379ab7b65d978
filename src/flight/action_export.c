// export: writes a Flight's version to a file in the data directory, on a job thread.
#include "base/os.h"
#include "flight/action.h"
#include "flight/client.h"
#include "sql/export.h"

typedef struct {
    ra_action_call *action;
    ra_content *content;
    ra_export export;
    int64_t n_rows;
    int64_t n_bytes;
    ra_error err;
    ra_turn turn;
    ra_task task;
    atomic_bool cancelled;
} export_state;

static void free_export(void *state) {
    export_state *e = state;
    ra_content_unref(e->content);
    ra_free(e);
}

static void exported(ra_call *call, ra_post *post) {
    ra_action_call *action = ra_action_of_post(post);
    export_state *e = action->state;
    ra_error err;
    ra_turn_give(&e->turn);
    if (call && e->err.code != RA_OK)
        ra_call_finish(call, &e->err);
    else if (call &&
             ra_action_reply_json(call,
                                  json_pack("{s:s, s:s, s:I, s:I}", "file", e->export.file,
                                            "format", e->export.is_csv ? "csv" : "parquet", "rows",
                                            (json_int_t)e->n_rows, "bytes", (json_int_t)e->n_bytes),
                                  &err) != 0)
        ra_call_finish(call, &err);
    ra_action_unref(action);
}

static void run_export(ra_task *task) {
    export_state *e = (export_state *)((char *)task - offsetof(export_state, task));
    if (ra_export_run(&e->export, &e->n_rows, &e->n_bytes, &e->err) != 0)
        ra_assert(e->err.code != RA_OK);
    ra_action_post(e->action, exported);
}

static void start_export(export_state *e) {
    ra_action_ref(e->action);
    e->task.run = run_export;
    ra_workers_submit(e->action->app->jobs, &e->task);
}

static void turn_came(ra_call *call, ra_post *post) {
    export_state *e = (export_state *)((char *)post - offsetof(export_state, turn.post));
    if (call)
        start_export(e);
    else
        ra_turn_give(&e->turn);
    ra_action_unref(e->action);
}

// The format: as named, else by the file's suffix.
static int read_format(const json_t *json, const char *file, bool *is_csv, ra_error *err) {
    const json_t *named = json_object_get(json, "format");
    const char *dot = strrchr(file, '.');
    const char *format = named ? json_string_value(named) : dot ? dot + 1 : "";
    *is_csv = format && strcmp(format, "csv") == 0;
    if (!format || (!*is_csv && strcmp(format, "parquet") != 0))
        RA_FAIL(err, INVALID_ARGUMENT, "\"format\", or the file's suffix, is parquet or csv");
    return 0;
}

static int read_export(export_state *e, const json_t *json, ra_error *err) {
    const json_t *file = json_object_get(json, "file");
    const json_t *if_exists = json_object_get(json, "if_exists");
    const char *word = if_exists ? json_string_value(if_exists) : "error";
    if (!json_is_string(file))
        RA_FAIL(err, INVALID_ARGUMENT, "\"file\" must name the file");
    RA_TRY(ra_export_check_name((ra_str){json_string_value(file), json_string_length(file)}, err));
    if (!word || (strcmp(word, "error") != 0 && strcmp(word, "replace") != 0))
        RA_FAIL(err, INVALID_ARGUMENT, "\"if_exists\" is \"error\" or \"replace\"");
    e->export.file = json_string_value(file);
    e->export.replace = strcmp(word, "replace") == 0;
    RA_TRY(read_format(json, e->export.file, &e->export.is_csv, err));
    return ra_export_check_schema(e->content->schema, e->export.is_csv, err);
}

int ra_action_export(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"id",     "name",      "version", "file",
                                       "format", "if_exists", NULL};
    ra_flight *flight;
    ra_version *version;
    bool now;
    RA_TRY(ra_action_find_flight(action, keys, &flight, &version, err));
    export_state *e = ra_calloc(1, sizeof *e);
    int rc = e ? ra_version_check_lost(flight, version, err)
               : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory for a request");
    if (e) {
        e->content = ra_content_ref(version->content);
        action->state = e;
        action->free_state = free_export;
    }
    ra_flight_unref(flight);
    ra_version_unref(version);
    RA_TRY(rc);
    e->action = action;
    e->export.data_dir = action->app->data_dir;
    e->export.content = e->content;
    e->export.cancelled = &e->cancelled;
    ra_error_init(&e->err);
    RA_TRY(read_export(e, action->json, err));
    RA_TRY(ra_turn_take(call, &e->turn, turn_came, &now, err));
    if (now)
        start_export(e);
    else
        ra_action_ref(action);
    return 0;
}

void ra_action_export_end(ra_action_call *action) {
    export_state *e = action->state;
    if (!e)
        return;
    atomic_store(&e->cancelled, true);
    if (ra_turn_leave(&e->turn))
        ra_action_unref(action);
}
