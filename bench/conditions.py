"""What must be equal for both sides before a ratio means anything on a virtual machine.

Two things drown the servers otherwise. glibc returns large blocks to the kernel, so that a client
that drains 2 MB batches may spend most of its time in page faults, or not, for a whole run: 2 or 5
GB/s with any server. And memory that the machine has not used lately was taken back by its host:
its first use costs up to 2 s/GB, for whoever comes first. A server's memory is in use.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# glibc's largest threshold; blocks below it are kept when they are freed.
KEEPING_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}
LEAVE_FREE_BYTES = 1 << 28
READ_BYTES = 1 << 20


def keep_client_memory() -> None:
    """Starts this process again with a malloc that keeps its memory; servers do not inherit it."""
    if all(os.environ.get(name) == value for name, value in KEEPING_MALLOC.items()):
        for name in KEEPING_MALLOC:
            del os.environ[name]
        return
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEPING_MALLOC})


def memory_bytes(field: str) -> int:
    """A field of /proc/meminfo."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)


def occupy_memory(folder: Path) -> None:
    """Fills free memory with clean pages of a file without blocks: they make room when asked to."""
    path = folder / "holes"
    with path.open("wb") as file:
        file.truncate(memory_bytes("MemTotal"))
    with path.open("rb", buffering=0) as file:
        while memory_bytes("MemFree") > LEAVE_FREE_BYTES:
            for _ in range(256):
                if not file.read(READ_BYTES):
                    return
