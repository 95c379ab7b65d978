#include "base/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/os.h"
#include "base/thread.h"

typedef struct {
    ra_task *head;
    ra_task **tail;
} task_queue;

static void queue_init(task_queue *q) {
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_push(task_queue *q, ra_task *task) {
    task->next = NULL;
    *q->tail = task;
    q->tail = &task->next;
}

static ra_task *queue_pop(task_queue *q) {
    ra_task *task = q->head;
    if (task) {
        q->head = task->next;
        if (!q->head)
            q->tail = &q->head;
    }
    return task;
}

struct ra_workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    task_queue queue;
    int n_queued;
    int n_idle;
    int n_threads;
    int max_threads;
    bool stopping;
    char name[16];
    pthread_t threads[];
};

static void *worker_main(void *arg) {
    ra_workers *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        ra_task *task = queue_pop(&w->queue);
        if (task) {
            w->n_queued--;
            pthread_mutex_unlock(&w->lock);
            task->run(task);
            pthread_mutex_lock(&w->lock);
            continue;
        }
        if (w->stopping)
            break;
        w->n_idle++;
        pthread_cond_wait(&w->wake, &w->lock);
        w->n_idle--;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static bool start_thread(ra_workers *w) {
    bool ok = ra_thread_start(&w->threads[w->n_threads], w->name, worker_main, w);
    if (ok)
        w->n_threads++;
    return ok;
}

int ra_workers_new(const char *name, int max_threads, ra_workers **out, ra_error *err) {
    ra_assert(max_threads > 0);
    *out = NULL;
    ra_workers *w = ra_calloc(1, sizeof *w + (size_t)max_threads * sizeof w->threads[0]);
    if (!w)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the thread pool '%s'", name);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    queue_init(&w->queue);
    w->max_threads = max_threads;
    snprintf(w->name, sizeof w->name, "%s", name);
    if (!start_thread(w)) {
        ra_workers_free(w);
        RA_FAIL(err, OUT_OF_MEMORY, "cannot start a thread of the pool '%s'", name);
    }
    *out = w;
    return 0;
}

void ra_workers_free(ra_workers *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->wake);
    int n_threads = w->n_threads;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < n_threads; i++)
        pthread_join(w->threads[i], NULL);
    ra_assert(!w->queue.head);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    ra_free(w);
}

void ra_workers_submit(ra_workers *w, ra_task *task) {
    pthread_mutex_lock(&w->lock);
    queue_push(&w->queue, task);
    w->n_queued++;
    if (w->n_queued > w->n_idle && w->n_threads < w->max_threads && !w->stopping)
        (void)start_thread(w);  // the first thread is always there to run it
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

struct ra_strand {
    ra_task drain;  // queued or running while `active`
    ra_workers *workers;
    pthread_mutex_t lock;
    task_queue queue;
    bool active;
    bool freed;
};

static void strand_destroy(ra_strand *strand) {
    pthread_mutex_destroy(&strand->lock);
    ra_free(strand);
}

// Runs one task, then queues itself again if there are more: strands share the pool fairly.
static void strand_drain(ra_task *drain) {
    ra_strand *strand = (ra_strand *)drain;
    pthread_mutex_lock(&strand->lock);
    ra_task *task = queue_pop(&strand->queue);
    pthread_mutex_unlock(&strand->lock);
    ra_assert(task);
    task->run(task);
    pthread_mutex_lock(&strand->lock);
    bool more = strand->queue.head != NULL, freed = strand->freed;
    strand->active = more;
    pthread_mutex_unlock(&strand->lock);
    if (freed) {
        ra_assert(!more);
        strand_destroy(strand);
    } else if (more) {
        ra_workers_submit(strand->workers, &strand->drain);
    }
}

int ra_strand_new(ra_workers *workers, ra_strand **out, ra_error *err) {
    ra_strand *strand = *out = ra_calloc(1, sizeof *strand);
    if (!strand)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a queue of tasks");
    strand->drain.run = strand_drain;
    strand->workers = workers;
    pthread_mutex_init(&strand->lock, NULL);
    queue_init(&strand->queue);
    return 0;
}

void ra_strand_free(ra_strand *strand) {
    if (!strand)
        return;
    pthread_mutex_lock(&strand->lock);
    bool active = strand->active;
    strand->freed = true;
    pthread_mutex_unlock(&strand->lock);
    if (!active)
        strand_destroy(strand);
}

void ra_strand_submit(ra_strand *strand, ra_task *task) {
    pthread_mutex_lock(&strand->lock);
    ra_assert(!strand->freed);
    queue_push(&strand->queue, task);
    bool start = !strand->active;
    strand->active = true;
    pthread_mutex_unlock(&strand->lock);
    if (start)
        ra_workers_submit(strand->workers, &strand->drain);
}

// Helpers hold a reference each: one that the pool starts late finds nothing left to do.
typedef struct {
    atomic_int next;
    int n;
    void (*body)(void *context, int i);
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int n_done;
    int n_refs;
} parallel_run;

typedef struct {
    ra_task task;
    parallel_run *run;
} parallel_helper;

static void parallel_unref(parallel_run *run) {
    pthread_mutex_lock(&run->lock);
    bool last = --run->n_refs == 0;
    pthread_mutex_unlock(&run->lock);
    if (last) {
        pthread_cond_destroy(&run->done);
        pthread_mutex_destroy(&run->lock);
        ra_free(run);
    }
}

static void parallel_work(parallel_run *run) {
    int did = 0;
    for (;;) {
        int i = atomic_fetch_add(&run->next, 1);
        if (i >= run->n)
            break;
        run->body(run->context, i);
        did++;
    }
    pthread_mutex_lock(&run->lock);
    run->n_done += did;
    if (run->n_done == run->n)
        pthread_cond_signal(&run->done);
    pthread_mutex_unlock(&run->lock);
}

static void parallel_help(ra_task *task) {
    parallel_helper *helper = (parallel_helper *)task;
    parallel_run *run = helper->run;
    ra_free(helper);
    parallel_work(run);
    parallel_unref(run);
}

static void parallel_start_helpers(ra_workers *workers, parallel_run *run, int n_helpers) {
    for (int h = 0; h < n_helpers; h++) {
        parallel_helper *helper = ra_malloc(sizeof *helper);
        if (!helper)
            return;
        helper->task.run = parallel_help;
        helper->run = run;
        pthread_mutex_lock(&run->lock);
        run->n_refs++;
        pthread_mutex_unlock(&run->lock);
        ra_workers_submit(workers, &helper->task);
    }
}

void ra_parallel_for(ra_workers *workers, int n, void (*body)(void *context, int i),
                     void *context) {
    int cores = ra_os_cores();
    int n_helpers = n < cores ? n - 1 : cores - 1;
    parallel_run *run = workers && n_helpers > 0 ? ra_calloc(1, sizeof *run) : NULL;
    if (!run) {
        for (int i = 0; i < n; i++)
            body(context, i);
        return;
    }
    *run = (parallel_run){.n = n, .body = body, .context = context, .n_refs = 1};
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->done, NULL);
    parallel_start_helpers(workers, run, n_helpers);
    parallel_work(run);
    pthread_mutex_lock(&run->lock);
    while (run->n_done < run->n)
        pthread_cond_wait(&run->done, &run->lock);
    pthread_mutex_unlock(&run->lock);
    parallel_unref(run);
}
