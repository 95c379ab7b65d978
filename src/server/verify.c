#include "server/verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/budget.h"
#include "base/log.h"
#include "store/verify.h"

enum { ALL_RIGHT, IS_DAMAGED, NOT_CHECKED };

static void say(void *context, const char *line) {
    (void)context;
    printf("damaged: %s\n", line);
}

int ra_verify(const ra_options *options) {
    ra_verification found;
    ra_budget budget;
    ra_error err;
    ra_log_set(RA_LOG_OFF, false);  // what loading would say is said once, by us
    ra_budget_init(&budget, NULL, "memory limit of the server", options->memory_limit.number);
    int rc = ra_store_verify(options->data_dir.text, &budget, say, NULL, &found, &err);
    ra_budget_fini(&budget);
    if (rc != 0) {
        fprintf(stderr, "remote-arrow-server: cannot be checked: %s\n", err.message);
        return NOT_CHECKED;
    }
    printf("checked: %" PRId64 " Flights, %" PRId64 " versions, %" PRId64 " files, %" PRId64
           " bytes; damages: %" PRId64 "\n",
           found.n_flights, found.n_versions, found.n_files, found.n_bytes, found.n_damages);
    return found.n_damages > 0 ? IS_DAMAGED : ALL_RIGHT;
}
