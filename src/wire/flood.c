#include "wire/flood.h"

enum { MICRO = 1000000, NS_PER_MICRO_OF_A_SECOND = 1000 };

void ra_bucket_init(ra_bucket *bucket, int64_t burst, int64_t per_second, int64_t now_ns) {
    *bucket = (ra_bucket){.burst = burst,
                          .per_second = per_second,
                          .micro_tokens = burst * MICRO,
                          .filled_ns = now_ns};
}

static void give_micro(ra_bucket *bucket, int64_t micro_tokens) {
    int64_t full = bucket->burst * MICRO;
    bucket->micro_tokens += micro_tokens;
    if (bucket->micro_tokens > full)
        bucket->micro_tokens = full;
}

bool ra_bucket_spend(ra_bucket *bucket, int64_t now_ns) {
    int64_t elapsed_us = (now_ns - bucket->filled_ns) / NS_PER_MICRO_OF_A_SECOND;
    if (elapsed_us > 0) {
        bucket->filled_ns += elapsed_us * NS_PER_MICRO_OF_A_SECOND;
        // An hour fills any bucket; the product stays far from overflow.
        int64_t counted_us = elapsed_us < INT64_C(3600000000) ? elapsed_us : INT64_C(3600000000);
        give_micro(bucket, counted_us * bucket->per_second);
    }
    if (bucket->micro_tokens < MICRO)
        return false;
    bucket->micro_tokens -= MICRO;
    return true;
}

void ra_bucket_give(ra_bucket *bucket) {
    give_micro(bucket, MICRO);
}

void ra_bucket_refill(ra_bucket *bucket) {
    bucket->micro_tokens = bucket->burst * MICRO;
}
