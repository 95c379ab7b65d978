// backup: copies the whole store into a folder that the operator allowed, on a job thread.
#include <inttypes.h>

#include "base/log.h"
#include "base/os.h"
#include "flight/action_job.h"
#include "store/backup.h"

typedef struct {
    ra_action_job job;
    ra_str name;  // points into the request
    char caller[RA_CALLER_BYTES];
    ra_backup backup;
} backup_state;

static int work(ra_action_job *job, ra_error *err) {
    backup_state *state = (backup_state *)job;
    const ra_app *app = job->action->app;
    const ra_backup *made = &state->backup;
    RA_TRY(ra_backup_make(app->store, app->backup_dir, state->name, &job->cancelled, &state->backup,
                          err));
    ra_log(RA_LOG_INFO, "audit",
           "backup=\"%.*s\" by=%s flights=%" PRId64 " files=%" PRId64 " bytes=%" PRId64,
           RA_STR_ARG(state->name), state->caller, made->n_flights, made->n_files, made->n_bytes);
    if (made->n_missing > 0)
        ra_log(RA_LOG_ERROR, "store", "backup %.*s: %" PRId64 " files are missing in the store",
               RA_STR_ARG(state->name), made->n_missing);
    return 0;
}

static int answer(ra_call *call, ra_action_job *job, ra_error *err) {
    const backup_state *state = (const backup_state *)job;
    const ra_backup *made = &state->backup;
    return ra_action_reply_json(
        call,
        json_pack("{s:s%, s:I, s:I, s:I, s:I, s:I}", "name", state->name.data, state->name.len,
                  "flights", (json_int_t)made->n_flights, "files", (json_int_t)made->n_files,
                  "bytes", (json_int_t)made->n_bytes, "bytes_linked",
                  (json_int_t)made->linked_bytes, "files_missing", (json_int_t)made->n_missing),
        err);
}

int ra_action_backup(ra_call *call, ra_action_call *action, ra_error *err) {
    static const char *const keys[] = {"name", NULL};
    const json_t *name = json_object_get(action->json, "name");
    if (!action->app->backup_dir)
        RA_FAIL(err, PERMISSION_DENIED, "this server was started without --backup-dir");
    RA_TRY(ra_json_check_keys(action->json, keys, err));
    if (!json_is_string(name))
        RA_FAIL(err, INVALID_ARGUMENT, "\"name\" must name the backup");
    backup_state *state = ra_calloc(1, sizeof *state);
    if (!state)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a request");
    action->state = state;
    action->free_state = ra_free;
    state->name = (ra_str){json_string_value(name), json_string_length(name)};
    char buffer[RA_CALLER_BYTES];
    ra_str caller = ra_app_caller(call, buffer);
    memcpy(state->caller, caller.data, caller.len);
    state->job.work = work;
    state->job.answer = answer;
    return ra_action_job_start(call, action, &state->job, err);
}
