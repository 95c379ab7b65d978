"""kill -9 under writers: what was acknowledged is there, nothing half-made is listed."""

from __future__ import annotations

import random
import threading
import time
import zlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from remote import Remote, by_name
from serving import Server
from settings import ROUNDS

N_WRITERS = 4


def content(seed: str) -> pa.Table:
    """The table that belongs to a seed; up to a few hundred KB."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    rows = int(rng.integers(1, 20_000))
    return pa.table({"seed": [seed] * rows, "n": rng.integers(0, 1 << 60, rows)})


@dataclass
class Writer:
    """Changes its own names until the server goes away, and remembers what was acknowledged.

    A state is the list of seeds whose tables follow one another under a name; None: no such name.
    `unsure` is the one change that was on its way when the server ended.
    """

    number: int
    states: dict[str, list[str] | None] = field(default_factory=dict)
    unsure: tuple[str, list[str] | None] | None = None
    n_changes: int = 0

    def run(self, uri: str, seed: int) -> None:
        """Works until a call fails."""
        rng = random.Random(seed)
        try:
            with Remote(uri) as remote:
                while True:
                    self._change(remote, rng)
        except (flight.FlightError, pa.ArrowException, OSError):
            return

    def _change(self, remote: Remote, rng: random.Random) -> None:
        self.n_changes += 1
        seed = f"{self.number}-{self.n_changes}-{rng.random()}"
        live = [name for name, state in self.states.items() if state]
        what = rng.choice(["create", "create", "append", "replace", "delete"])
        if what == "create" or not live:
            name = f"w{self.number} {seed}"
            self._expect(name, [seed])
            remote.upload(content(seed), name)
        else:
            name = rng.choice(live)
            if what == "delete":
                self._expect(name, None)
                remote.action("delete", name=name)
            else:
                before = self.states[name] or []
                self._expect(name, [*before, seed] if what == "append" else [seed])
                remote.upload(content(seed), name, if_exists=what)
        self._acknowledge()

    def _expect(self, name: str, state: list[str] | None) -> None:
        self.unsure = (name, state)

    def _acknowledge(self) -> None:
        assert self.unsure is not None
        name, state = self.unsure
        self.states[name] = state
        self.unsure = None


def matches(remote: Remote, name: str, state: list[str] | None) -> bool:
    """Whether the name holds exactly the tables of the state's seeds."""
    try:
        table = remote.get(by_name(name))
    except pa.ArrowKeyError:
        return state is None
    return state is not None and table.equals(pa.concat_tables(map(content, state)))


def check_writer(remote: Remote, writer: Writer) -> None:
    """Every acknowledged state is there; the change that was on its way happened whole or not."""
    for name, state in writer.states.items():
        if writer.unsure is not None and writer.unsure[0] == name:
            continue
        assert matches(remote, name, state), f"acknowledged state of {name!r} is lost"
    if writer.unsure is None:
        return
    name, after = writer.unsure
    before = writer.states.get(name)
    assert matches(remote, name, before) or matches(remote, name, after), name
    # From now on the name is left alone, as it is.
    writer.states[name] = after if matches(remote, name, after) else before
    writer.unsure = None


def test_kill_under_writers_loses_nothing_acknowledged(own_server: Server) -> None:
    rng = random.Random(17)
    writers = [Writer(n) for n in range(N_WRITERS)]
    n_acknowledged = 0
    for _ in range(ROUNDS):
        threads = [
            threading.Thread(target=w.run, args=(own_server.uri, rng.random())) for w in writers
        ]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.1, 1.2))
        own_server.kill()
        for thread in threads:
            thread.join()
        own_server.start()
        with Remote(own_server.uri) as remote:
            for writer in writers:
                check_writer(remote, writer)
            check_list(remote, {name for w in writers for name in w.states})
        check_folder(own_server)
        n_acknowledged = sum(len(w.states) for w in writers)
    assert n_acknowledged > ROUNDS * N_WRITERS


def check_list(remote: Remote, known: set[str]) -> None:
    """Nothing is listed that nobody made, and position is id."""
    for position, info in enumerate(remote.flights()):
        if info.descriptor.command == b"DELETED":
            continue
        [name] = info.descriptor.path
        assert name.decode() in known
        assert remote.about(by_name(name.decode()))["id"] == position


def check_folder(server: Server) -> None:
    """Files of unfinished uploads are gone."""
    assert list((server.data_dir / ".remote-arrow" / "tmp").iterdir()) == []


def test_numbers_are_never_given_again_after_a_crash(own_server: Server) -> None:
    given = []
    for _ in range(3):
        with Remote(own_server.uri) as remote:
            given += [remote.upload(content("x"))["id"] for _ in range(2)]
            given.append(remote.about({"from": {"id": given[0]}, "do": [{"slice": {}}]})["id"])
            remote.action("delete", id=given[-2])
        own_server.kill()
        own_server.start()
    assert len(set(given)) >= 7
    uploads = [number for i, number in enumerate(given) if i % 3 < 2]
    assert sorted(set(uploads)) == uploads


def test_clean_restart_skips_no_number(own_server: Server) -> None:
    for expected in range(4):
        with Remote(own_server.uri) as remote:
            assert remote.upload(content("x"), f"n{expected}")["id"] == expected
        own_server.restart()


@pytest.mark.parametrize("durability", ["commit", "none"])
def test_acknowledged_upload_survives_a_kill_of_the_process(
    make_server: object, durability: str
) -> None:
    server = make_server("--durability", durability)
    with Remote(server.uri) as remote:
        remote.upload(content("kept"), "kept")
        remote.info({"from": {"id": 0}, "do": [{"slice": {"length": 5}}]})
        remote.action("keep", id=1)
    server.kill()
    server.start()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("kept")).equals(content("kept"))
        assert remote.get(1).equals(content("kept").slice(0, 5))
