#include "compute/table.h"

int ra_compute_check_cancelled(const ra_compute *compute, ra_error *err) {
    if (compute->cancelled && atomic_load_explicit(compute->cancelled, memory_order_relaxed))
        RA_FAIL(err, CANCELLED, "cancelled");
    return 0;
}
