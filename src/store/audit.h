// The audit log: one line for each change that was made.
#ifndef RA_STORE_AUDIT_H
#define RA_STORE_AUDIT_H

#include "store/catalog.h"

// Logs a change after its commit: who asked, what, which Flight. Nothing for requests that failed
// or changed nothing. Catalog thread.
void ra_audit_log(const ra_request *request);

#endif
