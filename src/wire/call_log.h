// The lines that a call leaves in the log.
#ifndef RA_WIRE_CALL_LOG_H
#define RA_WIRE_CALL_LOG_H

#include "wire/call.h"

// At the end of a call: a line of area "access", and one of area "slow" when it took longer than
// ra_wire_options.slow_call_ns. I/O thread.
void ra_call_log(const ra_call *call, ra_code code);

#endif
