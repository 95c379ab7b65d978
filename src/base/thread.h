// Starting threads.
#ifndef RA_BASE_THREAD_H
#define RA_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

// Starts a thread called `name` (at most 15 bytes; borrowed until it runs, so static or of `arg`).
// Signals belong to the main thread, but for those that a thread raises by its own fault, which a
// sanitizer or the guard of mapped files must see. False with errno set when it cannot be started.
bool ra_thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg);

// Asks the scheduler to run the calling thread soon and for short times, at an unchanged share of the
// CPU. Kernels before 6.12 do not know this: nothing changes.
void ra_thread_set_slice(int64_t slice_ns);

#endif
