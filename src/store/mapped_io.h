// The guarded place where an I/O error in a mapped file is caught: a page that cannot be read
// raises SIGBUS, which becomes a return value here and nowhere else.
#ifndef RA_STORE_MAPPED_IO_H
#define RA_STORE_MAPPED_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Installs the process's handler of SIGBUS, once. A SIGBUS outside this file ends the process as
// before.
void ra_mapped_io_install(void);

// XXH3-64 of mapped bytes; false when they cannot be read.
bool ra_mapped_io_hash(const uint8_t *data, size_t bytes, uint64_t *hash);

// Faults in the pages of [data, data + bytes); false when they cannot be read.
bool ra_mapped_io_fault_in(const uint8_t *data, size_t bytes);

// Whether all pages of [data, data + bytes) are in memory: reading them does not wait for a disk.
// Costs about a microsecond for 64 pages and never reads any.
bool ra_mapped_io_is_resident(const uint8_t *data, size_t bytes);

#endif
