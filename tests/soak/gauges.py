"""What the server holds, sampled through a run, and whether any of it grows."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving import Server
from test_http import metrics

Sample = dict[str, float]
WARM_UP = 1 / 3


@dataclass(frozen=True)
class Bound:
    """How much a gauge may grow after the warm-up: so much, or this share of what it was."""

    absolute: float
    share: float


MB = 1 << 20
BOUNDS = {
    "anonymous_bytes": Bound(20 * MB, 0.2),
    "resident_bytes": Bound(96 * MB, 0.5),
    "descriptors": Bound(24, 0.3),
    "threads": Bound(6, 0),
    "data_bytes": Bound(24 * MB, 0.4),
    "catalog_bytes": Bound(2 * MB, 0.3),
    "flights": Bound(24, 0.25),
    "segments": Bound(48, 0.3),
    "open_segments": Bound(48, 0.3),
    "memory_charged": Bound(8 * MB, 0.25),
    "connections": Bound(4, 0),
}
# The heap's high water rises for so many operations, ever more slowly; it stays where it is then.
HEAP_OPERATIONS, HEAP_BYTES = 50_000, 48 * MB


def _tree_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # deleted meanwhile
            continue
    return total


def take_sample(server: Server, n_operations: int, started: float) -> Sample:
    """All gauges now; `started` is a time.monotonic()."""
    told = metrics(server)
    folder = server.data_dir / ".remote-arrow"
    threads = re.search(r"^Threads:\s+(\d+)$", Path(f"/proc/{server.pid}/status").read_text(), re.M)
    assert threads is not None
    return {
        "seconds": time.monotonic() - started,
        "operations": n_operations,
        "anonymous_bytes": server.anonymous_bytes(),
        "resident_bytes": told["process_resident_memory_bytes"],
        "descriptors": server.open_files(),
        "threads": int(threads[1]),
        "data_bytes": _tree_bytes(folder / "segments"),
        "catalog_bytes": sum(path.stat().st_size for path in folder.glob("catalog.db*")),
        "flights": told["remote_arrow_flights"],
        "segments": told["remote_arrow_segments"],
        "open_segments": told["remote_arrow_open_segments"],
        "memory_charged": told["remote_arrow_memory_used_bytes"],
        "connections": told["remote_arrow_connections"],
        "cpu_seconds": server.cpu_seconds(),
    }


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / spread if spread else 0.0


def growth(samples: Sequence[Sample], gauge: str) -> tuple[float, float]:
    """(what the line through a gauge begins with, how much it rises) after the warm-up."""
    end = samples[-1]["operations"]
    late = [sample for sample in samples if sample["operations"] >= end * WARM_UP]
    x = [sample["operations"] for sample in late]
    y = [sample[gauge] for sample in late]
    slope = _slope(x, y)
    first = statistics.fmean(y) - slope * (statistics.fmean(x) - x[0])
    return first, slope * (x[-1] - x[0])


def judge(samples: Sequence[Sample]) -> tuple[list[str], list[str]]:
    """A line on each gauge, and those of the gauges that grew more than they may."""
    lines, grown = [], []
    for gauge, bound in BOUNDS.items():
        first, rise = growth(samples, gauge)
        most = max(sample[gauge] for sample in samples)
        allowed = max(bound.absolute, bound.share * first)
        if gauge == "anonymous_bytes" and samples[-1]["operations"] < HEAP_OPERATIONS:
            allowed = HEAP_BYTES
        line = f"{gauge}: {first:,.0f} {rise:+,.0f} (may {allowed:,.0f}; at most {most:,.0f})"
        lines.append(line)
        if rise > allowed:
            grown.append(line)
    return lines, grown


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
