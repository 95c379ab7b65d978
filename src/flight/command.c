#include "flight/command.h"

#include "base/os.h"
#include "flight/client.h"

// Referenced by its call (until ra_command_end), by a worker that plans it, while it waits for its
// turn, by the engine while it runs, and by a post on its way.
struct ra_command {
    atomic_int refs;
    ra_app *app;
    ra_call_ref call;
    ra_command_mode mode;
    ra_command_done done;
    void *owner;
    // I/O thread:
    bool ended;        // no answer is wanted any more
    bool is_answered;  // `outcome` is there
    bool was_kept;     // the answer is for `adopter`, which may be NULL, not for the first call
    ra_call *adopter;
    ra_bytes text;
    char caller[RA_CALLER_BYTES];
    ra_plan *plan;
    ra_content *stream;
    ra_turn turn;
    ra_waiter *waiter;
    ra_outcome outcome;
    ra_task task;
    ra_post post;
};

static void command_unref(ra_command *command) {
    if (atomic_fetch_sub(&command->refs, 1) != 1)
        return;
    ra_outcome_fini(&command->outcome);
    ra_content_unref(command->stream);
    ra_plan_unref(command->plan);
    ra_bytes_fini(&command->text);
    ra_free(command);
}

static ra_command *command_ref(ra_command *command) {
    atomic_fetch_add(&command->refs, 1);
    return command;
}

static void deliver(ra_command *command, ra_call *call) {
    command->is_answered = true;
    if (command->was_kept)
        call = command->adopter;
    if (command->ended || !call)
        return;
    ra_call_account_of(call)->run_ns = command->outcome.started_ns;
    ra_outcome *outcome = &command->outcome;
    ra_answer answer = {.err = &outcome->err,
                        .plan = command->plan,
                        .flight = outcome->flight,
                        .version = outcome->version,
                        .content = outcome->content};
    command->done(call, command->owner, &answer);
}

static void delivered(ra_call *call, ra_post *post) {
    ra_command *command = (ra_command *)((char *)post - offsetof(ra_command, post));
    ra_turn_give(&command->turn);
    deliver(command, call);
    command_unref(command);
}

// Hands the outcome to the I/O thread; takes the reference of whoever found it.
static void post_outcome(ra_command *command) {
    command->post = (ra_post){.to = command->call, .fn = delivered};
    ra_wire_post(command->app->wire, &command->post);
}

static void run_done(void *context, ra_outcome *outcome) {
    ra_command *command = context;
    command->outcome = *outcome;
    post_outcome(command);
}

static int find_published(ra_command *command) {
    ra_outcome *outcome = &command->outcome;
    outcome->flight = ra_plan_find(command->app->engine, command->plan, &outcome->version);
    if (!outcome->flight)
        return 0;
    outcome->content = ra_content_ref(outcome->version->content);
    ra_flight_touch(outcome->flight);
    return 1;
}

static int start_run(ra_command *command, ra_error *err) {
    command_ref(command);
    int rc = ra_engine_run(command->app->engine, command->plan, command->stream,
                           ra_str_of(command->caller), run_done, command, &command->waiter, err);
    if (rc != 0) {
        ra_turn_give(&command->turn);
        command_unref(command);
    }
    return rc;
}

static void turn_came(ra_call *call, ra_post *post) {
    ra_command *command = (ra_command *)((char *)post - offsetof(ra_command, turn.post));
    bool answered = true;
    // Others may have found the answer meanwhile.
    if (!command->ended && (command->stream || !find_published(command)))
        answered = start_run(command, &command->outcome.err) != 0;
    if (answered) {
        ra_turn_give(&command->turn);
        deliver(command, call);
    }
    command_unref(command);
}

// Starts the run now or when it is this command's turn.
static int start_in_turn(ra_command *command, ra_call *call, ra_error *err) {
    bool now;
    RA_TRY(ra_turn_take(call, &command->turn, turn_came, &now, err));
    if (now)
        return start_run(command, err);
    command_ref(command);
    return 0;
}

static int make_plan(ra_command *command, ra_error *err) {
    int rc = ra_plan_new(command->app->engine, ra_bytes_str(&command->text), &command->plan, err);
    ra_bytes_fini(&command->text);
    return rc;
}

// I/O thread, after planning; `*answered` tells that the outcome is there already.
static int start_planned(ra_command *command, ra_call *call, bool *answered, ra_error *err) {
    *answered = true;
    if (command->mode == RA_COMMAND_PLAN ||
        (command->mode == RA_COMMAND_RUN_IF_PUBLISHED && !ra_plan_is_published(command->plan)))
        return 0;
    if (ra_plan_has_stream(command->plan) && !command->stream)
        RA_FAIL(err, INVALID_ARGUMENT, "a command with a streamed argument goes to DoExchange");
    if (!command->stream && find_published(command))
        return 0;
    *answered = false;
    return start_in_turn(command, call, err);
}

static void planned(ra_call *call, ra_post *post) {
    ra_command *command = (ra_command *)((char *)post - offsetof(ra_command, post));
    bool answered = true;
    if (call && !command->ended) {
        // Once the run has started, the outcome is the job's.
        int rc = (int)command->outcome.err.code;
        if (rc == 0)
            rc = start_planned(command, call, &answered, &command->outcome.err);
        if (answered || rc != 0)
            deliver(command, call);
    }
    command_unref(command);
}

static void plan_on_worker(ra_task *task) {
    ra_command *command = (ra_command *)((char *)task - offsetof(ra_command, task));
    if (make_plan(command, &command->outcome.err) != 0)
        ra_assert(command->outcome.err.code != RA_OK);
    command->post = (ra_post){.to = command->call, .fn = planned};
    ra_wire_post(command->app->wire, &command->post);
}

static ra_command *command_new(ra_app *app, ra_call_ref call, ra_command_mode mode,
                               ra_command_done done, void *owner) {
    ra_command *command = ra_calloc(1, sizeof *command);
    if (!command)
        return NULL;
    atomic_init(&command->refs, 1);
    command->app = app;
    command->call = call;
    command->mode = mode;
    command->done = done;
    command->owner = owner;
    ra_error_init(&command->outcome.err);
    ra_bytes_init(&command->text, RA_COMMAND_MESSAGE_BYTES);
    return command;
}

static void set_caller(ra_command *command, ra_str caller) {
    size_t n = caller.len < sizeof command->caller - 1 ? caller.len : sizeof command->caller - 1;
    memcpy(command->caller, caller.data, n);
}

int ra_command_start(ra_call *call, ra_str text, ra_command_mode mode, ra_command_done done,
                     void *owner, ra_command **out, ra_error *err) {
    ra_app *app = ra_app_of(call);
    ra_command *command = *out = command_new(app, ra_call_get_ref(call), mode, done, owner);
    if (!command)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    char buffer[RA_CALLER_BYTES];
    set_caller(command, ra_app_caller(call, buffer));
    ra_call_note(call, RA_STR(""), text);
    bool answered = false;
    int rc = ra_bytes_append(&command->text, text.data, text.len, err);
    if (rc == 0 && text.len > RA_QUICK_COMMAND_BYTES) {
        command->task.run = plan_on_worker;
        command_ref(command);
        ra_workers_submit(app->workers, &command->task);
        return 0;
    }
    if (rc == 0)
        rc = make_plan(command, err);
    if (rc == 0)
        rc = start_planned(command, call, &answered, err);
    if (rc != 0) {
        command_unref(command);
        *out = NULL;
        return rc;
    }
    if (answered)
        deliver(command, call);
    return 0;
}

int ra_command_start_plan(ra_call *call, ra_plan *plan, ra_content *stream, ra_command_done done,
                          void *owner, ra_command **out, ra_error *err) {
    ra_command *command = *out =
        command_new(ra_app_of(call), ra_call_get_ref(call), RA_COMMAND_RUN, done, owner);
    if (!command)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a command");
    char buffer[RA_CALLER_BYTES];
    set_caller(command, ra_app_caller(call, buffer));
    command->plan = ra_plan_ref(plan);
    command->stream = stream ? ra_content_ref(stream) : NULL;
    bool answered;
    int rc = start_planned(command, call, &answered, err);
    if (rc != 0) {
        command_unref(command);
        *out = NULL;
    } else if (answered) {
        deliver(command, call);
    }
    return rc;
}

void ra_command_end(ra_command *command) {
    if (!command)
        return;
    command->ended = true;
    if (ra_turn_leave(&command->turn)) {
        command_unref(command);
    } else if (command->waiter && ra_waiter_leave(command->waiter)) {
        // The run is the others' now. Otherwise `run_done` gives back turn and reference.
        ra_turn_give(&command->turn);
        command_unref(command);
    }
    command_unref(command);
}

void ra_command_keep(ra_command *command) {
    ra_assert(command->plan);
    command->was_kept = true;
    command->adopter = NULL;
    command->owner = NULL;
}

void ra_command_adopt(ra_command *command, ra_call *call, void *owner) {
    ra_assert(command->was_kept && !command->adopter);
    command->adopter = call;
    command->owner = owner;
    if (command->is_answered)
        deliver(command, call);
}

bool ra_command_is_planned(const ra_command *command) {
    return command->is_answered || command->turn.client;
}

bool ra_command_is_answered(const ra_command *command) {
    return command->is_answered;
}
