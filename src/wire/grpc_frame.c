#include "wire/grpc_frame.h"

#include "base/checked.h"

enum { FIRST_CAPACITY = 64 * 1024 };

void ra_deframer_init(ra_deframer *d, size_t max_message_bytes, size_t part_bytes,
                      ra_budget *budget) {
    *d = (ra_deframer){
        .max_message_bytes = max_message_bytes, .part_bytes = part_bytes, .budget = budget};
    ra_bytes_init(&d->part, 0);
}

void ra_deframer_fini(ra_deframer *d) {
    ra_bytes_fini(&d->part);
    if (d->budget && d->charged_bytes)
        ra_budget_release(d->budget, d->charged_bytes);
    d->charged_bytes = 0;
}

ra_bytes ra_deframer_take(ra_deframer *d, int64_t *charged_bytes) {
    ra_bytes part = d->part;
    *charged_bytes = d->charged_bytes;
    d->charged_bytes = 0;
    ra_bytes_init(&d->part, 0);
    return part;
}

static void begin_part(ra_deframer *d) {
    size_t bytes = d->left;
    if (d->part_bytes && bytes > d->part_bytes)
        bytes = d->part_bytes;
    ra_bytes_init(&d->part, bytes);
}

static int read_prefix(ra_deframer *d, ra_error *err) {
    if (d->prefix[0] > 1)
        RA_FAIL(err, PROTOCOL, "the compressed flag of a gRPC message is %u", d->prefix[0]);
    if (d->prefix[0] == 1) {
        d->is_compressed = true;
        RA_FAIL(err, NOT_IMPLEMENTED, "compressed gRPC messages are not supported; use identity");
    }
    uint32_t bytes = __builtin_bswap32(ra_load_u32(d->prefix + 1));
    if (bytes > d->max_message_bytes)
        RA_FAIL(err, MESSAGE_TOO_LARGE,
                "a gRPC message has %u bytes, the limit of this call is %zu", bytes,
                d->max_message_bytes);
    d->left = bytes;
    begin_part(d);
    return 0;
}

// Makes room for `more` bytes. The buffer grows by doubling, and at most to what the peer has sent
// already: a prefix alone gets no more than the first capacity.
static int reserve(ra_deframer *d, size_t more, ra_error *err) {
    ra_bytes *part = &d->part;
    size_t need = part->len + more;
    if (need <= part->capacity)
        return 0;
    uint64_t trusted = d->received_bytes > FIRST_CAPACITY ? d->received_bytes : FIRST_CAPACITY;
    size_t target = trusted < part->ceiling ? (size_t)trusted : part->ceiling;
    if (target < need)
        target = need;
    size_t before = part->capacity;
    if (d->budget) {
        // ra_bytes rounds up to a power of two within the ceiling.
        int64_t most = (int64_t)(2 * target < part->ceiling ? 2 * target : part->ceiling);
        RA_TRY(ra_budget_charge(d->budget, most - (int64_t)before, err));
        d->charged_bytes += most - (int64_t)before;
    }
    int rc = ra_bytes_reserve(part, target - part->len, err);
    if (d->budget) {
        ra_budget_release(d->budget, d->charged_bytes - (int64_t)part->capacity);
        d->charged_bytes = (int64_t)part->capacity;
    }
    return rc;
}

int ra_deframer_feed(ra_deframer *d, ra_str *data, bool *complete, bool *last, ra_error *err) {
    *complete = *last = false;
    while (d->prefix_bytes < RA_GRPC_PREFIX_BYTES) {
        if (data->len == 0)
            return 0;
        d->prefix[d->prefix_bytes++] = (uint8_t)*data->data++;
        data->len--;
        if (d->prefix_bytes == RA_GRPC_PREFIX_BYTES)
            RA_TRY(read_prefix(d, err));
    }
    if (d->part.ceiling == 0 && d->left > 0)
        begin_part(d);
    size_t missing = d->part.ceiling - d->part.len;
    size_t n = data->len < missing ? data->len : missing;
    if (n > 0) {
        RA_TRY(reserve(d, n, err));
        memcpy(d->part.data + d->part.len, data->data, n);
        d->part.len += n;
        d->left -= (uint32_t)n;
        d->received_bytes += n;
        data->data += n;
        data->len -= n;
    }
    if (d->part.len < d->part.ceiling)
        return 0;
    *complete = true;
    *last = d->left == 0;
    if (*last)
        d->prefix_bytes = 0;
    return 0;
}
