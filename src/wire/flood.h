// Token buckets that shed floods: each event spends one, time and good behaviour give back.
#ifndef RA_WIRE_FLOOD_H
#define RA_WIRE_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t burst;
    int64_t per_second;
    int64_t micro_tokens;  // millionths, so that short intervals count
    int64_t filled_ns;     // monotonic time up to which per_second was given
} ra_bucket;

// A full bucket.
void ra_bucket_init(ra_bucket *bucket, int64_t burst, int64_t per_second, int64_t now_ns);
// Spends one token at `now_ns` (monotonic); false when there is none.
bool ra_bucket_spend(ra_bucket *bucket, int64_t now_ns);
// Gives one token back.
void ra_bucket_give(ra_bucket *bucket);
// Fills the bucket.
void ra_bucket_refill(ra_bucket *bucket);

#endif
