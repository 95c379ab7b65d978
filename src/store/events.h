// The newest events, and who wants to be woken by them.
#ifndef RA_STORE_EVENTS_H
#define RA_STORE_EVENTS_H

#include <pthread.h>

#include "store/store.h"

enum { RA_EVENTS_KEPT = 4096, RA_MAX_SUBSCRIPTIONS = 4096 };

typedef struct {
    int64_t id;
    void (*wake)(void *context);
    void *context;
} ra_subscription;

typedef struct {
    pthread_mutex_t lock;  // of the ring
    ra_event *ring;        // event s lies at s % RA_EVENTS_KEPT
    int64_t first;         // oldest sequence number in the ring
    int64_t last;          // newest; first - 1 when the ring is empty
    pthread_mutex_t subscription_lock;
    ra_subscription *subscriptions;
    int n_subscriptions;
    int subscription_capacity;
    int64_t next_subscription;
} ra_event_log;

// Empty, as after event `sequence`. OUT_OF_MEMORY.
RA_MUST int ra_event_log_init(ra_event_log *log, int64_t sequence, ra_error *err);
void ra_event_log_fini(ra_event_log *log);
// Adds events in order; their sequence numbers continue those before. Catalog thread.
void ra_event_log_append(ra_event_log *log, const ra_event *events, int n);
// Calls every subscriber. Catalog thread.
void ra_event_log_wake(ra_event_log *log);

#endif
