// Timers of one I/O thread: a pairing heap of timers that are embedded in their owners, so that
// setting one needs no memory and cannot fail.
#ifndef RA_WIRE_TIMER_H
#define RA_WIRE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ra_timer {
    int64_t at_ns;  // monotonic
    void (*fire)(struct ra_timer *timer);
    struct ra_timer *child;
    struct ra_timer *next;  // sibling
    struct ra_timer *prev;  // left sibling, or the parent of a first child
    bool is_set;
} ra_timer;

typedef struct {
    ra_timer *root;  // the earliest
} ra_timers;

// Sets or moves a timer; `fire` must be filled in. It fires once, from ra_timers_run.
void ra_timers_set(ra_timers *timers, ra_timer *timer, int64_t at_ns);
// Removes a timer; one that is not set is left alone.
void ra_timers_clear(ra_timers *timers, ra_timer *timer);
// When the earliest timer is due; INT64_MAX when there is none.
int64_t ra_timers_next(const ra_timers *timers);
// Fires every timer that is due at `now_ns`; they may set and clear timers.
void ra_timers_run(ra_timers *timers, int64_t now_ns);

#endif
