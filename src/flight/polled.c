#include "flight/polled.h"

#include "base/os.h"
#include "store/xxh3.h"

enum { NS_PER_MS = 1000000 };

// A text may be 64 MiB long: only its hash is kept. Who makes two of the same finds the wrong one
// of its own runs.
typedef struct {
    XXH128_hash_t hash;
    size_t bytes;
} text_key;

struct ra_polled {
    ra_polled *next;  // those polled last are in front
    ra_polled **list;
    ra_timers *timers;
    ra_timer timer;
    text_key key;
    ra_command *command;
};

static text_key key_of(ra_str text) {
    return (text_key){XXH3_128bits(text.data, text.len), text.len};
}

static ra_command *unlink_at(ra_polled **at) {
    ra_polled *polled = *at;
    ra_command *command = polled->command;
    *at = polled->next;
    ra_timers_clear(polled->timers, &polled->timer);
    ra_free(polled);
    return command;
}

static void expire(ra_timer *timer) {
    ra_polled *polled = (ra_polled *)((char *)timer - offsetof(ra_polled, timer));
    ra_polled **at = polled->list;
    while (*at != polled)
        at = &(*at)->next;
    ra_command_end(unlink_at(at));
}

static void end_surplus(ra_polled **list, int64_t most) {
    ra_polled **at = list;
    for (int64_t n = 0; *at && n < most; n++)
        at = &(*at)->next;
    while (*at)
        ra_command_end(unlink_at(at));
}

void ra_polled_keep(ra_call *call, ra_str text, ra_command *command) {
    const ra_flight_limits *limits = &ra_app_of(call)->limits;
    ra_polled **list, *polled = ra_calloc(1, sizeof *polled);
    ra_error err;
    if (!polled || ra_client_polled(call, &list, &err) != 0) {
        ra_free(polled);
        ra_command_end(command);
        return;
    }
    ra_command_keep(command);
    *polled = (ra_polled){.next = *list,
                          .list = list,
                          .timers = ra_call_timers(call),
                          .timer.fire = expire,
                          .key = key_of(text),
                          .command = command};
    *list = polled;
    ra_timers_set(polled->timers, &polled->timer, ra_os_now_ns() + limits->polled_ms * NS_PER_MS);
    end_surplus(list, limits->polled_runs);
}

ra_command *ra_polled_take(ra_call *call, ra_str text) {
    ra_polled **at;
    ra_error err;
    if (ra_client_polled(call, &at, &err) != 0)
        return NULL;
    if (!*at)  // as for most calls: the text, which may be large, is not hashed
        return NULL;
    text_key key = key_of(text);
    while (*at && !(XXH128_isEqual((*at)->key.hash, key.hash) && (*at)->key.bytes == key.bytes))
        at = &(*at)->next;
    return *at ? unlink_at(at) : NULL;
}

int64_t ra_polled_until_ns(const ra_call *call) {
    return ra_os_wall_ns() + ra_app_of(call)->limits.polled_ms * NS_PER_MS;
}

void ra_polled_end_all(ra_polled **list) {
    end_surplus(list, 0);
}
