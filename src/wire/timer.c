#include "wire/timer.h"

#include <stddef.h>

// Joins two heaps: the later root becomes the first child of the earlier.
static ra_timer *join(ra_timer *a, ra_timer *b) {
    if (!a)
        return b;
    if (!b)
        return a;
    ra_timer *parent = a->at_ns <= b->at_ns ? a : b, *child = parent == a ? b : a;
    child->prev = parent;
    child->next = parent->child;
    if (child->next)
        child->next->prev = child;
    parent->child = child;
    return parent;
}

// Joins a list of siblings in pairs from the left, then the pairs from the right.
static ra_timer *join_siblings(ra_timer *first) {
    ra_timer *pairs = NULL;
    while (first) {
        ra_timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        ra_timer *pair = join(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    ra_timer *root = NULL;
    while (pairs) {
        ra_timer *next = pairs->next;
        pairs->next = NULL;
        root = join(root, pairs);
        pairs = next;
    }
    return root;
}

void ra_timers_clear(ra_timers *timers, ra_timer *timer) {
    if (!timer->is_set)
        return;
    ra_timer *below = join_siblings(timer->child);
    if (timer == timers->root) {
        timers->root = below;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        timers->root = join(timers->root, below);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->is_set = false;
}

void ra_timers_set(ra_timers *timers, ra_timer *timer, int64_t at_ns) {
    ra_timers_clear(timers, timer);
    timer->at_ns = at_ns;
    timer->is_set = true;
    timers->root = join(timers->root, timer);
}

int64_t ra_timers_next(const ra_timers *timers) {
    return timers->root ? timers->root->at_ns : INT64_MAX;
}

void ra_timers_run(ra_timers *timers, int64_t now_ns) {
    while (timers->root && timers->root->at_ns <= now_ns) {
        ra_timer *timer = timers->root;
        ra_timers_clear(timers, timer);
        timer->fire(timer);
    }
}
