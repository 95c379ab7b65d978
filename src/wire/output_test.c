#include "wire/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/testing.h"

static ra_out_piece text(const char *s, uint8_t flags) {
    return (ra_out_piece){.data = (const uint8_t *)s, .bytes = strlen(s), .fd = -1, .flags = flags};
}

static void push(ra_out_queue *queue, ra_out_piece piece) {
    assert_int_equal(ra_out_reserve(queue, 1, NULL), 0);
    ra_out_push(queue, piece);
}

// Everything that is queued, in order.
static void assert_queue(ra_out_queue *queue, const char *expected) {
    int fds[2];
    char got[256];
    size_t sent = 0, bytes = queue->bytes;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    while (queue->count > 0)
        assert_int_equal(ra_out_send(queue, fds[0], 7, &sent), RA_OUT_SENT);
    assert_int_equal(sent, bytes);
    close(fds[0]);
    size_t n = 0;
    for (ssize_t k; (k = read(fds[1], got + n, sizeof got - n)) > 0;)
        n += (size_t)k;
    close(fds[1]);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(got, expected, n);
}

static void pieces_go_out_in_order(void **state) {
    (void)state;
    ra_out_queue queue = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            push(&queue, text("ab", RA_OUT_ENDS_FRAME));
        assert_int_equal(queue.bytes, 40);
        assert_queue(&queue, "abababababababababababababababababababab");
    }
    ra_out_fini(&queue);
}

static void urgent_frames_wait_for_the_end_of_a_frame(void **state) {
    (void)state;
    ra_out_queue queue = {0};
    int fds[2];
    size_t sent = 0;
    push(&queue, text("head", RA_OUT_DATA));
    push(&queue, text("body", RA_OUT_DATA | RA_OUT_ENDS_FRAME));
    push(&queue, text("next", RA_OUT_DATA | RA_OUT_ENDS_FRAME));
    assert_int_equal(ra_out_reserve(&queue, 1, NULL), 0);
    ra_out_push_urgent(&queue, text("<ack>", RA_OUT_ENDS_FRAME));
    // Nothing of the first frame was sent: the answer comes before it.
    assert_queue(&queue, "<ack>headbodynext");

    // Frames that are no DATA stay ahead: SETTINGS must be the first of a connection.
    push(&queue, text("settings", RA_OUT_ENDS_FRAME));
    push(&queue, text("block", 0));
    push(&queue, text("rest", RA_OUT_ENDS_FRAME));
    push(&queue, text("body", RA_OUT_DATA | RA_OUT_ENDS_FRAME));
    assert_int_equal(ra_out_reserve(&queue, 2, NULL), 0);
    ra_out_push_urgent(&queue, text("<1>", RA_OUT_ENDS_FRAME));
    ra_out_push_urgent(&queue, text("<2>", RA_OUT_ENDS_FRAME));
    assert_queue(&queue, "settingsblockrest<1><2>body");

    push(&queue, text("head", RA_OUT_DATA));
    push(&queue, text("body", RA_OUT_DATA | RA_OUT_ENDS_FRAME));
    push(&queue, text("next", RA_OUT_DATA | RA_OUT_ENDS_FRAME));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ra_out_send(&queue, fds[0], 1, &sent), RA_OUT_SENT);
    assert_int_equal(ra_out_reserve(&queue, 1, NULL), 0);
    ra_out_push_urgent(&queue, text("<ack>", RA_OUT_ENDS_FRAME));
    assert_queue(&queue, "body<ack>next");
    close(fds[0]);
    close(fds[1]);
    ra_out_fini(&queue);
}

static void small_frames_become_one_piece(void **state) {
    (void)state;
    ra_out_scratch scratch = {0};
    ra_out_queue queue = {0};
    for (int i = 0; i < 100; i++) {
        ra_out_piece piece;
        uint8_t *to;
        assert_int_equal(ra_out_scratch_alloc(&scratch, 1, &to, &piece, NULL), 0);
        *to = (uint8_t)('a' + i % 3);
        piece.flags = RA_OUT_ENDS_FRAME;
        assert_int_equal(ra_out_reserve(&queue, 1, NULL), 0);
        if (i % 2)
            ra_out_push(&queue, piece);
        else
            ra_out_push_urgent(&queue, piece);
    }
    assert_int_equal(queue.count, 1);
    assert_queue(&queue,
                 "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"
                 "abcabcabcabcabcabcabca");
    assert_int_equal(atomic_load(&scratch.chunk->refs), 1);
    ra_out_fini(&queue);
    ra_out_scratch_fini(&scratch);
}

static void freed(void *owner) {
    ++*(int *)owner;
}

static void frames_are_cut_from_messages_and_keep_their_owner(void **state) {
    (void)state;
    int n_freed = 0;
    ra_blob *blob;
    assert_int_equal(ra_blob_wrap((const uint8_t *)"0123456789", 10, freed, &n_freed, &blob, NULL),
                     0);
    ra_out_queue message = {0}, frames = {0};
    ra_out_piece piece = text("0123456789", 0);
    piece.owner = blob;
    push(&message, text("prefix", 0));
    push(&message, piece);
    push(&message, text("second", 0));
    assert_int_equal(ra_out_pieces_in(&message, 9), 2);
    assert_int_equal(ra_out_reserve(&frames, 8, NULL), 0);
    ra_out_move_frame(&message, &frames, 9);
    assert_int_equal(frames.data_bytes, 9);
    ra_out_move_frame(&message, &frames, 13);
    assert_int_equal(message.bytes, 0);
    assert_int_equal(n_freed, 0);
    assert_queue(&frames, "prefix0123456789second");
    assert_int_equal(n_freed, 1);
    assert_int_equal(frames.data_bytes, 0);
    ra_out_fini(&message);
    ra_out_fini(&frames);
}

static void dropping_releases_owners(void **state) {
    (void)state;
    int n_freed = 0;
    ra_blob *blob;
    assert_int_equal(ra_blob_wrap((const uint8_t *)"x", 1, freed, &n_freed, &blob, NULL), 0);
    ra_out_queue queue = {0};
    push(&queue, text("keep", RA_OUT_DATA));
    ra_out_piece piece = text("x", RA_OUT_DATA);
    piece.owner = ra_blob_ref(blob);
    push(&queue, piece);
    piece.owner = blob;
    push(&queue, piece);
    ra_out_truncate(&queue, 2);
    assert_int_equal(n_freed, 0);
    assert_int_equal(queue.data_bytes, 5);
    ra_out_clear(&queue);
    assert_int_equal(n_freed, 1);
    assert_int_equal(queue.bytes, 0);
    ra_out_fini(&queue);
}

static void a_full_socket_blocks_and_goes_on(void **state) {
    (void)state;
    enum { BYTES = 4 << 20 };
    int fds[2];
    char *data = calloc(1, BYTES);
    ra_out_queue queue = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    push(&queue, (ra_out_piece){.data = (uint8_t *)data, .bytes = BYTES, .fd = -1});
    size_t sent = 0, received = 0;
    while (queue.count > 0) {
        ra_out_result result = ra_out_send(&queue, fds[0], BYTES, &sent);
        assert_int_not_equal(result, RA_OUT_FAILED);
        for (ssize_t n; (n = read(fds[1], data, BYTES)) > 0;)
            received += (size_t)n;
    }
    assert_int_equal(sent, BYTES);
    assert_int_equal(received, BYTES);
    close(fds[1]);
    push(&queue, (ra_out_piece){.data = (uint8_t *)data, .bytes = 1, .fd = -1});
    assert_int_equal(ra_out_send(&queue, fds[0], 1, &sent), RA_OUT_FAILED);
    close(fds[0]);
    ra_out_fini(&queue);
    free(data);
}

static void scratch_is_reused_when_all_was_sent(void **state) {
    (void)state;
    ra_out_scratch scratch = {0};
    ra_out_piece piece, big;
    uint8_t *to;
    const uint8_t *first = NULL;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(ra_out_scratch_alloc(&scratch, 100, &to, &piece, NULL), 0);
        memset(to, 1, 100);
        first = first ? first : to;
        assert_ptr_equal(to, first);
        ra_blob_unref(piece.owner);
    }
    assert_int_equal(ra_out_scratch_alloc(&scratch, 1 << 20, &to, &big, NULL), 0);
    assert_int_equal(big.bytes, 1 << 20);
    ra_blob_unref(big.owner);
    ra_out_scratch_fini(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_go_out_in_order),
        cmocka_unit_test(urgent_frames_wait_for_the_end_of_a_frame),
        cmocka_unit_test(small_frames_become_one_piece),
        cmocka_unit_test(frames_are_cut_from_messages_and_keep_their_owner),
        cmocka_unit_test(dropping_releases_owners),
        cmocka_unit_test(a_full_socket_blocks_and_goes_on),
        cmocka_unit_test(scratch_is_reused_when_all_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
