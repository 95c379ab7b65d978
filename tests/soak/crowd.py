"""Workers that use a server at random and know what it must answer."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

import remote_arrow as ra
from serving import REPOSITORY

BASE_ROWS = 100_000
MAX_ROWS = 100_000
# What one worker keeps alive.
MAX_NAMED, MAX_RESULTS, MAX_LIVE_ROWS = 30, 8, 400_000
KEPT_VERSIONS = 5


def base_table() -> pa.Table:
    """Rows of many types; all tables of a run are cut from it. "n" is unique and in no order."""
    rng = np.random.default_rng(7)
    n = rng.permutation(BASE_ROWS)
    has = rng.random(BASE_ROWS) > 0.1
    numbers = pa.array(n)
    text = pc.binary_join_element_wise(pc.cast(numbers, pa.string()), "größe", "-")
    return pa.table(
        {
            "n": numbers,
            "f": pa.array(rng.random(BASE_ROWS), mask=~has),
            "s": pc.if_else(pa.array(has), text, None),
            "b": pa.array(n % 3 == 0, mask=~has),
            "t": pa.array(n * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "d": pa.array(n % 50).cast(pa.string()).dictionary_encode(),
            "l": pa.ListArray.from_arrays(
                pa.array(np.minimum(np.arange(BASE_ROWS + 1) * 2, 2 * BASE_ROWS), pa.int32()),
                pa.array(np.arange(2 * BASE_ROWS), pa.int32()),
            ),
            "r": pa.StructArray.from_arrays([numbers, pa.array(n % 7, pa.int8())], ["x", "y"]),
            "c": numbers.cast(pa.decimal128(24, 2)),
        }
    )


BASE = base_table()


@dataclass
class Held:
    """A named Flight: its newest handle, and the tables of the versions that are kept."""

    handle: ra.RemoteTable
    versions: dict[int, pa.Table]

    @property
    def newest(self) -> pa.Table:
        """The table of the newest version."""
        return self.versions[self.handle.version]

    @property
    def rows(self) -> int:
        """Of all kept versions."""
        return sum(table.num_rows for table in self.versions.values())

    def next(self, handle: ra.RemoteTable, table: pa.Table) -> None:
        """Takes a new version; the oldest goes."""
        assert handle.version == self.handle.version + 1
        self.handle = handle
        self.versions[handle.version] = table
        self.versions.pop(handle.version - KEPT_VERSIONS, None)


@dataclass
class Worker:
    """One client with names of its own: nobody else changes them, so it knows what is in them."""

    number: int
    uri: str
    seed: int
    named: dict[str, Held] = field(default_factory=dict)
    results: list[tuple[ra.RemoteTable, pa.Table]] = field(default_factory=list)
    n_names: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed} {self.number}")
        self.con = ra.connect(self.uri)

    def step(self) -> str:
        """One operation, and the deletes that keep what lives constant; its name."""
        operation = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not self.named:
            operation = "upload"
        getattr(self, f"_{operation}")()
        while len(self.named) > MAX_NAMED or self._live_rows() > MAX_LIVE_ROWS:
            self._delete()
        while len(self.results) > MAX_RESULTS:
            self._drop_result()
        return operation

    def check_all(self) -> None:
        """Everything that this worker has is on the server, in all versions, and as it was."""
        for name, held in self.named.items():
            assert self.con[name].version == held.handle.version
            for version, table in held.versions.items():
                self._equal(self.con.dataset(name, version=version).to_table(), table)
        for result, table in self.results:
            self._equal(self.con[result.id].to_table(), table)

    def delete_all(self) -> None:
        """Ends all Flights of this worker."""
        while self.named:
            self._delete()
        while self.results:
            self._drop_result()

    def ids(self) -> set[int]:
        """Of all Flights of this worker."""
        return {held.handle.id for held in self.named.values()} | {r.id for r, _ in self.results}

    def _live_rows(self) -> int:
        return sum(held.rows for held in self.named.values())

    def _equal(self, got: pa.Table, expected: pa.Table) -> None:
        assert got.equals(expected), f"{got.num_rows} rows, not {expected.num_rows}, or others"

    def _piece(self, columns: list[str] | None = None) -> pa.Table:
        """A table of 1 to MAX_ROWS rows, mostly of few."""
        rows = int(10 ** self.rng.uniform(0, 5))
        if columns is None:
            others = self.rng.sample(BASE.column_names[1:], self.rng.randrange(1, 5))
            columns = ["n", *others]
        return BASE.select(columns).slice(self.rng.randrange(BASE_ROWS - rows + 1), rows)

    def _new_name(self) -> str:
        self.n_names += 1
        return f"w{self.number} {self.n_names}"

    def _pick(self) -> tuple[str, Held]:
        name = self.rng.choice(list(self.named))
        return name, self.named[name]

    def _upload(self) -> None:
        name, table = self._new_name(), self._piece()
        handle = self.con.upload(table, name)
        assert (handle.version, handle.num_rows) == (1, table.num_rows)
        self.named[name] = Held(handle, {1: table})

    def _append(self) -> None:
        name, held = self._pick()
        piece = self._piece(held.newest.column_names)
        if held.newest.num_rows + piece.num_rows > MAX_ROWS:
            return self._replace()
        handle = self.con.upload(piece, name, if_exists="append")
        held.next(handle, pa.concat_tables([held.newest, piece]))
        assert handle.num_rows == held.newest.num_rows
        return None

    def _replace(self) -> None:
        name, held = self._pick()
        table = self._piece()
        held.next(self.con.upload(table, name, if_exists="replace"), table)

    def _query(self) -> None:
        _, held = self._pick()
        handle, table = held.handle, held.newest
        kind = self.rng.randrange(5)
        rows = sorted(self.rng.randrange(table.num_rows) for _ in range(20))
        if kind == 0:
            got, expected = handle.sort_by("n"), table.sort_by("n")
        elif kind == 1:
            got, expected = handle.take(rows), table.take(rows)
        elif kind == 2:
            got, expected = handle.slice(rows[0], 500), table.slice(rows[0], 500)
        elif kind == 3:
            got, expected = handle.select(["n"]), table.select(["n"])
        else:
            got, expected = handle.drop_null(), table.drop_null()
        if any(got.id == result.id for result, _ in self.results):
            return
        self.results.append((got, expected))
        if self.rng.random() < 0.5:
            self._equal(got.to_table(), expected)

    def _read(self) -> None:
        """Rows of a table, unpublished."""
        _, held = self._pick()
        handle, table = held.handle, held.newest
        kind, offset = self.rng.randrange(3), self.rng.randrange(table.num_rows)
        if kind == 0:
            got, expected = handle.to_table(offset=offset, limit=20), table.slice(offset, 20)
        elif kind == 1:
            rows = [self.rng.randrange(table.num_rows) for _ in range(10)]
            got, expected = handle.to_table(indices=rows), table.take(rows)
        else:
            got, expected = handle.to_table(["n"], limit=1000), table.select(["n"]).slice(0, 1000)
        self._equal(got, expected)

    def _download(self) -> None:
        name, held = self._pick()
        version = self.rng.choice(list(held.versions))
        self._equal(self.con.dataset(name, version=version).to_table(), held.versions[version])

    def _give_up(self) -> None:
        """Reads one batch of a table and goes."""
        _, held = self._pick()
        batch = next(held.handle.iter_batches())
        assert pa.Table.from_batches([batch]).equals(held.newest.slice(0, batch.num_rows))

    def _break(self) -> None:
        """An upload whose source fails in the middle."""
        table = self._piece()

        def batches() -> Iterator[pa.RecordBatch]:
            yield from table.to_batches()
            raise ValueError("the source is broken")

        source = pa.RecordBatchReader.from_batches(table.schema, batches())
        try:
            self.con.upload(source, self._new_name())
        except ValueError:
            return
        raise AssertionError("a broken upload was taken")

    def _rename(self) -> None:
        name, held = self._pick()
        to = self._new_name()
        held.handle.rename(to)
        self.named[to] = self.named.pop(name)
        try:
            self.con.dataset(name)
        except ra.FlightNotFound:
            return
        raise AssertionError("the old name is there")

    def _keep(self) -> None:
        if not self.results:
            return
        result, table = self.rng.choice(self.results)
        result.keep()
        if self.rng.random() < 0.5:
            result.unkeep()
        self._equal(result.head(5), table.slice(0, 5))

    def _versions(self) -> None:
        _, held = self._pick()
        told = {version["version"]: version["rows"] for version in held.handle.versions()}
        assert told == {number: table.num_rows for number, table in held.versions.items()}

    def _publish(self) -> None:
        name, held = self._pick()
        source = held.handle.slice(0, 100)
        table = held.newest.slice(0, 100)
        self.results.append((source, table))
        made = source.publish_as(name, if_exists="replace", if_version=held.handle.version)
        held.next(made, table)

    def _list(self) -> None:
        listed = self.con.flights(name=f"w{self.number} *")
        assert {flight.name for flight in listed} == set(self.named)

    def _refused(self) -> None:
        name, _ = self._pick()
        try:
            self.con.upload(BASE.slice(0, 1), name)
        except ra.FlightExists:
            return
        raise AssertionError("a taken name was given again")

    def _missing(self) -> None:
        try:
            self.con.dataset(self._new_name())
        except ra.FlightNotFound:
            return
        raise AssertionError("a Flight that nobody made")

    def _delete(self) -> None:
        name, held = self._pick()
        del self.named[name]
        held.handle.delete()

    def _drop_result(self) -> None:
        result, table = self.results.pop(self.rng.randrange(len(self.results)))
        if any(other.id == result.id for other, _ in self.results):
            return
        self._equal(result.to_table(limit=3), table.slice(0, 3))
        result.delete()

    def _kill(self) -> None:
        """A client that is killed in the middle."""
        name, _ = self._pick()
        what = self.rng.choice(["upload", "download", "exchange", "watch"])
        program = [sys.executable, str(REPOSITORY / "tests" / "killed_client.py")]
        argument = self._new_name() if what == "upload" else name
        client = subprocess.Popen(
            [*program, what, self.uri, argument], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert client.stdout is not None
        client.stdout.readline()
        client.kill()
        client.communicate()


WEIGHTS = {
    "upload": 14,
    "append": 12,
    "replace": 6,
    "query": 12,
    "read": 26,
    "download": 10,
    "give_up": 2,
    "break": 2,
    "rename": 3,
    "keep": 3,
    "versions": 3,
    "publish": 2,
    "list": 2,
    "refused": 1,
    "missing": 1,
    "delete": 1,
    "kill": 0.15,
}


class Watcher(threading.Thread):
    """Follows the events of all Flights through restarts; knows from them which ones live.

    After a crash the server tells that events are lost; then the list says what lives.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(daemon=True)
        self.uri = uri
        self.live: set[int] = set()
        self.sequence = 0
        self.n_events = 0
        self.n_lost = 0
        self.stopping = False

    def run(self) -> None:
        con = ra.connect(self.uri, timeout=None)
        while not self.stopping:
            try:
                for event in con.watch(after=self.sequence):
                    self._take(con, event)
            except flight.FlightUnavailableError:
                time.sleep(0.1)

    def _take(self, con: ra.Connection, event: dict[str, object]) -> None:
        if event["event"] == "lost":
            self.n_lost += 1
            self.live = {flight.id for flight in con.flights()}
            return
        assert isinstance(event["sequence"], int) and isinstance(event["id"], int)
        assert event["sequence"] > self.sequence
        self.sequence = event["sequence"]
        self.n_events += 1
        if event["event"] == "deleted":
            self.live.discard(event["id"])
        else:
            self.live.add(event["id"])
