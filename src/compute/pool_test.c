#include "compute/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LARGE = 1000 * 1000 };

static ra_blob *get(ra_buffer_pool *pool, int64_t bytes) {
    ra_error err;
    ra_blob *blob = NULL;
    assert_int_equal(ra_buffer_pool_get(pool, bytes, &blob, &err), 0);
    assert_int_equal(blob->bytes, bytes);
    assert_int_equal((uintptr_t)blob->data % 64, 0);
    memset(blob->data, 0xEE, (size_t)bytes);
    return blob;
}

static ra_buffer_pool *a_pool(void) {
    ra_error err;
    ra_buffer_pool *pool = NULL;
    assert_int_equal(ra_buffer_pool_new(&pool, &err), 0);
    return pool;
}

static void memory_is_used_again(void **state) {
    (void)state;
    ra_buffer_pool *pool = a_pool();
    ra_blob *first = get(pool, LARGE);
    const uint8_t *data = first->data;
    ra_blob *second = get(pool, LARGE);
    assert_ptr_not_equal(second->data, data);
    ra_blob_unref(first);
    ra_blob *third = get(pool, LARGE + 1);
    assert_ptr_equal(third->data, data);
    ra_blob_unref(second);
    ra_blob_unref(third);
    ra_buffer_pool_free(pool);
}

static void every_size_fits(void **state) {
    (void)state;
    ra_buffer_pool *pool = a_pool();
    for (int64_t bytes = 1; bytes < 40 * LARGE; bytes += 1 + bytes / 3) {
        ra_blob_unref(get(pool, bytes));
        ra_blob_unref(get(pool, bytes + 1));
    }
    ra_buffer_pool_free(pool);
}

static void buffers_outlive_the_pool(void **state) {
    (void)state;
    ra_buffer_pool *pool = a_pool();
    ra_blob *blobs[3];
    for (int i = 0; i < 3; i++)
        blobs[i] = get(pool, LARGE);
    ra_blob_unref(blobs[0]);
    ra_buffer_pool_free(pool);
    memset(blobs[1]->data, 0, LARGE);
    ra_blob_unref(blobs[1]);
    ra_blob_unref(blobs[2]);
}

static void without_a_pool_there_are_buffers_too(void **state) {
    (void)state;
    ra_blob_unref(get(NULL, 0));
    ra_blob_unref(get(NULL, LARGE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_used_again),
        cmocka_unit_test(every_size_fits),
        cmocka_unit_test(buffers_outlive_the_pool),
        cmocka_unit_test(without_a_pool_there_are_buffers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
