"""Clients side by side, in processes of their own: people who work, and one who times small calls.

Threads of one Python process hold each other up, so the small calls are timed where nothing else
runs. Knows nothing of pytest; benchmarks use it too. As a program it is one of these processes:

    side_by_side.py people URI SECONDS FIRST COUNT    COUNT people, each a thread, from number FIRST
    side_by_side.py small-calls URI SECONDS
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from remote import Json, Remote, by_name

SHARED_ROWS = 200_000
BIG_ROWS = 8_000_000
SMALL_PAUSE_S = 0.01
WINDOW_S = 5.0


def shared_table() -> pa.Table:
    """What all people ask about; the same in every process."""
    rng = np.random.default_rng(2)
    return pa.table({"n": np.arange(SHARED_ROWS), "f": rng.random(SHARED_ROWS)})


@dataclass
class Person:
    """One client that uploads, asks, reads and deletes its own tables and reads a shared one."""

    number: int
    shared: pa.Table
    failures: list[str] = field(default_factory=list)
    n_rounds: int = 0

    def run(self, uri: str, until: float) -> None:
        """Works until the time (monotonic); what goes wrong is kept as text."""
        rng = random.Random(self.number)
        try:
            with Remote(uri) as remote:
                while time.monotonic() < until:
                    self._round(remote, rng)
                    self.n_rounds += 1
        except Exception:
            self.failures.append(traceback.format_exc())

    def _round(self, remote: Remote, rng: random.Random) -> None:
        name = f"p{self.number} {self.n_rounds}"
        # Mostly small; one in sixteen is of 5 MB.
        rows = int(10 ** min(rng.expovariate(0.5), 5.5))
        mine = pa.table({"n": np.arange(rows) * self.number, "m": np.arange(rows)[::-1]})
        put = remote.upload(mine, name)
        assert remote.get(by_name(name)).equals(mine)
        self._ask(remote, put["id"], {"sort_by": {"sorting": "m"}}, mine[::-1])
        indices = [rng.randrange(rows) for _ in range(10)]
        self._ask(remote, put["id"], {"take": {"indices": indices}}, mine.take(indices))
        offset = rng.randrange(self.shared.num_rows)
        cut = {"from": {"name": "shared"}, "do": [{"slice": {"offset": offset, "length": 50}}]}
        assert remote.get({**cut, "publish": False}).equals(self.shared.slice(offset, 50))
        if rng.random() < 0.1:
            assert remote.get(by_name("shared")).equals(self.shared)
        assert any(info.descriptor.path == [b"shared"] for info in remote.flights(deleted=False))
        remote.action("delete", name=name)

    def _ask(self, remote: Remote, source: int, step: Json, expected: pa.Table) -> None:
        result = remote.about({"from": {"id": source}, "do": [step]})["id"]
        assert remote.get(result).equals(expected)
        remote.action("delete", id=result)


def people(uri: str, seconds: float, first: int, count: int) -> Json:
    """Lets people work side by side; how many rounds each did, and what went wrong."""
    shared = shared_table()
    crowd = [Person(first + n, shared) for n in range(count)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=person.run, args=(uri, until)) for person in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "rounds": [person.n_rounds for person in crowd],
        "failures": [failure for person in crowd for failure in person.failures],
    }


def small_calls(uri: str, seconds: float) -> Json:
    """Times one small call after another, each [seconds since the start, seconds], by kind."""
    shared = shared_table()
    rng = random.Random(1)

    def take_ten() -> None:
        rows = [rng.randrange(SHARED_ROWS) for _ in range(10)]
        command = {"from": {"name": "shared"}, "do": [{"take": {"indices": rows}}]}
        assert remote.get({**command, "publish": False}).equals(shared.take(rows))

    with Remote(uri) as remote:
        ten = remote.info(by_name("ten"))
        calls: dict[str, Callable[[], object]] = {
            "GetFlightInfo": lambda: remote.info(by_name("shared")),
            "ListFlights": lambda: remote.flights(limit=10),
            "DoAction": lambda: remote.action("versions", name="shared"),
            "DoGet of 10 rows": lambda: remote.get(ten),
            "take of 10 rows": take_ten,
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        started = time.perf_counter()
        while (at := time.perf_counter() - started) < seconds:
            for name, call in calls.items():
                before = time.perf_counter()
                call()
                times[name].append((at, time.perf_counter() - before))
                time.sleep(rng.uniform(0, SMALL_PAUSE_S))
    return {"times": times}


class SlowReader:
    """A client that stops reading in mid-download, and reads the rest when the others are done."""

    def __init__(self, uri: str) -> None:
        self.table = pa.table({"n": np.arange(BIG_ROWS), "m": np.arange(BIG_ROWS) * 3})
        self.remote = Remote(uri)
        self.remote.upload(self.table, "big")
        self.reader = self.remote.reader(by_name("big"))
        self.first = self.reader.read_chunk().data

    def finish(self) -> None:
        """The rest of the table is as it was, although it has been deleted since."""
        with self.remote as remote:
            deleted = remote.action("delete", name="big")
            assert deleted["bytes_freed"] == 0, "the download was not under way any more"
            rest = self.reader.read_all()
            assert pa.concat_tables([pa.Table.from_batches([self.first]), rest]).equals(self.table)


@dataclass(frozen=True)
class Outcome:
    """What became of a crowd. `times` are the small calls', as small_calls gives them."""

    rounds: list[int]
    failures: list[str]
    times: dict[str, list[tuple[float, float]]]

    def seconds(self) -> list[float]:
        """Of all small calls, in order of size."""
        return sorted(seconds for calls in self.times.values() for _, seconds in calls)

    def p99_by_window(self) -> list[float]:
        """The p99 of the small calls of each WINDOW_S: throughout means in the worst of them."""
        windows: dict[int, list[float]] = {}
        for calls in self.times.values():
            for at, seconds in calls:
                windows.setdefault(int(at / WINDOW_S), []).append(seconds)
        return [p99(sorted(seconds)) for seconds in windows.values()]


def p99(ordered: list[float]) -> float:
    """The value that 99 of 100 stay below, of values in order."""
    return ordered[len(ordered) * 99 // 100]


def gather(uri: str, seconds: float, n_people: int, n_processes: int) -> Outcome:
    """People in so many processes, small calls in one more, a slow reader in this one."""
    with Remote(uri) as remote:
        remote.upload(shared_table(), "shared")
        remote.upload(pa.table({"n": range(10)}), "ten")
    slow = SlowReader(uri)
    each = n_people // n_processes
    roles = [("people", uri, seconds, n * each, each) for n in range(n_processes)]
    roles.append(("small-calls", uri, seconds))
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *map(str, role)], stdout=subprocess.PIPE, text=True
        )
        for role in roles
    ]
    answers: list[Json] = []
    for process in processes:
        text, _ = process.communicate()
        ended = f"{process.args}: exit code {process.returncode}"
        answers.append(json.loads(text) if process.returncode == 0 else {"failures": [ended]})
    slow.finish()
    return Outcome(
        [n for answer in answers for n in answer.get("rounds", [])],
        [failure for answer in answers for failure in answer.get("failures", [])],
        next((answer["times"] for answer in answers if "times" in answer), {}),
    )


def main() -> None:
    role, uri, seconds, *numbers = sys.argv[1:]
    work = {"people": people, "small-calls": small_calls}[role]
    json.dump(work(uri, float(seconds), *map(int, numbers)), sys.stdout)


if __name__ == "__main__":
    main()
