// Methods that every server of ours has: health and reflection (§3.5).
#ifndef RA_WIRE_BUILTIN_H
#define RA_WIRE_BUILTIN_H

#include "base/bytes.h"
#include "wire/server.h"

enum { RA_N_HEALTH_METHODS = 2, RA_N_REFLECTION_METHODS = 2 };

// grpc.health.v1.Health: "" and the services of the registered methods are known.
extern const ra_method *const ra_health_methods[RA_N_HEALTH_METHODS];
// grpc.reflection.v1 and v1alpha ServerReflection.
extern const ra_method *const ra_reflection_methods[RA_N_REFLECTION_METHODS];

// Sends one message from memory, which is copied.
void ra_call_send_bytes(ra_call *call, ra_str message);

#endif
