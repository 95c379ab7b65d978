// Memory of decoded batches that is charged to a budget while it lives.
#include <inttypes.h>

#include "arrow/ipc_internal.h"
#include "base/os.h"

enum { ALIGNMENT = 64 };

typedef struct {
    ra_budget *budget;  // NULL: none
    int64_t bytes;
    uint8_t *data;  // NULL: the memory is somebody else's
} charge;

static void release_charge(void *owner) {
    charge *c = owner;
    ra_budget_release(c->budget, c->bytes);
    ra_free(c->data);
    ra_free(c);
}

static int new_charge(ra_budget *budget, int64_t bytes, charge **out, ra_error *err) {
    charge *c = ra_malloc(sizeof *c);
    if (!c)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer");
    *c = (charge){.budget = budget, .bytes = bytes};
    int rc = ra_budget_charge(budget, bytes, err);
    if (rc)
        ra_free(c);
    else
        *out = c;
    return rc;
}

// Takes `c` in any case.
static int wrap_charge(charge *c, ra_blob **out, ra_error *err) {
    int rc = ra_blob_wrap(c->data, c->data ? (size_t)c->bytes : 0, release_charge, c, out, err);
    if (rc)
        release_charge(c);
    return rc;
}

int ra_ipc_blob_new(ra_budget *budget, int64_t bytes, ra_blob **out, ra_error *err) {
    charge *c;
    *out = NULL;
    RA_TRY(new_charge(budget, bytes, &c, err));
    c->data = ra_aligned_alloc(ALIGNMENT, (size_t)bytes);
    if (!c->data) {
        release_charge(c);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a buffer of %" PRId64 " bytes", bytes);
    }
    return wrap_charge(c, out, err);
}

int ra_ipc_charge_batch(ra_batch *batch, ra_budget *budget, int64_t bytes, ra_error *err) {
    charge *c;
    ra_blob *blob;
    RA_TRY(new_charge(budget, bytes, &c, err));
    RA_TRY(wrap_charge(c, &blob, err));
    int rc = ra_batch_own(batch, blob, err);
    ra_blob_unref(blob);
    return rc;
}
