// Clients whose machine or network is gone without a word. A peer that lives acknowledges what is
// sent, the kernel's keep-alive probes when nothing is, and probes of its closed window when its
// program does not read; the slowest of these come every two minutes.
#ifndef RA_WIRE_SILENCE_H
#define RA_WIRE_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

// Lets the kernel probe a quiet TCP connection within a third of the time.
void ra_silence_watch(int fd, int64_t silence_ms);
// Whether neither data nor an acknowledgement has come for so long. False when that cannot be told.
bool ra_silence_is_over(int fd, int64_t silence_ms);

#endif
