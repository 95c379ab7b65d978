"""Many clients at once: all get right answers, and small calls stay quick."""

from __future__ import annotations

import random
import threading
import time
import traceback
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from remote import Remote, by_name
from serving import Server
from settings import SECONDS

N_CLIENTS = 16


@dataclass
class Person:
    """One client that uploads, asks, reads and deletes its own tables and reads a shared one."""

    number: int
    shared: pa.Table
    failures: list[str] = field(default_factory=list)
    n_rounds: int = 0

    def run(self, uri: str, until: float) -> None:
        """Works until the time; what goes wrong is kept as text."""
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
        rows = rng.randrange(1, 5_000)
        mine = pa.table({"n": np.arange(rows) * self.number, "s": [name] * rows})
        put = remote.upload(mine, name)
        assert remote.get(by_name(name)).equals(mine)
        indices = [rng.randrange(rows) for _ in range(10)]
        command = {"from": {"id": put["id"]}, "do": [{"take": {"indices": indices}}]}
        result = remote.about(command)["id"]
        assert remote.get(result).equals(mine.take(indices))
        offset = rng.randrange(self.shared.num_rows)
        cut = {"from": {"name": "shared"}, "do": [{"slice": {"offset": offset, "length": 50}}]}
        assert remote.get({**cut, "publish": False}).equals(self.shared.slice(offset, 50))
        assert any(info.descriptor.path == [b"shared"] for info in remote.flights(deleted=False))
        remote.action("delete", id=result)
        remote.action("delete", name=name)


def test_sixteen_clients_side_by_side(own_server: Server) -> None:
    shared = pa.table({"n": np.arange(200_000), "f": np.random.default_rng(2).random(200_000)})
    with Remote(own_server.uri) as remote:
        remote.upload(shared, "shared")
    files_before = own_server.open_files()
    people = [Person(n, shared) for n in range(N_CLIENTS)]
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=p.run, args=(own_server.uri, until)) for p in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [failure for p in people for failure in p.failures] == []
    assert all(p.n_rounds > 0 for p in people)
    time.sleep(0.3)
    assert own_server.open_files() <= files_before + N_CLIENTS


def test_clients_that_ask_the_same_at_once_share_one_flight(own_server: Server) -> None:
    table = pa.table({"n": np.random.default_rng(1).integers(0, 1 << 40, 1_000_000)})
    with Remote(own_server.uri) as remote:
        remote.upload(table, "t")
    command = {"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "n"}}]}
    ids: list[int] = []

    def ask() -> None:
        with Remote(own_server.uri) as remote:
            ids.append(remote.about(command)["id"])

    threads = [threading.Thread(target=ask) for _ in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids == [1] * N_CLIENTS
    with Remote(own_server.uri) as remote:
        assert len(remote.flights()) == 2
        assert remote.get(1).equals(table.sort_by("n"))


def test_small_calls_go_on_during_long_ones_and_slow_readers(own_server: Server) -> None:
    rng = np.random.default_rng(4)
    big = pa.table({"n": rng.integers(0, 1 << 60, 3_000_000), "m": rng.random(3_000_000)})
    with Remote(own_server.uri) as remote, Remote(own_server.uri) as busy:
        remote.upload(big, "big")
        # A reader that takes one batch and then stops reading.
        idle = busy.reader(by_name("big"))
        next(idle)
        stop = threading.Event()

        def sort_again_and_again() -> None:
            with Remote(own_server.uri) as sorting:
                for offset in range(1_000):
                    if stop.is_set():
                        return
                    steps = [{"slice": {"offset": offset}}, {"sort_by": {"sorting": "m"}}]
                    command = {"from": {"name": "big"}, "do": steps}
                    sorting.action("delete", id=sorting.about(command)["id"])

        sorter = threading.Thread(target=sort_again_and_again)
        sorter.start()
        times = []
        for _ in range(200):
            started = time.perf_counter()
            remote.info(by_name("big"))
            times.append(time.perf_counter() - started)
        stop.set()
        sorter.join()
        assert sorted(times)[len(times) // 2] < 0.05
        assert max(times) < 2.0
        idle.cancel()
