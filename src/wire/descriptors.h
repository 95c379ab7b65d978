// Descriptors of the protobuf files behind our services, for reflection: built from one table.
#ifndef RA_WIRE_DESCRIPTORS_H
#define RA_WIRE_DESCRIPTORS_H

#include "base/bytes.h"

// Number of files; they are named by 0 <= file < n.
int ra_descriptors_count(void);
// The file with that name, or the one that defines a symbol ("arrow.flight.protocol.Ticket", a
// service, or "SERVICE.METHOD"); -1 = none.
int ra_descriptors_find_file(ra_str name);
int ra_descriptors_find_symbol(ra_str symbol);
// Appends the FileDescriptorProto of a file. LIMIT, OUT_OF_MEMORY.
RA_MUST int ra_descriptors_put_file(int file, ra_bytes *out, ra_error *err);

// Calls fn(context, full name) for each service until it fails.
RA_MUST int ra_descriptors_each_service(int (*fn)(void *context, ra_str name, ra_error *err),
                                        void *context, ra_error *err);

#endif
