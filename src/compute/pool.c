#include "compute/pool.h"

#include <pthread.h>

#include "base/os.h"

// Sizes are rounded up to one of four steps between powers of two. What lies idle is limited.
enum {
    MIN_BYTES = 64 * 1024,
    MAX_BYTES = 16 * 1024 * 1024,
    MAX_IDLE_BYTES = 32 * 1024 * 1024,
    N_CLASSES = 4 * 32
};

typedef struct pool_block {
    ra_buffer_pool *pool;
    struct pool_block *next;
    uint8_t *data;
    int64_t bytes;
    int class;
} pool_block;

struct ra_buffer_pool {
    pthread_mutex_t lock;
    int n_refs;  // the owner's and one for each block in use
    bool is_closed;
    int64_t idle_bytes;
    pool_block *idle[N_CLASSES];
};

int ra_buffer_pool_new(ra_buffer_pool **out, ra_error *err) {
    ra_buffer_pool *pool = *out = ra_calloc(1, sizeof *pool);
    if (!pool)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a pool of buffers");
    pthread_mutex_init(&pool->lock, NULL);
    pool->n_refs = 1;
    return 0;
}

static void free_block(pool_block *block) {
    ra_free(block->data);
    ra_free(block);
}

// Called with the lock held, which is gone afterwards.
static void unref_and_unlock(ra_buffer_pool *pool) {
    bool is_last = --pool->n_refs == 0;
    pthread_mutex_unlock(&pool->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&pool->lock);
    ra_free(pool);
}

void ra_buffer_pool_free(ra_buffer_pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_closed = true;
    for (int c = 0; c < N_CLASSES; c++) {
        while (pool->idle[c]) {
            pool_block *block = pool->idle[c];
            pool->idle[c] = block->next;
            free_block(block);
        }
    }
    unref_and_unlock(pool);
}

static void put_back(void *owner) {
    pool_block *block = owner;
    ra_buffer_pool *pool = block->pool;
    pthread_mutex_lock(&pool->lock);
    if (pool->is_closed || pool->idle_bytes + block->bytes > MAX_IDLE_BYTES) {
        free_block(block);
    } else {
        block->next = pool->idle[block->class];
        pool->idle[block->class] = block;
        pool->idle_bytes += block->bytes;
    }
    unref_and_unlock(pool);
}

// The size class of `bytes` and how many bytes its blocks have.
static int class_of(int64_t bytes, int64_t *class_bytes) {
    int64_t step = (INT64_C(1) << (63 - __builtin_clzll((uint64_t)bytes))) / 4;
    *class_bytes = (bytes + step - 1) / step * step;
    int power = 63 - __builtin_clzll((uint64_t)*class_bytes);
    return 4 * power + (int)(*class_bytes >> (power - 2) & 3);
}

static pool_block *new_block(ra_buffer_pool *pool, int class, int64_t bytes) {
    pool_block *block = ra_calloc(1, sizeof *block);
    if (!block)
        return NULL;
    *block = (pool_block){.pool = pool, .bytes = bytes, .class = class};
    block->data = ra_aligned_alloc(64, (size_t)bytes);
    if (block->data)
        return block;
    ra_free(block);
    return NULL;
}

int ra_buffer_pool_get(ra_buffer_pool *pool, int64_t bytes, ra_blob **out, ra_error *err) {
    *out = NULL;
    if (!pool || bytes < MIN_BYTES || bytes > MAX_BYTES)
        return ra_blob_new((size_t)bytes, out, err);
    int64_t class_bytes;
    int class = class_of(bytes, &class_bytes);
    pthread_mutex_lock(&pool->lock);
    pool_block *block = pool->idle[class];
    if (block) {
        pool->idle[class] = block->next;
        pool->idle_bytes -= block->bytes;
    }
    pool->n_refs++;
    pthread_mutex_unlock(&pool->lock);
    if (!block)
        block = new_block(pool, class, class_bytes);
    if (!block) {
        pthread_mutex_lock(&pool->lock);
        unref_and_unlock(pool);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer of %lld bytes", (long long)bytes);
    }
    int rc = ra_blob_wrap(block->data, (size_t)bytes, put_back, block, out, err);
    if (rc != 0)
        put_back(block);
    return rc;
}
