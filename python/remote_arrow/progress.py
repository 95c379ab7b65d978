"""How far a transfer is: told to a callable, or drawn as a line on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import pyarrow as pa

_QUIET_S = 1.0  # what is over by then shows no bar
_PERIOD_S = 0.1
_BAR = 20


@dataclass(frozen=True)
class Progress:
    """Rows and bytes so far; `total_rows` is None where only the end tells."""

    rows: int
    bytes: int
    total_rows: int | None


Watcher = Callable[[Progress], object]


class Bar:
    """Draws a line that it overwrites, from `quiet_s` seconds on; `close` wipes it away."""

    def __init__(self, file: TextIO, quiet_s: float) -> None:
        self._file = file
        self._start = time.monotonic()
        self._next = self._start + quiet_s
        self._drawn = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PERIOD_S
        self._drawn = True
        width = shutil.get_terminal_size().columns - 1
        line = text_of(progress, now - self._start)[:width]
        self._file.write(f"\r{line.ljust(width)}")
        self._file.flush()

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._drawn:
            self._file.write(f"\r{' ' * (shutil.get_terminal_size().columns - 1)}\r")
            self._file.flush()


def text_of(progress: Progress, seconds: float) -> str:
    """The line of a bar."""
    size = f"{progress.bytes / 1e6:,.0f} MB"
    speed = f"{progress.bytes / 1e6 / max(seconds, 1e-9):,.0f} MB/s"
    rows = f"{progress.rows:,} rows"
    if not progress.total_rows:
        return f"{rows}, {size}, {speed}"
    share = min(1.0, progress.rows / progress.total_rows)
    bar = ("#" * int(share * _BAR)).ljust(_BAR, ".")
    return f"[{bar}] {share:4.0%} of {progress.total_rows:,} rows, {size}, {speed}"


@contextmanager
def watching(progress: bool | Watcher | None) -> Iterator[Watcher | None]:
    """Whom to tell: the caller's callable; a bar at once for True; for None a bar after a second
    if stderr is a terminal; nobody for False.
    """
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield None
        return
    bar = Bar(sys.stderr, 0.0 if progress else _QUIET_S)
    try:
        yield bar
    finally:
        bar.close()


def watched(
    batches: Iterable[pa.RecordBatch], total_rows: int | None, watcher: Watcher | None
) -> Iterator[pa.RecordBatch]:
    """The same batches; the watcher is told after each, when it has been used."""
    n_rows = n_bytes = 0
    for batch in batches:
        yield batch
        n_rows += batch.num_rows
        n_bytes += batch.nbytes
        if watcher is not None:
            watcher(Progress(n_rows, n_bytes, total_rows))
