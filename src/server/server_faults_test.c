// The whole server while its n-th allocation or file call fails, once or from then on: no crash, no
// call without an end, and after a restart everything that was acknowledged and nothing half-made.
//
// A normal run takes a sample of every series. RA_FAULTS_ALL=1 takes every n, RA_FAULTS_AT=n that
// one.
#include <dirent.h>
#include <ftw.h>
#include <signal.h>

#include "base/log.h"
#include "base/testing_close.h"
#include "server/server.h"
#include "server/testing_calls.h"

enum { ANY = -1, RUN_SECONDS = 120, STOP_MS = 8000, LISTED_AT_ONCE = 3 };

// What fails.

#define NO_FAULT (INT64_MAX - 1)

typedef enum { ALLOCATIONS, IO_ALLOCATIONS, FILES, DISK_SPACE } fault_target;

typedef struct {
    const char *name;
    fault_target target;
    bool forever;
    int code;
    int n_runs;     // of a sample
    int64_t first;  // of a sample
} fault_series;

static struct {
    atomic_bool armed;
    fault_target target;
    bool forever;
    int code;
    atomic_long left;  // until the one that fails
    atomic_long n_failed;
} fault;

static _Thread_local bool is_client;

static bool is_target(const ra_os_event *event) {
    switch (fault.target) {
        case ALLOCATIONS:
            return event->call == RA_OS_ALLOC;
        case IO_ALLOCATIONS:
            return event->call == RA_OS_ALLOC && ra_os_thread_is_nonblocking();
        case DISK_SPACE:
            return event->call == RA_OS_WRITE || event->call == RA_OS_ALLOCATE ||
                   event->call == RA_OS_MKDIR;
        default:
            return event->call != RA_OS_ALLOC;
    }
}

static int gate(void *context, const ra_os_event *event) {
    (void)context;
    if (is_client || !atomic_load(&fault.armed) || !is_target(event))
        return 0;
    long left = atomic_fetch_sub(&fault.left, 1);
    if (left > 0 || (left < 0 && !fault.forever))
        return 0;
    atomic_fetch_add(&fault.n_failed, 1);
    return fault.code;
}

static void arm(const fault_series *series, int64_t n) {
    fault.target = series->target;
    fault.forever = series->forever;
    fault.code = series->code;
    atomic_store(&fault.left, n);
    atomic_store(&fault.n_failed, 0);
    atomic_store(&fault.armed, true);
}

// Where a run is, for the message of one that fails.
static struct {
    const fault_series *series;
    int64_t n;
    const char *doing;
    int64_t n_runs, n_calls, n_closed;
} at;

#define check(condition, ...)                                                          \
    do {                                                                               \
        if (!(condition)) {                                                            \
            print_error("%s, n = %" PRId64 ", %s: ", at.series->name, at.n, at.doing); \
            print_error(__VA_ARGS__);                                                  \
            print_error("\n");                                                         \
            fail();                                                                    \
        }                                                                              \
    } while (0)

static void out_of_time(int signal_number) {
    (void)signal_number;
    char text[200];
    int n = snprintf(text, sizeof text, "%s, n = %" PRId64 ", %s: no end\n", at.series->name, at.n,
                     at.doing);
    if (write(STDERR_FILENO, text, (size_t)n) == n)
        abort();
    _exit(1);
}

// The server and its directory.

static char dir[64];

static ra_server *try_start(ra_error *err) {
    static ra_options options;
    static char *arguments[] = {"test",       "--host",   "127.0.0.1", "--port", "0",
                                "--data-dir", dir,        "--threads", "2",      "--drain-timeout",
                                "20s",        "--import", "no"};
    ra_server *server;
    is_client = true;
    assert_ok(ra_options_read(&options, sizeof arguments / sizeof *arguments, arguments, err), err);
    is_client = false;
    return ra_server_start(&options, NULL, NULL, &server, err) == 0 ? server : NULL;
}

// A call that stays open would hold it for the whole drain timeout.
static void stop(ra_server *server) {
    int64_t start_ns = ra_os_now_ns();
    at.doing = "stop";
    ra_server_drain(server);
    ra_server_free(server);
    check(ra_os_now_ns() - start_ns < (int64_t)STOP_MS * 1000000, "a call was still open");
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int count_entries(const char *path) {
    DIR *entries = opendir(path);
    int n = 0;
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        n += entry->d_name[0] != '.';
    if (entries)
        closedir(entries);
    return n;
}

static int count_files(const char *folder) {
    char path[128];
    snprintf(path, sizeof path, "%s/.remote-arrow/%s", dir, folder);
    return count_entries(path);
}

// The story.

#define STEPS(X)                            \
    X(PUT_T, "put t")                       \
    X(PUT_U, "put u")                       \
    X(LIST, "list")                         \
    X(INFO_T, "info of t")                  \
    X(GET_T, "get t")                       \
    X(RUN_SORTED, "run sorted")             \
    X(GET_SORTED, "get sorted")             \
    X(RUN_TAKEN, "run taken")               \
    X(GET_TAKEN, "get taken")               \
    X(EXCHANGE, "exchange")                 \
    X(APPEND_T, "append to t")              \
    X(INFO_T_AGAIN, "info of t again")      \
    X(GET_T_AGAIN, "get t again")           \
    X(INFO_U, "info of u")                  \
    X(GET_U, "get u")                       \
    X(REPLACE_U, "replace u")               \
    X(RENAME_U, "rename u")                 \
    X(INFO_V, "info of v")                  \
    X(GET_V, "get v")                       \
    X(KEEP_SORTED, "keep")                  \
    X(VERSIONS, "versions")                 \
    X(EXPLAIN, "explain")                   \
    X(EQUALS, "equals")                     \
    X(SERVER_INFO, "server-info")           \
    X(SCHEMA, "schema")                     \
    X(POLL, "poll")                         \
    X(DELETE_TAKEN, "delete")               \
    X(LIST_AFTER_START, "list again")       \
    X(INFO_AFTER_START, "info after start") \
    X(GET_AFTER_START, "get after start")

typedef enum {
#define X(step, name) step,
    STEPS(X)
#undef X
        N_STEPS
} story_step;

static const char *const step_names[N_STEPS] = {
#define X(step, name) [step] = name,
    STEPS(X)
#undef X
};

// What a download can give, as bytes of its messages; learnt from a run without faults.
typedef enum { T_1, T_2, U_1, U_2, SORTED, TAKEN, EXCHANGED, N_CONTENTS } content;

static struct {
    bool known;
    size_t bytes;
    uint8_t data[CLIENT_KEPT_BYTES];
} contents[N_CONTENTS];

static struct { flight_table t, more_t, u, other_u, indices, extra; } tables;

typedef struct {
    flight_client client;
    bool met;  // a call has failed
    int n_without_memory;
    int code[N_STEPS];
    flight_about t, u, sorted, taken;
    flight_answer answer;
} story;

static const char sorted_command[] =
    "{\"from\": {\"name\": \"t\"}, \"do\": ["
    "{\"filter\": {\"mask\": [true, false, true, true, true]}}, "
    "{\"sort_by\": {\"sorting\": [[\"n\", \"descending\"]]}}, {\"take\": {\"indices\": [0, 2, "
    "null]}}]}";
static const char exchange_command[] =
    "{\"from\": {\"name\": \"t\"}, \"do\": [{\"take\": {\"indices\": {\"stream\": true}}}]}";
static const char planned_command[] =
    "{\"from\": {\"name\": \"t\"}, \"do\": [{\"slice\": {\"length\": 1}}], \"publish\": false}";

static void make_tables(void) {
    tables.t = flight_table_new(
        "i:n s:s d:d", (const char *const[]){"[[1,2,3],[\"x\",\"y\",null],[\"a\",\"b\",\"a\"]]",
                                             "[[4,null],[\"z\",\"zz\"],[\"c\",\"b\"]]", NULL});
    tables.more_t = flight_table_new(
        "i:n s:s d:d", (const char *const[]){"[[6],[\"w\"],[\"d\"]]", "[[7],[null],[null]]", NULL});
    tables.u = flight_table_new("i:n", (const char *const[]){"[[1,2]]", "[[3]]", NULL});
    tables.other_u = flight_table_new("i:n", (const char *const[]){"[[9,8]]", "[[7]]", NULL});
    tables.indices = flight_table_new("i:i", (const char *const[]){"[[4,0]]", "[[1]]", NULL});
    tables.extra = flight_table_new("b:b", (const char *const[]){"[[true]]", NULL});
}

static void free_tables(void) {
    flight_table *all[] = {&tables.t,       &tables.more_t,  &tables.u,
                           &tables.other_u, &tables.indices, &tables.extra};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        flight_table_free(all[i]);
}

// What a call may end with: the fault's own code, or what follows from an earlier failure.
static bool is_expected(const story *s, int code) {
    bool is_disk = at.series->target >= FILES;
    switch (code) {
        case RA_OK:
        case RA_EXHAUSTED:
            return true;
        case FLIGHT_CLOSED:
            return !is_disk;
        case RA_NOT_FOUND:
        case RA_ABORTED:
        case RA_EXISTS:
        case RA_INVALID:
            return s->met;
        case RA_INTERNAL:
        case RA_UNAVAILABLE:
        case RA_DATA_LOSS:
            return is_disk;
        default:
            return false;
    }
}

static bool note(story *s, story_step step) {
    int code = s->answer.code;
    s->code[step] = code;
    at.n_calls++;
    at.n_closed += code == FLIGHT_CLOSED;
    check(is_expected(s, code), "ended with %d", code);
    check(code == RA_OK || atomic_load(&fault.n_failed) > 0, "failed with %d without fault", code);
    s->met = s->met || code != RA_OK;
    s->n_without_memory += code == RA_EXHAUSTED || code == FLIGHT_CLOSED;
    check(at.series->forever || at.series->target >= FILES || s->n_without_memory <= 1,
          "a second call lacks memory");
    return code == RA_OK;
}

static void begin(story_step step) {
    at.doing = step_names[step];
}

static void learn(const uint8_t *data, size_t bytes, content what) {
    if (contents[what].known || at.n != NO_FAULT)
        return;
    contents[what].known = true;
    contents[what].bytes = bytes;
    memcpy(contents[what].data, data, bytes);
}

static bool is_content(const uint8_t *data, size_t bytes, content what) {
    return contents[what].known && contents[what].bytes == bytes &&
           memcmp(contents[what].data, data, bytes) == 0;
}

static void put(story *s, story_step step, const char *options, const flight_table *table) {
    begin(step);
    flight_upload(&s->client, FLIGHT_PATH("DoPut"), options, table, &s->answer);
    note(s, step);
}

static void list(story *s, story_step step) {
    begin(step);
    flight_ask_field(&s->client, FLIGHT_PATH("ListFlights"), RA_STR("{\"limit\": 2}"), &s->answer);
    if (!note(s, step) || s->code[PUT_T] != RA_OK || s->code[PUT_U] != RA_OK)
        return;
    size_t from = 0;
    ra_str info;
    int n = 0;
    while (flight_next_message(&s->answer, &from, &info))
        n++;
    check(n == 2, "%d Flights", n);
}

static bool get_info(story *s, story_step step, uint32_t type, const char *text,
                     flight_about *about) {
    begin(step);
    about->ticket_bytes = 0;
    flight_ask_about(&s->client, FLIGHT_PATH("GetFlightInfo"), type, text, &s->answer);
    if (!note(s, step))
        return false;
    size_t from = 0;
    ra_str message;
    check(flight_next_message(&s->answer, &from, &message), "OK without an answer");
    flight_read_info(message, about);
    return true;
}

static void fetch(story *s, story_step step, const flight_about *about, content a, content b) {
    begin(step);
    if (about->ticket_bytes == 0)
        return;
    flight_fetch(&s->client, about, &s->answer);
    if (!note(s, step))
        return;
    learn(s->answer.data, s->answer.bytes, a);
    check(is_content(s->answer.data, s->answer.bytes, a) ||
              is_content(s->answer.data, s->answer.bytes, b),
          "another table");
}

static void ask_about(story *s, story_step step, const char *path, const char *command) {
    begin(step);
    flight_ask_about(&s->client, path, FLIGHT_BY_COMMAND, command, &s->answer);
    if (note(s, step))
        check(s->answer.bytes > 0, "OK without an answer");
}

static void exchange(story *s) {
    begin(EXCHANGE);
    flight_upload(&s->client, FLIGHT_PATH("DoExchange"), exchange_command, &tables.indices,
                  &s->answer);
    if (!note(s, EXCHANGE))
        return;
    size_t from = 0;
    ra_str message;
    check(flight_next_message(&s->answer, &from, &message), "OK without an answer");
    learn(s->answer.data + from, s->answer.bytes - from, EXCHANGED);
    check(is_content(s->answer.data + from, s->answer.bytes - from, EXCHANGED), "another table");
}

// An action, whose answer has `text` so many times (or ANY).
static void act(story *s, story_step step, const char *type, const char *body, const char *text,
                int times) {
    begin(step);
    flight_act(&s->client, type, body, &s->answer);
    if (!note(s, step))
        return;
    const uint8_t *from = s->answer.data, *end = from + s->answer.bytes;
    int n = 0;
    for (; (from = memmem(from, (size_t)(end - from), text, strlen(text))); from += strlen(text))
        n++;
    check(times == ANY || n == times, "%.*s", (int)s->answer.bytes, (const char *)s->answer.data);
}

static void act_on(story *s, story_step step, const char *type, const flight_about *about,
                   const char *text) {
    char body[64];
    if (about->ticket_bytes == 0)
        return;
    snprintf(body, sizeof body, "{\"id\": %" PRId64 "}", about->id);
    act(s, step, type, body, text, 1);
}

static void run_calls(story *s) {
    put(s, PUT_T, "{\"put\": {\"name\": \"t\"}}", &tables.t);
    put(s, PUT_U, "{\"put\": {\"name\": \"u\"}}", &tables.u);
    list(s, LIST);
    if (get_info(s, INFO_T, FLIGHT_BY_PATH, "t", &s->t)) {
        fetch(s, GET_T, &s->t, T_1, T_1);
        char legacy[64];
        snprintf(legacy, sizeof legacy, "%" PRId64 "$take${0: [3, 0]}${}", s->t.id);
        get_info(s, RUN_TAKEN, FLIGHT_BY_COMMAND, legacy, &s->taken);
        fetch(s, GET_TAKEN, &s->taken, TAKEN, TAKEN);
    }
    get_info(s, RUN_SORTED, FLIGHT_BY_COMMAND, sorted_command, &s->sorted);
    fetch(s, GET_SORTED, &s->sorted, SORTED, SORTED);
    exchange(s);
    put(s, APPEND_T, "{\"put\": {\"name\": \"t\", \"if_exists\": \"append\", \"if_version\": 1}}",
        &tables.more_t);
    get_info(s, INFO_T_AGAIN, FLIGHT_BY_PATH, "t", &s->t);
    fetch(s, GET_T_AGAIN, &s->t, s->code[APPEND_T] == RA_OK ? T_2 : T_1, T_2);
    get_info(s, INFO_U, FLIGHT_BY_PATH, "u", &s->u);
    fetch(s, GET_U, &s->u, U_1, U_1);
    put(s, REPLACE_U, "{\"put\": {\"name\": \"u\", \"if_exists\": \"replace\", \"if_version\": 1}}",
        &tables.other_u);
    act(s, RENAME_U, "rename", "{\"name\": \"u\", \"to\": \"v\"}", "[\"v\"]", 1);
    get_info(s, INFO_V, FLIGHT_BY_PATH, "v", &s->u);
    fetch(s, GET_V, &s->u, s->code[REPLACE_U] == RA_OK ? U_2 : U_1, U_2);
    act_on(s, KEEP_SORTED, "keep", &s->sorted, "\"kept\": true");
    act(s, VERSIONS, "versions", "{\"name\": \"t\"}",
        "\"rows\": ", s->code[APPEND_T] == RA_OK ? 2 : ANY);
    act(s, EXPLAIN, "explain", sorted_command, "\"nullable\": true", 3);
    act(s, EQUALS, "equals", "{\"left\": {\"name\": \"t\"}, \"right\": {\"name\": \"t\"}}",
        "{\"equal\": true}", 1);
    act(s, SERVER_INFO, "server-info", "{}", "\"read_only\": ", 1);
    ask_about(s, SCHEMA, FLIGHT_PATH("GetSchema"), planned_command);
    ask_about(s, POLL, FLIGHT_PATH("PollFlightInfo"), planned_command);
    act_on(s, DELETE_TAKEN, "delete", &s->taken, "\"deleted\": ");
}

static void run_calls_after_start(story *s) {
    list(s, LIST_AFTER_START);
    get_info(s, INFO_AFTER_START, FLIGHT_BY_PATH, "t", &s->t);
    fetch(s, GET_AFTER_START, &s->t, s->code[APPEND_T] == RA_OK ? T_2 : T_1, T_2);
}

// A start, `calls` by a client of its own, a stop. A start may fail by the fault only.
static void run_server(story *s, void (*calls)(story *s), bool ends_before_stop) {
    ra_error err;
    at.doing = "start";
    ra_server *server = try_start(&err);
    if (!server) {
        check(atomic_load(&fault.n_failed) > 0, "%s", err.message);
        check(is_expected(s, (int)err.code), "%d: %s", (int)err.code, err.message);
        s->met = true;
        return;
    }
    is_client = true;
    s->client = (flight_client){.port = ra_server_port(server)};
    calls(s);
    if (ends_before_stop) {
        atomic_store(&fault.armed, false);
        at.doing = "call after the fault";
        flight_disconnect(&s->client);
        flight_ask_field(&s->client, FLIGHT_PATH("ListFlights"), RA_STR("{\"limit\": 1}"),
                         &s->answer);
        check(s->answer.code == RA_OK, "ended with %d", s->answer.code);
    }
    flight_disconnect(&s->client);
    is_client = false;
    stop(server);
}

// After the story.

typedef struct {
    bool has[N_CONTENTS];
    bool is_renamed, is_kept, has_taken_id;
} findings;

// One listed Flight: it can be fetched, and is what its name says.
static void look_at(story *s, ra_str info, findings *found, int64_t *last_id) {
    flight_about about;
    flight_read_info(info, &about);
    *last_id = about.id;
    flight_fetch(&s->client, &about, &s->answer);
    check(s->answer.code == RA_OK, "Flight %" PRId64 ": %d", about.id, s->answer.code);
    bool is_t = strstr(about.json, "\"names\": [\"t\"]");
    bool is_u = strstr(about.json, "\"names\": [\"u\"]");
    bool is_v = strstr(about.json, "\"names\": [\"v\"]");
    content first = is_t ? T_1 : is_u || is_v ? U_1 : SORTED;
    content last = is_t ? T_2 : is_u || is_v ? U_2 : EXCHANGED;
    content what = first;
    while (what < last && !is_content(s->answer.data, s->answer.bytes, what))
        what++;
    check(is_content(s->answer.data, s->answer.bytes, what), "another table: %s", about.json);
    check(!found->has[what], "twice: %s", about.json);
    found->has[what] = true;
    found->is_renamed = found->is_renamed || is_v;
    if (what == SORTED)
        found->is_kept = strstr(about.json, "\"kept\": true");
    found->has_taken_id =
        found->has_taken_id || (s->taken.ticket_bytes > 0 && about.id == s->taken.id);
}

static void look_at_all(story *s, findings *found) {
    int64_t last_id = -1;
    for (int n = LISTED_AT_ONCE; n == LISTED_AT_ONCE;) {
        char criteria[64];
        snprintf(criteria, sizeof criteria,
                 "{\"deleted\": false, \"limit\": %d, \"after\": %" PRId64 "}", LISTED_AT_ONCE,
                 last_id);
        flight_answer listed;
        flight_ask_field(
            &s->client, FLIGHT_PATH("ListFlights"),
            last_id < 0 ? RA_STR("{\"deleted\": false, \"limit\": 3}") : ra_str_of(criteria),
            &listed);
        check(listed.code == RA_OK, "list: %d", listed.code);
        ra_str info;
        n = 0;
        for (size_t from = 0; flight_next_message(&listed, &from, &info); n++)
            look_at(s, info, found, &last_id);
    }
}

// Only an answer that could not be given, or a sync that failed, leaves open what has happened.
static bool is_refused(int code) {
    return code > 0 && code != RA_UNAVAILABLE;
}

static void check_findings(const story *s, const findings *found) {
    const int *code = s->code;
    bool has_t = found->has[T_1] || found->has[T_2], has_u = found->has[U_1] || found->has[U_2];
    check(code[PUT_T] != RA_OK || has_t, "t is lost");
    check(!is_refused(code[PUT_T]) || !has_t, "t is there, but was refused");
    check(code[APPEND_T] != RA_OK || found->has[T_2], "what was appended to t is lost");
    check(!is_refused(code[APPEND_T]) || !found->has[T_2], "what was refused is appended to t");
    check(code[PUT_U] != RA_OK || has_u, "u is lost");
    check(!is_refused(code[PUT_U]) || !has_u, "u is there, but was refused");
    check(code[REPLACE_U] != RA_OK || found->has[U_2], "the new u is lost");
    check(!is_refused(code[REPLACE_U]) || !found->has[U_2], "u is replaced, but that was refused");
    check(code[RENAME_U] != RA_OK || found->is_renamed, "u is not renamed");
    check(code[KEEP_SORTED] != RA_OK || found->is_kept, "the kept result is lost");
    check(code[DELETE_TAKEN] != RA_OK || !found->has_taken_id, "the deleted result is back");
}

// Without faults: all that was acknowledged is there, and the store takes more.
static void check_afterwards(story *s) {
    ra_error err;
    findings found = {0};
    at.doing = "start afterwards";
    ra_server *server = try_start(&err);
    check(server, "%s", err.message);
    is_client = true;
    s->client = (flight_client){.port = ra_server_port(server)};
    at.doing = "look afterwards";
    look_at_all(s, &found);
    check_findings(s, &found);
    flight_upload(&s->client, FLIGHT_PATH("DoPut"), "{\"put\": {}}", &tables.extra, &s->answer);
    check(s->answer.code == RA_OK, "upload: %d", s->answer.code);
    flight_disconnect(&s->client);
    is_client = false;
    stop(server);
    check(count_files("tmp") == 0, "%d temporary files stay", count_files("tmp"));
    if (at.series->target < FILES)
        check(count_files("aside") == 0, "%d segments are nobody's", count_files("aside"));
}

// For ever means until everything has ended, or until the calls of the first server have.
static bool ends_before_stop(const fault_series *series, int64_t n) {
    return series->forever && n % 2;
}

// One story with the n-th call failing; false when it has no n-th.
static bool run_story(const fault_series *series, int64_t n) {
    static story s;
    memset(&s, 0, sizeof s);
    for (int i = 0; i < N_STEPS; i++)
        s.code[i] = FLIGHT_SKIPPED;
    at.series = series;
    at.n = n;
    at.n_runs++;
    alarm(RUN_SECONDS);
    snprintf(dir, sizeof dir, "%s/server-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    int n_descriptors = count_entries("/proc/self/fd");
    arm(series, n);
    run_server(&s, run_calls, ends_before_stop(series, n));
    run_server(&s, run_calls_after_start, false);
    atomic_store(&fault.armed, false);
    check_afterwards(&s);
    at.doing = "end";
    check(count_entries("/proc/self/fd") == n_descriptors, "descriptors stay open");
    check(atomic_load(&testing_n_bad_closes) == 0, "a descriptor is closed twice");
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    alarm(0);
    return atomic_load(&fault.n_failed) > 0;
}

// How many calls of the kind a story makes.
static int64_t count_calls(const fault_series *series) {
    assert_false(run_story(series, NO_FAULT));
    return NO_FAULT - atomic_load(&fault.left);
}

static bool is_prime(int64_t n) {
    for (int64_t i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return n > 1;
}

static void run_series(const fault_series *series) {
    const char *only = getenv("RA_FAULTS_AT"), *all = getenv("RA_FAULTS_ALL");
    int64_t n_calls = count_calls(series), stride = n_calls / series->n_runs + 1;
    int64_t start_ns = ra_os_now_ns();
    at.n_runs = at.n_calls = at.n_closed = 0;
    while (!is_prime(stride))
        stride++;
    if (only)
        run_story(series, atoll(only));
    for (int64_t n = all ? 0 : series->first % stride; !only; n += all ? 1 : stride) {
        if (!run_story(series, n) && !ends_before_stop(series, n))
            break;
    }
    print_message("%s: %" PRId64 " calls, one in %" PRId64 " fails: %" PRId64
                  " runs in %.1f s, %" PRId64 " of %" PRId64
                  " requests ended by a closed connection\n",
                  series->name, n_calls, all ? 1 : stride, at.n_runs,
                  (double)(ra_os_now_ns() - start_ns) / 1e9, at.n_closed, at.n_calls);
    assert_true(only || at.n_runs > series->n_runs / 2);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    run_series(&(fault_series){"allocation once", ALLOCATIONS, false, ENOMEM, 150, 11});
}

static void memory_may_be_out_from_any_allocation_on(void **state) {
    (void)state;
    run_series(&(fault_series){"allocations for ever", ALLOCATIONS, true, ENOMEM, 150, 29});
}

static void any_allocation_for_a_connection_may_fail(void **state) {
    (void)state;
    run_series(
        &(fault_series){"I/O threads' allocation once", IO_ALLOCATIONS, false, ENOMEM, 100, 5});
}

static void any_file_call_may_fail(void **state) {
    (void)state;
    run_series(&(fault_series){"file call once", FILES, false, EIO, 110, 0});
}

static void file_calls_may_fail_from_any_on(void **state) {
    (void)state;
    run_series(&(fault_series){"file calls for ever", FILES, true, EIO, 110, 1});
}

static void the_disk_may_be_full_for_any_write(void **state) {
    (void)state;
    run_series(&(fault_series){"full disk once", DISK_SPACE, false, ENOSPC, 60, 2});
}

static void the_disk_may_be_full_from_any_write_on(void **state) {
    (void)state;
    run_series(&(fault_series){"full disk for ever", DISK_SPACE, true, ENOSPC, 60, 0});
}

static int set_up(void **state) {
    (void)state;
    ra_log_set(RA_LOG_OFF, false);
    json_set_alloc_funcs(ra_malloc, ra_free);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, out_of_time);
    make_tables();
    ra_os_set_gate(gate, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free_tables();
    return 0;
}

// The argument, if there is one, chooses tests by a pattern.
int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(memory_may_be_out_from_any_allocation_on),
        cmocka_unit_test(any_allocation_for_a_connection_may_fail),
        cmocka_unit_test(any_file_call_may_fail),
        cmocka_unit_test(file_calls_may_fail_from_any_on),
        cmocka_unit_test(the_disk_may_be_full_for_any_write),
        cmocka_unit_test(the_disk_may_be_full_from_any_write_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
