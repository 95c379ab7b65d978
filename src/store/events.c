#include "store/events.h"

#include "base/os.h"
#include "store/catalog.h"

int ra_event_log_init(ra_event_log *log, int64_t sequence, ra_error *err) {
    *log = (ra_event_log){.first = sequence + 1, .last = sequence, .next_subscription = 1};
    log->ring = ra_calloc(RA_EVENTS_KEPT, sizeof *log->ring);
    if (!log->ring)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of events");
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->subscription_lock, NULL);
    return 0;
}

void ra_event_log_fini(ra_event_log *log) {
    if (!log->ring)
        return;
    ra_free(log->ring);
    ra_free(log->subscriptions);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->subscription_lock);
    *log = (ra_event_log){0};
}

void ra_event_log_append(ra_event_log *log, const ra_event *events, int n) {
    pthread_mutex_lock(&log->lock);
    for (int i = 0; i < n; i++) {
        ra_assert(events[i].sequence == log->last + 1);
        log->ring[events[i].sequence % RA_EVENTS_KEPT] = events[i];
        log->last++;
        if (log->last - log->first >= RA_EVENTS_KEPT)
            log->first++;
    }
    pthread_mutex_unlock(&log->lock);
}

void ra_event_log_wake(ra_event_log *log) {
    pthread_mutex_lock(&log->subscription_lock);
    for (int i = 0; i < log->n_subscriptions; i++)
        log->subscriptions[i].wake(log->subscriptions[i].context);
    pthread_mutex_unlock(&log->subscription_lock);
}

int ra_store_events(ra_store *store, int64_t sequence, ra_event *out, int max, bool *lost) {
    ra_event_log *log = &store->catalog->events;
    int n = 0;
    pthread_mutex_lock(&log->lock);
    *lost = sequence < log->first - 1 || sequence > log->last;
    if (sequence < log->first - 1)
        sequence = log->first - 1;
    while (n < max && sequence < log->last)
        out[n++] = log->ring[++sequence % RA_EVENTS_KEPT];
    pthread_mutex_unlock(&log->lock);
    return n;
}

static int add_subscription(ra_event_log *log, ra_subscription subscription, ra_error *err) {
    if (log->n_subscriptions >= RA_MAX_SUBSCRIPTIONS)
        RA_FAIL(err, LIMIT, "more than %d watchers", RA_MAX_SUBSCRIPTIONS);
    if (log->n_subscriptions == log->subscription_capacity) {
        int capacity = log->subscription_capacity ? 2 * log->subscription_capacity : 16;
        ra_subscription *larger = ra_realloc(log->subscriptions, (size_t)capacity * sizeof *larger);
        if (!larger)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for another watcher");
        log->subscriptions = larger;
        log->subscription_capacity = capacity;
    }
    log->subscriptions[log->n_subscriptions++] = subscription;
    return 0;
}

int ra_store_subscribe(ra_store *store, void (*wake)(void *context), void *context,
                       int64_t *subscription, ra_error *err) {
    ra_event_log *log = &store->catalog->events;
    pthread_mutex_lock(&log->subscription_lock);
    *subscription = log->next_subscription++;
    int rc = add_subscription(log, (ra_subscription){*subscription, wake, context}, err);
    pthread_mutex_unlock(&log->subscription_lock);
    return rc;
}

void ra_store_unsubscribe(ra_store *store, int64_t subscription) {
    ra_event_log *log = &store->catalog->events;
    pthread_mutex_lock(&log->subscription_lock);
    for (int i = 0; i < log->n_subscriptions; i++) {
        if (log->subscriptions[i].id == subscription) {
            log->subscriptions[i] = log->subscriptions[--log->n_subscriptions];
            break;
        }
    }
    pthread_mutex_unlock(&log->subscription_lock);
}
