// What the control group (v2) allows that a process is in.
#ifndef RA_BASE_CGROUP_H
#define RA_BASE_CGROUP_H

#include <stdint.h>

typedef struct {
    int64_t memory_bytes;  // INT64_MAX: no limit
    int64_t cores;         // rounded up; INT64_MAX: no limit
} ra_cgroup;

// Reads the limits of the group that `self` (/proc/self/cgroup) names and of those above it, below
// `root` (/sys/fs/cgroup): the lowest count. In a container the own group is the root. What cannot
// be read is no limit. Any thread.
ra_cgroup ra_cgroup_read(const char *root, const char *self);

#endif
