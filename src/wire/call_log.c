#include "wire/call_log.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/os.h"
#include "wire/connection.h"

enum { NOTE_BYTES = 512 };

static const ra_wire_options *options_of(const ra_call *call) {
    return &call->connection->io->wire->options;
}

static int bounded(ra_str text) {
    return text.len < NOTE_BYTES ? (int)text.len : NOTE_BYTES;
}

void ra_call_note(ra_call *call, ra_str action, ra_str text) {
    if (options_of(call)->slow_call_ns == 0 || call->note)
        return;
    char note[NOTE_BYTES];
    snprintf(note, sizeof note, "%.*s%s%.*s", bounded(action), action.data,
             action.len > 0 ? " " : "", bounded(text), text.data);
    call->note = ra_strdup(note);
}

static void log_access(const ra_call *call, ra_code code, int64_t now_ns) {
    ra_str path = ra_headers_get(&call->request, ":path");
    double ms = (double)(now_ns - call->started_ns) / 1e6;
    if (call->http_status) {
        ra_log(RA_LOG_INFO, "access", "call id=%" PRIu64 " peer=%s path=%.*s http=%d ms=%.3f",
               call->id, call->connection->peer.name, RA_STR_ARG(path), call->http_status, ms);
        return;
    }
    bool is_told = code != RA_OK && code == call->code;
    ra_log(RA_LOG_INFO, "access",
           "call id=%" PRIu64 " peer=%s method=%.*s code=%s ms=%.3f rows=%" PRId64 " bytes=%" PRId64
           " flight=%" PRId64 "%s%s",
           call->id, call->connection->peer.name, RA_STR_ARG(path), ra_wire_code_name((int)code),
           ms, call->account.rows, call->account.bytes, call->account.flight,
           is_told ? " reason=" : "", is_told ? ra_reason_get(call->reason)->name : "");
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

// The command comes last, since it is a client's text.
static void log_slow(const ra_call *call, ra_code code, int64_t now_ns) {
    const ra_call_account *account = &call->account;
    ra_str path = ra_headers_get(&call->request, ":path");
    // A run that others began, or one that is polled, may be older than the call.
    int64_t answer_ns = account->answer_ns ? account->answer_ns : now_ns;
    int64_t run_ns = account->run_ns ? account->run_ns : call->started_ns;
    run_ns = clamp(run_ns, call->started_ns, answer_ns);
    ra_log(RA_LOG_WARNING, "slow",
           "call id=%" PRIu64
           " peer=%s method=%.*s code=%s ms=%.3f queue_ms=%.3f run_ms=%.3f"
           " send_ms=%.3f rows=%" PRId64 " bytes=%" PRId64 " flight=%" PRId64 " command=%s",
           call->id, call->connection->peer.name, RA_STR_ARG(path), ra_wire_code_name((int)code),
           (double)(now_ns - call->started_ns) / 1e6, (double)(run_ns - call->started_ns) / 1e6,
           (double)(answer_ns - run_ns) / 1e6, (double)(now_ns - answer_ns) / 1e6, account->rows,
           account->bytes, account->flight, call->note ? call->note : "");
}

void ra_call_log(const ra_call *call, ra_code code) {
    int64_t slow_ns = options_of(call)->slow_call_ns, now_ns = ra_os_now_ns();
    if (ra_log_enabled(RA_LOG_INFO))
        log_access(call, code, now_ns);
    if (slow_ns > 0 && now_ns - call->started_ns > slow_ns && call->method && !call->account.waits)
        log_slow(call, code, now_ns);
}
