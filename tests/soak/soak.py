"""Many operations of all kinds on one server, checked against a local model; nothing may grow.

`soak.py --operations 100000`: ends with 0 when all answers were right and no gauge grew.
`--samples` keeps the measurements, one JSON object a line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    *(str(Path(__file__).resolve().parents[2] / folder) for folder in ("tests", "python")),
]

import pyarrow as pa  # noqa: E402 - found through the lines above

import remote_arrow as ra  # noqa: E402
from crowd import KEPT_VERSIONS, Watcher, Worker  # noqa: E402
from gauges import Sample, judge, take_sample, write_samples  # noqa: E402
from serving import Server  # noqa: E402

N_WORKERS = 4
# All of them in the warm-up, so that growth is looked for in one life of the server.
RESTARTS_AT = (0.04, 0.08, 0.12, 0.16)
N_SAMPLES = 150
SETTLE_S = 20.0
WATCHING_BYTES = 1024  # what the watcher's call is charged


@dataclass
class Soak:
    """One run. The workers stop between two operations for each sample and each restart, so that
    what is measured is what lives, not what is on its way."""

    server: Server
    n_operations: int
    seconds: float
    seed: int
    samples: list[Sample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.workers = [Worker(n, self.server.uri, self.seed) for n in range(N_WORKERS)]
        self.watcher = Watcher(self.server.uri)

    def run(self) -> None:
        """All operations; failures are kept as text."""
        self.watcher.start()
        turns = max(1, min(N_SAMPLES, self.n_operations // 50))
        restarts = {int(turns * share): n for n, share in enumerate(RESTARTS_AT)}
        for turn in range(1, turns + 1):
            self._together(self.n_operations * turn // turns)
            if self.failures or time.monotonic() - self.started > self.seconds:
                break
            self.samples.append(take_sample(self.server, self.counts.total(), self.started))
            if turn in restarts:
                self._restart(is_kill=restarts[turn] % 2 == 0)
        if not self.failures:
            self._check_end()

    def _together(self, until: int) -> None:
        """Lets the workers go on until so many operations are done in all."""
        each = max(1, (until - self.counts.total()) // N_WORKERS)
        threads = [threading.Thread(target=self._work, args=(w, each)) for w in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, worker: Worker, n_operations: int) -> None:
        done: Counter[str] = Counter()
        try:
            for _ in range(n_operations):
                if self.failures:
                    break
                done[worker.step()] += 1
        except Exception:
            self.failures.append(f"worker {worker.number}: {traceback.format_exc()}")
        self.counts.update(done)

    def _restart(self, is_kill: bool) -> None:
        if is_kill:
            self.server.kill()
            self.server.start()
        else:
            self.server.restart()
        for worker in self.workers:
            worker.con.server_info()  # is tried again until the connection is there

    def _check_end(self) -> None:
        """All is there, only what is known is there, and when it is deleted nothing is left."""
        for worker in self.workers:
            worker.check_all()
        known = set.union(*(worker.ids() for worker in self.workers))
        with ra.connect(self.server.uri) as con:
            listed = {flight.id for flight in con.flights()}
            assert listed == known, f"listed {listed - known}, missing {known - listed}"
            last = con.upload(pa.table({"n": [0]}), "last")
            last.delete()
        self._check_watcher(last.id, known)
        for worker in self.workers:
            worker.delete_all()
            worker.con.close()
        self._check_empty()

    def _check_watcher(self, last: int, known: set[int]) -> None:
        deadline = time.monotonic() + SETTLE_S
        while self.watcher.live != known and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.watcher.live == known, "events and list differ"
        self.watcher.stopping = True

    def _check_empty(self) -> None:
        folder = self.server.data_dir / ".remote-arrow"
        deadline = time.monotonic() + SETTLE_S
        while True:
            files = [p for p in (folder / "segments").rglob("*") if p.is_file()]
            files += list((folder / "tmp").iterdir())
            if not files or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert files == [], f"left behind: {files[:5]}"
        end = take_sample(self.server, self.counts.total(), self.started)
        assert (end["flights"], end["segments"], end["data_bytes"]) == (0, 0, 0), end
        assert end["memory_charged"] < WATCHING_BYTES, end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=120.0, help="ends sooner, without blame")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=Path, help="where the measurements are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        server = Server(
            *("--keep-versions", str(KEPT_VERSIONS), "--log-level", "warning"),
            data_dir=Path(folder) / "data",
            log_path=Path(folder) / "log",
        )
        soak = Soak(server, options.operations, options.minutes * 60, options.seed)
        try:
            soak.run()
        except AssertionError:
            soak.failures.append(traceback.format_exc())
        finally:
            if options.samples:
                write_samples(soak.samples, options.samples)
        lines, grown = judge(soak.samples) if len(soak.samples) > 5 else ([], ["few samples"])
        if soak.failures:
            server.kill()
        else:
            server.stop()
        log = server.log
    seconds = time.monotonic() - soak.started
    counted = ", ".join(f"{n} {name}" for name, n in soak.counts.most_common())
    told = [f"{soak.counts.total():,} operations in {seconds:.0f} s: {counted}"]
    events = f"{soak.watcher.n_events:,} events, some lost {soak.watcher.n_lost} times"
    told += [events, *lines]
    told += [f"GREW {line}" for line in grown] + soak.failures
    told += [log[-3000:]] if soak.failures else []
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if soak.failures or grown else 0


if __name__ == "__main__":
    sys.exit(main())
