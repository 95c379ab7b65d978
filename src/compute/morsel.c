#include "compute/morsel.h"

#include <pthread.h>

#include "base/os.h"
#include "compute/scratch.h"

// What a morsel may keep until its turn comes.
enum { MAX_KEPT_BYTES = 4 * RA_COMPUTE_BATCH_BYTES };

typedef struct {
    ra_batch **batches;  // kept until the morsel's turn
    int n_batches;
    int capacity;
    int64_t bytes;  // of the kept batches, charged
    bool made;
} morsel_slot;

struct ra_morsel_run {
    const ra_compute *compute;
    ra_morsel_fn make;
    void *context;
    ra_batch_sink *sink;
    int window;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int turn;       // the morsel whose batches go to the sink now; its thread alone delivers
    int failed_at;  // first morsel that failed; later ones are not made
    ra_error err;
    morsel_slot *slots;  // of morsel % window
};

static int deliver(ra_morsel_run *run, morsel_slot *slot, ra_error *err) {
    int rc = 0;
    for (int i = 0; i < slot->n_batches; i++) {
        if (rc == 0)
            rc = run->sink->add(run->sink->context, slot->batches[i], err);
        ra_batch_unref(slot->batches[i]);
    }
    slot->n_batches = 0;
    ra_compute_release(run->compute, slot->bytes);
    slot->bytes = 0;
    return rc;
}

static int keep(ra_morsel_run *run, morsel_slot *slot, ra_batch *batch, ra_error *err) {
    if (slot->n_batches == slot->capacity) {
        int capacity = 2 * slot->capacity + 4;
        ra_batch **grown = ra_realloc(slot->batches, (size_t)capacity * sizeof *grown);
        if (!grown)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for a list of batches");
        slot->batches = grown;
        slot->capacity = capacity;
    }
    int64_t bytes = ra_batch_body_bytes(batch);
    RA_TRY(ra_compute_charge(run->compute, bytes, err));
    slot->bytes += bytes;
    slot->batches[slot->n_batches++] = batch;
    return 0;
}

int ra_morsel_emit(ra_morsel_run *run, int morsel, ra_batch *batch, ra_error *err) {
    morsel_slot *slot = &run->slots[morsel % run->window];
    pthread_mutex_lock(&run->lock);
    while (run->turn != morsel && slot->bytes >= MAX_KEPT_BYTES && run->failed_at > morsel)
        pthread_cond_wait(&run->moved, &run->lock);
    bool is_my_turn = run->turn == morsel, is_unwanted = run->failed_at < morsel;
    pthread_mutex_unlock(&run->lock);
    int rc = 0;
    if (is_unwanted) {
        ra_batch_unref(batch);
        RA_FAIL(err, CANCELLED, "an earlier part failed");
    }
    if (is_my_turn) {
        rc = deliver(run, slot, err);
        if (rc == 0)
            rc = run->sink->add(run->sink->context, batch, err);
        ra_batch_unref(batch);
        return rc;
    }
    rc = keep(run, slot, batch, err);
    if (rc != 0)
        ra_batch_unref(batch);
    return rc;
}

static void note_failure(ra_morsel_run *run, int morsel, const ra_error *err) {
    if (morsel < run->failed_at) {
        run->failed_at = morsel;
        run->err = *err;
    }
    pthread_cond_broadcast(&run->moved);
}

// Passes the turn on, delivering what later morsels have ready. Called and left with the lock held.
static void pass_turn(ra_morsel_run *run) {
    ra_error err;
    for (;;) {
        morsel_slot *slot = &run->slots[run->turn % run->window];
        if (!slot->made)
            return;
        pthread_mutex_unlock(&run->lock);
        ra_error_init(&err);
        int rc = deliver(run, slot, &err);
        pthread_mutex_lock(&run->lock);
        slot->made = false;
        if (rc != 0)
            note_failure(run, run->turn, &err);
        if (run->failed_at <= run->turn)
            return;
        run->turn++;
        pthread_cond_broadcast(&run->moved);
    }
}

static void run_morsel(void *context, int morsel) {
    ra_morsel_run *run = context;
    pthread_mutex_lock(&run->lock);
    while (morsel >= run->turn + run->window && run->failed_at > morsel)
        pthread_cond_wait(&run->moved, &run->lock);
    bool is_unwanted = run->failed_at < morsel;
    pthread_mutex_unlock(&run->lock);
    if (is_unwanted)
        return;
    ra_error err;
    ra_error_init(&err);
    int rc = ra_compute_check_cancelled(run->compute, &err);
    if (rc == 0)
        rc = run->make(run->context, run, morsel, &err);
    pthread_mutex_lock(&run->lock);
    if (rc != 0) {
        note_failure(run, morsel, &err);
    } else {
        run->slots[morsel % run->window].made = true;
        if (run->turn == morsel)
            pass_turn(run);
    }
    pthread_mutex_unlock(&run->lock);
}

int ra_morsels_run(const ra_compute *compute, int n, ra_morsel_fn make, void *context,
                   ra_batch_sink *sink, ra_error *err) {
    if (n == 0)
        return ra_compute_check_cancelled(compute, err);
    ra_morsel_run run = {.compute = compute,
                         .make = make,
                         .context = context,
                         .sink = sink,
                         .window = 2 * ra_os_cores() + 2,
                         .failed_at = n};
    run.slots = ra_calloc((size_t)run.window, sizeof *run.slots);
    if (!run.slots)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %d morsels", run.window);
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.moved, NULL);
    ra_error_init(&run.err);
    ra_parallel_for(compute->workers, n, run_morsel, &run);
    int rc = run.failed_at < n ? (int)run.err.code : 0;
    if (rc != 0 && err)
        *err = run.err;
    ra_assert(rc != 0 || run.turn == n);
    for (int i = 0; i < run.window; i++) {
        for (int b = 0; b < run.slots[i].n_batches; b++)
            ra_batch_unref(run.slots[i].batches[b]);
        ra_compute_release(compute, run.slots[i].bytes);
        ra_free(run.slots[i].batches);
    }
    ra_free(run.slots);
    pthread_cond_destroy(&run.moved);
    pthread_mutex_destroy(&run.lock);
    return rc;
}

typedef struct {
    const ra_compute *compute;
    ra_piece_fn body;
    void *context;
    pthread_mutex_t lock;
    int failed_at;
    ra_error err;
} piece_run;

static void run_piece(void *context, int piece) {
    piece_run *run = context;
    pthread_mutex_lock(&run->lock);
    bool is_unwanted = run->failed_at < piece;
    pthread_mutex_unlock(&run->lock);
    if (is_unwanted)
        return;
    ra_error err;
    ra_error_init(&err);
    int rc = ra_compute_check_cancelled(run->compute, &err);
    if (rc == 0)
        rc = run->body(run->context, piece, &err);
    if (rc == 0)
        return;
    pthread_mutex_lock(&run->lock);
    if (piece < run->failed_at) {
        run->failed_at = piece;
        run->err = err;
    }
    pthread_mutex_unlock(&run->lock);
}

int ra_pieces_run(const ra_compute *compute, int n, ra_piece_fn body, void *context,
                  ra_error *err) {
    piece_run run = {.compute = compute, .body = body, .context = context, .failed_at = n};
    pthread_mutex_init(&run.lock, NULL);
    ra_parallel_for(compute->workers, n, run_piece, &run);
    pthread_mutex_destroy(&run.lock);
    if (run.failed_at == n)
        return 0;
    if (err)
        *err = run.err;
    return (int)run.err.code;
}
